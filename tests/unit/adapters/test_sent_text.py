"""What `lienthong-agency send` says."""

from __future__ import annotations

import pytest

from adapters.cli.main import sent_text


@pytest.mark.parametrize(("count", "said"), [(1, "accepted for 1 recipient."), (34, "accepted for 34 recipients.")])
def test_recipients_are_counted_in_good_english(count: int, said: str) -> None:
    assert sent_text({"id": "x", "state": "accepted", "recipients": {"count": count}}) == f"x: {said}"

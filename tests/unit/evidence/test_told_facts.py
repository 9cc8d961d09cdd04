"""Operators' actions tell facts of rows: the newest about each counts, and bytes that tell nothing stop nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from broker.evidence.told_facts import ToldFacts, told_facts
from schemas.exchange_events import operator_action

AT = datetime(2026, 3, 12, tzinfo=UTC)


def action(name: str, role: str | None = None) -> bytes:
    facts = None if role is None else {"role": role}
    (event,) = operator_action(at=AT, actor="op-7", action=name, target="an", facts=facts)
    return event.body


def test_what_the_newest_action_tells_comes_last_and_one_of_before_tells_nothing() -> None:
    bodies = [action("account.add"), action("account.change", "auditor"), action("account.change", "operator")]
    assert list(told_facts(bodies)) == [
        ToldFacts("account.add", "an", {}),
        ToldFacts("account.change", "an", {"role": "auditor"}),
        ToldFacts("account.change", "an", {"role": "operator"}),
    ]


@pytest.mark.parametrize(
    "body", [b"\xff", b"[]", b"{}", b'{"action":"account.add"}', b'{"action":"x","target":"y","facts":5}']
)
def test_bytes_that_are_no_action_are_passed_over(body: bytes) -> None:
    good = action("account.add", "auditor")
    assert [told.facts for told in told_facts([body, good])] == [{"role": "auditor"}]

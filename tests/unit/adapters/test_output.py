"""What strangers wrote is shown at a terminal without what would move its cursor; programs get it as it is."""

from __future__ import annotations

import json

import pytest

from adapters.cli.output import emit, emit_line

REASON = "sai\x1b[2J\x9b1A\u202eexe\u2028thể thức\n"


@pytest.mark.parametrize("show", [emit, emit_line])
def test_a_reason_moves_no_cursor(show: object, capsys: pytest.CaptureFixture[str]) -> None:
    show(REASON, as_json=False, text=str)  # type: ignore[operator]
    assert capsys.readouterr().out == "sai\\u001b[2J\\u009b1A\\u202eexe\\u2028thể thức\n"
    show(REASON, as_json=True, text=str)  # type: ignore[operator]
    assert json.loads(capsys.readouterr().out) == REASON

"""What people write as times into the auditors' commands is understood, or told back to them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from typer.testing import CliRunner

from broker.cli.audit import EXAMPLES, build
from broker.cli.audit_options import period_of, span
from schemas.problem import Problem

HERE = timezone(timedelta(hours=7))


def test_days_are_viet_nams_and_the_last_one_is_included() -> None:
    assert span("2026-11-20", "2026-11-20") == (
        datetime(2026, 11, 20, tzinfo=HERE),
        datetime(2026, 11, 21, tzinfo=HERE),
    )
    begin, end = span("2026-11-20T08:00:00+00:00", None)
    assert begin == datetime(2026, 11, 20, 15, tzinfo=HERE) and end is None


def test_however_a_day_is_written_the_last_one_is_included() -> None:
    for text in ("20261120", "2026-11-20", " 2026-11-20 ", "2026-W47-5"):
        assert span(None, text)[1] == datetime(2026, 11, 21, tzinfo=HERE)
    assert span("2026-11-20T08", None)[0] == datetime(2026, 11, 20, 8, tzinfo=HERE)


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12-31T23:59:59Z", "0001-01-01", "3000-01-01"])
def test_a_day_beyond_what_can_be_recorded_is_none(text: str) -> None:
    for ask in (lambda: span(None, text), lambda: period_of(text, None)):
        with pytest.raises(Problem, match="2026-11-20"):
            ask()


def test_a_period_that_ends_before_it_begins_is_told_and_not_taken_for_an_empty_one() -> None:
    for ask in (lambda: span("2026-11-21", "2026-11-20"), lambda: period_of("2026-11-21", "2026-11-20")):
        with pytest.raises(Problem, match="2026-11-21 is not before --until 2026-11-20"):
            ask()


@pytest.mark.parametrize("text", ["", "20/11/2026", "2026-13-01", "tomorrow", "99999999999d", "-1d", "0001-01-01"])
def test_what_is_no_time_is_told_with_what_is_one(text: str) -> None:
    with pytest.raises(Problem, match="2026-11-20"):
        span(text, None)


def test_a_time_ago_is_none_where_the_same_command_has_to_mean_the_same_period_later() -> None:
    assert span("30m", None)[0] is not None
    with pytest.raises(Problem):
        span("30m", None, ago=False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_at_the_end_of_a_commands_help_has_options_that_exist(name: str) -> None:
    shown = CliRunner().invoke(build(name), [name, "--help"]).output
    assert "Example: lienthong audit" in shown
    for word in EXAMPLES[name].split():
        assert not word.startswith("-") or word in shown.partition("Example:")[0]

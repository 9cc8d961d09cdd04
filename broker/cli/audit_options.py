"""Options that several of the auditors' commands have, and what a person may write into them."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer

from broker.audit.period import NO_DAY_AFTER, NO_DAY_BEFORE, VIETNAM, Period
from broker.audit.words import LEVELS
from schemas.problem import Problem

LevelOption = Annotated[
    str | None, typer.Option("--level", help=f"Only recipients of this level: {', '.join(LEVELS)}.")
]
UnderOption = Annotated[
    str | None, typer.Option("--under", metavar="CODE", help="Only this agency and those below it.")
]
FirstOption = Annotated[
    str | None, typer.Option("--since", metavar="DAY", help="From this day (2026-11-20), included.")
]
LastOption = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Up to this day, included.")]

_AGO = re.compile(r"(\d{1,5})\s*(m|h|d)")
_A_DAY = "2026-11-20"


def moment(text: str, *, option: str, end: bool, ago: bool = True) -> datetime:
    """A point in time that a person wrote: a day, a time, or with `ago` `30m`, `12h`, `7d` ago. Days are Viet Nam's.

    With `end`, a day means the first moment after it. Raises `Problem` for anything else.
    """
    if ago and (past := _AGO.fullmatch(text.strip())) is not None:
        unit = {"m": "minutes", "h": "hours", "d": "days"}[past[2]]
        return datetime.now(UTC) - timedelta(**{unit: int(past[1])})
    if (day := _day(text)) is not None:
        return datetime.combine(day, time(), VIETNAM) + timedelta(days=end)
    found: datetime | None = None
    with suppress(ValueError):
        found = datetime.fromisoformat(text.strip())
    if found is None or not NO_DAY_BEFORE < found.date() < NO_DAY_AFTER:
        others = "a time (2026-11-20T08:00:00+07:00)" + (", or a time ago (30m, 12h, 7d)" if ago else "")
        raise Problem(f"{option} is “{text}”.", f"a day ({_A_DAY}), {others}.", "Write it in one of these ways.")
    return found if found.tzinfo is not None else found.replace(tzinfo=VIETNAM)


def _day(text: str) -> date | None:
    """The day that is written, if it is one of those that can be recorded."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return day if NO_DAY_BEFORE < day < NO_DAY_AFTER else None


def span(since: str | None, until: str | None, *, ago: bool = True) -> tuple[datetime | None, datetime | None]:
    """Where a search or an archive begins, and the first moment after it. Raises Problem as `moment`, and if empty."""
    begin = moment(since, option="--since", end=False, ago=ago) if since is not None else None
    end = moment(until, option="--until", end=True, ago=ago) if until is not None else None
    _check_order(begin, end, since, until)
    return begin, end


def _check_order(begin: datetime | None, end: datetime | None, since: str | None, until: str | None) -> None:
    if begin is not None and end is not None and begin >= end:
        found = f"--since {since} is not before --until {until}."
        raise Problem(found, "a beginning before the end.", "Exchange or correct them.")


def day_option(text: str | None, *, option: str) -> date | None:
    """A day that a person wrote. Raises Problem for anything else."""
    if text is None:
        return None
    day = _day(text)
    if day is None:
        raise Problem(f"{option} is “{text}”.", "a day, such as 2026-11-20.", "Figures count whole days.")
    return day


def period_of(first: str | None, last: str | None) -> Period:
    """A period of whole days. Raises Problem for anything that is no day, and if there is no day in it."""
    period = Period(first=day_option(first, option="--since"), last=day_option(last, option="--until"))
    _check_order(period.begin, period.end, first, last)
    return period


def level_asked(level: str | None) -> str | None:
    """A level of the directory, if one was given. Raises Problem for anything else."""
    if level is not None and level not in LEVELS:
        raise Problem(f"--level is “{level}”.", f"one of {', '.join(LEVELS)}.", "Choose one of them.")
    return level

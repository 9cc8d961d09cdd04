"""Days as people here write them: dd/mm/yyyy in forms and addresses; 2026-11-22 is understood too. Pure."""

from __future__ import annotations

import re
from datetime import date, timedelta

from broker.audit.period import NO_DAY_AFTER, NO_DAY_BEFORE, Period
from schemas.problem import Problem

_WRITTEN = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})")


def read_day(text: str | None) -> date | None:
    """The day that a person wrote, None for nothing. Raises `Problem` for anything else and for years out of reach."""
    if not text:
        return None
    try:
        match = _WRITTEN.fullmatch(text.strip())
        day = date(int(match[3]), int(match[2]), int(match[1])) if match else date.fromisoformat(text.strip())
        if NO_DAY_BEFORE < day < NO_DAY_AFTER:
            return day
    except ValueError:
        pass
    raise Problem(f"the day “{text[:40]}”", "a day such as 22/11/2026", "Write it in this way.")


def write_day(day: date | None) -> str:
    """How a day stands in a form."""
    return day.strftime("%d/%m/%Y") if day is not None else ""


def read_period(first: str | None, last: str | None) -> Period:
    """Both ends of a period, each may be open. Raises `Problem` for what is no day, and if it ends before it begins."""
    begin, end = read_day(first), read_day(last)
    if begin is not None and end is not None and end < begin:
        raise Problem(
            f"a period from {write_day(begin)} to {write_day(end)}",
            "a first day not after the last",
            "Turn them round.",
        )
    return Period(first=begin, last=end)


def last_days(count: int, today: date) -> Period:
    """The period of so many days that ends today."""
    return Period(first=today - timedelta(days=count - 1), last=today)

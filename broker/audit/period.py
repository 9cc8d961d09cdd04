"""A period as auditors name it: whole days of Viet Nam, first and last included. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

VIETNAM: Final = timezone(timedelta(hours=7), "ICT")
"""Viet Nam keeps one time all year."""

BEGINNING: Final = datetime(1900, 1, 1, tzinfo=UTC)
END: Final = datetime(3000, 1, 1, tzinfo=UTC)
"""Before and after everything that can be recorded."""

NO_DAY_BEFORE: Final = date(1900, 1, 1)
NO_DAY_AFTER: Final = date(3000, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From the first moment of `first` to the last of `last`; an end that is None is open."""

    first: date | None = None
    last: date | None = None

    @property
    def begin(self) -> datetime | None:
        """Its first moment."""
        return None if self.first is None else datetime.combine(self.first, time(), VIETNAM)

    @property
    def end(self) -> datetime | None:
        """The first moment after it."""
        return None if self.last is None else datetime.combine(self.last, time(), VIETNAM) + timedelta(days=1)

    @property
    def after(self) -> date | None:
        """The first day after it."""
        return None if self.last is None else self.last + timedelta(days=1)

    def months_and_days(self) -> tuple[date, date, date, date, date, date]:
        """Its whole months, and the days before and after them: three spans, each from a first day to the one after.

        A month is named by its first day. An open end belongs to the months.
        """
        first, after = self.first or NO_DAY_BEFORE, self.after or NO_DAY_AFTER
        begin = first if first.day == 1 else (first.replace(day=1) + timedelta(days=31)).replace(day=1)
        end = after.replace(day=1)
        if begin > end:  # no month begins in it
            return begin, begin, first, after, after, after
        return begin, end, first, begin, end, after

    def holds(self, day: date) -> bool:
        """Whether `day` belongs to it."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


ALWAYS: Final = Period()
"""Since the exchange began."""


def day_of(at: datetime) -> date:
    """The day of Viet Nam on which `at` lies."""
    return at.astimezone(VIETNAM).date()

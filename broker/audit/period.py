"""A period as auditors name it: whole days of Viet Nam, first and last included. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Final

VIETNAM: Final = timezone(timedelta(hours=7), "ICT")
"""Viet Nam keeps one time all year."""


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

    def holds(self, day: date) -> bool:
        """Whether `day` belongs to it."""
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


ALWAYS: Final = Period()
"""Since the exchange began."""


def day_of(at: datetime) -> date:
    """The day of Viet Nam on which `at` lies."""
    return at.astimezone(VIETNAM).date()

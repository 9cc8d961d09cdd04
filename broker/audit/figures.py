"""What one document adds to the figures, and what changes when it stands differently. Pure.

The figures of an agency on a day are sums over documents. When a document is looked at again, what it added before is
taken off and what it adds now is put on; so each counts once, however often and in whatever order it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from broker.audit.terms import CONFIRMED, OVERDUE, STATE_MASK, STATES

COLUMNS: Final = ("sent", "deliveries", "confirmed", "overdue", *STATES)
"""The figures of one agency on one day, in the order of the table."""

EVERY_AGENCY: Final = 0
"""Stands for all agencies together."""

_SENT, _DELIVERIES, _CONFIRMED, _OVERDUE, _FIRST_STATE = range(5)

Sums = dict[tuple[int, date], list[int]]
"""By agency and day, in the order of `COLUMNS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What is counted of one document."""

    day: date
    sender_id: int
    test: bool
    recipient_ids: Sequence[int]
    standings: Sequence[int]


def changes(before: Iterable[Counted], after: Iterable[Counted]) -> Sums:
    """What must be added to the figures so that they count `after` instead of `before`; without what stays the same.

    Rehearsals count nothing.
    """
    sums: Sums = {}
    for sign, documents in ((-1, before), (1, after)):
        for document in documents:
            if not document.test:
                _add(sums, document, sign)
    return {key: values for key, values in sorted(sums.items()) if any(values)}


def _add(sums: Sums, document: Counted, sign: int) -> None:
    day = document.day
    everybody = _of(sums, EVERY_AGENCY, day)
    everybody[_SENT] += sign
    _of(sums, document.sender_id, day)[_SENT] += sign
    for recipient, standing in zip(document.recipient_ids, document.standings, strict=True):
        for values in (everybody, _of(sums, recipient, day)):
            _put(values, standing, sign)


def of_standing(standing: int) -> list[int]:
    """The figures of one delivery, in the order of `COLUMNS`."""
    values = [0] * len(COLUMNS)
    _put(values, standing, 1)
    return values


def _put(values: list[int], standing: int, sign: int) -> None:
    values[_DELIVERIES] += sign
    values[_FIRST_STATE + (standing & STATE_MASK)] += sign
    if standing & CONFIRMED:
        values[_CONFIRMED] += sign
    if standing & OVERDUE:
        values[_OVERDUE] += sign


def _of(sums: Sums, agency: int, day: date) -> list[int]:
    key = (agency, day)
    values = sums.get(key)
    if values is None:
        values = sums[key] = [0] * len(COLUMNS)
    return values


def by_month(days: Sums) -> Sums:
    """The same changes by the first day of the month."""
    months: Sums = {}
    for (agency, day), values in days.items():
        total = _of(months, agency, day.replace(day=1))
        for place, value in enumerate(values):
            total[place] += value
    return {key: values for key, values in sorted(months.items()) if any(values)}

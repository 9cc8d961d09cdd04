"""Figures of a period: sent and received, by tier as in the national statistics, or otherwise. Reads only.

A document counts on the day (of Viet Nam) on which the exchange accepted it: as sent for its sender, and as delivered
for each recipient. Whether a delivery has arrived, or was refused, is told as it stands now. Rehearsals are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final, Literal

from asyncpg import Record

from broker.audit.completeness import NOTHING_BEHIND, Completeness
from broker.audit.figures import EVERY_AGENCY
from broker.audit.finding import completeness, reading
from broker.audit.period import ALWAYS, BEGINNING, END, NO_DAY_AFTER, NO_DAY_BEFORE, Period
from broker.audit.scope import EVERYTHING, Scope, visible
from broker.audit.words import LEVELS, TIERS, Words
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.audit", "report.sql")

Dimension = Literal["tier", "level", "agency", "day", "month"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("tier", "level", "agency", "day", "month")
COUNTS: Final = {
    "sent": "sent",
    "deliveries": "deliveries",
    "received": "confirmed",
    "refused": "refused",
    "completed": "completed",
    "overdue": "overdue",
}
"""What a report's row tells, and the figure it comes from."""

NO_TIER: Final = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRow:
    """One line of the report. `sent` counts documents by their sender; the others deliveries by their recipient."""

    key: str
    """Tier ("1", "2", "3", "-" for none), level, agency code, day (2026-11-20) or month (2026-11)."""
    title: str
    """What a person reads: Vietnamese (English) for tiers and levels, the agency's name, else the key."""
    sent: int
    deliveries: int
    received: int
    """Deliveries with the recipient's signed 01."""
    refused: int
    completed: int
    overdue: int
    """Deliveries that missed their deadline and have not arrived to this day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The table, with its total as the last row of what is printed."""

    by: Dimension
    since: datetime | None
    until: datetime | None
    """The first moment after the period."""
    rows: tuple[ReportRow, ...]
    complete: Completeness

    def total(self) -> ReportRow:
        """The sum of all rows."""
        return ReportRow(key="", title="", **{n: sum(getattr(row, n) for row in self.rows) for n in COUNTS})

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        total = self.total()
        return {
            "by": self.by,
            "since": self.since,
            "until": self.until,
            "rows": [asdict(row) for row in self.rows],
            "total": {name: getattr(total, name) for name in COUNTS},
            "complete": asdict(self.complete),
        }


async def report(
    connection: Connection, *, by: Dimension = "tier", period: Period = ALWAYS, scope: Scope = EVERYTHING
) -> Report:
    """What was sent and received in `period`, one row for each value of `by`, in the order of the keys.

    The auditor of a subtree gets its agencies' figures: what they sent and what they were to receive.
    """
    async with reading(connection):
        agencies = await visible(connection, scope)
        if by in ("tier", "level"):
            kinds = await connection.fetch(SQL["by_kind"], agencies, *period.months_and_days())
            rows = _rows(by, [(kind, kind) for kind in kinds])
        else:
            figures = await figures_of(connection, by, period, agencies)
            rows = _rows(by, await _told_of(connection, by, figures, agencies))
        complete = await completeness(connection)
    return Report(by=by, since=period.begin, until=period.end, rows=rows, complete=complete)


async def recount(
    connection: Connection,
    *,
    by: Dimension = "tier",
    since: datetime | None = None,
    until: datetime | None = None,
    scope: Scope = EVERYTHING,
) -> Report:
    """The same report counted anew from every document and delivery, as they stand at this moment. Slow.

    Counts what was accepted from `since` (included) to `until` (excluded), which need not be whole days.
    """
    agencies = await visible(connection, scope)
    figures = await connection.fetch(SQL["recount"], since or BEGINNING, until or END, by, agencies)
    rows = _rows(by, await _told_of(connection, by, figures, agencies))
    return Report(by=by, since=since, until=until, rows=rows, complete=NOTHING_BEHIND)


async def figures_of(
    connection: Connection, by: Dimension, period: Period, agencies: Sequence[int] | None
) -> Sequence[Record]:
    """The figures of `agencies` (None for all) in `period`: by day, by month, or for each agency."""
    some = [EVERY_AGENCY] if agencies is None else agencies
    if by == "day":
        return await connection.fetch(SQL["by_day"], some, period.first or NO_DAY_BEFORE, period.after or NO_DAY_AFTER)
    if by == "month":
        return await connection.fetch(SQL["by_month"], some, *period.months_and_days())
    return await connection.fetch(SQL["by_agency"], agencies, *period.months_and_days())


async def _told_of(
    connection: Connection, by: Dimension, figures: Sequence[Record], agencies: Sequence[int] | None
) -> list[tuple[Record, Record | None]]:
    """Figures of agencies, each with what is said of its agency; of days and months nothing is."""
    if by in ("day", "month"):
        return [(row, None) for row in figures]
    known = {row["agency_id"]: row for row in await connection.fetch(SQL["agencies"], agencies)}
    return [(row, known[row["agency_id"]]) for row in figures]


def _rows(by: Dimension, figures: Sequence[tuple[Record, Record | None]]) -> tuple[ReportRow, ...]:
    """Figures, each with the agency or the kind of agencies that it is about, as the lines of a report."""
    sums: dict[tuple[str, str, int], list[int]] = {}
    if by == "tier":
        # The national table has its three lines whether or not anything was sent.
        sums = {(tier, _told(TIERS[tier]), 0): [0] * len(COUNTS) for tier in TIERS if tier != NO_TIER}
    for row, about in figures:
        line, counts = _line(by, row, about), [row[column] for column in COUNTS.values()]
        earlier = sums.get(line)
        sums[line] = counts if earlier is None else [one + other for one, other in zip(earlier, counts, strict=True)]
    return tuple(
        ReportRow(key=line[0], title=line[1], **dict(zip(COUNTS, counts, strict=True)))
        for line, counts in sorted(sums.items(), key=lambda item: (item[0][0] == NO_TIER, item[0]))
        if by == "tier" or any(counts)
    )


def _line(by: Dimension, figures: Record, about: Record | None) -> tuple[str, str, int]:
    """Key and title of the row that figures belong to; the agency's id too, because a code may mean two agencies."""
    if about is None:
        bucket: date = figures["bucket"]
        key = bucket.isoformat()[:7] if by == "month" else bucket.isoformat()
        return key, key, 0
    if by == "agency":
        return about["code"], about["name"], about["agency_id"]
    if by == "level":
        return about["level"], _told(LEVELS[about["level"]]), 0
    tier = NO_TIER if about["tier"] is None else str(about["tier"])
    return tier, _told(TIERS[tier]), 0


def _told(words: Words) -> str:
    return f"{words.vi} ({words.en})"

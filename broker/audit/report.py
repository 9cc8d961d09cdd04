"""Figures of a period: sent and received, by tier as in the national statistics, or otherwise. Reads only.

A document counts on the day (of Viet Nam) on which the exchange accepted it: as sent for its sender, and as delivered
for each recipient. Whether a delivery has arrived, or was refused, is told as it stands now. Rehearsals are left out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal

from broker.audit.completeness import NOTHING_BEHIND, Completeness
from broker.audit.period import ALWAYS, Period
from broker.audit.read import SQL
from broker.audit.scope import EVERYTHING, Scope, visible
from broker.audit.words import LEVELS, TIERS
from broker.store.pool import Connection

Dimension = Literal["tier", "level", "agency", "day", "month"]
DIMENSIONS: Final[tuple[Dimension, ...]] = ("tier", "level", "agency", "day", "month")
COUNTS: Final = ("sent", "deliveries", "received", "refused", "completed", "overdue")


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
    return await recount(connection, by=by, since=period.begin, until=period.end, scope=scope)


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
    sent = {r["key"]: r for r in await connection.fetch(SQL["report_sent"], since, until, by, agencies)}
    got = {r["key"]: r for r in await connection.fetch(SQL["report_received"], since, until, by, agencies)}
    keys = set(TIERS) - {"-"} if by == "tier" else set()
    rows = []
    for key in sorted(keys | sent.keys() | got.keys(), key=lambda k: (k == "-", k)):
        name = next((r["title"] for r in (sent.get(key), got.get(key)) if r is not None), key)
        counts = {n: got[key][n] if key in got else 0 for n in COUNTS if n != "sent"}
        rows.append(
            ReportRow(key=key, title=title(by, key, name), sent=sent[key]["sent"] if key in sent else 0, **counts)
        )
    return Report(by=by, since=since, until=until, rows=tuple(rows), complete=NOTHING_BEHIND)


def title(by: Dimension, key: str, name: str) -> str:
    """What a person reads beside a row's key."""
    words = {"tier": TIERS, "level": LEVELS}.get(by, {}).get(key)
    return name if words is None else f"{words.vi} ({words.en})"

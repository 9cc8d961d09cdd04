"""Figures of a period: sent and received, by tier as in the national statistics, or otherwise. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg

from broker.audit.read import SQL
from broker.audit.words import TIERS

Dimension = Literal["tier", "level", "agency", "day", "month"]
DIMENSIONS: tuple[Dimension, ...] = ("tier", "level", "agency", "day", "month")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRow:
    """One line of the report. `sent` counts documents by their sender; the others deliveries by their recipient."""

    key: str
    title: str
    sent: int
    deliveries: int
    received: int
    """Deliveries with the recipient's signed 01."""
    refused: int
    completed: int
    overdue: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The table, with its total as the last row of what is printed."""

    by: Dimension
    since: datetime | None
    until: datetime | None
    rows: tuple[ReportRow, ...]

    def total(self) -> ReportRow:
        """The sum of all rows."""
        names = ("sent", "deliveries", "received", "refused", "completed", "overdue")
        return ReportRow(key="", title="", **{n: sum(getattr(row, n) for row in self.rows) for n in names})

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "by": self.by,
            "since": self.since,
            "until": self.until,
            "rows": [asdict(row) for row in self.rows],
            "total": {k: v for k, v in asdict(self.total()).items() if k not in ("key", "title")},
        }


async def report(
    connection: asyncpg.Connection[Any], *, by: Dimension, since: datetime | None, until: datetime | None
) -> Report:
    """Count what was accepted from `since` (included) to `until` (excluded), leaving rehearsals out.

    Days and months are those of Viet Nam. Rows come in the order of their key.
    """
    sent: dict[str, int] = {r["key"]: r["sent"] for r in await connection.fetch(SQL["report_sent"], since, until, by)}
    received = {r["key"]: r for r in await connection.fetch(SQL["report_received"], since, until, by)}
    keys: Sequence[str] = sorted(sent.keys() | received.keys())
    if by == "tier":
        keys = [k for k in TIERS if k in sent or k in received or k != "-"]
    rows = []
    for key in keys:
        got = received.get(key)
        counts = {
            n: (got[n] if got is not None else 0) for n in ("deliveries", "received", "refused", "completed", "overdue")
        }
        title = f"{TIERS[key].vi} ({TIERS[key].en})" if by == "tier" else key
        rows.append(ReportRow(key=key, title=title, sent=sent.get(key, 0), **counts))
    return Report(by=by, since=since, until=until, rows=tuple(rows))

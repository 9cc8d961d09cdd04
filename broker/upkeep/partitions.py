"""The event table's next monthly partitions, made before their month begins (design §5).

Made by the database function `make_event_partition`, because the keeper's role does not own the table. A partition
that cannot be had quickly is left for the next round: no writer of events may wait for it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Final

import asyncpg
import structlog

from broker.store.queries import load_queries
from broker.upkeep.lease import Lease

SQL: Final = load_queries("broker.upkeep", "partitions.sql")
LOCK_TIMEOUT: Final = "500ms"
"""How long a writer of events may have to wait for our lock, at most …"""
STATEMENT_TIMEOUT: Final = "3s"
"""… and how long we may hold it, at most: the server looks through the default partition for events of that month."""

NOT_NOW: Final = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.CheckViolationError)
"""Errors after which the next round tries again."""

log = structlog.get_logger(__name__)


def months_from(first: date, count: int) -> list[date]:
    """The first days of `count` months, beginning with the month of `first`."""
    zero = first.year * 12 + first.month - 1
    return [date(month // 12, month % 12 + 1, 1) for month in range(zero, zero + count)]


def _utc_today() -> date:
    return datetime.now(UTC).date()


class MakePartitions:
    """Keeps this month's partition and those of the following months in being."""

    name = "partitions"

    def __init__(self, *, months_ahead: int, period: float, today: Callable[[], date] = _utc_today) -> None:
        self._months = months_ahead + 1
        self._today = today
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Make what is missing. A month whose events already stand in the default partition stays there."""
        made = 0
        for month in months_from(self._today(), self._months):
            try:
                async with lease.writing() as connection:
                    if await connection.fetchval(SQL["needed"], month):
                        await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                        await connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'")
                        await connection.execute(SQL["make"], month)
                        made += 1
            except NOT_NOW as not_now:
                log.info("keeper.partition_put_off", month=month.isoformat(), why=str(not_now))
        return made

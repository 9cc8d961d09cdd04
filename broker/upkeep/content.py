"""Content that nobody uses goes, and with it what broken uploads and spent tokens have left (contract §6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from broker.content.collecting import Collector
from broker.content.record import SQL
from broker.content.store import BUCKETS, ContentStore
from broker.upkeep.lease import Lease

BROKEN_OFF_AFTER: Final = timedelta(days=1)
"""Age at which what was being written counts as left behind."""


class CollectContent:
    """The keeper's duty towards what is not needed any more."""

    name = "content"

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        store: ContentStore,
        *,
        keep: timedelta,
        period: float,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._store = store
        self._keep = keep
        self._clock = clock
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Look through every bucket once. Returns how many contents were removed."""
        now = self._clock()
        collector = Collector(self._pool, self._store, writing=lease.writing)
        removed = 0
        for bucket in range(BUCKETS):
            removed += await collector.collect(bucket, now - self._keep)
        async with lease.writing() as connection:
            await connection.execute(SQL["forget_tokens"], now)
        await self._store.tidy(now - BROKEN_OFF_AFTER)
        return removed

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

STRAY_ROUNDS: Final = 24
"""The whole store is compared with the record once in so many hours: each round looks at a part of it, by the hour."""
BROKEN_OFF_AFTER: Final = timedelta(days=1)
"""Age at which what was being written counts as left behind."""
CLOCKS_APART: Final = timedelta(minutes=10)
"""How far a gateway's clock may be behind the keeper's without a spent token being good there again."""


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
        stray_rounds: int = STRAY_ROUNDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._store = store
        self._keep = keep
        self._stray_rounds = stray_rounds
        self._clock = clock
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Remove what can go. Returns how many contents were removed."""
        now = self._clock()
        before = now - self._keep
        collector = Collector(self._pool, self._store, writing=lease.writing)
        removed = 0
        for row in await self._pool.fetch(SQL["collectable_buckets"], before):
            removed += await collector.collect(row["bucket"], before)
        for bucket in range(now.hour % self._stray_rounds, BUCKETS, self._stray_rounds):
            removed += await collector.strays(bucket, before)
        async with lease.writing() as connection:
            await connection.execute(SQL["forget_waiting"], before)
            await connection.execute(SQL["forget_tokens"], now - CLOCKS_APART)
        await self._store.tidy(now - BROKEN_OFF_AFTER)
        return removed

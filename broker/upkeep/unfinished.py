"""Publishes what a worker committed and did not mark as published within the grace period (design "Crash points").

No row is locked while RabbitMQ is waited for: if a slow worker publishes the same row at the same moment, the
recipient drops the double. The whole backlog is walked page by page in each round, so that rows for a mailbox that
cannot be had do not keep the others waiting.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from broker.store.queries import load_queries
from broker.upkeep.lease import Lease
from broker.upkeep.sending import KeeperSender

SQL: Final = load_queries("broker.upkeep", "unfinished.sql")
PAGE: Final = 200
"""Publishes made together, so that memory stays bounded."""
LONG_AGO: Final = datetime(2019, 3, 12, tzinfo=UTC)
"""Before the first publish of any exchange."""


class FinishPublishes:
    """The keeper's duty towards rows of `outgoing` whose worker died."""

    name = "unfinished"

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], sender: KeeperSender, *, grace: timedelta, period: float
    ) -> None:
        self._pool = pool
        self._sender = sender
        self._grace = grace
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Publish the backlog once. Returns how many publishes were confirmed."""
        before = datetime.now(UTC) - self._grace
        published = 0
        after = (LONG_AGO, 0)
        while rows := await self._pool.fetch(SQL["older_than"], before, *after, PAGE):
            sent = await self._sender.send_rows(lease, [row["outgoing_id"] for row in rows])
            published += sent.published
            after = (rows[-1]["created_at"], rows[-1]["outgoing_id"])
        return published

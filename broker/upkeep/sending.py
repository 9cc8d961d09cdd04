"""How the keeper publishes: rows that are committed, and only while its lease holds.

A publish cannot be fenced by the database, so this asks the lease's own clock; a copy that a stalled keeper sends all
the same does no harm, for it is one that a row of `outgoing` had decided, and recipients drop doubles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import asyncpg

from broker.dispatch.dispatcher import Dispatcher, Sent
from broker.dispatch.jobs import OutgoingJob
from broker.dispatch.unpublished import load_jobs
from broker.upkeep.lease import Lease, LeaseLost


class KeeperSender:
    """The dispatcher, used under a lease."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dispatcher: Dispatcher) -> None:
        self._pool = pool
        self._dispatcher = dispatcher

    async def load(self, outgoing_ids: Sequence[int]) -> list[OutgoingJob]:
        """Jobs for rows of `outgoing`, published before or not."""
        async with self._pool.acquire() as connection:
            return await load_jobs(connection, outgoing_ids, now=datetime.now(UTC))

    async def send(self, lease: Lease, jobs: Iterable[OutgoingJob]) -> Sent:
        """Publish jobs and record them. What is not confirmed stays for the next round of unfinished publishes.

        Raises LeaseLost if the lease has run out.
        """
        if not lease.holds():
            raise LeaseLost(f"the lease of {lease.holder} ran out before it could publish")
        return await self._dispatcher.send(jobs)

    async def send_rows(self, lease: Lease, outgoing_ids: Sequence[int]) -> Sent:
        """Load and send."""
        return await self.send(lease, await self.load(outgoing_ids))

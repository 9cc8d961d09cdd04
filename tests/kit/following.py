"""What the keeper does for auditors, done at once: events get their places in the log, and it is taken over."""

from __future__ import annotations

import asyncio
from time import monotonic

import asyncpg

from broker.audit.finding import completeness
from broker.evidence.sequencer import Sequencer
from broker.store.pool import Connection, open_pool
from broker.upkeep.lease import Lease
from broker.upkeep.rollups import FollowLog

PATIENCE = 120.0
"""Seconds: an event has to wait for every older transaction of the server, other tests' among them."""


async def follow(database_url: str) -> None:
    """Until search and reports include everything that is committed now."""
    pool = await open_pool(database_url, size=2)
    try:
        lease = Lease(pool, seconds=60)
        assert await lease.take(), "another keeper is active"
        sequencer, rollups = Sequencer("test"), FollowLog(period=1)
        until = monotonic() + PATIENCE
        while True:
            await sequencer.add(lease)
            await rollups.run(lease)
            async with pool.acquire() as connection:
                left = (await completeness(connection)).behind
            if not left:
                break
            assert monotonic() < until, f"{left} events are still not in the log"
            await asyncio.sleep(0.02)
        await lease.release()
    finally:
        await pool.close()


async def take_over(connection: asyncpg.Connection | Connection) -> int:
    """Take over everything that the log of a test has, without a lease. Returns how many documents were looked at."""
    rollups, documents = FollowLog(period=1, entries=20_000), 0
    while True:
        async with connection.transaction():
            taken = await rollups.step(connection)
        documents += taken.documents
        if not taken.more:
            return documents

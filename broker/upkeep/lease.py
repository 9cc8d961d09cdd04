"""The keeper's lease: one active keeper at a time, the others stand by (design §3, §6).

The lease is one row. Whoever takes it over raises its *epoch*; every transaction in which the keeper writes first
finds its own epoch in that row and holds the row until it commits. A keeper that was stopped for a minute and wakes up
therefore cannot write anything: its epoch is gone. All times are the database's, so clocks of machines may differ.

May not decide what the keeper does; knows nothing of documents.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import asyncpg
import structlog

from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.upkeep", "lease.sql")

STALLED_TRANSACTION_SECONDS: Final = 15.0
"""A keeper that stops in the middle of a transaction is disconnected after this long, so that whoever takes over waits
for its lock no longer: by the server if it was idle, by the other keeper if the server was writing to it."""

log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Stop writing and stand by: another keeper has taken the lease over, or it ran out."""


def holder_name() -> str:
    """A name for this process that no other one has: machine, process id and a random word."""
    return f"{platform.node()}/{os.getpid()}/{uuid4().hex[:8]}"


class Lease:
    """This process's claim to be the active keeper.

    `seconds` is how long a lease lasts without renewal; another keeper can be active that long after the death of
    this one.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], *, seconds: float, holder: str | None = None) -> None:
        self._pool = pool
        self.seconds = seconds
        self.holder = holder or holder_name()
        self.epoch: int | None = None
        self._good_until = 0.0

    def holds(self) -> bool:
        """Whether the lease is ours as far as this process can tell without asking. Publishing asks this; writing
        asks the database."""
        return self.epoch is not None and time.monotonic() < self._good_until

    async def take(self) -> bool:
        """Take the lease if it is free or has run out. True if this process is the active keeper now.

        Waits for who is writing under it. Whoever does so for `STALLED_TRANSACTION_SECONDS`, although it has run out,
        is ended, so that the next try succeeds: a keeper that stands still while the server writes to it is not idle.
        """
        asked = time.monotonic()
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = {int(STALLED_TRANSACTION_SECONDS * 1000)}")
                epoch = await connection.fetchval(SQL["take"], self.holder, self.seconds)
        except asyncpg.LockNotAvailableError:
            ended = await self._pool.fetch(SQL["end_stalled"], STALLED_TRANSACTION_SECONDS)
            log.warning("keeper.ended_a_stalled_one", sessions=len(ended))
            return False
        if epoch is None:
            return False
        self.epoch, self._good_until = epoch, asked + self.seconds
        return True

    async def renew(self) -> None:
        """Hold the lease for another `seconds`. Raises LeaseLost if it is not ours any more."""
        asked = time.monotonic()
        if await self._pool.fetchval(SQL["renew"], self.epoch, self.holder, self.seconds) is None:
            raise self._lost()
        self._good_until = asked + self.seconds

    async def release(self) -> None:
        """Let a standby take over at once. Without effect if the lease is not ours."""
        epoch, self.epoch = self.epoch, None
        if epoch is not None:
            await self._pool.execute(SQL["release"], epoch, self.holder)

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        """A transaction that commits only under this keeper's epoch. Keep it short: taking over waits for it.

        Raises LeaseLost, before anything is written, if the epoch is not the current one.
        """
        if self.epoch is None:
            raise self._lost()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                f"SET LOCAL idle_in_transaction_session_timeout = {int(STALLED_TRANSACTION_SECONDS * 1000)}"
            )
            if await connection.fetchval(SQL["fence"], self.epoch, self.holder) is None:
                raise self._lost()
            yield connection

    def _lost(self) -> LeaseLost:
        epoch, self.epoch = self.epoch, None
        return LeaseLost(f"{self.holder} is not the active keeper (its epoch was {epoch})")

"""The directory in memory, kept current: a worker asks `LiveDirectory.current` and never waits for the database.

Every change of the directory takes a higher revision while it holds the directory's lock, so rows become visible in
the order of their revisions, and "newer than what I know" misses nothing. The database is asked twice a second for the
newest revision; only newer rows are loaded. If it cannot be reached, the last directory stays in force and the next
attempt follows. Reads only.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Literal

import asyncpg

from broker.directory.records import Agency, Alias, Enrolled, Group, Mandate, Succession
from broker.directory.snapshot import Directory
from broker.store.pool import Connection
from broker.store.queries import load_queries

#: Days begin and end at this offset: validity dates are days of Vietnamese time.
VIETNAM = timezone(timedelta(hours=7), "ICT")
#: Rows that are loaded at once; more are loaded by a cursor, so that workers go on working meanwhile.
ROWS_AT_ONCE = 2_000

_SQL = load_queries("broker.directory", "live.sql")
_log = logging.getLogger(__name__)


def today_in_vietnam() -> date:
    """The day on which the directory's validity dates are judged now."""
    return datetime.now(UTC).astimezone(VIETNAM).date()


async def load_directory(connection: Connection, known: Directory | None = None) -> Directory:
    """The directory as it is in the database, built upon ``known`` with only what is newer.

    Reads one consistent state: in a transaction of its own, or, inside the caller's, in a change that holds the
    directory's lock.
    """
    isolation: Literal["repeatable_read"] | None = None if connection.is_in_transaction() else "repeatable_read"
    async with connection.transaction(isolation=isolation):
        revision: int = await connection.fetchval(_SQL["newest_revision"])
        today = today_in_vietnam()
        if known is not None and revision < known.revision:  # the database was restored from an earlier time
            known = None
        base = known or Directory.build()
        since = base.revision if known is not None else -1
        if revision == since:
            return base if base.today == today else base.updated(today=today)

        async def rows(query: str) -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            async for row in connection.cursor(_SQL[query], since, prefetch=ROWS_AT_ONCE):
                found.append(dict(row))
                if len(found) % ROWS_AT_ONCE == 0:
                    await asyncio.sleep(0)
            return found

        agencies = [Agency(**row) for row in await rows("agencies_since")]
        aliases = [Alias(**row) for row in await rows("aliases_since")]
        mandates = [Mandate(**row) for row in await rows("mandates_since")]
        groups = [Group(**row | {"member_ids": tuple(row["member_ids"])}) for row in await rows("groups_since")]
        successions = [Succession(**row) for row in await rows("successions_since")]
        certificates = [Enrolled(**row) for row in await rows("certificates_since")]
    return base.updated(agencies, aliases, mandates, groups, successions, certificates, revision=revision, today=today)


class LiveDirectory:
    """The current directory and the task that keeps it current."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], first: Directory, *, poll_seconds: float) -> None:
        self._pool = pool
        self._poll_seconds = poll_seconds
        self._directory = first
        self._checked_at = time.monotonic()
        self._refreshing = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._keep_current(), name="directory")

    @classmethod
    async def open(cls, pool: asyncpg.Pool[asyncpg.Record], poll_seconds: float = 0.5) -> LiveDirectory:
        """Load the directory and keep it current until `close`. Raises what the database raises at first."""
        async with pool.acquire() as connection:
            first = await load_directory(connection)
        return cls(pool, first, poll_seconds=poll_seconds)

    @property
    def current(self) -> Directory:
        """The newest directory known here. Take it once per batch, so that a batch sees one state."""
        return self._directory

    @property
    def age_seconds(self) -> float:
        """How long ago the database last confirmed that this is the newest; grows while it cannot be reached."""
        return time.monotonic() - self._checked_at

    async def refresh(self) -> Directory:
        """Load what is newer, now; returns the current directory. Raises what the database raises."""
        async with self._pool.acquire() as connection:
            return await self._load(connection)

    async def newest(self, connection: Connection) -> Directory:
        """The directory as it is committed at this moment; costs one index probe when nothing has changed.

        Whoever decides about documents takes this one, so that what an operator has added or revoked counts for the
        next message and not for the one after the next poll. `connection` must not be in a transaction.
        Raises what the database raises.
        """
        revision: int = await connection.fetchval(_SQL["newest_revision"])
        return self._directory if revision == self._directory.revision else await self._load(connection)

    async def reached(self, revision: int) -> Directory:
        """Wait until the directory contains ``revision``, without asking the database any sooner."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._directory.revision >= revision)
        return self._directory

    async def close(self) -> None:
        """Stop following changes; `current` stays as it is."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.result()  # a defect that ended it is told

    async def _load(self, connection: Connection) -> Directory:
        async with self._refreshing:
            fresh = await load_directory(connection, self._directory)
            self._checked_at = time.monotonic()
            if fresh is not self._directory:
                self._directory = fresh
                async with self._changed:
                    self._changed.notify_all()
        return self._directory

    async def _keep_current(self) -> None:
        failing = False
        while True:
            await asyncio.sleep(self._poll_seconds)
            try:
                await self.refresh()
            except Exception as error:  # whatever it is: documents go on with the directory as it was known last
                if not failing:
                    lost = isinstance(error, (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError))
                    _log.warning(
                        "the directory cannot be refreshed and stays at revision %d: %s",
                        self._directory.revision,
                        error,
                        exc_info=not lost,
                    )
                failing = True
            else:
                if failing:
                    _log.info("the directory is current again, at revision %d", self._directory.revision)
                failing = False

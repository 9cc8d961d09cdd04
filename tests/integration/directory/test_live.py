"""The directory in memory follows the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from broker.directory import changes
from broker.directory.changes import Author, NewAgency
from broker.directory.live import LiveDirectory, load_directory
from broker.store.pool import Connection, connect, open_pool
from broker.store.queries import load_queries


@pytest.fixture
async def pool(migrated_database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    opened = await open_pool(migrated_database, size=3)
    yield opened
    await opened.close()


@pytest.fixture
async def live(pool: asyncpg.Pool[asyncpg.Record]) -> AsyncIterator[LiveDirectory]:
    opened = await LiveDirectory.open(pool)
    yield opened
    await opened.close()


async def add(connection: Connection, author: Author, code: str) -> None:
    await changes.add_agency(connection, NewAgency(code=code, name=code, level="commune"), author=author)


async def test_a_change_becomes_known_without_being_asked_for(
    live: LiveDirectory, connection: Connection, author: Author
) -> None:
    assert live.current.find("H53") is None
    await add(connection, author, "H53")
    revision = (await load_directory(connection)).revision
    await asyncio.wait_for(live.reached(revision), 30)
    assert live.current.find("H53") is not None


async def test_whoever_decides_knows_what_was_committed_before(
    pool: asyncpg.Pool[asyncpg.Record], connection: Connection, author: Author
) -> None:
    live = await LiveDirectory.open(pool, poll_seconds=3600)
    try:
        first = await live.newest(connection)
        assert await live.newest(connection) is first, "nothing changed, nothing is loaded"
        await add(connection, author, "H53")
        assert (await live.newest(connection)).find("H53") is not None
        assert live.current.find("H53") is not None
    finally:
        await live.close()


async def test_only_what_changed_is_loaded(
    pool: asyncpg.Pool[asyncpg.Record], connection: Connection, author: Author
) -> None:
    for code in ("A", "B"):
        await add(connection, author, code)
    before = await load_directory(connection)
    await changes.suspend(connection, "A", author=author)
    after = await load_directory(connection, before)
    assert after.find("B") is before.find("B"), "what did not change is the very same object"
    found = after.find("A")
    assert found is not None and found.state == "suspended"
    assert await load_directory(connection, after) is after


async def test_a_change_that_waits_for_its_commit_is_not_missed(
    live: LiveDirectory, migrated_database: str, connection: Connection, author: Author
) -> None:
    async with connect(migrated_database) as other:
        async with other.transaction():
            await add(other, author, "FIRST")
            late = asyncio.create_task(add(connection, author, "SECOND"))  # waits for the lock
            await live.refresh()
            assert live.current.find("FIRST") is None
        await late
    directory = await live.refresh()
    assert directory.find("FIRST") is not None and directory.find("SECOND") is not None


async def test_a_lost_database_leaves_the_last_directory_in_force(
    live: LiveDirectory, migrated_database: str, connection: Connection, author: Author
) -> None:
    await add(connection, author, "A")
    await live.refresh()
    await connection.execute(
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()"""
    )
    assert live.current.find("A") is not None
    await add(connection, author, "B")
    revision = (await load_directory(connection)).revision
    directory = await asyncio.wait_for(live.reached(revision), 5)
    assert directory.find("B") is not None


async def test_a_database_restored_from_an_earlier_time_is_read_anew(
    live: LiveDirectory, connection: Connection, author: Author
) -> None:
    await add(connection, author, "A")
    await add(connection, author, "B")
    await live.refresh()
    await connection.execute("DELETE FROM agency WHERE code = 'B'")  # as the backup knew it
    directory = await live.refresh()
    assert directory.find("A") is not None and directory.find("B") is None


async def test_asking_for_the_newest_revision_uses_the_indexes(connection: Connection) -> None:
    await connection.execute("SET enable_seqscan = off")
    plan = await connection.fetch("EXPLAIN " + load_queries("broker.directory", "live.sql")["newest_revision"])
    assert "Seq Scan" not in "\n".join(row[0] for row in plan)

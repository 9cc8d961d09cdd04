"""A running exchange for the questions of auditors, and a database with more documents than anybody would read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from broker.services import Endpoints
from tests.conftest import fresh_database, with_database
from tests.integration.audit.memory import Memory
from tests.kit.fixtures import exchange as exchange
from tests.kit.following import take_over
from tests.kit.traffic import generate, load_directory

DELIVERIES = 11_000


@pytest.fixture(scope="session")
def volume(servers: Endpoints, _template: str) -> Iterator[tuple[str, Memory]]:
    """A database with a year of invented traffic that is taken over, and everything that is in it, in memory."""
    with fresh_database(servers) as empty:
        name = empty.rpartition("/")[2]
        yield empty, asyncio.run(_filled(servers.database_url, empty, name, _template))


@pytest.fixture
async def filled(volume: tuple[str, Memory]) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    connection = await asyncpg.connect(volume[0])
    yield connection
    await connection.close()


@pytest.fixture
def memory(volume: tuple[str, Memory]) -> Memory:
    """What is in it."""
    return volume[1]


async def _filled(server: str, dsn: str, name: str, template: str) -> Memory:
    admin = await asyncpg.connect(server)
    await admin.execute(f'DROP DATABASE "{name}"')
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    await admin.close()
    connection = await asyncpg.connect(with_database(server, name))
    try:
        offices = await load_directory(connection)
        await generate(connection, offices, deliveries=DELIVERIES, seed=5)
        await take_over(connection)
        await connection.execute("VACUUM ANALYZE rollup_document, rollup_day, rollup_month")
        return await Memory.of(connection)
    finally:
        await connection.close()

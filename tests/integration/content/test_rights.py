"""Gateway and keeper do their part in the content store with the rights of their database roles, and no others."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from broker.content.collecting import Collector
from broker.content.folder import ContentFolder
from broker.content.record import SQL, bucket_of, readable
from broker.content.store import whole
from broker.content.uploads import Uploads
from broker.gateway.authentication import SQL as GATEWAY_SQL
from broker.store.pool import Connection, open_pool
from tests.integration.gateway.client import sha
from tests.kit.exchange import Exchange


@asynccontextmanager
async def acting_as(exchange: Exchange, role: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    pool = await open_pool(exchange.settings, size=3, session={"role": role})
    try:
        yield pool
    finally:
        await pool.close()


async def test_roles_suffice_and_go_no_further(exchange: Exchange) -> None:
    end = await exchange.add("G01")
    data, store = secrets.token_bytes(1000), ContentFolder(exchange.settings.content_dir)
    now = datetime.now(UTC)
    async with acting_as(exchange, "lienthong_worker") as pool:
        await Uploads(pool, store, quota=10**6, largest=10**6).take(end.id, sha(data), whole(data), size=1000)
        async with pool.acquire() as connection:
            assert await readable(connection, end.id, sha(data)) is not None
        assert await pool.fetchval(GATEWAY_SQL["use_token"], b"t", bytes(32), now)
        for forbidden in ("DELETE FROM content", "DELETE FROM content_upload", "DELETE FROM used_token"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(forbidden)
    async with acting_as(exchange, "lienthong_keeper") as pool:

        @asynccontextmanager
        async def writing() -> AsyncIterator[Connection]:
            async with pool.acquire() as connection, connection.transaction():
                yield connection

        collector = Collector(pool, store, writing=writing)
        assert await collector.collect(bucket_of(sha(data)), now + timedelta(hours=1)) == 1
        await pool.execute(SQL["forget_tokens"], now + timedelta(hours=1))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute("INSERT INTO content_upload VALUES ($1, $2, now())", end.id, bytes(32))

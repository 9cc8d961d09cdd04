"""The fixtures that other tests build on give what they promise."""

from __future__ import annotations

import aio_pika
import asyncpg


async def test_a_test_gets_a_virtual_host_in_which_it_may_do_everything(vhost) -> None:  # type: ignore[no-untyped-def]
    connection = await aio_pika.connect(vhost.amqp_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue("q", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"x"), "q")
        received = await queue.get(timeout=60)
        assert received.body == b"x"
        await received.ack()


async def test_a_test_gets_an_empty_database(database: str) -> None:
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 0
    await connection.close()


async def test_a_test_gets_a_database_with_the_exchanges_tables(migrated_database: str) -> None:
    connection = await asyncpg.connect(migrated_database)
    assert await connection.fetchval("select to_regclass('delivery') is not null")
    await connection.close()


async def test_what_is_acknowledged_survives_a_power_cut(database: str) -> None:
    connection = await asyncpg.connect(database)
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert await connection.fetchval(f"show {setting}") == "on"
    assert int(await connection.fetchval("show max_connections")) >= 200
    await connection.close()

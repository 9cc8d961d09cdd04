"""The event table's partitions are there before their month."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from typing import TypeAlias

import asyncpg
import pytest

from broker.store.pool import open_pool
from broker.upkeep.lease import Lease
from broker.upkeep.partitions import MakePartitions, months_from
from schemas.canonical import leaf_hash

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@pytest.fixture
async def pool(migrated_database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(migrated_database, size=4)
    yield opened
    await opened.close()


async def an_event(pool: Pool, at: datetime) -> str:
    """Write an event; the name of the partition that took it."""
    place = await pool.fetchval(
        "INSERT INTO event (at, kind, body, leaf) VALUES ($1, 'test', $2, $3) RETURNING tableoid::regclass::text",
        at,
        b"{}",
        leaf_hash(b"{}"),
    )
    return str(place)


def test_months_go_on_over_the_end_of_the_year() -> None:
    assert months_from(date(2026, 11, 22), 3) == [date(2026, 11, 1), date(2026, 12, 1), date(2027, 1, 1)]


async def test_events_of_the_coming_months_have_their_partitions(pool: Pool) -> None:
    lease = Lease(pool, seconds=30)
    await lease.take()
    duty = MakePartitions(months_ahead=2, period=1, today=lambda: date(2031, 11, 22))
    assert await duty.run(lease) == 3
    assert await duty.run(lease) == 0
    assert await an_event(pool, datetime(2031, 12, 31, 23, 59, tzinfo=UTC)) == "event_2031_12"
    assert await an_event(pool, datetime(2032, 1, 1, tzinfo=UTC)) == "event_2032_01"


async def test_a_month_that_has_events_in_the_default_partition_stays_there(pool: Pool) -> None:
    lease = Lease(pool, seconds=30)
    await lease.take()
    assert await an_event(pool, datetime(2031, 11, 5, tzinfo=UTC)) == "event_default"
    assert await MakePartitions(months_ahead=1, period=1, today=lambda: date(2031, 11, 22)).run(lease) == 1
    assert await an_event(pool, datetime(2031, 11, 6, tzinfo=UTC)) == "event_default"


async def test_a_writer_of_events_is_not_kept_waiting(pool: Pool) -> None:
    lease = Lease(pool, seconds=30)
    await lease.take()
    duty = MakePartitions(months_ahead=1, period=1, today=lambda: date(2031, 11, 22))
    async with pool.acquire() as writer, writer.transaction():
        await writer.execute(
            "INSERT INTO event (at, kind, body, leaf) VALUES ('2019-05-01Z', 'test', '{}', $1)", leaf_hash(b"{}")
        )
        assert await duty.run(lease) == 0, "the partition was made although a transaction was writing events"
    assert await duty.run(lease) == 2

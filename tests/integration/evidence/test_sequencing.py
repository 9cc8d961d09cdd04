"""Every event gets one position, in the safe order, and what is signed is the tree over them."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from broker.evidence.lag import log_status, oldest_writer
from broker.evidence.merkle import EMPTY_ROOT, root_of
from broker.evidence.tiles import Tile, decode_entries, decode_hashes, tiles_of
from tests.integration.evidence.conftest import Log


async def test_events_become_entries_tiles_and_a_signed_checkpoint(log: Log) -> None:
    events = await log.insert(300)
    assert await log.round(300) == 300
    leaves = [event.leaf for event in events]
    assert await log.leaves() == leaves
    checkpoint = log.published()
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == ("lt.exchange/2026", 300, root_of(leaves))
    files = log.files()
    full, rest = Tile(0, 0), Tile(0, 1, 44)
    hashes = [hash_ for tile in (full, rest) for hash_ in decode_hashes(tile, files.read(tile) or b"")]
    assert hashes == leaves
    bundles = Tile("entries", 0), Tile("entries", 1, 44)
    assert [body for tile in bundles for body in decode_entries(tile, files.read(tile) or b"")] == [
        event.body for event in events
    ]
    assert set(files.tiles()) == set(tiles_of(300))


async def test_an_empty_log_has_a_signed_checkpoint_too(log: Log) -> None:
    assert await log.round() == 0
    assert (log.published().size, log.published().root) == (0, EMPTY_ROOT)


async def test_without_new_events_nothing_is_signed_again(log: Log) -> None:
    await log.insert(3)
    await log.round(3)
    before = await log.pool.fetch("SELECT * FROM checkpoint ORDER BY size")
    await log.round()
    assert await log.pool.fetch("SELECT * FROM checkpoint ORDER BY size") == before


async def test_a_transaction_in_progress_keeps_later_ones_back_and_nobody_is_lost(log: Log) -> None:
    early, late = await log.pool.acquire(), await log.pool.acquire()
    slow = early.transaction()
    await slow.start()
    first = await log.insert(1, early)
    second = await log.insert(1, late)
    assert await log.round() == 0
    async with log.pool.acquire() as connection:
        status = await log_status(connection)
        holder = await oldest_writer(connection)
    assert status.unsequenced == 1
    assert holder is not None
    third = await log.insert(1, early)
    await slow.commit()
    assert await log.round(3) == 3
    assert await log.leaves() == [event.leaf for event in (*first, *third, *second)]
    await log.pool.release(early)
    await log.pool.release(late)


async def test_interleaved_transactions_are_all_logged_once_in_the_order_of_their_beginning(log: Log) -> None:
    connections = [await log.pool.acquire() for _ in range(4)]
    running = [connection.transaction() for connection in connections]
    for transaction in running:
        await transaction.start()
    inserted: list[list[bytes]] = [[] for _ in connections]
    for number in (0, 1, 2, 3, 0, 2, 1, 3, 3, 0):
        inserted[number] += [event.leaf for event in await log.insert(2, connections[number])]
    logged = 0
    for number in (3, 1, 0, 2):
        await running[number].commit()
        logged += await log.round()
    expected = sum(map(len, inserted))
    assert logged + await log.round(expected - logged) == expected
    assert await log.leaves() == [leaf for leaves in inserted for leaf in leaves]
    for connection in connections:
        await log.pool.release(connection)


async def test_what_was_rolled_back_is_not_in_the_log(log: Log) -> None:
    connection = await log.pool.acquire()
    transaction = connection.transaction()
    await transaction.start()
    await log.insert(2, connection)
    kept = await log.insert(1)
    await transaction.rollback()
    await log.pool.release(connection)
    assert await log.round(1) == 1
    assert await log.leaves() == [event.leaf for event in kept]


async def test_events_of_other_months_come_in_the_order_of_their_transactions(log: Log) -> None:
    await log.pool.execute("SELECT make_event_partition('2026-11-01'), make_event_partition('2026-12-01')")
    leaves = []
    for month in (12, 11, 10, 12, 11):
        assert log.now is not None
        log.now = log.now.replace(month=month)
        leaves += [event.leaf for event in await log.insert(2)]
    assert await log.round(10) == 10
    assert await log.leaves() == leaves


async def test_a_restarted_keeper_continues_exactly(log: Log) -> None:
    leaves: list[bytes] = []
    for count in (1, 254, 1, 1, 300, 700):
        leaves += [event.leaf for event in await log.insert(count)]
        log.restart()
        assert await log.round(count) == count
        assert log.published().root == root_of(leaves)
    assert await log.leaves() == leaves
    sizes = [row[0] for row in await log.pool.fetch("SELECT size FROM checkpoint ORDER BY size")]
    assert sizes == [1, 255, 256, 257, 557, 1257]


async def test_sequencing_waits_for_nobody_who_only_reads(log: Log) -> None:
    async with log.pool.acquire() as reader, reader.transaction(isolation="repeatable_read"):
        await reader.fetchval("SELECT count(*) FROM event")
        await log.insert(5)
        assert await log.round(5) == 5


async def test_delivery_never_waits_for_the_log(log: Log) -> None:
    async with log.pool.acquire() as worker:
        await worker.execute("SET lock_timeout = '1ms'")
        await log.insert(10)
        await log.take()
        async with log.lease.writing() as keeper:
            await keeper.execute("SELECT * FROM log_head FOR UPDATE")
            await log.insert(10, worker)


async def test_a_head_that_somebody_changed_is_not_signed(log: Log) -> None:
    await log.insert(5)
    await log.round(5)
    await log.insert(5)
    await log.pool.execute("UPDATE log_entry SET leaf = sha256('x') WHERE position = 2")
    log.restart()
    await log.take()
    with pytest.raises(Exception, match="another tree than the checkpoint"):
        await log.keeper.run(log.lease)
    assert await log.pool.fetchval("SELECT max(size) FROM checkpoint") == 5


async def test_two_connections_under_load_lose_nothing(log: Log) -> None:
    async def worker(rounds: int) -> list[bytes]:
        leaves: list[bytes] = []
        connection = await asyncpg.connect(log.settings.database_url)
        try:
            for _ in range(rounds):
                async with connection.transaction():
                    for _ in range(3):
                        leaves += [event.leaf for event in await log.insert(2, connection)]
        finally:
            await connection.close()
        return leaves

    working = [asyncio.create_task(worker(40)) for _ in range(3)]
    while not all(task.done() for task in working):
        await log.round()
    while await log.pool.fetchval("SELECT count(*) FROM event") > len(await log.leaves()):
        await log.round()
    expected = [leaf for task in working for leaf in task.result()]
    found = await log.leaves()
    assert sorted(found) == sorted(expected) and len(set(found)) == len(found)
    for task in working:
        positions = [found.index(leaf) for leaf in task.result()]
        assert positions == sorted(positions)
    assert log.published().root == root_of(found)

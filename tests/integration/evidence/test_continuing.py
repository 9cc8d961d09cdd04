"""Nobody signs a second tree: stalled keepers, killed ones, new years and restored databases."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from broker.evidence.keys import LogKeys, read_vkeys, rotate_log_key, vkey_file
from broker.evidence.merkle import root_of
from broker.evidence.notes import parse_note, verify_checkpoint
from broker.evidence.restoring import restored
from broker.evidence.tile_files import TileFiles
from broker.evidence.tiles import tiles_of
from broker.evidence.verify import Scope, verify
from broker.upkeep.lease import Lease, LeaseLost
from schemas.problem import Problem
from tests.integration.evidence.conftest import Log


async def nothing_wrong(log: Log) -> None:
    """The whole log verifies (the events of these tests tell of no rows)."""
    async with log.pool.acquire() as connection:
        vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
        found = [f async for f in verify(connection, vkeys, log.settings.log_dir, Scope(records=False))]
    assert [finding.sentence() for finding in found] == []


async def overtaken_by_another(log: Log, events: int) -> None:
    """Another keeper takes the lease and logs so many events."""
    await log.pool.execute("UPDATE keeper_lease SET expires_at = clock_timestamp()")
    other = Log(log.settings, log.pool, now=log.now, made=log.made)
    await other.insert(events)
    log.made = other.made
    assert await other.round(events) == events


async def test_a_keeper_that_stalled_before_its_transaction_adds_nothing(log: Log) -> None:
    await log.insert(3)
    await log.round(3)
    await overtaken_by_another(log, 4)
    await log.insert(2)
    with pytest.raises(LeaseLost):
        await log.round()
    assert await log.pool.fetchval("SELECT max(position) FROM log_entry") == 6


async def test_a_keeper_that_stalled_between_commit_and_signature_records_nothing(log: Log) -> None:
    await log.insert(3)
    await log.round(3)
    await log.insert(2)
    sequencer, signer = log.keeper._parts()
    async with asyncio.timeout(30):
        while not (await sequencer.add(log.lease)).count:
            await asyncio.sleep(0.02)
    committed = sequencer.head
    await overtaken_by_another(log, 4)
    before = await log.pool.fetch("SELECT * FROM checkpoint ORDER BY size")
    with pytest.raises(LeaseLost):
        # Its head is not the newest one any more; and had it been, recording it is refused.
        await log.keeper.run(log.lease)
    async with log.pool.acquire() as connection:
        await connection.execute("UPDATE log_head SET changed_at = changed_at")
    assert committed is not None and committed[1] == 5
    await signer.sign(log.lease, known=committed)
    assert await log.pool.fetch("SELECT * FROM checkpoint ORDER BY size") == before
    await nothing_wrong(log)


async def test_what_a_lost_keeper_signs_is_not_recorded(log: Log) -> None:
    await log.insert(3)
    await log.round(3)
    await log.insert(2)
    sequencer, signer = log.keeper._parts()
    async with asyncio.timeout(30):
        while not (await sequencer.add(log.lease)).count:
            await asyncio.sleep(0.02)
    await log.pool.execute("UPDATE keeper_lease SET epoch = epoch + 1, holder = 'another'")
    with pytest.raises(LeaseLost):
        await signer.sign(log.lease, known=sequencer.head)
    assert await log.pool.fetchval("SELECT max(size) FROM checkpoint") == 3


async def test_a_keeper_stopped_inside_its_transaction_is_thrown_out(log: Log) -> None:
    await log.insert(1)
    await log.round(1)
    other = Lease(log.pool, seconds=30)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        async with log.lease.writing() as connection:
            # As the server does with a session that idles in its transaction (STALLED_TRANSACTION_SECONDS).
            await log.pool.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await connection.execute("UPDATE log_head SET size = 99")
    await log.pool.execute("UPDATE keeper_lease SET expires_at = clock_timestamp()")
    assert await other.take()
    assert await log.pool.fetchval("SELECT size FROM log_head") == 1


async def test_a_new_year_closes_the_old_log_and_names_its_tree(log: Log) -> None:
    old = await log.insert(5)
    await log.round(5)
    late = await log.insert(2)
    log.now = datetime(2026, 12, 31, 17, 0, 1, tzinfo=UTC)  # the first second of 2027 in Viet Nam
    new = await log.insert(3)
    await log.round(5)
    await log.round()
    origins = await log.pool.fetch("SELECT origin, closed_at IS NULL AS open FROM log_origin ORDER BY origin_id")
    assert [tuple(row) for row in origins] == [("lt.exchange/2026", False), ("lt.exchange/2027", True)]
    closing = log.published("lt.exchange/2026")
    assert (closing.size, closing.root) == (5, root_of([event.leaf for event in old]))
    body = await log.pool.fetchval("SELECT body FROM event WHERE kind = 'log_opened'")
    assert f'"origin":"lt.exchange/2026","root":"{closing.root.hex()}","size":5'.encode() in body
    assert (await log.leaves(2))[1:] == [event.leaf for event in (*late, *new)]
    assert log.published("lt.exchange/2027").size == 6
    await nothing_wrong(log)
    again = await log.insert(1)
    log.restart()
    await log.round(1)
    assert (await log.leaves(2))[-1] == again[0].leaf
    shutil.rmtree(log.files("lt.exchange/2026").folder)
    async with log.pool.acquire() as connection:
        vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
        found = [f async for f in verify(connection, vkeys, log.settings.log_dir, Scope(records=False))]
    assert [(finding.where, finding.key, finding.what) for finding in found] == [("checkpoint file", "2026", "folder")]


async def test_a_clock_that_runs_ahead_and_back_does_not_stop_the_log(log: Log) -> None:
    right = log.now
    await log.insert(1)
    await log.round(1)
    log.now = datetime(2027, 3, 1, tzinfo=UTC)
    await log.insert(1)
    await log.round(1)
    log.now = right
    await log.insert(2)
    await log.round(2)
    log.restart()
    await log.insert(1)
    await log.round(1)
    ahead = "lt.exchange/2027"
    assert log.published(ahead).size == 5, "its beginning, and all events since"
    await nothing_wrong(log)


async def test_tiles_are_made_anew_where_there_are_none(log: Log) -> None:
    leaves = [event.leaf for event in await log.insert(300)]
    await log.round(300)
    leaves += [event.leaf for event in await log.insert(10)]
    await log.round(10)
    shutil.rmtree(log.settings.log_dir)
    log.restart()
    await log.round()
    assert log.published().root == root_of(leaves)
    assert set(log.files().tiles()) >= set(tiles_of(310))
    await nothing_wrong(log)


async def test_partial_tiles_stand_for_every_signed_size_and_go_when_they_are_full(log: Log) -> None:
    for count in (1, 2, 3):
        await log.insert(count)
        await log.round(count)
    assert set(log.files().tiles()) == {*tiles_of(1), *tiles_of(3), *tiles_of(6)}
    await log.insert(294)
    await log.round(294)
    assert set(log.files().tiles()) == set(tiles_of(300))


async def test_after_a_rotation_both_keys_sign_and_either_verifies(log: Log) -> None:
    await log.insert(1)
    await log.round(1)
    before = read_vkeys(vkey_file(log.settings.log_key_file))
    rotate_log_key(log.settings.log_key_file, log.settings.log_origin)
    after = read_vkeys(vkey_file(log.settings.log_key_file))
    assert after[1:] == before and after[0] not in before
    with pytest.raises(Problem, match="has not ended"):
        rotate_log_key(log.settings.log_key_file, log.settings.log_origin)
    log.restart()
    await log.insert(1)
    await log.round(1)
    note = log.files().read_checkpoint()
    assert note is not None and len(parse_note(note).signatures) == 4
    for key in after:
        assert verify_checkpoint(note, [key]).size == 2
    await nothing_wrong(log)


async def test_an_origin_s_own_name_is_a_key_name_too(log: Log) -> None:
    await log.insert(1)
    await log.round(1)
    keys = LogKeys.load(log.settings.log_key_file, log.settings.log_origin)
    note = log.files().read_checkpoint()
    assert note is not None
    assert {line.name for line in parse_note(note).signatures} == {"lt.exchange/log", "lt.exchange/2026"}
    assert keys.name == "lt.exchange/log"


# ── Restores ─────────────────────────────────────────────────────────────────────────────────────────────────────────
TABLES = ("event", "log_entry", "log_node", "log_head", "log_cursor", "checkpoint", "log_origin")


async def back_up(log: Log) -> dict[str, list[asyncpg.Record]]:
    return {table: await log.pool.fetch(f"SELECT * FROM {table}") for table in TABLES}


async def restore(log: Log, backup: dict[str, list[asyncpg.Record]]) -> None:
    """The tables of the log as they were: a database restored in place, as far as the log can tell."""
    async with log.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        for table in TABLES:
            await connection.execute(f"DELETE FROM {table}")
        for table in TABLES:
            columns = list(backup[table][0].keys()) if backup[table] else []
            for row in backup[table]:
                marks = ", ".join(f"${n}" + ("::text::xid8" if c == "xid" else "") for n, c in enumerate(columns, 1))
                values = [str(row[c]) if c == "xid" else row[c] for c in columns]
                await connection.execute(
                    f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE VALUES ({marks})", *values
                )


async def put_right(log: Log, **more: bool) -> int:
    await log.pool.execute("UPDATE keeper_lease SET expires_at = clock_timestamp()")
    vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
    settings = log.settings
    done = await restored(
        log.pool, vkeys, settings.log_dir, settings.log_origin, actor="op", reason="disk lost", **more
    )
    return done.put_back


async def test_a_restored_database_signs_nothing_until_it_is_put_right_and_then_goes_on_as_the_same_log(
    log: Log,
) -> None:
    leaves = [event.leaf for event in await log.insert(300)]
    await log.round(300)
    waiting = await log.insert(2)
    backup = await back_up(log)
    leaves += [event.leaf for event in waiting]
    await log.round(2)
    leaves += [event.leaf for event in await log.insert(400)]
    await log.round(400)
    signed = log.published()
    await restore(log, backup)
    log.restart()
    await log.insert(5)
    with pytest.raises(Problem, match="db restored"):
        await log.round()
    assert log.published() == signed
    assert await put_right(log) == 402
    assert (await log.leaves())[:702] == leaves
    log.restart()
    new = await log.insert(7)
    await log.round(13)
    found = await log.leaves()
    assert found[:702] == leaves and found[-7:] == [event.leaf for event in new]
    assert await log.pool.fetchval("SELECT max(epoch) FROM event") == 2
    assert await log.pool.fetchval("SELECT count(*) FROM log_put_back") == 400
    await nothing_wrong(log)


async def test_a_database_moved_into_another_server_is_noticed(log: Log) -> None:
    await log.insert(3)
    await log.round(3)
    await log.pool.execute("UPDATE log_cursor SET cluster = cluster + 1")
    await log.insert(1)
    with pytest.raises(Problem, match="db restored"):
        await log.round()
    assert await put_right(log) == 0
    log.restart()
    await log.round(2)
    await nothing_wrong(log)


async def test_when_the_log_s_files_are_lost_too_another_log_is_opened(log: Log, tmp_path: Path) -> None:
    await log.insert(3)
    await log.round(3)
    shutil.rmtree(log.settings.log_dir)
    with pytest.raises(Problem, match="log-lost"):
        await put_right(log)
    assert await put_right(log, log_lost=True) == 0
    log.restart()
    await log.insert(2)
    await log.round(3)
    await log.round()
    assert log.published("lt.exchange/2026").size == 3
    assert log.published("lt.exchange/2026-2").size == 4
    await nothing_wrong(log)


async def test_put_right_needs_the_lease(log: Log) -> None:
    await log.insert(1)
    await log.round(1)
    with pytest.raises(Problem, match="keeper is active"):
        await restored(log.pool, (), log.settings.log_dir, log.settings.log_origin, actor="op", reason="disk lost")


def test_a_folder_of_an_origin_is_its_year() -> None:
    assert TileFiles(Path("log"), "lt.exchange/2026").folder == Path("log/2026")

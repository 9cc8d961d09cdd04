"""A keeper may be killed or stopped at any moment: the log goes on exactly, and is one log."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from broker.evidence.keys import read_vkeys, vkey_file
from broker.evidence.merkle import root_of
from broker.evidence.notes import verify_checkpoint
from tests.conftest import REPOSITORY
from tests.integration.evidence.conftest import PATIENCE, Log
from tests.integration.evidence.test_continuing import nothing_wrong

LEASE = 1.0


@contextmanager
def keeper(log: Log) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper process; killed at the end of the block."""
    program = [sys.executable, "-m", "tests.integration.evidence.log_keeper"]
    arguments = [log.settings.database_url, str(log.settings.home), str(LEASE)]
    process = subprocess.Popen([*program, *arguments], cwd=REPOSITORY)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


async def until(log: Log, query: str, *arguments: object) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await log.pool.fetchval(query, *arguments):
            await asyncio.sleep(0.02)


async def grown(log: Log, by: int) -> None:
    """Until the log has grown by so many entries."""
    size = await log.pool.fetchval("SELECT coalesce(max(size), 0) FROM log_head") or 0
    await until(log, "SELECT coalesce(max(size), 0) >= $1 FROM log_head", size + by)


async def load(log: Log, stop: asyncio.Event) -> list[bytes]:
    """Events, transaction after transaction, some of them rolled back."""
    leaves: list[bytes] = []
    chance = random.Random(7)
    while not stop.is_set():
        async with log.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            events = await log.insert(chance.randint(1, 60), connection)
            if chance.random() < 0.1:
                await transaction.rollback()
                continue
            await transaction.commit()
            leaves += [event.leaf for event in events]
        await asyncio.sleep(0.01)
    return leaves


async def whole(log: Log, leaves: list[bytes]) -> None:
    """Every event is in the log once, every checkpoint is of this tree, and the files are it."""
    await until(log, "SELECT count(*) = $1 FROM log_entry", len(leaves))
    await until(log, "SELECT max(c.size) = $1 FROM checkpoint c", len(leaves))
    async with asyncio.timeout(PATIENCE):
        while log.files().read_checkpoint() is None or log.published().size != len(leaves):
            await asyncio.sleep(0.02)
    found = await log.leaves()
    assert sorted(found) == sorted(leaves)
    assert log.published().root == root_of(found)
    vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
    for row in await log.pool.fetch("SELECT * FROM checkpoint ORDER BY size"):
        assert verify_checkpoint(row["note"], vkeys).root == root_of(found[: row["size"]])
    await nothing_wrong(log)


async def killed(log: Log, times: int) -> None:
    chance = random.Random(11)
    stop = asyncio.Event()
    loading = asyncio.create_task(load(log, stop))
    await until(log, "SELECT count(*) > 0 FROM event")
    for _ in range(times):
        with keeper(log):
            await grown(log, chance.randint(1, 200))
    stop.set()
    leaves = await loading
    with keeper(log):
        await whole(log, leaves)


async def test_a_keeper_killed_under_load_is_continued_exactly(log: Log) -> None:
    log.now = None
    await killed(log, 2)


@pytest.mark.long
async def test_a_keeper_killed_very_often_is_continued_exactly(log: Log) -> None:
    log.now = None
    await killed(log, 60)


async def test_a_stopped_keeper_that_wakes_up_signs_no_second_tree(log: Log, tmp_path: Path) -> None:
    log.now = None
    stop = asyncio.Event()
    loading = asyncio.create_task(load(log, stop))
    await until(log, "SELECT count(*) > 0 FROM event")
    with keeper(log) as first:
        await grown(log, 50)
        for _ in range(2):
            epoch = await log.pool.fetchval("SELECT epoch FROM keeper_lease")
            first.send_signal(signal.SIGSTOP)
            with keeper(log):
                # The server throws the stopped one out of its transaction, if it was in one, after 15 seconds.
                await until(log, "SELECT epoch > $1 FROM keeper_lease", epoch)
                await grown(log, 50)
                first.send_signal(signal.SIGCONT)
                await grown(log, 50)
        stop.set()
        await whole(log, await loading)

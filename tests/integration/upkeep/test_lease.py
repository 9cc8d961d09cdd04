"""One active keeper, and none that can do harm."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from broker.store.pool import Connection, open_pool
from broker.upkeep import lease
from broker.upkeep.lease import Lease, LeaseLost
from broker.upkeep.rounds import Rounds
from tests.kit.mailboxes import PATIENCE

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@pytest.fixture
async def pool(migrated_database: str) -> AsyncIterator[Pool]:
    opened = await open_pool(migrated_database, size=6)
    yield opened
    await opened.close()


async def run_out(pool: Pool) -> None:
    """Let the lease's time be over, as after a keeper's long pause."""
    await pool.execute("UPDATE keeper_lease SET expires_at = clock_timestamp() - interval '1 second'")


async def test_one_of_two_keepers_gets_the_lease(pool: Pool) -> None:
    first, second = Lease(pool, seconds=30), Lease(pool, seconds=30)
    assert sorted(await asyncio.gather(first.take(), second.take())) == [False, True]
    assert first.holds() != second.holds()


async def test_a_lease_that_was_given_up_is_taken_at_once_under_a_higher_epoch(pool: Pool) -> None:
    first, second = Lease(pool, seconds=30), Lease(pool, seconds=30)
    assert await first.take()
    epoch = first.epoch
    await first.release()
    assert await second.take()
    assert (epoch, second.epoch) == (1, 2)
    assert not first.holds()


async def test_a_stalled_keeper_that_wakes_up_can_write_nothing(pool: Pool) -> None:
    stalled, successor = Lease(pool, seconds=30), Lease(pool, seconds=30)
    assert await stalled.take()
    await run_out(pool)
    assert await successor.take()
    with pytest.raises(LeaseLost):
        async with stalled.writing() as connection:
            await connection.execute(
                "INSERT INTO admin_action (actor, action, target, reason) VALUES ('k','a','t','r')"
            )
    with pytest.raises(LeaseLost):
        await stalled.renew()
    assert not stalled.holds()
    assert await pool.fetchval("SELECT count(*) FROM admin_action") == 0
    async with successor.writing() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_nobody_takes_over_in_the_middle_of_a_write(pool: Pool) -> None:
    writer, waiting = Lease(pool, seconds=30), Lease(pool, seconds=30)
    assert await writer.take()
    async with writer.writing() as connection:
        await run_out_from_outside(connection)
        taking = asyncio.create_task(waiting.take())
        await until_somebody_waits_for_a_lock(pool)
        assert not taking.done()
        await connection.execute("INSERT INTO admin_action (actor, action, target, reason) VALUES ('k','a','t','r')")
    assert await taking
    assert waiting.epoch == 2
    assert await pool.fetchval("SELECT count(*) FROM admin_action") == 1


async def run_out_from_outside(connection: Connection) -> None:
    """End the lease inside the writer's own transaction, so that whoever takes over must wait for its end."""
    await connection.execute("UPDATE keeper_lease SET expires_at = clock_timestamp() - interval '1 second'")


async def until_somebody_waits_for_a_lock(pool: Pool) -> None:
    async with asyncio.timeout(10):
        while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)


async def test_a_renewed_lease_is_not_taken(pool: Pool) -> None:
    first, second = Lease(pool, seconds=30), Lease(pool, seconds=30)
    assert await first.take()
    await first.renew()
    assert not await second.take()


async def test_a_lease_that_ran_out_is_not_renewed_but_taken_anew(pool: Pool) -> None:
    lease = Lease(pool, seconds=30)
    assert await lease.take()
    await run_out(pool)
    with pytest.raises(LeaseLost):
        await lease.renew()
    assert await lease.take()
    assert lease.epoch == 2


class Counting:
    """A duty that says when it runs, and waits to be let go."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.period = 0.01
        self.ran = asyncio.Event()
        self.rounds = 0
        self.failures = 0

    async def run(self, lease: Lease) -> int:
        self.rounds += 1
        self.ran.set()
        if self.failures:
            self.failures -= 1
            raise ZeroDivisionError("a fault of this duty")
        async with lease.writing() as connection:
            await connection.execute(
                "INSERT INTO admin_action (actor, action, target, reason) VALUES ($1,'a','t','r')", self.name
            )
        return 1


async def test_the_standby_takes_over_when_the_active_keeper_stops(pool: Pool) -> None:
    duties = Counting("first"), Counting("second")
    rounds = [Rounds(Lease(pool, seconds=30), [duty], standby_seconds=0.02) for duty in duties]
    stops = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(20):
        first = asyncio.create_task(rounds[0].run(stops[0]))
        await duties[0].ran.wait()
        second = asyncio.create_task(rounds[1].run(stops[1]))
        assert not duties[1].rounds
        stops[0].set()
        await first
        await duties[1].ran.wait()
        assert rounds[1].active.is_set() and not rounds[0].active.is_set()
        stops[1].set()
        await second


async def test_the_standby_takes_over_from_a_keeper_that_stalled_and_only_one_is_active(pool: Pool) -> None:
    duties = Counting("first"), Counting("second")
    # Renewal of the first one is due only after its lease has been ended from outside: it has stalled.
    rounds = [Rounds(Lease(pool, seconds=3000), [duty], standby_seconds=0.02) for duty in duties]
    stops = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(20):
        first = asyncio.create_task(rounds[0].run(stops[0]))
        await duties[0].ran.wait()
        second = asyncio.create_task(rounds[1].run(stops[1]))
        await run_out(pool)
        await duties[1].ran.wait()
        written = await pool.fetchval("SELECT count(*) FROM admin_action WHERE actor = 'first'")
        while rounds[0].active.is_set():
            await asyncio.sleep(0.01)
        assert await pool.fetchval("SELECT count(*) FROM admin_action WHERE actor = 'first'") == written
        for stop in stops:
            stop.set()
        await asyncio.gather(first, second)


async def until_one(pool: Pool, condition: str) -> None:
    """Wait until one session of this test's database answers to the condition."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {condition}"
    while await pool.fetchval(query) != 1:
        await asyncio.sleep(0.05)


async def test_a_keeper_stopped_while_the_server_writes_to_it_is_waited_for_no_longer_than_another(
    pool: Pool, migrated_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "STALLED_TRANSACTION_SECONDS", 1.0)
    # Its session is not idle then, so that what ends idle ones does not end this one.
    command = [sys.executable, "-m", "tests.integration.upkeep.stalling", migrated_database]
    keeper = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    try:
        async with asyncio.timeout(PATIENCE):
            # Only once it is written to: a keeper stopped a moment earlier is idle, and ended for that.
            await until_one(pool, "state = 'active' AND query LIKE 'COPY %'")
            keeper.send_signal(signal.SIGSTOP)
            await until_one(pool, "wait_event = 'ClientWrite'")
            standby = Lease(pool, seconds=10)
            while not await standby.take():
                await asyncio.sleep(0.05)
    finally:
        keeper.kill()
        keeper.wait()
    assert standby.epoch == 2


async def test_a_duty_that_fails_is_tried_again_and_does_not_end_the_others(pool: Pool) -> None:
    failing, sound = Counting("failing"), Counting("sound")
    failing.failures = 2
    stop = asyncio.Event()
    done: list[str] = []

    def after_round(name: str, count: int) -> None:
        if count:
            done.append(name)
        if {"failing", "sound"} <= set(done):
            stop.set()

    rounds = Rounds(Lease(pool, seconds=30), [failing, sound], standby_seconds=0.02, after_round=after_round)
    async with asyncio.timeout(20):
        await rounds.run(stop)
    assert failing.rounds >= 3

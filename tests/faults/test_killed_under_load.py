"""Nothing accepted is lost, nothing is doubled: measured, by killing every part at random while it works."""

from __future__ import annotations

import random
import signal
from collections import Counter

import pytest

from tests.faults.offices import letters, settle
from tests.faults.running import Exchange, kill_at_random
from tests.faults.servers import Servers
from tests.kit.installation import Installation

SHORT = {"worker 0": 2, "worker 1": 2, "keeper 0": 1, "keeper 1": 1, "offices 0": 1, "offices 1": 1}
"""How often each program is killed."""


def shuffled(kills: dict[str, int], seed: int) -> list[str]:
    """Every program as often as it shall die, in an order that follows from the seed."""
    schedule = list(Counter(kills).elements())
    random.Random(seed).shuffle(schedule)
    return schedule


def new_seed() -> int:
    """Another one in each run; it is printed, so that a failure can be tried again with the same schedule."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return seed


@pytest.mark.timeout(600)
async def test_workers_keepers_and_offices_killed_under_load_lose_nothing_and_double_nothing(
    installation: Installation,
) -> None:
    seed = new_seed()
    offices = await settle(installation)
    exchange = Exchange(installation, offices, letters(offices, number=250, seconds=8, seed=seed), seed=seed)
    try:
        exchange.run_workers(2)
        exchange.run_keepers(2)
        exchange.run_offices()
        await exchange.all_ready()
        await kill_at_random(exchange, shuffled(SHORT, seed))
        await exchange.come_to_rest()
        await exchange.check()
        print(exchange.figures)
    finally:
        await exchange.close()


LONG = {"worker 0": 20, "worker 1": 20, "keeper 0": 5, "keeper 1": 5, "offices 0": 6, "offices 1": 6}
RABBITMQ, POSTGRESQL = "RabbitMQ", "PostgreSQL"
SERVERS = {RABBITMQ: 4, POSTGRESQL: 4}


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_everything_killed_under_load_for_minutes_loses_nothing_and_doubles_nothing(
    own_servers: Servers, own_installation: Installation
) -> None:
    seed = new_seed()
    offices = await settle(own_installation)
    sent = letters(offices, number=4000, seconds=240, seed=seed)
    exchange = Exchange(own_installation, offices, sent, seed=seed)
    try:
        exchange.run_workers(2)
        exchange.run_keepers(2)
        exchange.run_offices()
        await exchange.all_ready()
        for name in shuffled(LONG | SERVERS, seed):
            if name == RABBITMQ:
                await exchange.interrupt(name, own_servers.end_rabbitmq, signal.SIGKILL)
            elif name == POSTGRESQL:
                await exchange.interrupt(name, own_servers.end_postgresql, signal.SIGKILL)
            else:
                await kill_at_random(exchange, [name])
        await exchange.come_to_rest(1200)
        await exchange.check()
        assert exchange.figures.interrupted and exchange.figures.repeated, "no kill came in the middle of a batch"
        print(exchange.figures)
    finally:
        await exchange.close()

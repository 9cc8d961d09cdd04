"""Nothing accepted is lost, nothing is doubled: measured, by killing every part at random while it works."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.faults.offices import letters, settle
from tests.faults.running import Exchange, kill_at_random
from tests.kit.installation import Installation

SHORT = {"worker 0": 2, "worker 1": 2, "keeper 0": 1, "keeper 1": 1, "offices 0": 1, "offices 1": 1}
"""How often each program is killed."""


def shuffled(kills: dict[str, int], seed: int) -> list[str]:
    """Every program as often as it shall die, in an order that follows from the seed."""
    schedule = list(Counter(kills).elements())
    random.Random(seed).shuffle(schedule)
    return schedule


@pytest.mark.timeout(600)
async def test_workers_keepers_and_offices_killed_under_load_lose_nothing_and_double_nothing(
    installation: Installation,
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
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

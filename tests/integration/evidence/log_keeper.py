"""A keeper that does nothing but the log, as a program of its own, so that a test may kill and stop it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg

from broker.evidence.duties import KeepLog, PublishLog
from broker.logs import set_up
from broker.upkeep.lease import Lease
from broker.upkeep.rounds import Rounds
from tests.integration.evidence.conftest import settings_for


async def main(database: str, home: str, lease_seconds: float) -> None:
    settings = settings_for(database, Path(home), keeper_log_seconds=0.01)
    async with asyncpg.create_pool(database, min_size=1, max_size=6) as pool:
        duties = [KeepLog(pool, settings), PublishLog(pool, settings)]
        rounds = Rounds(Lease(pool, seconds=lease_seconds), duties, standby_seconds=0.05)
        await rounds.run(asyncio.Event())


if __name__ == "__main__":
    set_up(process="keeper", level="warning", as_json=True)
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))

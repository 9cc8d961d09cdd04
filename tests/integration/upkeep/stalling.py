"""A keeper that is written to without an end, under its lease, to be stopped then: `DATABASE_URL`."""

import asyncio
import sys

from broker.store.pool import open_pool
from broker.upkeep.lease import Lease

ENDLESS = "SELECT repeat('x', 1000), generate_series(1, 2000000000)"


async def forget(_: bytes) -> None:
    """So that reading without an end costs no memory."""


async def main(database_url: str) -> None:
    """Holds the lease, and its row, while it reads; whoever stops it looks at the database for when it does."""
    pool = await open_pool(database_url, size=2)
    ours = Lease(pool, seconds=1.0)
    assert await ours.take()
    async with ours.writing() as connection:
        await connection.copy_from_query(ENDLESS, output=forget)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

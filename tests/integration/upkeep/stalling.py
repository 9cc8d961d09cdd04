"""A keeper that begins to read more than fits on the way, under its lease, to be stopped then: `DATABASE_URL`."""

import asyncio
import sys

from broker.store.pool import open_pool
from broker.upkeep.lease import Lease

MUCH = "SELECT repeat('x', 1000) FROM generate_series(1, 5000000)"


async def main(database_url: str) -> None:
    """Says "reading" when the lease is held and its row is locked."""
    pool = await open_pool(database_url, size=2)
    ours = Lease(pool, seconds=1.0)
    assert await ours.take()
    async with ours.writing() as connection:
        print("reading", flush=True)
        await connection.fetch(MUCH)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

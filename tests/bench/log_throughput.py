"""How fast the log is: sequencing a backlog, writing its files, verifying it, and what its index costs the workers.

    python -m tests.bench.log_throughput --events 100000
    python -m tests.bench.log_throughput --backlog 1000000 --seconds 150

The second puts so many events there at once and lets the keeper take them in for so long, to see what memory it needs.
Makes a database of its own on the configured server and drops it. Prints JSON; figures are one machine's, one moment's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg

from broker.evidence.duties import KeepLog, PublishLog
from broker.evidence.keys import make_log_key, read_vkeys, vkey_file
from broker.evidence.verify import Scope, verify
from broker.services import up
from broker.settings import Settings
from broker.store.migrations import migrate
from broker.upkeep.lease import Lease
from schemas.intake_events import accepted
from schemas.manifest.common import Reference
from tests.conftest import REPOSITORY, fresh_database

INSERT = """INSERT INTO event (at, kind, body, leaf, document_id, epoch)
    SELECT k.at, k.kind, k.body, k.leaf, k.document_id, e.epoch
    FROM unnest($1::timestamptz[], $2::text[], $3::bytea[], $4::bytea[], $5::bigint[])
         WITH ORDINALITY AS k (at, kind, body, leaf, document_id, ordinality), exchange_epoch AS e
    ORDER BY k.ordinality"""
BATCH = 600
"""Events of a worker's batch: 200 documents, their dispatches and statuses."""


def batch(first: int) -> list[list[object]]:
    """Arguments for one insert of `BATCH` events."""
    at = datetime.now(UTC)
    rows = []
    for number in range(first, first + BATCH):
        (event,) = accepted(
            at=at,
            document=Reference(from_="H53.31", id=uuid4(), digest=f"{number:064x}"),
            action="new",
            priority=0,
            test=False,
            sent_at=at - timedelta(seconds=1),
            submitter="H53",
            thumbprint=bytes(32),
            recipients=[("H53.31.1", "H53"), ("H53.31.2", "H53"), ("G22", "G22")],
            parts=[f"{number:064x}"],
        )
        rows.append((event.at, event.kind, event.body, event.leaf, number))
    return [list(column) for column in zip(*rows, strict=True)]


async def inserted(pool: asyncpg.Pool[asyncpg.Record], events: int) -> float:
    """Microseconds an event for inserting so many of them, without the time to make them."""
    took = 0.0
    for first in range(0, events, BATCH):
        arguments = batch(first)
        begun = time.perf_counter()
        await pool.execute(INSERT, *arguments)
        took += time.perf_counter() - begun
    return took / events * 1e6


async def measure(database: str, home: Path, events: int) -> dict[str, object]:
    await migrate(database)
    settings = Settings(amqp_url="amqp://nobody@localhost/none", database_url=database, home=home)
    make_log_key(settings.log_key_file, settings.log_origin)
    result: dict[str, object] = {"events": events}
    async with asyncpg.create_pool(database, min_size=1, max_size=4) as pool:
        some = max(BATCH, events // 10 // BATCH * BATCH)
        with_index, without = [], []
        for _ in range(3):
            with_index.append(await inserted(pool, some))
            await pool.execute("DROP INDEX event_order")
            without.append(await inserted(pool, some))
            await pool.execute("CREATE INDEX event_order ON event (epoch, xid, event_id)")
        result["insert_us_with_index"] = [round(one, 1) for one in with_index]
        result["insert_us_without"] = [round(one, 1) for one in without]
        await inserted(pool, events - 6 * some)
        waiting = await pool.fetchval("SELECT count(*) FROM event")
        lease = Lease(pool, seconds=600)
        await lease.take()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        log, files = KeepLog(pool, settings), PublishLog(pool, settings)
        done = 0
        while done < waiting:
            done += await log.run(lease)
        took = time.perf_counter() - begun
        result["sequenced_per_second"] = round(done / took)
        begun = time.perf_counter()
        written = await files.run(lease)
        took = time.perf_counter() - begun
        result["published_per_second"] = round(done / took)
        result["files"] = written
        result["memory_growth_mb"] = round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, 1)
        begun = time.perf_counter()
        async with pool.acquire() as connection:
            vkeys = read_vkeys(vkey_file(settings.log_key_file))
            found = [f async for f in verify(connection, vkeys, settings.log_dir, Scope(records=False))]
        assert not found, found[:3]
        result["log_verified_per_second"] = round(done / (time.perf_counter() - begun))
        # One second of traffic and its round: what the log costs when it keeps up.
        await inserted(pool, 9 * BATCH)
        begun = time.perf_counter()
        while not await log.run(lease):
            await asyncio.sleep(0.01)
        await files.run(lease)
        result["round_of_5400_seconds"] = round(time.perf_counter() - begun, 3)
    return result


BACKLOG = """INSERT INTO event (at, kind, body, leaf, document_id, epoch)
    SELECT $1, $2, b.body, sha256('\\x00'::bytea || b.body), n, e.epoch
    FROM generate_series(1, $4::bigint) AS n, exchange_epoch AS e,
         LATERAL (SELECT convert_to(replace($3, '"count":3', '"count":' || n), 'UTF8') AS body) AS b"""


async def backlog(database: str, home: Path, events: int, seconds: float) -> dict[str, object]:
    """What memory the keeper needs for a backlog, while it takes in as much of it as it can in the time given."""
    await migrate(database)
    settings = Settings(amqp_url="amqp://nobody@localhost/none", database_url=database, home=home)
    make_log_key(settings.log_key_file, settings.log_origin)
    async with asyncpg.create_pool(database, min_size=1, max_size=4, command_timeout=None) as pool:
        (at, *_), (kind, *_), (body, *_), *_ = batch(0)
        begun = time.perf_counter()
        await pool.execute(BACKLOG, at, kind, bytes(body).decode(), events)  # type: ignore[call-overload]
        inserted_in = time.perf_counter() - begun
        lease = Lease(pool, seconds=600)
        await lease.take()
        log, done, rounds = KeepLog(pool, settings), 0, 0
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        while done < events and time.perf_counter() - begun < seconds:
            added = await log.run(lease)
            done, rounds = done + added, rounds + 1
        took = time.perf_counter() - begun
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {
        "backlog": events,
        "inserted_seconds": round(inserted_in, 1),
        "taken_in": done,
        "rounds": rounds,
        "per_second": round(done / took),
        "memory_growth_mb": round(grown, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--backlog", type=int, help="put so many events there at once, and take them in")
    parser.add_argument("--seconds", type=float, default=150, help="for how long the backlog is taken in")
    given = parser.parse_args()
    servers = up(REPOSITORY / ".local")
    with fresh_database(servers) as database, tempfile.TemporaryDirectory() as home:
        if given.backlog:
            result = asyncio.run(backlog(database, Path(home), given.backlog, given.seconds))
        else:
            result = asyncio.run(measure(database, Path(home), given.events // BATCH * BATCH))
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()

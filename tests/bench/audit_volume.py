"""How auditors' questions grow with the number of deliveries: `python -m tests.bench.audit_volume`.

Makes databases with 100 thousand to five million deliveries (a year of invented traffic over the national directory,
with statuses, events and log entries), lets the keeper's duty take the log over, and asks each question many times with
different arguments, one after the other, as a single auditor (see `volume_timing`). Prints two tables; `--plot` draws
the growth. A database that is already complete is used again, so that measuring can be repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from broker.cli.output import progress, say
from broker.services import up
from broker.store.migrations import migrate
from broker.upkeep.rollups import FollowLog
from tests.bench.volume_plot import draw
from tests.bench.volume_timing import CALLS, ROUNDS, Asked, Result, costs, growth, panels
from tests.kit.traffic import generate, load_directory

SIZES = (100_000, 300_000, 1_000_000, 5_000_000)
BULK = "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET work_mem = '128MB'"
"""For making the database only; questions are asked with the server's own settings."""
COMPLETE = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1"
INDEX = "SELECT $1::text AS name, pg_get_indexdef($1::text::regclass) AS definition"
COPIES = 5
"""A fifth of the year is drawn, and repeated for the rest."""
ENTRIES = 60_000
"""Log entries taken over in one transaction: nobody else waits for this database."""
LOADED = ("document", "delivery", "status_message", "status_entry", "event", "log_entry")


async def make(server: str, size: int) -> tuple[str, float | None]:
    """The database with `size` deliveries, made if it is not there; its address, and how fast the log was followed."""
    name = f"audit_{size}"
    address = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    connection = await asyncpg.connect(server)
    if await connection.fetchval(COMPLETE, name):
        await connection.close()
        await migrate(address)
        return address, None
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
    await connection.execute(f'CREATE DATABASE "{name}"')
    await migrate(address)
    filling = await asyncpg.connect(address, command_timeout=None)
    await filling.execute(BULK)
    for month in range(1, 13):
        await filling.execute("SELECT make_event_partition($1)", date(2026, month, 1))
    offices = await load_directory(filling)
    dropped = await filling.fetch(
        "SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i"
        " WHERE i.indrelid = ANY ($1::text[]::regclass[])"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
        list(LOADED),
    )
    for index in dropped:
        await filling.execute(f"DROP INDEX {index['name']}")
    with progress(f"{size:,} deliveries", total=size) as advance:
        await generate(filling, offices, deliveries=size, copies=COPIES, advance=advance)
    for index in dropped:
        await filling.execute(index["definition"].replace(" ON ONLY ", " ON "))
    entries = await filling.fetchval("SELECT size FROM log_head")
    large = size > SIZES[0]  # its index of terms is made at once at the end; the rate is told without it
    for index in ("rollup_document_terms", "rollup_document_newest") if large else ():
        dropped.append(await filling.fetchrow(INDEX, index))
        await filling.execute(f"DROP INDEX {index}")
    follow, begun = FollowLog(period=1, entries=ENTRIES), perf_counter()
    with progress("The log is taken over", total=entries) as advance:
        while True:
            async with filling.transaction():
                taken = await follow.step(filling)
            advance(taken.entries)
            if not taken.more:
                break
    rate = entries / (perf_counter() - begun)
    for index in dropped[-2:] if large else ():
        await filling.execute(index["definition"].replace(" ON ONLY ", " ON "))
    await filling.execute("VACUUM ANALYZE")
    await filling.close()
    await connection.execute(f"""COMMENT ON DATABASE "{name}" IS 'complete'""")
    await connection.close()
    return address, rate


async def measure(made: Sequence[tuple[str, float | None]], rounds: int) -> list[Result]:
    """Ask everything of every database, in turn, `rounds` times."""
    asked = [await Asked.of(address, rate) for address, rate in made]
    with progress("Rounds", total=rounds * len(asked)) as advance:
        for number in range(rounds):
            for one in asked:
                await one.round(number)
                advance(1)
    for one in asked:
        await one.close()
    return [one.result for one in asked]


async def run(server: str, given: argparse.Namespace) -> None:
    made = [await make(server, int(size)) for size in given.sizes.split(",")]
    if given.make_only:
        return
    results = await measure(made, given.rounds)
    print(growth(results), costs(results[-1]), sep="\n\n")
    if given.results is not None:
        given.results.write_text(json.dumps([asdict(result) for result in results], indent=1), encoding="utf-8")
    if given.plot is not None:
        draw(given.plot, panels(results), [result.deliveries for result in results])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="audit_volume", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="deliveries, separated by commas")
    parser.add_argument("--services", type=Path, default=Path(".local"), help="folder of the private servers")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"each asks every question {CALLS} times")
    parser.add_argument("--plot", type=Path, help="draw the growth into this file (SVG or PNG)")
    parser.add_argument("--results", type=Path, help="write the figures into this JSON file")
    parser.add_argument("--make-only", action="store_true", help="make the databases and stop")
    given = parser.parse_args(arguments)
    asyncio.run(run(up(given.services).database_url, given))
    say("The databases stay, for looking around; drop them with DROP DATABASE.")


if __name__ == "__main__":
    sys.exit(main())

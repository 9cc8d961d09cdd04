"""How auditors' questions grow with the number of deliveries: `python -m tests.bench.audit_volume`.

Makes databases with 100 thousand, a million and five million deliveries (a year of invented traffic over the national
directory, with statuses, events and log entries), lets the keeper's duty take the log over, and asks each question many
times with different arguments, one after the other, as a single auditor. Prints a table, and with `--plot` draws it.
A database that is already complete is used again, so that measuring can be repeated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from broker.audit.overview import by_commune, by_province, document_by_province
from broker.audit.period import Period
from broker.audit.questions import agency_day, missing, troubled
from broker.audit.read import story_of
from broker.audit.report import report
from broker.audit.scope import Scope
from broker.audit.search import Wanted, search_documents
from broker.audit.timeline import timeline
from broker.cli.output import progress, say
from broker.services import up
from broker.store.migrations import migrate
from broker.upkeep.rollups import FollowLog
from tests.bench.volume_plot import draw
from tests.kit.traffic import Office, generate, load_directory, offices_of

SIZES = (100_000, 1_000_000, 5_000_000)
YEAR = Period(first=date(2026, 1, 1), last=date(2026, 12, 31))
CALLS = 25
"""How often each question is asked, each time with other arguments."""
BULK = "SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET work_mem = '128MB'"
"""For making the database only; questions are asked with the server's own settings."""
COMPLETE = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1"
INDEX = "SELECT $1::text AS name, pg_get_indexdef($1::text::regclass) AS definition"
COPIES = 5
"""A fifth of the year is drawn, and repeated for the rest."""
ENTRIES = 60_000
"""Log entries taken over in one transaction: nobody else waits for this database."""
LOADED = ("document", "delivery", "status_message", "status_entry", "event", "log_entry")

Question = Callable[[asyncpg.Connection, random.Random], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Milliseconds of one question."""

    question: str
    p50: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One database."""

    deliveries: int
    documents: int
    taken_over_per_second: float | None
    """Log entries; None if it was taken over before."""
    timings: tuple[Timing, ...]


async def make(server: str, size: int) -> tuple[str, float | None]:
    """The database with `size` deliveries, made if it is not there; its address, and how fast the log was followed."""
    name = f"audit_{size}"
    address = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    connection = await asyncpg.connect(server)
    if await connection.fetchval(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", name
    ):
        await connection.close()
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


def questions(offices: Sequence[Office], documents: int) -> Mapping[str, Question]:
    """What is asked, each with arguments drawn anew."""
    by_level: dict[str, list[Office]] = {}
    for office in offices:
        by_level.setdefault(office.level, []).append(office)
    everybody = [office.code for office in offices]
    provinces = [p for p in by_level["province"] if any(o.parent_id == p.agency_id for o in offices)]

    def search(**fields: Callable[[random.Random], object]) -> Question:
        async def ask(connection: asyncpg.Connection, draw: random.Random) -> object:
            return await search_documents(connection, Wanted(**{k: make(draw) for k, make in fields.items()}))  # type: ignore[arg-type]

        return ask

    def day(draw: random.Random) -> date:
        return date(2026, 1, 1) + timedelta(days=draw.randrange(360))

    def old(draw: random.Random) -> object:
        return Period(last=day(draw)).end

    async def trace(connection: asyncpg.Connection, draw: random.Random) -> object:
        row = await connection.fetchrow("SELECT id FROM document WHERE document_id = $1", draw.randint(1, documents))
        return timeline(await story_of(connection, str(row["id"])))

    async def trace_number(connection: asyncpg.Connection, draw: random.Random) -> object:
        row = await connection.fetchrow(
            "SELECT d.number, d.notation, a.code FROM document d JOIN agency a ON a.agency_id = d.sender_id"
            " WHERE d.document_id = $1",
            draw.randint(1, documents),
        )
        name, code = f"{row['number']}/{row['notation']}", row["code"]
        return await search_documents(connection, Wanted(number=name, sender=code))

    async def scoped(connection: asyncpg.Connection, draw: random.Random) -> object:
        scope = Scope(draw.choice(provinces).agency_id)  # type: ignore[arg-type]
        return await search_documents(
            connection, Wanted(subject="ứng phó bão", overdue=draw.random() < 0.5), scope=scope
        )

    async def telegram(connection: asyncpg.Connection, draw: random.Random) -> object:
        document = await connection.fetchval("SELECT document_id FROM document WHERE recipients > 3000 LIMIT 1")
        return await missing(connection, document or 1, under=draw.choice(provinces).code, level="commune")

    async def telegram_map(connection: asyncpg.Connection, draw: random.Random) -> object:
        document = await connection.fetchval("SELECT document_id FROM document WHERE recipients > 3000 LIMIT 1")
        return await document_by_province(connection, document or 1)

    async def one_day(connection: asyncpg.Connection, draw: random.Random) -> object:
        return await agency_day(connection, draw.choice(provinces).agency_id, day(draw))  # type: ignore[arg-type]

    async def overdue(connection: asyncpg.Connection, draw: random.Random) -> object:
        return await troubled(connection, "overdue", under=draw.choice([None, draw.choice(provinces).code]))

    async def refused(connection: asyncpg.Connection, draw: random.Random) -> object:
        return await troubled(connection, "refused", level=draw.choice(["commune", "district", "province"]))

    async def edges(connection: asyncpg.Connection, draw: random.Random) -> object:
        first = date(2026, 1, 2) + timedelta(days=draw.randrange(60))
        return await report(connection, period=Period(first=first, last=first + timedelta(days=290)))

    async def scoped_days(connection: asyncpg.Connection, draw: random.Random) -> object:
        return await report(connection, by="day", period=YEAR, scope=Scope(draw.choice(provinces).agency_id))  # type: ignore[arg-type]

    async def communes(connection: asyncpg.Connection, draw: random.Random) -> object:
        return await by_commune(connection, draw.choice(provinces).agency_id, period=YEAR)  # type: ignore[arg-type]

    common = ("ve viec", "trien khai", "cong tac", "bao cao", "ke hoach")
    asked: dict[str, Question] = {
        "trace by id": trace,
        "search: newest": search(),
        "search: frequent word": search(subject=lambda d: d.choice(common)),
        "search: ứng phó bão": search(subject=lambda d: d.choice(("ung pho bao", "ứng phó bão số 3"))),
        "search: phrase": search(subject=lambda d: d.choice(("cháy rừng", "hạn mặn")), phrase=lambda d: True),
        "search: nothing has it": search(subject=lambda d: "bão cháy hạn mặn"),
        "search: frequent word, rare recipient": search(
            subject=lambda d: d.choice(common), recipient=lambda d: d.choice(by_level["commune"]).code
        ),
        "search: frequent word, any sender": search(
            subject=lambda d: d.choice(common), sender=lambda d: d.choice(everybody)
        ),
        "search: frequent word, old period": search(subject=lambda d: d.choice(common), until=old),
        "search: two frequent agencies": search(
            sender=lambda d: d.choice(("G01", "G22", "H26")), recipient=lambda d: d.choice(("H26", "H01", "H05"))
        ),
        "search: recipient and state": search(
            recipient=lambda d: d.choice(everybody), state=lambda d: d.choice(("assigned", "refused", "held"))
        ),
        "search: overdue below a province": search(under=lambda d: d.choice(provinces).code, overdue=lambda d: True),
        "search: state, word, old period": search(
            subject=lambda d: d.choice(common), state=lambda d: d.choice(("held", "recalled")), until=old
        ),
        "search: number and notation": trace_number,
        "search: a subtree's auditor": scoped,
        "missing: communes of a province": telegram,
        "agency's day": one_day,
        "overdue list": overdue,
        "refused list by level": refused,
        "report: the national table, all time": lambda c, d: report(c),
        "report: year by tier": lambda c, d: report(c, period=YEAR),
        "report: 290 days from any day by tier": edges,
        "report: year by agency": lambda c, d: report(c, by="agency", period=YEAR),
        "report: year by day": lambda c, d: report(c, by="day", period=YEAR),
        "report: year by day, a subtree's auditor": scoped_days,
        "overview: country, year": lambda c, d: by_province(c, period=YEAR),
        "overview: a province's communes, year": communes,
        "overview: one telegram": telegram_map,
    }
    return asked


async def measure(address: str, rate: float | None) -> Result:
    """Ask everything of one database."""
    connection = await asyncpg.connect(address)
    offices = await offices_of(connection)
    documents = await connection.fetchval("SELECT count(*) FROM document")
    deliveries = await connection.fetchval("SELECT count(*) FROM delivery")
    timings = []
    asked = questions(offices, documents)
    with progress(f"{deliveries:,} deliveries", total=len(asked)) as advance:
        for name, question in asked.items():
            draw = random.Random(7)
            await question(connection, draw)
            times = []
            for _ in range(CALLS):
                begun = perf_counter()
                await question(connection, draw)
                times.append((perf_counter() - begun) * 1_000)
            times.sort()
            p95 = times[int(len(times) * 0.95)]
            timings.append(Timing(question=name, p50=median(times), p95=p95, worst=times[-1]))
            advance(1)
    await connection.close()
    return Result(deliveries=deliveries, documents=documents, taken_over_per_second=rate, timings=tuple(timings))


def table(results: Sequence[Result]) -> str:
    """p50 / p95 in milliseconds, one column for each size, as Markdown."""
    heads = [f"{result.deliveries:,}" for result in results]
    lines = ["| p50 / p95, ms, at deliveries | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for row in zip(*(result.timings for result in results), strict=True):
        lines.append(f"| {row[0].question} | " + " | ".join(f"{t.p50:.0f} / {t.p95:.0f}" for t in row) + " |")
    rates = [f"{r.taken_over_per_second:,.0f}" if r.taken_over_per_second else "–" for r in results]
    lines.append("| log entries taken over a second | " + " | ".join(rates) + " |")
    return "\n".join(lines)


async def run(
    server: str, sizes: Sequence[int], plot: Path | None, results_file: Path | None, *, make_only: bool
) -> None:
    made = [await make(server, size) for size in sizes]
    if make_only:
        return
    results = [await measure(address, rate) for address, rate in made]
    print(table(results))
    if results_file is not None:
        results_file.write_text(json.dumps([asdict(result) for result in results], indent=1), encoding="utf-8")
    if plot is not None:
        draw(plot, {t.question: [r.timings[n].p50 for r in results] for n, t in enumerate(results[0].timings)},
             [r.deliveries for r in results])  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="audit_volume", description=__doc__)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="deliveries, separated by commas")
    parser.add_argument("--services", type=Path, default=Path(".local"), help="folder of the private servers")
    parser.add_argument("--plot", type=Path, help="draw the growth into this file (SVG or PNG)")
    parser.add_argument("--results", type=Path, help="write the figures into this JSON file")
    parser.add_argument("--make-only", action="store_true", help="make the databases and stop")
    given = parser.parse_args(arguments)
    server = up(given.services).database_url
    sizes = [int(size) for size in given.sizes.split(",")]
    asyncio.run(run(server, sizes, given.plot, given.results, make_only=given.make_only))
    say("The databases stay, for looking around; drop them with DROP DATABASE.")


if __name__ == "__main__":
    sys.exit(main())

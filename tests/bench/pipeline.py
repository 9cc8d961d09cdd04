"""`make bench`: the worker beside the ceiling and beside FastStream, in one run, on the same servers.

    python -m tests.bench.pipeline [--documents 10000] [--rounds 3] [--only NAME ...] [--quick] [--check]

Prints ratios with their spread and the versions that they belong to, and writes everything to build/bench.json. Exit
code 1 if a contender lost, doubled or forgot anything, and with --check also if a goal is missed; figures alone never
fail a run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic

import asyncpg
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from broker.amqp.management import Management
from broker.logs import set_up
from broker.services import Endpoints, up
from schemas.problem import Problem
from tests.bench import results
from tests.bench.alone import LatencyRun, StatusRun, measure_latency, measure_statuses
from tests.bench.contenders import CONTENDERS, LIENTHONG, REPOSITORY
from tests.bench.country import found_country, sign_documents
from tests.bench.ground import registered
from tests.bench.throughput import Progress, Run, measure

OUTPUT = REPOSITORY / "build" / "bench.json"
FEWEST = 5_000
"""Documents that give enough statuses to watch them being recorded."""
QUIET_LOAD = 0.7
"""Load average above which figures of this machine say little."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""
PACE = 100.0
"""Documents a second for the latency."""
PACED_SECONDS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Everything that was measured."""

    runs: list[Run]
    statuses: list[StatusRun]
    latency: LatencyRun | None
    machine: dict[str, object]

    @property
    def faults(self) -> list[str]:
        """What was not as it must be."""
        found = [f"{run.contender}: {fault}" for run in self.runs for fault in run.faults]
        found += [f"statuses: {fault}" for run in self.statuses for fault in run.faults]
        found += [f"latency: {fault}" for fault in self.latency.faults] if self.latency is not None else []
        return found


async def bench(options: argparse.Namespace, progress: Progress) -> Figures:
    """Measure everything that was asked for."""
    servers = up(REPOSITORY / ".local")
    machine = results.machine(await server_versions(servers))
    country = found_country()
    runs: list[Run] = []
    statuses: list[StatusRun] = []
    latency: LatencyRun | None = None
    with tempfile.TemporaryDirectory(prefix="lienthong-bench-") as name:
        folder = Path(name)
        async with registered(country, servers, folder) as registry:
            signers = [registry.signers[one.code] for one in country.senders]
            codes = [one.code for one in country.recipients]
            documents = sign_documents(signers, codes, options.documents)
            for _ in range(options.rounds):
                for contender in options.only:
                    runs.append(await measure(contender, registry, documents, folder, progress))
            if not options.quick:
                statuses = await measure_statuses(registry, documents, folder, progress)
                paced = sign_documents(signers, codes, int(PACE * PACED_SECONDS))
                latency = await measure_latency(registry, paced, folder, progress, rate=PACE)
    return Figures(runs=runs, statuses=statuses, latency=latency, machine=machine)


async def server_versions(servers: Endpoints) -> dict[str, str]:
    """RabbitMQ's and PostgreSQL's versions."""
    async with Management(servers.management_url, vhost="/") as management:
        rabbitmq = await management.version()
    connection = await asyncpg.connect(servers.database_url)
    try:
        postgresql: str = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    return {"RabbitMQ": rabbitmq, "PostgreSQL": postgresql.partition(" ")[0]}


def show(figures: Figures, console: Console) -> None:
    """Print the tables."""
    table = Table(title="Documents a second, three recipients each, everything quorum and confirmed")
    for heading in ("", "median", "lowest – highest", "peak MiB", "own CPU, µs a document"):
        table.add_column(heading, justify="left" if not heading else "right")
    for contender, runs in results.by_contender(figures.runs).items():
        rate = results.spread([run.rate for run in runs])
        table.add_row(
            contender,
            f"{rate.median:,.0f}",
            f"{rate.low:,.0f} – {rate.high:,.0f}",
            f"{max(run.peak_mib for run in runs):.0f}",
            f"{results.spread([run.cpu_us for run in runs]).median:.0f}",
        )
    console.print(table)
    compared = Table(title="Lienthong against …, round by round")
    for heading in ("", "median", "lowest – highest", "goal", ""):
        compared.add_column(heading, justify="right" if heading else "left")
    for one in results.ratios(figures.runs):
        compared.add_row(
            one.against,
            f"{one.spread.median:.2f} ×",
            f"{one.spread.low:.2f} – {one.spread.high:.2f}",
            f"≥ {one.goal:g} ×",
            "reached" if one.reached else "missed",
        )
    if compared.row_count:
        console.print(compared)
    for status in figures.statuses:
        console.print(
            f"Statuses, {status.items_per_message} a message: {status.rate:,.0f} a second "
            f"({status.statuses:,} of them; peak {status.peak_mib:.0f} MiB)"
        )
    if figures.latency is not None:
        latency = figures.latency
        console.print(
            f"From submission confirmed to copy in hand, at {latency.rate:g} documents a second: "
            f"p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms, "
            f"worst {latency.worst_ms:.1f} ms ({latency.copies:,} copies)"
        )
    libraries = figures.machine["libraries"]
    assert isinstance(libraries, dict)
    console.print(
        f"RabbitMQ {figures.machine['RabbitMQ']}, PostgreSQL {figures.machine['PostgreSQL']}, "
        f"Python {figures.machine['Python']}; " + ", ".join(f"{name} {number}" for name, number in libraries.items())
    )
    console.print(
        f"{figures.machine['processors']} × {figures.machine['processor']}, {figures.machine['memory_gib']} GiB, "
        f"everything on this machine; load before the start {figures.machine['load_before']}"
    )


def write(figures: Figures, path: Path) -> None:
    """Keep everything, rounds one by one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = asdict(figures) | {
        "medians": {
            name: asdict(results.spread([run.rate for run in runs]))
            for name, runs in results.by_contender(figures.runs).items()
        },
        "ratios": [asdict(one) | {"reached": one.reached} for one in results.ratios(figures.runs)],
        "missed_goals": results.missed_goals(figures.runs),
        "faults": figures.faults,
    }
    path.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def progress_display() -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line whenever something else begins, and every ten seconds."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda what, done, total: bar.update(task, description=what, completed=done, total=total)
        return
    shown, before = 0.0, ""

    def line(what: str, done: int, total: int) -> None:
        nonlocal shown, before
        if what != before or monotonic() - shown >= 10:
            shown, before = monotonic(), what
            print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)

    yield line


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pipeline", description="Measure this machine.")
    parser.add_argument("--documents", type=int, default=10_000, help="documents for each contender and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), metavar="CONTENDER")
    parser.add_argument("--quick", action="store_true", help="without statuses and latency")
    parser.add_argument("--check", action="store_true", help="exit 1 also if a goal is missed")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    if options.documents < FEWEST and not options.quick:
        parser.error(f"statuses are recorded too fast to be measured with so few: {FEWEST} documents, or --quick")
    return options


def main(arguments: Sequence[str]) -> int:
    """Run, show, keep; the exit code."""
    options = parse(arguments)
    console = Console()
    set_up(process="bench", level="warning")
    if (load := os.getloadavg()[0]) > QUIET_LOAD:
        console.print(f"This machine is busy (load {load:.2f}): the ratios will spread, the figures will be too low.")
    try:
        with progress_display() as progress, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(bench(options, progress))
    except Problem as problem:
        print(problem.diagnostics(), file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    show(figures, console)
    write(figures, options.output)
    console.print(f"Everything is in {options.output}.")
    for fault in figures.faults:
        console.print(f"NOT AS IT MUST BE: {fault}")
    missed = results.missed_goals(figures.runs) if options.check and LIENTHONG in options.only else []
    for goal in missed:
        console.print(f"MISSED: {goal}")
    return 1 if figures.faults or missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

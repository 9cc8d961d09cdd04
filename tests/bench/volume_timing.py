"""How long the questions of auditors take, told so that the question can be told from the machine.

Other guests of the same host and other programs slow everything down from one second to the next. So every question is
asked in several rounds, spread in time, of all databases in turn, and four things are kept apart: how long the asking
person waits (median, 95 of 100, least), what the server itself says of planning and running its statements, how much
processor time the server and we ourselves spent, and which share of the processors other guests took meanwhile.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg

from tests.bench.processors import processor_milliseconds, processor_times, taken_since
from tests.bench.volume_questions import Known, Question, questions

ROUNDS = 6
CALLS = 8
"""How often each question is asked in a round, each time with other arguments."""
EXPLAINED = 2
"""How often in a round the server is asked how long its statements took, apart from the calls that are timed."""


@dataclass(slots=True, kw_only=True)
class Timing:
    """Milliseconds of one question, one for each call unless something else is said."""

    question: str
    waited: list[float] = field(default_factory=list)
    server: list[float] = field(default_factory=list)
    """Planning and running all statements, as the server says; of other calls than `waited`."""
    server_processor: list[float] = field(default_factory=list)
    """Processor time of the server's process; the mean of each round."""
    own_processor: list[float] = field(default_factory=list)
    """Processor time of the program that asks; the mean of each round."""
    statements: int = 0
    """Of one call: round trips to the server."""

    def cost(self) -> float:
        """Processor time of server and program, whoever else was busy: the median of the rounds."""
        return median(map(sum, zip(self.server_processor, self.own_processor, strict=True)))

    def waited_at(self, share: float) -> float:
        """What so large a share of the calls did not exceed."""
        ordered = sorted(self.waited)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True, kw_only=True)
class Result:
    """One database."""

    deliveries: int
    documents: int
    taken_over_per_second: float | None
    """Log entries; None if the log was taken over before."""
    timings: list[Timing]
    taken: list[float] = field(default_factory=list)
    """The share of the processors that other guests of the host took, in each round."""
    load: list[float] = field(default_factory=list)
    """How many processes wanted to run, at the end of each round."""


class Explained:
    """Behaves like a connection, and asks the server how long each statement takes."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.milliseconds = 0.0
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._connection.fetch(query, *arguments)

    async def fetchrow(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._connection.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        await self._explain(query, arguments)
        return await self._connection.fetchval(query, *arguments)

    async def _explain(self, query: str, arguments: Sequence[object]) -> None:
        self.statements += 1
        if query.startswith("EXPLAIN"):  # asks how common something is: only planned
            query = query.replace("EXPLAIN (FORMAT JSON)", "EXPLAIN (SUMMARY, FORMAT JSON)")
        else:
            query = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}"
        told = json.loads(await self._connection.fetchval(query, *arguments))[0]
        self.milliseconds += told["Planning Time"] + told.get("Execution Time", 0.0)


class Asked:
    """One database that is being asked, over one connection."""

    def __init__(self, connection: asyncpg.Connection, result: Result, asked: Mapping[str, Question]) -> None:
        self.result = result
        self._connection = connection
        self._asked = asked

    @classmethod
    async def of(cls, address: str, rate: float | None) -> Asked:
        """Connect, and look up what questions are asked about."""
        connection = await asyncpg.connect(address)
        asked = questions(await Known.of(connection))
        result = Result(
            deliveries=await connection.fetchval("SELECT count(*) FROM delivery"),
            documents=await connection.fetchval("SELECT count(*) FROM document"),
            taken_over_per_second=rate,
            timings=[Timing(question=name) for name in asked],
        )
        return cls(connection, result, asked)

    async def round(self, number: int) -> None:
        """Ask every question `CALLS` times."""
        taken = processor_times()
        for timing in self.result.timings:
            await self._ask(timing, random.Random(number))
        self.result.taken.append(taken_since(taken))
        self.result.load.append(os.getloadavg()[0])

    async def _ask(self, timing: Timing, draw: random.Random) -> None:
        question = self._asked[timing.question]
        await question(self._connection, draw)  # its pages are looked for, its statements prepared
        server = self._connection.get_server_pid()
        own, theirs = processor_milliseconds(os.getpid()), processor_milliseconds(server)
        for _ in range(CALLS):
            begun = perf_counter()
            await question(self._connection, draw)
            timing.waited.append((perf_counter() - begun) * 1_000)
        timing.own_processor.append((processor_milliseconds(os.getpid()) - own) / CALLS)
        timing.server_processor.append((processor_milliseconds(server) - theirs) / CALLS)
        for _ in range(EXPLAINED):
            explained = Explained(self._connection)
            await question(explained, draw)
            timing.server.append(explained.milliseconds)
            timing.statements = explained.statements

    async def close(self) -> None:
        await self._connection.close()


def growth(results: Sequence[Result]) -> str:
    """How long people wait at each size, as Markdown: p50 / p95 / least."""
    heads = [f"{result.deliveries:,}" for result in results]
    lines = ["| p50 / p95 / least, ms, at deliveries | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for row in zip(*(result.timings for result in results), strict=True):
        cells = [f"{t.waited_at(0.5):.0f} / {t.waited_at(0.95):.0f} / {min(t.waited):.0f}" for t in row]
        lines.append(f"| {row[0].question} | " + " | ".join(cells) + " |")
    lines.append("| *taken by other guests* | " + " | ".join(f"{median(r.taken):.0%}" for r in results) + " |")
    rates = [f"{r.taken_over_per_second:,.0f}" if r.taken_over_per_second else "–" for r in results]
    lines.append("| *log entries taken over a second* | " + " | ".join(rates) + " |")
    return "\n".join(lines)


def costs(result: Result) -> str:
    """What the questions cost at one size, as Markdown; medians of milliseconds."""
    columns = ("waited", "planned and run (server)", "processor (server)", "processor (program)", "statements")
    lines = [f"| at {result.deliveries:,} deliveries, ms | " + " | ".join(columns) + " |", "|---" * 6 + "|"]
    for t in result.timings:
        parts = (t.waited_at(0.5), median(t.server), median(t.server_processor), median(t.own_processor))
        cells = " | ".join(f"{part:.1f}" for part in parts)
        lines.append(f"| {t.question} | {cells} | {t.statements} |")
    taken = f"{min(result.taken):.0%} to {max(result.taken):.0%}"
    load = f"{min(result.load):.1f} to {max(result.load):.1f}"
    return "\n".join([*lines, "", f"Other guests took {taken} of the processors; load {load}."])


def panels(results: Sequence[Result]) -> dict[str, dict[str, list[float]]]:
    """What the plot shows, by title and question: milliseconds, one for each result."""
    rows = list(zip(*(result.timings for result in results), strict=True))
    return {
        "waited, median": {row[0].question: [timing.waited_at(0.5) for timing in row] for row in rows},
        "processor time, server and program": {row[0].question: [timing.cost() for timing in row] for row in rows},
    }

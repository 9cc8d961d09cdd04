"""A whole exchange under load, of programs that can be killed: workers, keepers, and two halves of the offices.

Kills are SIGKILL, by process id, and always of a program that has work in hand. Whoever dies is started again at once,
as a service manager would do it. Tests say who dies when, and then ask both ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Final

from schemas.problem import UNREACHABLE
from tests.faults.ends import Record, disagreements, memory, open_work
from tests.faults.offices import Offices, Sending, deliveries
from tests.kit.installation import Installation, Program

HASTE: Final = {
    "LIENTHONG_OUTGOING_GRACE_SECONDS": "4",
    "LIENTHONG_KEEPER_LEASE_SECONDS": "3",
    "LIENTHONG_KEEPER_STANDBY_SECONDS": "0.3",
    "LIENTHONG_KEEPER_UNFINISHED_SECONDS": "0.5",
    "LIENTHONG_KEEPER_MAILBOXES_SECONDS": "0.5",
    "LIENTHONG_KEEPER_REPLAY_SECONDS": "0.5",
    "LIENTHONG_KEEPER_ARRIVALS_SECONDS": "1",
}
"""Settings under which the keeper does in seconds what otherwise takes it half a minute."""
PATIENCE: Final = 120.0
"""Seconds that a test on a busy machine waits for something that takes one on an idle one."""
REST_WITHIN: Final = 180.0
"""Seconds from the last kill until both ends must be at rest."""
QUIET: Final = 2.0
"""Offices end by themselves when nothing has happened for so long."""
Start = Callable[[], Program]


@dataclass(slots=True)
class Service:
    """A program that is started again whenever it was killed."""

    name: str
    kind: str
    start: Start
    ready_line: str
    """In the log when the program has begun to work."""
    program: Program

    async def ready(self) -> None:
        """Wait until the present program has begun to work.

        One that was started while a server was away says so and ends; it is started again, as services are.
        """
        deadline = monotonic() + PATIENCE
        while self.ready_line not in self.program.log.read_text(encoding="utf-8", errors="replace"):
            if self.program.process.poll() == UNREACHABLE:
                self.program = self.start()
            assert self.program.running, f"{self.name} has ended by itself:\n{tail(self.program.log)}"
            assert monotonic() < deadline, f"{self.name} is not ready after {PATIENCE:.0f} s:\n{tail(self.program.log)}"
            await asyncio.sleep(0.05)

    def kill(self) -> None:
        assert self.program.running, f"{self.name} has ended by itself:\n{tail(self.program.log)}"
        self.program.kill()


@dataclass(slots=True)
class Figures:
    """What a run has counted, for the documentation."""

    seed: int
    documents: int
    deliveries: int
    kills: Counter[str] = field(default_factory=Counter)
    interrupted: int = 0
    """Kills that left something committed and not yet recorded as sent."""
    seconds: float = 0.0
    statuses: int = 0
    repeated: int = 0
    """Messages that reached a worker again after they had been accepted."""
    finished_by_keeper: int = 0
    """Publishes that a worker had owed and the keeper made."""
    copies: int = 0
    """Copies beyond the first that recipients dropped."""

    def __str__(self) -> str:
        kills = ", ".join(f"{kind} {count}" for kind, count in sorted(self.kills.items()))
        return (
            f"documents {self.documents}, deliveries {self.deliveries}, statuses {self.statuses}; "
            f"killed: {kills or 'nothing'} ({self.interrupted} left committed work unsent); "
            f"came again to a worker {self.repeated}, published by a keeper {self.finished_by_keeper}, "
            f"doubles dropped by recipients {self.copies}; lost 0, doubled 0; "
            f"{self.seconds:.0f} s (seed {self.seed})"
        )


class Exchange:
    """Programs, offices, and the load that they carry."""

    def __init__(self, installation: Installation, offices: Offices, sent: Sequence[Sending], *, seed: int) -> None:
        self.installation = installation
        self.offices = offices
        self.sent = sent
        self.record = Record(installation.database_url)
        self.services: dict[str, Service] = {}
        self.figures = Figures(seed=seed, documents=len(sent), deliveries=deliveries(sent))
        self.moments = random.Random(seed)
        self._began = monotonic()

    # ── Programs ─────────────────────────────────────────────────────────────────────────────────
    def run_workers(self, number: int) -> None:
        for index in range(number):
            self._run(f"worker {index}", "worker", self._start_worker, ready_line="worker ready")

    def run_keepers(self, number: int) -> None:
        for index in range(number):
            self._run(f"keeper {index}", "keeper", self._start_keeper, ready_line="keeper.standby")

    def run_offices(self, halves: Sequence[int] = (0, 1)) -> None:
        """Start offices; the load begins with this call, and goes on where it was after a kill."""
        self._began = monotonic()
        for half in halves:
            self._run(f"offices {half}", "offices", partial(self._start_half, half), ready_line='"ready"')

    async def all_ready(self) -> None:
        for service in self.services.values():
            await service.ready()

    def _run(self, name: str, kind: str, start: Start, *, ready_line: str) -> None:
        self.services[name] = Service(name=name, kind=kind, start=start, ready_line=ready_line, program=start())

    def _start_worker(self) -> Program:
        return self.installation.start("worker", "--log-level", "debug", "--json")

    def _start_keeper(self) -> Program:
        return self.installation.start("keeper", "--json")

    def _start_half(self, half: int, *, quiet_seconds: float | None = None) -> Program:
        late = monotonic() - self._began
        plan = self.offices.write_plan(half, self.sent, late=late, quiet_seconds=quiet_seconds)
        return self.installation.start("simulate", str(plan), program="lienthong-agency", name=f"offices-{half}")

    # ── Killing ──────────────────────────────────────────────────────────────────────────────────
    async def kill(self, name: str, *, after: float) -> None:
        """Kill a program that has begun its work, `after` seconds later, while there is something to be done."""
        service = self.services[name]
        await service.ready()
        await self.record.until("SELECT EXISTS (SELECT FROM outgoing WHERE published_at IS NULL)")
        await asyncio.sleep(after)
        service.kill()
        self.figures.kills[service.kind] += 1
        self.figures.interrupted += await self.record.value(
            "SELECT EXISTS (SELECT FROM outgoing WHERE published_at IS NULL)"
        )
        service.program = service.start()

    async def interrupt(self, what: str, end: Callable[[signal.Signals], None], sign: signal.Signals) -> None:
        """End a server while there is something to be done, and start it again; counted as `what`."""
        await self.record.until("SELECT EXISTS (SELECT FROM outgoing WHERE published_at IS NULL)")
        await asyncio.to_thread(end, sign)
        self.figures.kills[what] += 1

    # ── The end ──────────────────────────────────────────────────────────────────────────────────
    async def come_to_rest(self, seconds: float = REST_WITHIN) -> None:
        """Let everything be finished by programs that are left alone; then end the offices."""
        await self.all_ready()
        deadline = monotonic() + seconds
        while left := await open_work(self.record, self.offices, self.sent):
            assert monotonic() < deadline, f"not at rest after {seconds:.0f} s: {'; '.join(left)}"
            await asyncio.sleep(0.3)
        for half in (0, 1):
            await asyncio.to_thread(self.services.pop(f"offices {half}").program.stop)
        # A clerk may have said one more word between the last look and the end.
        while left := await open_work(self.record, self.offices, self.sent):
            assert monotonic() < deadline, f"not at rest after {seconds:.0f} s: {'; '.join(left)}"
            for program in [self._start_half(half, quiet_seconds=QUIET) for half in (0, 1)]:
                code = await asyncio.to_thread(program.process.wait, PATIENCE + seconds)
                assert code == 0, f"the offices have failed:\n{tail(program.log)}"
        self.figures.seconds = monotonic() - self._began

    async def check(self) -> None:
        """Both ends agree with what was sent, and every program that should run does so."""
        for service in self.services.values():
            assert service.program.running, f"{service.name} has ended by itself:\n{tail(service.program.log)}"
        found = await disagreements(self.record, self.offices, self.sent)
        stored: Counter[tuple[str, str, str]] = Counter()
        for line in self.lines("offices-"):
            if line.get("event") == "stored":
                stored[line["from"], line["id"], line["recipient"]] += 1
            elif line.get("event") == "error":
                found.append(f"an office reported: {line.get('text')}")
        found += [f"stored more than once: {key}" for key, times in stored.items() if times > 1][:5]
        assert not found, "\n".join([*found, str(self.figures)])
        await self._count()

    async def _count(self) -> None:
        held = await asyncio.to_thread(memory, self.offices)
        self.figures.statuses = sum(held.reported.values())
        self.figures.copies = held.copies - sum(held.inbox.values())
        for line in self.lines("worker-"):
            if line.get("event") == "batch done":
                self.figures.repeated += number_in(line["done"], "repeated")
        for line in self.lines("keeper-"):
            if line.get("event") == "keeper.round" and line.get("task") == "unfinished":
                self.figures.finished_by_keeper += line["count"]

    def lines(self, prefix: str) -> Iterator[dict[str, Any]]:
        """What the programs have told, in JSON, in all their lives."""
        for path in sorted(self.installation.folder.glob(f"{prefix}*.log")):
            yield from json_lines(path)

    async def close(self) -> None:
        await self.record.close()
        await asyncio.to_thread(self.installation.stop)


async def kill_at_random(exchange: Exchange, schedule: Sequence[str]) -> None:
    """Kill the named programs one after the other; the moments follow from the run's seed."""
    moments = exchange.moments
    for name in schedule:
        # Half of the kills come while something is on its way, the others at any moment of the half second after.
        await exchange.kill(name, after=moments.choice((0.0, moments.uniform(0.05, 0.5))))


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log that are JSON objects; a killed program's last line may be cut."""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except ValueError:
                continue


def number_in(text: str, name: str) -> int:
    """The number behind `name=` in a tally as it stands in the log."""
    return int(text.partition(f"{name}=")[2].partition(",")[0].rstrip(")"))


def tail(path: Path, characters: int = 3000) -> str:
    """The end of a log, for a failure's message."""
    return path.read_text(encoding="utf-8", errors="replace")[-characters:]

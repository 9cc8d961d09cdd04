"""The demonstration's offices as a program of its own: the plan it is given, and what it tells line by line.

The offices run as `lienthong-agency simulate`, which is the honest other end: it shares no memory, no code beyond the
wire contract and no database with the exchange.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from broker.demo.offices import OfficeFiles, Offices
from broker.demo.papers import write_paper
from broker.demo.plan import DemoPlan, Fate, PlannedDocument
from broker.demo.words import PARAGRAPHS
from broker.directory.snapshot import Agency
from broker.settings import Settings
from schemas.problem import Problem

QUIET_SECONDS = 3.0
"""The simulation ends when everything is sent and nothing has happened for so long."""
LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of the longest line: an office's inventory after many runs."""
STOP_PATIENCE = 20.0

Key = tuple[str, str]
"""(from, id) of a document."""


def write_papers(plan: DemoPlan, folder: Path, advance: Callable[[int], None]) -> dict[str, Path]:
    """Make every document's PDF; returns the files by document id."""
    folder.mkdir(parents=True, exist_ok=True)
    papers: dict[str, Path] = {}
    for one in plan.documents:
        path = folder / f"{one.id}.pdf"
        write_paper(
            path,
            agency=one.sender.name,
            number=f"{one.number}/{one.notation}",
            title=one.kind,
            subject=one.subject,
            paragraphs=PARAGRAPHS,
            scan_bytes=one.scan_bytes,
        )
        papers[str(one.id)] = path
        advance(1)
    return papers


def simulation_plan(
    plan: DemoPlan, offices: Offices, papers: Mapping[str, Path], settings: Settings, *, seed: int
) -> dict[str, Any]:
    """The plan in the words of `lienthong-agency simulate`."""
    served: dict[str, dict[str, Agency]] = defaultdict(dict)
    for one in plan.documents:
        if one.sender.id != one.submitter.id:
            served[one.submitter.code][one.sender.code] = one.sender
    return {
        "seed": seed,
        "quiet_seconds": QUIET_SECONDS,
        "agency": {
            "amqp_url": settings.agency_amqp_url,
            "roots_dir": str(settings.roots_dir.resolve()),
            "broker_code": settings.broker_code,
            "broker_certificate_file": str(settings.certificate_file.resolve()),
            "content_dir": str(settings.content_dir.resolve()),
        },
        "answers": {"refuse": 0.03, "processing": 0.35, "completed": 0.5, "clerk_seconds": [0.3, 2.0]},
        "offices": [
            _office(agency, offices.files(agency))
            | {"served": [_identity(one, offices.files(one)) for one in served[agency.code].values()]}
            for agency in offices.connected()
        ],
        "submissions": [_submission(one, papers) for one in plan.documents],
    }


def _identity(agency: Agency, files: OfficeFiles) -> dict[str, Any]:
    return {
        "code": agency.code,
        "key_file": str(files.key.resolve()),
        "certificate_file": str(files.certificate.resolve()),
    }


def _office(agency: Agency, files: OfficeFiles) -> dict[str, Any]:
    places = {"amqp_password_file": str(files.password.resolve()), "data_dir": str(files.data.resolve())}
    return _identity(agency, files) | places


def _submission(one: PlannedDocument, papers: Mapping[str, Path]) -> dict[str, Any]:
    return {
        "at": one.at,
        "from": one.sender.code,
        "via": one.submitter.code,
        "to": list(one.to),
        "priority": one.priority,
        "number": one.number,
        "notation": one.notation,
        "type": one.kind,
        "subject": one.subject,
        "pdf": str(papers[str(one.id)].resolve()),
        "id": str(one.id),
        "variant": None if one.fate is Fate.GOOD else one.fate.value,
        "signer": one.signer.code if one.fate is Fate.WRONG_SIGNER else None,
    }


@dataclass
class Tally:
    """What the offices have told so far."""

    ids: frozenset[str]
    """The documents of this run; offices remember earlier ones too."""
    events: Counter[str] = field(default_factory=Counter)
    rejected: dict[Key, str] = field(default_factory=dict)
    """The error code that the sender was told."""
    accepted: Counter[Key] = field(default_factory=Counter)
    stored: Counter[tuple[Key, str]] = field(default_factory=Counter)
    arrived_known: set[tuple[Key, str]] = field(default_factory=set)
    """(document, recipient) of which the sender has read the signed 01."""
    inbox: Counter[tuple[Key, str, str]] = field(default_factory=Counter)
    """Rows of all offices' inboxes: (document, recipient, digest)."""
    unsent: int = 0
    aside: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    offices: int = 0
    why: str = ""

    def take(self, line: Mapping[str, Any]) -> None:
        """Count one line of the simulation."""
        event = line["event"]
        if event == "ready":
            self.offices = line["offices"]
        elif event == "error":
            self.errors.append(f"{line.get('office', '')}: {line.get('text', '')}")
        elif event == "finished":
            self.why = line["why"]
        elif event == "inventory":
            self._take_inventory(line)
        if line.get("id") not in self.ids:
            return
        self.events[event] += 1
        key = (line["from"], line["id"])
        if event == "rejected":
            self.rejected[key] = line["code"]
        elif event == "accepted":
            self.accepted[key] += 1
        elif event == "stored":
            self.stored[key, line["recipient"]] += 1
        elif event == "status" and line["code"] == "01":
            self.arrived_known.add((key, line["agency"]))

    def _take_inventory(self, line: Mapping[str, Any]) -> None:
        self.unsent += line["unsent"]
        self.aside.update(line["aside"])
        for row in line["inbox"]:
            if row["id"] in self.ids:
                self.inbox[(row["from"], row["id"]), row["recipient"], row["digest"]] += 1


@asynccontextmanager
async def programs(names: tuple[str, ...], settings: Settings, logs: Path) -> AsyncIterator[None]:
    """Run `lienthong NAME` for each name, until the end of the block; their logs go into the folder `logs`.

    Raises Problem if one of them ends too early.
    """
    environment = os.environ | {
        "LIENTHONG_AMQP_URL": settings.amqp_url,
        "LIENTHONG_MANAGEMENT_URL": settings.management_url,
        "LIENTHONG_DATABASE_URL": settings.database_url,
        "LIENTHONG_HOME": str(settings.home.resolve()),
    }
    running: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name in names:
            with (logs / f"{name}.log").open("wb") as log:
                running[name] = await asyncio.create_subprocess_exec(
                    *(program("lienthong"), name),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    env=environment,
                )
        yield
        for name, process in running.items():
            if process.returncode is not None:
                raise _ended(name, process.returncode, logs / f"{name}.log")
    finally:
        for process in running.values():
            if process.returncode is None:
                process.terminate()
        for process in running.values():
            try:
                async with asyncio.timeout(STOP_PATIENCE):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def simulate(plan_file: Path, tally: Tally, logs: Path, changed: Callable[[], None]) -> None:
    """Run the offices to the end of their plan; `changed` is called as lines come in. Raises Problem if they fail."""
    log = logs / "offices.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(program("lienthong-agency"), "simulate", str(plan_file)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=LINE_LIMIT,
        )
    try:
        assert process.stdout is not None
        async for line in process.stdout:
            tally.take(json.loads(line))
            changed()
        if await process.wait() != 0:
            raise _ended("lienthong-agency simulate", process.returncode, log)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def program(name: str) -> str:
    """The path of a command that was installed with this Python. Raises Problem if it is not there."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise Problem(
            f"{path} does not exist",
            "the project's commands beside the Python that runs this one",
            "Install the project again: `make install`.",
        )
    return str(path)


def _ended(name: str, code: int | None, log: Path) -> Problem:
    return Problem(
        f"{name} ended with exit code {code} during the demonstration",
        "that it runs to the end",
        f"Read its log: {log}",
        exit_code=1,
    )

"""Run a plan: open all offices, send what is planned when it is due, end with an inventory of every database."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from adapters.agency import DATABASE, Agency
from adapters.identity import Signer, load_signer
from adapters.judge import Trust, load_trust
from adapters.pace import Pace
from adapters.settings import AgencySettings
from adapters.simulate.office import Office
from adapters.simulate.plan import Plan
from schemas.problem import Problem
from schemas.times import rfc3339

log = logging.getLogger("lienthong.adapters")

# Offices that connect at the same time: RabbitMQ accepts connections one after the other anyway.
CONNECTING = 16
CONNECT_WITHIN_SECONDS = 120.0
THREADS = 2
# Seconds after which a busy thread lets another one run: with so many small jobs the usual 5 ms add up.
SWITCH_SECONDS = 0.0005
# Nothing but this process writes into the offices' databases, and a moment's statuses make fewer messages if gathered.
PACE = Pace(poll_seconds=5.0, gather_seconds=0.15, linger_seconds=0.03, batch=400, prefetch=400)


class Narrator:
    """Writes the lines, and knows when something has last happened."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._lines: list[bytes] = []
        self.last = time.monotonic()

    def say(self, event: str, office: str | None = None, **more: Any) -> None:
        """One line; everything but the inventory counts as something happening."""
        head: dict[str, Any] = {"event": event, "at": rfc3339(datetime.now(UTC))}
        if office is not None:
            head["office"] = office
        self.last = time.monotonic()
        self._lines.append(orjson.dumps({**head, **more}))

    def flush(self) -> None:
        """Let whoever reads along see the lines so far."""
        if self._lines:
            self._output.write(b"\n".join((*self._lines, b"")))
            self._lines.clear()
        self._output.flush()


async def run(plan: Plan, output: BinaryIO | None = None) -> None:
    """Follow the plan to its end. Raises Problem if an office cannot be opened or connected."""
    narrator = Narrator(output or sys.stdout.buffer)
    started = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    sys.setswitchinterval(SWITCH_SECONDS)
    executor = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="offices")
    try:
        async with _open_offices(plan, narrator, executor) as offices:
            narrator.say("ready", offices=len(offices))
            narrator.flush()
            why = await _live(plan, offices, narrator, stop)
        for settings in plan.offices:
            narrator.say("inventory", settings.code, **await asyncio.to_thread(inventory, settings))
            narrator.flush()
        narrator.say("finished", seconds=round(time.monotonic() - started, 3), why=why)
    finally:
        executor.shutdown()
        narrator.flush()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _open_offices(
    plan: Plan, narrator: Narrator, executor: ThreadPoolExecutor
) -> AsyncIterator[dict[str, Office]]:
    trusts: dict[tuple[Path, Path, str], Trust] = {}
    few = asyncio.Semaphore(CONNECTING)
    opened: list[Agency] = []

    async def open_one(settings: AgencySettings) -> Office:
        key = (settings.roots, settings.broker_certificate_file, settings.broker_code)
        if key not in trusts:
            trusts[key] = load_trust(settings)
        agency = Agency(settings, executor=executor, pace=PACE, trust=trusts[key])
        office = Office(agency, plan.answers, seed=plan.seed, say=narrator.say)
        agency.on_taken_in = office.taken_in
        async with few:
            await agency.__aenter__()
            opened.append(agency)
            await agency.wait_connected(CONNECT_WITHIN_SECONDS)
        return office

    try:
        async with asyncio.TaskGroup() as opening:
            tasks = [opening.create_task(open_one(settings)) for settings in plan.offices]
        yield {task.result().code: task.result() for task in tasks}
    finally:
        await asyncio.gather(*(agency.__aexit__(None, None, None) for agency in opened))


async def _live(plan: Plan, offices: dict[str, Office], narrator: Narrator, stop: asyncio.Event) -> str:
    """Clerks work and submissions go out until it is quiet or we are told to end; returns why it ended."""
    signers = await asyncio.to_thread(_signers, plan)
    clerks = [asyncio.create_task(office.work()) for office in offices.values()]
    sending = asyncio.create_task(_send_all(plan, offices, signers, narrator))
    stopping = asyncio.create_task(stop.wait())
    quiet = asyncio.create_task(_until_quiet(plan, sending, narrator))
    try:
        done, _ = await asyncio.wait({stopping, quiet, *clerks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        if quiet in done:
            for office in offices.values():
                await office.agency.flushed(timeout=10)
        return "told to end" if stopping in done else "quiet"
    finally:
        every = [*clerks, sending, stopping, quiet]
        for task in every:
            task.cancel()
        await asyncio.gather(*every, return_exceptions=True)


async def _until_quiet(plan: Plan, sending: asyncio.Task[None], narrator: Narrator) -> None:
    while True:
        narrator.flush()
        await asyncio.sleep(0.1)
        if sending.done():
            sending.result()
            idle = time.monotonic() - narrator.last
            if plan.quiet_seconds is not None and idle >= plan.quiet_seconds:
                return


async def _send_all(plan: Plan, offices: dict[str, Office], signers: dict[str, Signer], narrator: Narrator) -> None:
    start = time.monotonic()
    async with asyncio.TaskGroup() as sending:
        for planned in plan.submissions:
            wait = start + planned.at - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            sending.create_task(offices[planned.via].submit(planned, signers))
    narrator.last = time.monotonic()


def _signers(plan: Plan) -> dict[str, Signer]:
    """Keys by code, for the submissions that are signed with another agency's key."""
    wanted = {one.signer for one in plan.submissions if one.signer is not None}
    found: dict[str, Signer] = {}
    for settings in plan.offices:
        found[settings.code] = load_signer(settings.code, settings.key_file, settings.certificate_file)
        for served in settings.served:
            if served.code in wanted and served.key_file is not None and served.certificate_file is not None:
                found[served.code] = load_signer(served.code, served.key_file, served.certificate_file)
    if unknown := sorted(wanted - found.keys()):
        raise Problem(
            found=f"a submission signed by {', '.join(unknown)}",
            expected="an office of the plan, or one that an office serves with a key",
            remedy="Add it to the plan's offices, or name another signer.",
        )
    return found


def inventory(settings: AgencySettings) -> dict[str, Any]:
    """What an office's database holds: one row for each (from, id, recipient), and everything that it sent."""
    with contextlib.closing(sqlite3.connect(settings.data_dir / DATABASE)) as connection:
        inbox = [
            {"from": sender, "id": id, "digest": digest, "recipient": recipient, "state": state, "copies": copies}
            for sender, id, digest, recipient, state, copies in connection.execute(
                "SELECT i.sender, i.id, d.digest, i.recipient, i.state, i.copies"
                " FROM inbox i JOIN document d ON d.no = i.document_no ORDER BY i.no"
            )
        ]
        outbox = [
            {"from": speaker, "id": id, "digest": digest, "state": state, "code": _error(answer)}
            for speaker, id, digest, state, answer in connection.execute(
                "SELECT speaker, id, digest, state, answer FROM outbox WHERE kind = 'document' ORDER BY no"
            )
        ]
        (unsent,) = connection.execute(
            "SELECT (SELECT count(*) FROM outbox WHERE state = 'due') + (SELECT count(*) FROM status_due)"
        ).fetchone()
        aside = dict(connection.execute("SELECT code, sum(times) FROM aside GROUP BY code").fetchall())
    return {"inbox": inbox, "outbox": outbox, "unsent": unsent, "aside": aside}


def _error(answer: str | None) -> str | None:
    return None if answer is None else orjson.loads(answer).get("error")

"""Every row of design §4's table of crash points: died exactly there, finished by somebody else, with one effect."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any
from uuid import UUID

import pytest

from broker import keeper
from schemas.wire import INTAKE_NORMAL, STATUS
from tests.conftest import Vhost
from tests.faults import dying_offices
from tests.faults.dying_worker import Point
from tests.faults.ends import memory
from tests.faults.offices import letters, settle
from tests.faults.running import Exchange as Programs
from tests.faults.running import tail
from tests.kit.exchange import End, Exchange, Letter, running_exchange
from tests.kit.installation import Installation
from tests.kit.stacks import end_of
from tests.kit.statuses import item, status

DYING_WORKER = Path(__file__).with_name("dying_worker.py")
DYING_OFFICES = Path(__file__).with_name("dying_offices.py")
PATIENCE = 60.0


def finishers(*, of_keeper: Sequence[pytest.MarkDecorator] = ()) -> list[Any]:
    """Every point with everybody who may find it; before the commit nothing was decided that a keeper could know of."""
    return [
        pytest.param(point, by, id=f"{point.value}-finished-by-{by}", marks=of_keeper if by == "keeper" else ())
        for point in Point
        for by in ("worker", "keeper")
        if (point, by) != (Point.BEFORE_COMMIT, "keeper")
    ]


@pytest.fixture
async def exchange(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    """An exchange whose worker is not running."""
    async with running_exchange(vhost, migrated_database, tmp_path, workers=0, keeper_unfinished_seconds=0.1) as it:
        yield it


async def a_worker_dies(exchange: Exchange, point: Point, kind: str) -> None:
    """Run a worker that dies at `point`, and wait until the server has taken back what it held."""
    queue = INTAKE_NORMAL if kind == "document" else STATUS
    held = await exchange.depth(queue)
    settings = exchange.settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")} | {
        "LIENTHONG_AMQP_URL": settings.amqp_url,
        "LIENTHONG_MANAGEMENT_URL": settings.management_url,
        "LIENTHONG_DATABASE_URL": settings.database_url,
        "LIENTHONG_HOME": str(settings.home),
        "LIENTHONG_BATCH_LINGER_MS": "500",  # everything that waits comes in one batch, however slow the machine
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(DYING_WORKER), point.value, kind),
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await end_of(process, within=PATIENCE)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    async with asyncio.timeout(PATIENCE):
        while await exchange.depth(queue) < held:
            await asyncio.sleep(0.02)


async def workers_empty(exchange: Exchange, queue: str) -> None:
    """Run a fresh worker until nothing is left in the queue, and let it finish what it has taken."""
    async with asyncio.timeout(PATIENCE):
        while await exchange.depth(queue):
            await exchange.start_worker()
            while await exchange.depth(queue):
                await asyncio.sleep(0.02)
            await exchange.stop_workers()


@asynccontextmanager
async def a_keeper(exchange: Exchange) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with keeper.opened(exchange.settings) as rounds:
        running = asyncio.create_task(rounds.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running


async def finish(exchange: Exchange, by: str, queue: str) -> None:
    """Let `by` send what the dead worker owed; a fresh worker then sees everything that is delivered once more.

    A worker completes what it is given again. The first answer to a sender is none of that: the sender gets one anew,
    and the keeper sends the first one later.
    """
    if by == "keeper":
        async with a_keeper(exchange):
            await exchange.all_published()
    await workers_empty(exchange, queue)
    assert await exchange.value("SELECT count(*) FROM outgoing WHERE published_at IS NULL AND kind <> 'notice'") == 0
    async with a_keeper(exchange):
        await exchange.all_published()


async def effects(exchange: Exchange) -> dict[str, int]:
    """What the exchange has on record."""
    row = await exchange.pool.fetchrow(
        "SELECT (SELECT count(*) FROM document) AS documents, (SELECT count(*) FROM delivery) AS deliveries,"
        " (SELECT count(*) FROM event WHERE kind = 'accepted') AS acceptances,"
        " (SELECT count(*) FROM status_message) AS messages, (SELECT count(*) FROM status_entry) AS facts,"
        " (SELECT count(*) FROM outgoing WHERE published_at IS NULL) AS unpublished"
    )
    assert row is not None
    return dict(row)


async def copies(exchange: Exchange, end: End, kind: str) -> Counter[UUID]:
    """How often each message of a kind came into a mailbox."""
    box = await exchange.all_at(end)
    return Counter(UUID(str(one.manifest.id)) for one in box.received if one.manifest.kind == kind)


# ── Documents ────────────────────────────────────────────────────────────────────────────────────────────────────────
DOCUMENTS = 3
PUBLISHES = 2 * DOCUMENTS + 1
"""One to the agencies with a mailbox, one to the hub, for each document; and one notice for all."""
COMMITTED = {"documents": DOCUMENTS, "deliveries": 3 * DOCUMENTS, "acceptances": DOCUMENTS}


@pytest.mark.parametrize(("point", "by"), finishers())
async def test_a_document_has_one_effect_wherever_its_worker_died(exchange: Exchange, point: Point, by: str) -> None:
    sender, plain = await exchange.add("G01"), await exchange.add("H01", "province")
    hub = await exchange.add("W00", "hub")
    communes = [await exchange.add(f"H01.{n}", "commune", has_mailbox=False, hub=hub) for n in (1, 2)]
    sent = [exchange.letter(sender, [plain, *communes]) for _ in range(DOCUMENTS)]
    for letter in sent:
        await exchange.send(letter, sender)

    await a_worker_dies(exchange, point, "document")
    found = await effects(exchange)
    if point is Point.BEFORE_COMMIT:
        assert not any(found.values()), "nothing is decided before the commit"
    else:
        assert found | COMMITTED == found
        owed = 0 if point is Point.BEFORE_ACKNOWLEDGEMENT else PUBLISHES
        assert found["unpublished"] == owed, "what was confirmed counts only when that is recorded"

    await finish(exchange, by, INTAKE_NORMAL)
    assert await effects(exchange) == COMMITTED | {"messages": 0, "facts": 0, "unpublished": 0}
    assert await exchange.value("SELECT count(*) FROM delivery WHERE dispatched_at IS NULL") == 0
    assert await exchange.value("SELECT count(*) FROM rejection") == 0

    came = [await copies(exchange, end, "document") for end in (plain, hub)]
    assert [set(each) for each in came] == [{letter.id for letter in sent}] * 2, "lost"
    total = sum(sum(each.values()) for each in came)
    doubled = {Point.BETWEEN_CONFIRMS: 1, Point.BEFORE_RECORDING: 2 * DOCUMENTS}.get(point, 0)
    assert total == 2 * DOCUMENTS + doubled, "published once more only what was confirmed and not recorded"

    box = await exchange.all_at(sender)
    answers = {
        (str(one.manifest.id), getattr(i.concerns, "digest", None))
        for one in box.received
        if one.manifest.kind == "notice"
        for i in one.manifest.items
        if i.event == "accepted"
    }
    told = Counter(digest for _, digest in answers)
    times = 1 if point is Point.BEFORE_COMMIT else 2  # for the second delivery of the same bytes, contract §5
    assert told == {letter.digest: times for letter in sent}


# ── Statuses ─────────────────────────────────────────────────────────────────────────────────────────────────────────
SPEAKERS = 2


@pytest.mark.parametrize(("point", "by"), finishers(of_keeper=[pytest.mark.long]))
async def test_a_status_has_one_effect_wherever_its_worker_died(exchange: Exchange, point: Point, by: str) -> None:
    sender = await exchange.add("G01")
    speakers = [await exchange.add(f"H0{n}", "province") for n in range(SPEAKERS)]
    letter = await _delivered(exchange, sender, speakers)
    spoken = [status(exchange, speaker, item(letter, "01"), item(letter, "03", 1)) for speaker in speakers]
    for speaker, message in zip(speakers, spoken, strict=True):
        await exchange.submit(message.body, speaker, kind="status")

    await a_worker_dies(exchange, point, "status")
    found = await effects(exchange)
    committed = 0 if point is Point.BEFORE_COMMIT else 1
    owed = 0 if point is Point.BEFORE_ACKNOWLEDGEMENT else SPEAKERS * committed
    assert (found["messages"], found["facts"]) == (SPEAKERS * committed, 2 * SPEAKERS * committed)
    assert found["unpublished"] == owed

    await finish(exchange, by, STATUS)
    found = await effects(exchange)
    assert (found["messages"], found["facts"], found["unpublished"]) == (SPEAKERS, 2 * SPEAKERS, 0)
    states = await exchange.pool.fetch("SELECT processing, arrived_at IS NOT NULL AS arrived FROM delivery")
    assert [tuple(row) for row in states] == [("received", True)] * SPEAKERS

    came = await copies(exchange, sender, "status")
    assert set(came) == {message.id for message in spoken}, "lost"
    doubled = {Point.BETWEEN_CONFIRMS: 1, Point.BEFORE_RECORDING: SPEAKERS}.get(point, 0)
    assert sum(came.values()) == SPEAKERS + doubled


async def _delivered(exchange: Exchange, sender: End, recipients: list[End]) -> Letter:
    """A document that has reached its recipients."""
    letter = exchange.letter(sender, recipients)
    await exchange.send(letter, sender)
    await exchange.start_worker()
    for recipient in recipients:
        await exchange.document_at(recipient, letter)
    await exchange.all_published()
    await exchange.stop_workers()
    return letter


# ── Recipients ───────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("point", list(dying_offices.Point))
async def test_a_document_is_stored_once_although_its_recipient_died_while_storing(
    installation: Installation, point: dying_offices.Point
) -> None:
    offices = await settle(installation)
    everything = letters(offices, number=20, seconds=0, seed=7)
    sent = [one for one in everything if offices.all[one.via].half == 0]
    other_half = [office.code for office in offices.connected() if office.half == 1]
    programs = Programs(installation, offices, sent, seed=7)
    try:
        programs.run_workers(1)
        programs.run_offices([0])
        dispatched = "SELECT count(*) = $1 FROM document d WHERE NOT EXISTS (SELECT FROM delivery v"
        await programs.record.until(
            f"{dispatched} WHERE v.document_id = d.document_id AND v.dispatched_at IS NULL)", len(sent)
        )

        plan = str(offices.write_plan(1, sent))
        died = installation.run(sys.executable, str(DYING_OFFICES), point.value, plan, name="offices-dying")
        with suppress(TimeoutExpired):
            await asyncio.to_thread(died.process.wait, PATIENCE)
        died.process.send_signal(signal.SIGUSR1)  # if it lives, it says where it stands
        assert await asyncio.to_thread(died.process.wait, PATIENCE) == -signal.SIGKILL, tail(died.log)
        before = memory(offices, other_half)
        if point is dying_offices.Point.BEFORE_COMMIT:
            assert not before.inbox and not before.reported, "half a transaction"
        else:
            assert before.inbox and before.reported, "the signed 01 is stored with its document"

        programs.run_keepers(1)
        programs.run_offices([1])
        await programs.come_to_rest()
        await programs.check()
        after = memory(offices, other_half)
        again = after.copies - sum(after.inbox.values())
        assert again >= sum(before.inbox.values()), "what was stored and not acknowledged comes again, and is dropped"
    finally:
        await programs.close()

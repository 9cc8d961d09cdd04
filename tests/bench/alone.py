"""What has no rival to be compared with: statuses a second, and how long a document takes from desk to desk."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import aiormq
import asyncpg
from aiormq.abc import DeliveredMessage

from broker.amqp.connection import Link
from broker.amqp.publishing import Publisher
from schemas.wire import LT_ID, STATUS, document_key, mailbox, status_key
from tests.bench.contenders import LIENTHONG, Contender, running
from tests.bench.country import COPIES, SignedDocument, sign_arrivals
from tests.bench.ground import Ground, Registry, fresh_ground, submission
from tests.bench.throughput import Progress, wait_until_recorded, watch

ITEMS_TOGETHER = 100
"""Statuses under one signature, where a busy office gathers them."""
WARM_UP = 1.0
"""Seconds of paced documents that are not counted: first statements, first pages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusRun:
    """How fast signed 01s are judged, recorded and forwarded."""

    items_per_message: int
    statuses: int
    rate: float
    """Statuses a second, from the first being recorded to the last."""
    peak_mib: float
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyRun:
    """Milliseconds from the confirm that a sender gets to the copy in a recipient's hands."""

    rate: float
    copies: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    faults: tuple[str, ...]


async def measure_statuses(
    registry: Registry, documents: Sequence[SignedDocument], folder: Path, progress: Progress
) -> list[StatusRun]:
    """Let all recipients say that everything has arrived: one half item by item, the other a hundred at a time."""
    half = len(documents) // 2
    async with fresh_ground(registry) as ground:
        progress("statuses: delivering documents first", 0, len(documents))
        await ground.load_documents(documents)
        async with running(LIENTHONG, ground, folder) as contender:
            await watch(ground, contender, COPIES * len(documents), progress)
            await wait_until_recorded(ground)
        return [
            await _statuses(ground, documents[:half], 1, folder, progress),
            await _statuses(ground, documents[half:], ITEMS_TOGETHER, folder, progress),
        ]


async def _statuses(
    ground: Ground, documents: Sequence[SignedDocument], items: int, folder: Path, progress: Progress
) -> StatusRun:
    theirs: dict[str, list[SignedDocument]] = defaultdict(list)
    for one in documents:
        for code in one.to:
            theirs[code].append(one)
    messages = {
        code: [
            submission(status_key(code), "status", body) for body in sign_arrivals(signer, theirs[code], items=items)
        ]
        for code, signer in ground.registry.signers.items()
        if theirs[code]
    }
    await ground.load(messages)
    total = COPIES * len(documents)
    senders = [office.code for office in ground.registry.country.senders]
    before = sum((await ground.depths(senders)).values())
    connection = await asyncpg.connect(ground.settings.database_url)
    recorded_before = await connection.fetchval("SELECT count(*) FROM status_entry")
    try:
        async with running(LIENTHONG, ground, folder) as contender:
            first, last = await _watch_entries(connection, contender, recorded_before, total, items, progress)
            await wait_until_recorded(ground)
            spent = contender.spent()
    finally:
        await connection.close()
    faults = []
    if left := await ground.depth(STATUS):
        faults.append(f"{left} messages in {STATUS}")
    forwarded = sum((await ground.depths(senders)).values()) - before
    sent = sum(len(of_one) for of_one in messages.values())
    if forwarded != sent:
        faults.append(f"{forwarded} status messages were forwarded, {sent} sent")
    return StatusRun(
        items_per_message=items,
        statuses=total,
        rate=(last[1] - first[1]) / (last[0] - first[0]),
        peak_mib=spent.peak_mib,
        faults=tuple(faults),
    )


async def _watch_entries(
    connection: asyncpg.Connection[asyncpg.Record],
    contender: Contender,
    before: int,
    total: int,
    items: int,
    progress: Progress,
) -> tuple[tuple[float, int], tuple[float, int]]:
    """(moment, recorded statuses) when the first were seen, and when all were."""
    first: tuple[float, int] | None = None
    deadline = perf_counter() + 300
    while True:
        recorded = await connection.fetchval("SELECT count(*) FROM status_entry") - before
        now = perf_counter()
        progress(f"statuses, {items} a message", recorded, total)
        if first is None and recorded:
            first = (now, recorded)
        if first is not None and recorded >= total:
            return first, (now, recorded)
        contender.check()
        if now > deadline:
            raise TimeoutError(f"{recorded} of {total} statuses were recorded")
        await asyncio.sleep(0.05)


async def measure_latency(
    registry: Registry,
    documents: Sequence[SignedDocument],
    folder: Path,
    progress: Progress,
    *,
    rate: float,
) -> LatencyRun:
    """Submit documents one by one, `rate` a second, to a worker that has nothing else to do."""
    async with fresh_ground(registry) as ground, running(LIENTHONG, ground, folder) as contender:
        paced = _Paced(ground, documents)
        await paced.run(rate, progress)
        contender.check()
        waits = paced.waits(skip=int(WARM_UP * rate))
    faults = () if paced.complete else (f"{paced.missing} copies did not come",)
    ordered = sorted(waits)
    return LatencyRun(
        rate=rate,
        copies=len(ordered),
        p50_ms=_percentile(ordered, 0.50) * 1000,
        p99_ms=_percentile(ordered, 0.99) * 1000,
        worst_ms=ordered[-1] * 1000,
        faults=faults,
    )


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class _Paced:
    """Sends by the clock and notes when each copy is in hand."""

    def __init__(self, ground: Ground, documents: Sequence[SignedDocument]) -> None:
        self._ground = ground
        self._documents = documents
        self._confirmed: dict[str, float] = {}
        self._came: dict[str, list[float]] = defaultdict(list)
        self._copies = 0
        self._all = asyncio.Event()

    @property
    def missing(self) -> int:
        return COPIES * len(self._documents) - self._copies

    @property
    def complete(self) -> bool:
        return self.missing == 0

    def waits(self, *, skip: int) -> list[float]:
        """Seconds from confirm to copy, without the first `skip` documents. A copy may come before the confirm."""
        return [
            max(0.0, came - self._confirmed[one.id]) for one in self._documents[skip:] for came in self._came[one.id]
        ]

    async def run(self, rate: float, progress: Progress) -> None:
        reading = await aiormq.connect(self._ground.settings.amqp_url)
        channel = await reading.channel(publisher_confirms=False)
        await channel.basic_qos(prefetch_count=500)
        for office in self._ground.registry.country.recipients:
            await channel.basic_consume(mailbox(office.code), self._take, no_ack=True)
        senders = self._ground.registry.country.senders
        async with asyncio.TaskGroup() as tasks:
            links = {one.code: await Link(self._ground.url_of(one), name="bench paces").open() for one in senders}
            publishers = {code: Publisher(link, lanes=1) for code, link in links.items()}
            loop = asyncio.get_running_loop()
            begin = loop.time() + 0.5
            for number, one in enumerate(self._documents):
                await asyncio.sleep(max(0.0, begin + number / rate - loop.time()))
                tasks.create_task(self._send(publishers[one.sender], one))
                progress(f"latency at {rate:g} a second", number + 1, len(self._documents))
        try:
            async with asyncio.timeout(30):
                await self._all.wait()
        except TimeoutError:
            pass  # told by `missing`
        for code, publisher in publishers.items():
            await publisher.close()
            await links[code].close()
        await reading.close()

    async def _send(self, publisher: Publisher, one: SignedDocument) -> None:
        outcome = await publisher.publish(submission(document_key(one.sender, False), "document", one.body))
        if not outcome.confirmed:
            raise RuntimeError(f"a document could not be submitted: {outcome}")
        self._confirmed[one.id] = perf_counter()

    async def _take(self, message: DeliveredMessage) -> None:
        headers = message.header.properties.headers or {}
        self._came[str(headers[LT_ID])].append(perf_counter())
        self._copies += 1
        if self.complete:
            self._all.set()

"""The worker: wires intake, dispatch and statuses to RabbitMQ and PostgreSQL, and decides nothing.

Three lanes, each with its own reader and its own bound on batches in progress, so that urgent documents never wait for
ordinary ones and neither waits for statuses. Inside a lane batches overlap: while one waits for its confirms the next
is checked and stored. Stateless: as many workers as wanted, on any number of machines.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

import asyncpg
import structlog

from broker.amqp.connection import Link
from broker.amqp.publishing import Publisher
from broker.amqp.reading import Batch, BatchReader
from broker.content.opening import open_content
from broker.directory.live import LiveDirectory
from broker.dispatch.dispatcher import Dispatcher
from broker.identity import BrokerIdentity
from broker.intake.acceptance import IntakeRules
from broker.intake.aside import Aside
from broker.intake.checks import TimeLimits
from broker.intake.reception import Reception
from broker.settings import Settings
from broker.statuses.processor import StatusProcessor
from broker.store.pool import open_pool
from schemas.jws import MAX_MESSAGE
from schemas.wire import INTAKE_NORMAL, INTAKE_URGENT, STATUS

CONCURRENCY: Final = 3
"""Batches in progress in each of the two big lanes: one checked, one stored, one waiting for its confirms."""
URGENT_CONCURRENCY: Final = 2
"""Batches in progress in the urgent lane."""
PLANNER: Final = {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}
"""A worker only ever asks for rows by their keys. Its statements are planned once, often while tables are still small,
and must not go on reading whole tables when those have grown."""
COLLECTOR_THRESHOLDS: Final = (50_000, 20, 20)
"""How many more objects than before must exist until the garbage collector looks at the youngest, and so on."""
STOP_GRACE: Final = 20.0
"""Seconds that batches in progress get to finish when the worker is asked to stop; who keeps it running waits 30."""
LAST_WORDS: Final = 1.0
"""Seconds for what remains to be done of a batch after its messages are acknowledged."""

log = structlog.get_logger(__name__)


class Processor(Protocol):
    """Whoever takes the batches of one lane."""

    def process(self, batch: Batch) -> Awaitable[object]:
        """Take every message to its end, then acknowledge the batch. MUST NOT acknowledge before what it decided is
        committed; raises only for faults of its own."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One queue, and how many of its batches may be in progress."""

    queue: str
    reader: BatchReader
    processor: Processor
    concurrency: int
    in_progress: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Process batches until the reader is stopped and every batch in progress has ended.

        A fault in processing ends the lane with its exception: what was in progress is delivered again.
        """
        room = asyncio.Semaphore(self.concurrency)
        async with asyncio.TaskGroup() as tasks:
            await room.acquire()
            async for batch in self.reader:
                task = tasks.create_task(self._process(batch, room))
                self.in_progress.add(task)
                task.add_done_callback(self.in_progress.discard)
                await room.acquire()

    async def stop(self, *, grace: float) -> None:
        """Take no more batches. One that is not done within `grace` seconds, as when the database is away, is broken
        off: it is delivered again."""
        await self.reader.stop(grace=grace)
        if self.in_progress:
            _, late = await asyncio.wait(self.in_progress, timeout=LAST_WORDS)
            for task in late:
                task.cancel()

    async def _process(self, batch: Batch, room: asyncio.Semaphore) -> None:
        started = asyncio.get_running_loop().time()
        try:
            done = await self.processor.process(batch)
        finally:
            room.release()
        seconds = asyncio.get_running_loop().time() - started
        log.debug("batch done", queue=self.queue, messages=len(batch), seconds=round(seconds, 4), done=str(done))


class Worker:
    """A running worker. Use `running`, or `serve` for a whole process."""

    def __init__(self, lanes: Sequence[Lane], *, directory: LiveDirectory) -> None:
        self.lanes = tuple(lanes)
        self.directory = directory

    async def run(self) -> None:
        """Process until `stop`. When a lane fails, the others are broken off too, and its fault is raised."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane in self.lanes:
                    tasks.create_task(lane.run(), name=f"lane {lane.queue}")
        except BaseException:
            # What was in progress is unfinished for good: RabbitMQ delivers it again when the connection is closed.
            await self.stop(grace=0)
            raise

    async def stop(self, *, grace: float = STOP_GRACE) -> None:
        """Take no more batches, finish and acknowledge those in progress within `grace` seconds. Safe to call twice."""
        await asyncio.gather(*(lane.stop(grace=grace) for lane in self.lanes))


def rules_of(settings: Settings) -> IntakeRules:
    """The configurable numbers of acceptance, from the settings."""
    return IntakeRules(
        times=TimeLimits(
            past=timedelta(days=settings.sent_at_past_days), ahead=timedelta(minutes=settings.sent_at_ahead_minutes)
        ),
        arrival_urgent=timedelta(minutes=settings.arrival_within_urgent_minutes),
        arrival_normal=timedelta(minutes=settings.arrival_within_normal_minutes),
        log_promise=timedelta(seconds=settings.log_promise_seconds),
        max_attempts=settings.max_attempts,
    )


@asynccontextmanager
async def opened(settings: Settings, *, concurrency: int = CONCURRENCY) -> AsyncIterator[Worker]:
    """A worker with its connections open; they are closed at the end of the block.

    `concurrency` is the number of batches in progress in the normal lane and in the status lane, each.
    Raises Problem if a key, a server or the database is not there.
    """
    identity = BrokerIdentity.load(settings)
    rules = rules_of(settings)
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, size=2 * concurrency + URGENT_CONCURRENCY + 2)
        reading = await stack.enter_async_context(Link(settings.amqp_url, name=_name("reads")))
        writing = await stack.enter_async_context(Link(settings.amqp_url, name=_name("publishes")))
        publisher = await stack.enter_async_context(Publisher(writing))
        directory = await LiveDirectory.open(pool)
        stack.push_async_callback(directory.close)
        executor = stack.enter_context(
            ThreadPoolExecutor(max_workers=settings.verify_threads, thread_name_prefix="verify")
        )
        dispatcher = Dispatcher(publisher, pool, identity, executor=executor)
        aside = Aside(
            publisher=publisher,
            dispatcher=dispatcher,
            pool=pool,
            directory=directory,
            identity=identity,
            broker_user=writing.user,
            max_attempts=rules.max_attempts,
        )
        reception = Reception(
            pool=pool,
            directory=directory,
            identity=identity,
            dispatcher=dispatcher,
            store=open_content(settings),
            rules=rules,
            aside=aside,
            executor=executor,
            threads=settings.verify_threads,
            unfinished_after=timedelta(seconds=settings.outgoing_grace_seconds),
        )
        statuses = StatusProcessor(
            pool=pool,
            directory=directory,
            identity=identity,
            dispatcher=dispatcher,
            rules=rules,
            aside=aside,
            executor=executor,
            threads=settings.verify_threads,
            unfinished_after=timedelta(seconds=settings.outgoing_grace_seconds),
        )

        def lane(queue: str, processor: Processor, batches: int) -> Lane:
            reader = BatchReader(
                reading,
                queue,
                prefetch=settings.prefetch,
                max_count=settings.batch_count,
                max_bytes=settings.batch_bytes,
                linger=settings.batch_linger_ms / 1000,
                body_limit=MAX_MESSAGE,
            )
            return Lane(queue=queue, reader=reader, processor=processor, concurrency=batches)

        yield Worker(
            (
                lane(INTAKE_URGENT, reception, URGENT_CONCURRENCY),
                lane(INTAKE_NORMAL, reception, concurrency),
                lane(STATUS, statuses, concurrency),
            ),
            directory=directory,
        )


async def serve(
    settings: Settings, *, concurrency: int = CONCURRENCY, ready: Callable[[], None] = lambda: None
) -> None:
    """Run a worker until SIGTERM or SIGINT; then finish and acknowledge what is in progress. Raises as `opened`."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    try:
        async with opened(settings, concurrency=concurrency) as worker:
            running = asyncio.create_task(worker.run(), name="worker")
            asked = asyncio.create_task(stopping.wait(), name="stop asked")
            _calm_the_collector()
            log.info("worker ready", queues=[lane.queue for lane in worker.lanes], concurrency=concurrency)
            ready()
            await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                log.info("worker stopping")
                await worker.stop()
            asked.cancel()
            await running
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)
    log.info("worker stopped")


def _calm_the_collector() -> None:
    """Look for reference cycles less often: a batch makes tens of thousands of objects, and next to no cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


async def _pool(stack: AsyncExitStack, settings: Settings, *, size: int) -> asyncpg.Pool[asyncpg.Record]:
    pool = await open_pool(settings, size=size, session=PLANNER)
    stack.push_async_callback(pool.close)
    return pool


def _name(what: str) -> str:
    return f"lienthong worker {os.getpid()} {what}"

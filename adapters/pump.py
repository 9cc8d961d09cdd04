"""The background pump: mailbox → inbox and outbox → exchange, for as long as the agency is open.

It opens connections again with back-off, moves batches, and wakes whoever waits; it never waits for the code in the
block. What counts is in the database: the pump may be killed at any line and starts again from there.
Order everywhere: commit, then acknowledge; publish, confirm, then record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from adapters import compose, inbox, outbox
from adapters.amqp import Arrival, Lost, NotTaken, Publish, Session
from adapters.content import ContentMissing, ContentStore, PartFiles
from adapters.identity import Keyring
from adapters.inbox import Incoming, Office, TakenIn
from adapters.judge import Believed, Trust, Unbelieved, judge
from adapters.outbox import Due, Result
from adapters.settings import AgencySettings
from adapters.store import Store
from schemas import wire
from schemas.problem import Problem

log = logging.getLogger("lienthong.adapters")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How much the pump does at once; the defaults suit one office, the simulation changes a few."""

    # Messages that the exchange may hand over without an acknowledgement.
    prefetch: int = 200
    # Messages stored in one transaction, and how long to wait for more of them.
    batch: int = 200
    linger_seconds: float = 0.01
    # Publishes in flight.
    window: int = 64
    # How long statuses are gathered before they are signed.
    gather_seconds: float = 0.05
    # Another process may write into the same database; it cannot wake this one.
    poll_seconds: float = 0.5
    # Waiting between two attempts to connect.
    first_reconnect_seconds: float = 0.2
    last_reconnect_seconds: float = 15.0
    # Larger parts fetched at the same time.
    fetches: int = 4
    # Waiting for parts that are not there yet, doubled each time.
    first_fetch_again_seconds: float = 2.0
    last_fetch_again_seconds: float = 600.0


class Signal:
    """Something has happened; whoever waits looks into the database. Never loses a wake-up between two looks."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._version = 0

    @property
    def version(self) -> int:
        return self._version

    def set(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seen: int, timeout: float | None) -> None:
        """Return when the version is newer than `seen`, or after `timeout` seconds."""
        if self._version != seen:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout)


@dataclass(slots=True)
class Signals:
    """What the pump tells the rest of the program."""

    # The outbox has something to send.
    to_send: Signal = field(default_factory=Signal)
    # Something of the outbox was confirmed or answered.
    outbox: Signal = field(default_factory=Signal)
    # Documents, statuses or notices have been stored.
    inbox: Signal = field(default_factory=Signal)
    # A document waits for its larger parts.
    parked: Signal = field(default_factory=Signal)
    # Whether there is a connection just now, and why not.
    connection: Signal = field(default_factory=Signal)


class Pump:
    """The tasks of one open agency."""

    def __init__(
        self,
        *,
        settings: AgencySettings,
        store: Store,
        keyring: Keyring,
        trust: Trust,
        content: ContentStore | None,
        files: PartFiles,
        executor: Executor,
        pace: Pace,
        signals: Signals,
        on_taken_in: Callable[[TakenIn], None] | None = None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._keyring = keyring
        self._trust = trust
        self._content = content
        self._files = files
        self._executor = executor
        self._pace = pace
        self._signals = signals
        self._on_taken_in = on_taken_in
        self._fetching = asyncio.Semaphore(pace.fetches)
        self._password = settings.amqp_password()
        self._documents_waiting = False
        # Why there is no connection, for whoever asks; None while there is one.
        self.trouble: Exception | None = Lost("not connected yet")
        self.connected = False

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._stay_connected())
            group.create_task(self._retry_parked())

    def wake(self, *, documents: bool) -> None:
        """Something was put into the outbox; documents are not held back to be gathered."""
        self._documents_waiting = self._documents_waiting or documents
        self._signals.to_send.set()

    def office(self) -> Office:
        """Who takes in, at this moment."""
        return Office(
            code=self._settings.code,
            codes=self._settings.codes,
            signer=self._keyring.own,
            now=datetime.now(UTC),
        )

    # ── Connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _stay_connected(self) -> None:
        wait = self._pace.first_reconnect_seconds
        while True:
            try:
                session = await Session.open(
                    self._settings.amqp_url, user=self._settings.submitter, password=self._password
                )
            except (Lost, Problem) as why:
                self._disconnected(why)
                await asyncio.sleep(wait * random.uniform(0.7, 1.3))  # noqa: S311 - spreads offices, hides nothing
                wait = min(wait * 2, self._pace.last_reconnect_seconds)
                continue
            wait = self._pace.first_reconnect_seconds
            self.connected, self.trouble = True, None
            self._signals.connection.set()
            try:
                ended = await self._work(session)
            finally:
                await session.close()
            self._disconnected(ended)

    def _disconnected(self, why: Exception) -> None:
        if self.connected or type(why) is not type(self.trouble):
            log.warning("%s: no connection to the exchange: %s", self._settings.code, why)
        self.connected, self.trouble = False, why
        self._signals.connection.set()

    async def _work(self, session: Session) -> Exception:
        """Move messages until the connection has ended; returns why."""
        tasks = [asyncio.create_task(self._send(session)), asyncio.create_task(session.ended.wait())]
        if self._settings.has_mailbox:
            tasks.append(asyncio.create_task(self._keep_reading(session)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await task  # a defect in a task is not a lost connection: it ends the pump and is seen
        except sqlite3.OperationalError as why:  # disk full, or locked for too long: nothing was acknowledged
            await asyncio.sleep(self._pace.last_reconnect_seconds)
            return why
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return Lost("the connection to the exchange ended")

    # ── Outbox → exchange ────────────────────────────────────────────────────────────────────────────────────────

    async def _send(self, session: Session) -> None:
        results: Sequence[Result] = ()
        while not session.ended.is_set():
            seen = self._signals.to_send.version
            self._documents_waiting = False
            batch, next_at = await self._store.run(self._turn(results))
            if results:
                self._signals.outbox.set()
            results = ()
            if not batch:
                timeout = self._pace.poll_seconds if next_at is None else max(next_at - time.time(), 0.0)
                await self._signals.to_send.wait(seen, min(timeout, self._pace.poll_seconds))
                if self._signals.to_send.version != seen and not self._documents_waiting:
                    await asyncio.sleep(self._pace.gather_seconds)
                continue
            window = asyncio.Semaphore(self._pace.window)
            results = await asyncio.gather(*(self._publish(session, due, window) for due in batch))
        if results:
            await self._store.run(self._recording(results))
            self._signals.outbox.set()

    def _turn(self, results: Sequence[Result]) -> Callable[..., tuple[list[Due], float | None]]:
        """One transaction of the sending loop: record what went, sign what was gathered, take what is due."""
        now = datetime.now(UTC)

        def turn(connection: sqlite3.Connection) -> tuple[list[Due], float | None]:
            self._recording(results)(connection)
            inbox.gather(connection, self._keyring.speaking_for, now=now)
            batch = outbox.due(connection, now=now.timestamp(), limit=self._pace.batch)
            return batch, None if batch else outbox.next_due_at(connection)

        return turn

    def _recording(self, results: Sequence[Result]) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: outbox.record(
            connection, results, now=time.time(), resend_after=self._settings.resend_after_seconds
        )

    async def _publish(self, session: Session, due: Due, window: asyncio.Semaphore) -> Result:
        message = Publish(
            routing_key=compose.routing_key(due.kind, user=self._settings.submitter, urgent=due.urgent),
            kind=due.kind,
            body=due.body,
            urgent=due.urgent,
            message_id=due.message_id,
        )
        trouble: str | None = None
        async with window:
            try:
                await session.publish(message)
            except (Lost, NotTaken) as why:
                trouble = str(why)
                log.warning("%s: outgoing %d goes again: %s", self._settings.code, due.no, why)
        return Result(no=due.no, kind=due.kind, attempts=due.attempts, trouble=trouble)

    # ── Mailbox → inbox ──────────────────────────────────────────────────────────────────────────────────────────

    async def _keep_reading(self, session: Session) -> None:
        """Read for as long as the connection holds; a mailbox that is missing is looked for again."""
        wait = self._pace.first_reconnect_seconds
        while not session.ended.is_set():
            arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
            try:
                await session.read(
                    wire.mailbox(self._settings.code), prefetch=self._pace.prefetch, put=arrivals.put_nowait
                )
            except Lost as why:
                log.warning("%s: %s", self._settings.code, why)
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._pace.last_reconnect_seconds)
                continue
            wait = self._pace.first_reconnect_seconds
            reading = asyncio.create_task(self._read(session, arrivals))
            unread = asyncio.create_task(session.unread.wait())
            try:
                await asyncio.wait({reading, unread}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    await reading
            finally:
                for task in (reading, unread):
                    task.cancel()
                await asyncio.gather(reading, unread, return_exceptions=True)
                await session.stop_reading()

    async def _read(self, session: Session, arrivals: asyncio.Queue[Arrival]) -> None:
        outstanding: set[int] = set()  # taken in on their own, because their parts have to be fetched
        async with asyncio.TaskGroup() as fetches:
            while True:
                batch = await self._next_batch(arrivals)
                judged = await self._in_thread(partial(_judge_all, batch, self._trust))
                at_once: list[Incoming] = []
                for arrival, incoming in zip(batch, judged, strict=True):
                    if isinstance(incoming.judged, Believed) and inbox.missing_parts(incoming.judged):
                        outstanding.add(arrival.tag)
                        fetches.create_task(self._fetch_and_ack(session, arrival, incoming, outstanding))
                    else:
                        at_once.append(incoming)
                if at_once:
                    await self._take_in(at_once)
                    tags = [arrival.tag for arrival in batch if arrival.tag not in outstanding]
                    await self._ack(session, tags, outstanding)

    async def _next_batch(self, arrivals: asyncio.Queue[Arrival]) -> list[Arrival]:
        batch = [await arrivals.get()]
        if arrivals.empty():
            await asyncio.sleep(self._pace.linger_seconds)
        while len(batch) < self._pace.batch and not arrivals.empty():
            batch.append(arrivals.get_nowait())
        return batch

    async def _take_in(self, batch: Sequence[Incoming]) -> None:
        office = self.office()
        try:
            done = await self._store.run(lambda connection: inbox.take_in(connection, batch, office))
        except sqlite3.OperationalError:
            raise
        except Exception as why:
            if len(batch) > 1:  # one message must not stop its neighbours
                for one in batch:
                    await self._take_in([one])
                return
            log.exception("%s: a message cannot be stored and is kept aside", self._settings.code)
            defect = Unbelieved(code="LT-SHAPE", why=f"cannot be stored: {why!r}")
            done = await self._store.run(
                lambda connection: inbox.take_in(connection, [replace(batch[0], judged=defect)], office)
            )
        self._tell(done)

    def _tell(self, done: TakenIn) -> None:
        if done.to_send:
            self.wake(documents=False)
        if done.answered:
            self._signals.outbox.set()
        self._signals.inbox.set()
        if self._on_taken_in is not None:
            self._on_taken_in(done)

    async def _ack(self, session: Session, tags: Sequence[int], outstanding: set[int]) -> None:
        """Acknowledge what is stored; everything up to the last tag at once, unless an earlier one is still open."""
        try:
            if not outstanding or min(outstanding) > tags[-1]:
                await session.ack(tags[-1], multiple=True)
                return
            for tag in tags:
                await session.ack(tag, multiple=False)
        except Lost as why:
            log.info("%s: stored, but not acknowledged; it will come again: %s", self._settings.code, why)

    # ── Larger parts ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _fetch_and_ack(
        self, session: Session, arrival: Arrival, incoming: Incoming, outstanding: set[int]
    ) -> None:
        await self._fetch_and_take_in(incoming, attempts=0, parked=False)
        outstanding.discard(arrival.tag)
        try:
            await session.ack(arrival.tag, multiple=False)
        except Lost as why:
            log.info("%s: stored, but not acknowledged; it will come again: %s", self._settings.code, why)

    async def _fetch_and_take_in(self, incoming: Incoming, *, attempts: int, parked: bool) -> None:
        """Fetch the parts and take the document in; if they cannot be had, keep it durably for later."""
        judged = incoming.judged
        if not isinstance(judged, Believed):
            raise AssertionError("only believed documents have parts to be fetched")
        digests = inbox.missing_parts(judged)
        try:
            async with self._fetching:
                await self._in_thread(lambda: self._fetch(digests))
        except (ContentMissing, OSError) as why:
            trouble = str(why)
            log.warning("%s: parts are not there yet: %s", self._settings.code, trouble)
            wait = min(
                self._pace.first_fetch_again_seconds * 2.0 ** min(attempts, 16), self._pace.last_fetch_again_seconds
            )
            now = time.time()
            parking = partial(inbox.park, body=incoming.body, why=trouble, now=now, next_try_at=now + wait)
            await self._store.run(parking)
            self._signals.parked.set()
            return
        whole = replace(incoming, in_files=frozenset(digests))
        office = self.office()

        def take_in(connection: sqlite3.Connection) -> TakenIn:
            if parked:
                inbox.unpark(connection, incoming.body)
            return inbox.take_in(connection, [whole], office)

        self._tell(await self._store.run(take_in))

    def _fetch(self, digests: Sequence[str]) -> None:
        if self._content is None:
            raise ContentMissing("no content store is configured: set content_dir in agency.toml")
        for sha256 in digests:
            self._files.keep(sha256, self._content.copy_to)

    async def _retry_parked(self) -> None:
        while True:
            seen = self._signals.parked.version
            due, next_at = await self._store.run(partial(inbox.parked_due, now=time.time(), limit=10))
            for body, attempts in due:
                incoming = await self._in_thread(partial(_judge, Arrival(tag=0, body=body, message_id=""), self._trust))
                if isinstance(incoming.judged, Unbelieved):
                    await self._take_in([incoming])
                    await self._store.run(partial(inbox.unpark, body=body))
                else:
                    await self._fetch_and_take_in(incoming, attempts=attempts, parked=True)
            if not due:
                await self._signals.parked.wait(seen, None if next_at is None else max(next_at - time.time(), 0.0))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _judge_all(batch: Sequence[Arrival], trust: Trust) -> list[Incoming]:
    return [_judge(one, trust) for one in batch]


def _judge(arrival: Arrival, trust: Trust) -> Incoming:
    judged: Believed | Unbelieved
    try:
        judged = judge(arrival.body, trust)
    except Exception as why:  # a defect of ours in reading it: kept whole with the reason, the mailbox goes on
        log.exception("a message cannot be read and is kept aside")
        judged = Unbelieved(code="LT-SHAPE", why=f"cannot be read: {why!r}")
    if isinstance(judged, Believed):
        false = inbox.false_content(judged)
        if false is not None:
            judged = Unbelieved(code="LT-PART-DIGEST", why=false)
    return Incoming(body=arrival.body, message_id=arrival.message_id, judged=judged)

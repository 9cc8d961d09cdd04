"""From the mailbox into the inbox: read in batches, judge in threads, store in one transaction, then acknowledge.

Documents whose larger parts have to be fetched are taken in one by one, so that they delay nobody; if the parts cannot
be had, the document is kept durably, without a 01, and tried again. Nothing here waits for the code in the block.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from adapters import aside, inbox
from adapters.amqp import Arrival, Lost, Session
from adapters.content import ContentMissing, ContentStore, PartFiles
from adapters.ending import end
from adapters.identity import Keyring
from adapters.incoming import Incoming, Office, TakenIn, false_content, missing_parts
from adapters.judge import Believed, Trust, Unbelieved, judge
from adapters.pace import Pace, Signals
from adapters.settings import AgencySettings
from adapters.store import Store
from schemas import wire

log = logging.getLogger("lienthong.adapters")

T = TypeVar("T")


class Mailbox:
    """What comes for one agency, until it is stored and acknowledged."""

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

    def office(self) -> Office:
        """Who takes in, at this moment."""
        return Office(
            code=self._settings.code,
            codes=self._settings.codes,
            signer=self._keyring.own,
            now=datetime.now(UTC),
            arrive_later=self._settings.arrive_later,
        )

    async def keep_reading(self, session: Session) -> None:
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
                if reading.done() and not reading.cancelled():  # which the library may do: then it is read anew
                    reading.result()
            finally:
                await end((reading, unread))
                await session.stop_reading()

    async def _read(self, session: Session, arrivals: asyncio.Queue[Arrival]) -> None:
        outstanding: set[int] = set()  # taken in on their own, because their parts have to be fetched
        async with asyncio.TaskGroup() as fetches:
            while True:
                batch = await self._next_batch(arrivals)
                judged = await self._in_thread(partial(_judge_all, batch, self._trust))
                at_once: list[Incoming] = []
                tags: list[int] = []
                for arrival, incoming in zip(batch, judged, strict=True):
                    if isinstance(incoming.judged, Believed) and missing_parts(incoming.judged):
                        outstanding.add(arrival.tag)
                        fetches.create_task(self._fetch_and_ack(session, arrival, incoming, outstanding))
                    else:
                        at_once.append(incoming)
                        tags.append(arrival.tag)
                if at_once:
                    await self._take_in(at_once)
                    await self._ack(session, tags, outstanding)

    async def _next_batch(self, arrivals: asyncio.Queue[Arrival]) -> list[Arrival]:
        batch = [await arrivals.get()]
        if arrivals.empty():
            await asyncio.sleep(self._pace.linger_seconds)
        while len(batch) < self._pace.batch and not arrivals.empty():
            batch.append(arrivals.get_nowait())
        return batch

    async def _take_in(self, batch: Sequence[Incoming], *, parked: bool = False) -> None:
        """Store a batch in one transaction; a message that cannot be stored must not stop its neighbours."""
        try:
            self._tell(await self._store.run(self._taking_in(batch, parked=parked)))
        except sqlite3.OperationalError:
            raise
        except Exception as why:
            if len(batch) > 1:
                for one in batch:
                    await self._take_in([one], parked=parked)
                return
            log.exception("%s: a message cannot be stored and is kept aside", self._settings.code)
            defect = replace(batch[0], judged=Unbelieved(code="LT-SHAPE", why=f"cannot be stored: {why!r}"))
            self._tell(await self._store.run(self._taking_in([defect], parked=parked)))

    def _taking_in(self, batch: Sequence[Incoming], *, parked: bool) -> Callable[[sqlite3.Connection], TakenIn]:
        office = self.office()

        def take_in(connection: sqlite3.Connection) -> TakenIn:
            for one in batch if parked else ():
                aside.unpark(connection, one.body)
            return inbox.take_in(connection, batch, office)

        return take_in

    def _tell(self, done: TakenIn) -> None:
        if done.to_send:
            self._signals.to_send.set()
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

    async def _fetch_and_ack(
        self, session: Session, arrival: Arrival, incoming: Incoming, outstanding: set[int]
    ) -> None:
        await self._fetch_and_take_in(incoming, attempts=0, parked=False)
        # It counts as outstanding until its own acknowledgement is on its way: acknowledged twice, by itself and by a
        # later one with `multiple`, RabbitMQ would close the channel.
        await self._ack(session, [arrival.tag], outstanding)
        outstanding.discard(arrival.tag)

    async def _fetch_and_take_in(self, incoming: Incoming, *, attempts: int, parked: bool) -> None:
        """Fetch the parts and take the document in; if they cannot be had, keep it durably for later."""
        judged = incoming.judged
        if not isinstance(judged, Believed):
            raise AssertionError("only believed documents have parts to be fetched")
        parts = missing_parts(judged)
        try:
            async with self._fetching:
                await asyncio.to_thread(self._fetch, parts)  # may take long: not a thread of the database's
        except (ContentMissing, OSError) as why:
            trouble = str(why)
            log.warning("%s: parts are not there yet: %s", self._settings.code, trouble)
            wait = min(
                self._pace.first_fetch_again_seconds * 2.0 ** min(attempts, 16), self._pace.last_fetch_again_seconds
            )
            now = time.time()
            parking = partial(aside.park, body=incoming.body, why=trouble, now=now, next_try_at=now + wait)
            await self._store.run(parking)
            self._signals.parked.set()
            return
        whole = replace(incoming, in_files=frozenset(parts))
        await self._take_in([whole], parked=parked)

    def _fetch(self, parts: Mapping[str, int]) -> None:
        if self._content is None:
            raise ContentMissing("no content store is configured: set content_url in agency.toml")
        for sha256, size in parts.items():
            self._files.keep(sha256, partial(self._content.copy_to, size=size))

    async def retry_parked(self) -> None:
        while True:
            seen = self._signals.parked.version
            due, next_at = await self._store.run(partial(aside.parked_due, now=time.time(), limit=10))
            for body, attempts in due:
                incoming = await self._in_thread(partial(_judge, Arrival(tag=0, body=body, message_id=""), self._trust))
                if isinstance(incoming.judged, Unbelieved):
                    await self._take_in([incoming], parked=True)
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
        false = false_content(judged)
        if false is not None:
            judged = Unbelieved(code="LT-PART-DIGEST", why=false)
    return Incoming(body=arrival.body, message_id=arrival.message_id, judged=judged)

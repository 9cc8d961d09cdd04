"""The background pump: mailbox → inbox and outbox → exchange, for as long as the agency is open.

It opens connections again with back-off, moves batches, and wakes whoever waits; it never waits for the code in the
block. What counts is in the database: the pump may be killed at any line and starts again from there.
Order everywhere: commit, then acknowledge; publish, confirm, then record.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from adapters import compose, outbox, reports
from adapters.amqp import CONNECT_SECONDS, Lost, NotTaken, Publish, Session
from adapters.ending import end, together
from adapters.identity import Keyring
from adapters.mailbox import Mailbox
from adapters.outbox import Due, Result
from adapters.pace import Pace, Signals
from adapters.settings import AgencySettings
from adapters.store import Store
from schemas.problem import Problem

log = logging.getLogger("lienthong.adapters")


class Pump:
    """The tasks of one open agency."""

    def __init__(
        self,
        *,
        settings: AgencySettings,
        store: Store,
        keyring: Keyring,
        mailbox: Mailbox,
        pace: Pace,
        signals: Signals,
    ) -> None:
        self._settings = settings
        self._store = store
        self._keyring = keyring
        self._mailbox = mailbox
        self._pace = pace
        self._signals = signals
        self._password = settings.amqp_password()
        self._documents_waiting = False
        # Why there is no connection, for whoever asks; None while there is one.
        self.trouble: Exception | None = Lost("not connected yet")
        self.connected = False

    async def run(self) -> None:
        """Run until cancelled."""
        await together(self._stay_connected(), self._mailbox.retry_parked(), again_after=CONNECT_SECONDS + 1)

    def wake(self, *, documents: bool) -> None:
        """Something was put into the outbox; documents are not held back to be gathered."""
        self._documents_waiting = self._documents_waiting or documents
        self._signals.to_send.set()

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
            tasks.append(asyncio.create_task(self._mailbox.keep_reading(session)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():  # which the library does to who waits on a dead connection
                    task.result()  # a defect in a task is not a lost connection: it ends the pump and is seen
        except (sqlite3.OperationalError, ExceptionGroup) as why:
            if not _is_full_or_locked(why):
                raise
            log.exception("%s: the database cannot be written; nothing was acknowledged", self._settings.code)
            await asyncio.sleep(self._pace.last_reconnect_seconds)
            return why
        finally:
            await end(tasks)
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
            reports.gather(connection, self._keyring.speaking_for, now=now)
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


def _is_full_or_locked(why: Exception) -> bool:
    """SQLite's own word for a full disk or a file that is locked for too long: another attempt may succeed."""
    if isinstance(why, ExceptionGroup):
        return why.split(sqlite3.OperationalError)[1] is None
    return isinstance(why, sqlite3.OperationalError)

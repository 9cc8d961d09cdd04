"""What runs behind an open agency: its keys, its database, and the pump that talks to the exchange.

Everything that is promised is in the agency's own database before a call returns. One process at a time pumps for a
data folder; others (a CLI beside a running service) share the database.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar

from adapters import handing
from adapters.amqp import CONNECT_SECONDS
from adapters.content import ContentStore, LocalFolder, PartFiles
from adapters.delivery import LAST_AGAIN_SECONDS
from adapters.ending import end
from adapters.identity import Keyring, Signer, load_keyring
from adapters.incoming import Office, TakenIn
from adapters.judge import Trust, load_trust
from adapters.letter import Ref
from adapters.mailbox import Mailbox
from adapters.naming import FILE as NAMES
from adapters.naming import AgencyNames
from adapters.pace import Pace, Signals
from adapters.pump import Pump
from adapters.replay import request_first_replay
from adapters.settings import AgencySettings
from adapters.store import Store
from adapters.waiting import Waiter
from schemas.problem import UNREACHABLE, Problem

log = logging.getLogger("lienthong.adapters")

T = TypeVar("T")

# The file in the data folder that holds inbox and outbox.
DATABASE = "agency.sqlite3"


class Running:
    """The resources of an agency, held between `async with` and its end."""

    def __init__(
        self,
        settings: AgencySettings,
        *,
        executor: Executor | None = None,
        pace: Pace | None = None,
        content: ContentStore | None = None,
        trust: Trust | None = None,
        on_taken_in: Callable[[TakenIn], None] | None = None,
    ) -> None:
        self.settings = settings
        self._given_executor = executor
        self._pace = pace or Pace()
        self._given_content = content
        self._given_trust = trust
        # Called after every transaction that stored something from the mailbox; must not block.
        self.on_taken_in = on_taken_in
        self._resources = AsyncExitStack()
        self._outcomes: dict[tuple[Ref, str], bool] = {}
        self.store: Store
        # For people who read: what is signed, compared and sent are codes.
        self.names: AgencyNames
        self._pump: Pump
        self._mailbox: Mailbox
        self._waiter: Waiter
        self._signals: Signals
        self._keyring: Keyring
        self._content: ContentStore | None
        self._files: PartFiles
        self._executor: Executor
        self._pumping: asyncio.Task[None]
        self._pumped_elsewhere = False

    async def __aenter__(self) -> Self:
        settings = self.settings
        async with AsyncExitStack() as stack:
            if self._given_executor is not None:
                self._executor = self._given_executor
            else:
                threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix=settings.code)
                stack.callback(threads.shutdown)
                self._executor = threads
            self._keyring = load_keyring(settings)
            trust = self._given_trust or load_trust(settings)
            fetch = None
            self._content = self._given_content
            if self._content is None and settings.content_url is not None:
                from adapters.http_content import HttpContent  # only who needs it pays for loading an HTTP client

                over_http = HttpContent(settings.content_url, self._keyring.own, ca_file=settings.content_ca_file)
                stack.push_async_callback(asyncio.to_thread, over_http.close)
                self._content = over_http
            if settings.content_url is not None:
                from adapters.http_names import fetching

                fetch = fetching(settings.content_url, settings.content_ca_file)
            if self._content is None and settings.content_dir is not None:
                self._content = LocalFolder(settings.content_dir, settings.submitter)
            self._files = PartFiles(settings.data_dir / "parts")
            self.names = AgencyNames(settings.data_dir / NAMES, fetch)
            self.store = await Store.open(settings.data_dir / DATABASE, self._executor)
            stack.push_async_callback(self.store.close)
            self._signals = Signals()
            self._mailbox = Mailbox(
                settings=settings,
                store=self.store,
                keyring=self._keyring,
                trust=trust,
                content=self._content,
                files=self._files,
                executor=self._executor,
                pace=self._pace,
                signals=self._signals,
                on_taken_in=self.on_taken_in,
            )
            self._pump = Pump(
                settings=settings,
                store=self.store,
                keyring=self._keyring,
                mailbox=self._mailbox,
                pace=self._pace,
                signals=self._signals,
            )
            self._pumping = asyncio.create_task(self._pump_when_free())
            self._waiter = Waiter(self.store, self._signals, poll_seconds=self._pace.poll_seconds)
            self._waiter.watch(self._pumping)
            stack.push_async_callback(self._stop)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def _stop(self) -> None:
        await end([self._pumping], again_after=CONNECT_SECONDS + 2)  # it closes its connection first

    async def _pump_when_free(self) -> None:
        """Pump once no other process does so for this data folder."""
        lock = os.open(self.settings.data_dir / "pump.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._pumped_elsewhere = True
                    await asyncio.sleep(self._pace.poll_seconds)
            self._pumped_elsewhere = False
            await self._begin()
            await self._pump.run()
        finally:
            os.close(lock)

    async def _begin(self) -> None:
        """What the one pumping process does first: recover what a crash left, ask again if the memory is empty."""
        office = self._mailbox.office()

        def begin(connection: sqlite3.Connection) -> int:
            if self.settings.has_mailbox:
                request_first_replay(connection, office)
            return handing.recover(connection, self.again_after, now=time.time())

        recovered = await self.store.run(begin)
        if recovered:
            log.warning("%s: %d documents were in a block when the program ended", self.settings.code, recovered)

    @property
    def connected(self) -> bool:
        """Whether this process has a connection to the exchange just now."""
        return self._pump.connected

    async def wait_connected(self, timeout: float = 10.0) -> None:
        """Wait for the connection. Raises Problem that says why there is none.

        Returns at once while another process carries this data folder's messages: the connection is that one's then.
        """
        deadline = time.monotonic() + timeout
        while not self._pump.connected and not self._pumped_elsewhere:
            self._waiter.raise_if_ended()
            seen = self._signals.connection.version
            if isinstance(self._pump.trouble, Problem):
                raise self._pump.trouble
            left = deadline - time.monotonic()
            if left <= 0:
                raise Problem(
                    found=f"no connection to the exchange: {self._pump.trouble}",
                    expected=f"RabbitMQ at {self.settings.amqp_url}",
                    remedy="Check amqp_url and the network; what was sent stays in the outbox and goes out later.",
                    exit_code=UNREACHABLE,
                )
            await self._signals.connection.wait(seen, left)

    # ── What adapters need that keep rows of their own in this database ──────────────────────────────────────────

    def office(self) -> Office:
        """Who takes in and answers, at this moment."""
        return self._mailbox.office()

    def signer_for(self, code: str) -> Signer:
        """The key that speaks for a code: its own if it is kept here, else the hub's."""
        return self._keyring.speaking_for(code)

    @property
    def content(self) -> ContentStore | None:
        """Where larger parts of outgoing documents are put."""
        return self._content

    def raise_if_ended(self) -> None:
        """Raises what the pump behind this agency has died of, if it has: nothing would come or go any more."""
        self._waiter.raise_if_ended()

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in one transaction, then let the pump send what it put into the outbox or the gathering."""
        result = await self.store.run(job)
        self._pump.wake(documents=True)
        return result

    # ── What deliveries need ─────────────────────────────────────────────────────────────────────────────────────

    def again_after(self, attempts: int) -> float:
        """Seconds until a document whose block failed so often is handed over again."""
        return min(self.settings.again_after_seconds * 2.0 ** min(max(attempts - 1, 0), 16), LAST_AGAIN_SECONDS)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

"""Waiting for something to appear in the database: look, wait for a signal or a while, look again.

Another process may write into the same database and cannot wake this one, so every wait also looks by itself from time
to time. If the pump behind has died of a defect, whoever waits is told instead of waiting for ever.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

from adapters.heard import Row
from adapters.pace import Signals
from adapters.store import Store

T = TypeVar("T")


class Deadline:
    """So many seconds from now, or never."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self.renew()

    def renew(self) -> None:
        """Begin to count again."""
        self._ends = None if self._seconds is None else time.monotonic() + self._seconds

    def left(self, at_most: float) -> float:
        """Seconds left, but no more than `at_most`; 0 or less when it has passed."""
        return at_most if self._ends is None else min(self._ends - time.monotonic(), at_most)


class Waiter:
    """Waits on behalf of one open agency."""

    def __init__(self, store: Store, signals: Signals, *, poll_seconds: float) -> None:
        self._store = store
        self._signals = signals
        self._poll_seconds = poll_seconds
        self._behind: asyncio.Task[None] | None = None

    def watch(self, behind: asyncio.Task[None]) -> None:
        """The pump, whose end by a defect everyone who waits must see."""
        self._behind = behind

    def raise_if_ended(self) -> None:
        """Raises what the pump has died of."""
        if self._behind is not None and self._behind.done() and not self._behind.cancelled():
            self._behind.result()

    async def for_outbox(self, look: Callable[[sqlite3.Connection], T | None], timeout: float | None) -> T:
        """Look after every change of the outbox until there is something. Raises TimeoutError."""
        deadline = Deadline(timeout)
        while True:
            seen = self._signals.outbox.version
            found = await self._store.run(look)
            if found is not None:
                return found
            self.raise_if_ended()
            left = deadline.left(self._poll_seconds)
            if left <= 0:
                raise TimeoutError
            await self._signals.outbox.wait(seen, left)

    async def for_inbox(self, seen: int, deadline: Deadline, until: float | None = None) -> bool:
        """Wait for something new since `seen`, at most until `until` (seconds since 1970); False after the deadline."""
        left = deadline.left(self._poll_seconds)
        if left <= 0:
            return False
        self.raise_if_ended()
        if until is not None:
            left = min(left, max(until - time.time(), 0.0))
        await self._signals.inbox.wait(seen, left)
        return True

    async def rows(
        self,
        following: Callable[[sqlite3.Connection], Row | None],
        handed: Callable[..., None],
        idle: float | None,
    ) -> AsyncIterator[Row]:
        """Rows one after the other; each is marked when the next is asked for. Ends after `idle` seconds of nothing."""
        deadline = Deadline(idle)
        while True:
            seen = self._signals.inbox.version
            row = await self._store.run(following)
            if row is not None:
                yield row
                await self._store.run(partial(handed, no=row.no))
                deadline.renew()
            elif not await self.for_inbox(seen, deadline):
                return

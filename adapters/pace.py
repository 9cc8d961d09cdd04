"""How much the pump does at once, and how its tasks and the code wake each other."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How much the pump does at once; the defaults suit one office, the simulation changes a few."""

    # Messages that the exchange may hand over without an acknowledgement.
    prefetch: int = 100
    # Messages stored in one transaction, and how long to wait for more of them.
    batch: int = 100
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
            async with asyncio.timeout(timeout):  # not wait_for, which swallows a cancellation that meets the event
                await self._changed.wait()


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

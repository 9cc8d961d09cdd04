"""Batches of messages taken to their end, pass by pass: what documents and statuses have in common.

A pass decides about every message and commits that; then it is published, and what was left to be looked at once more
is taken in the next. The order is commit, confirm, record, acknowledge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar, Generic, Protocol, Self, TypeVar

import asyncpg
import structlog

from broker.amqp.reading import Batch, Incoming
from broker.directory.snapshot import Directory
from broker.dispatch.dispatcher import Dispatcher
from broker.dispatch.jobs import OutgoingJob
from broker.dispatch.patience import insist
from broker.identity import BrokerIdentity
from broker.intake.acceptance import IntakeRules
from broker.intake.aside import Aside
from broker.intake.submission import Refused, Submission
from broker.store.pool import Connection

log = structlog.get_logger(__name__)


class CurrentDirectory(Protocol):
    """The part of `broker.directory.live.LiveDirectory` that is used here."""

    async def newest(self, connection: Connection) -> Directory: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a batch: as it came, and as the checks see it."""

    incoming: Incoming
    submission: Submission


class Counts(Protocol):
    """What became of the messages of a batch, for the log."""

    aside: int
    """Waiting on the retry ladder, or given up."""

    def add(self, other: Self, /) -> None:
        """Count in what another pass has done."""
        ...


C = TypeVar("C", bound=Counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[C]):
    """What one pass has committed, and what follows from it."""

    jobs: tuple[OutgoingJob, ...]
    again: tuple[Entry, ...]
    """To be looked at once more."""
    waiting: tuple[Entry, ...] = ()
    """To come again later, by the retry ladder."""
    nobodys: tuple[tuple[Entry, Refused], ...]
    """Refused, and without an agency that could be told."""
    tally: C


@dataclass(kw_only=True, eq=False)
class Passes(ABC, Generic[C]):
    """Processes batches of one queue; several batches at a time."""

    what: ClassVar[str]
    """What is done, for who waits for a database that is away."""
    raced: ClassVar[tuple[type[Exception], ...]] = ()
    """Raised by a pass that has committed nothing, because another was quicker: it is made again."""

    pool: asyncpg.Pool[asyncpg.Record]
    directory: CurrentDirectory
    identity: BrokerIdentity
    dispatcher: Dispatcher
    rules: IntakeRules
    aside: Aside
    executor: Executor
    threads: int
    unfinished_after: timedelta
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @abstractmethod
    def nothing(self) -> C:
        """The counts of a batch of which nothing has been done yet."""

    @abstractmethod
    async def look(self, entries: Sequence[Entry]) -> Outcome[C]:
        """Look at every message once, and write what that decides. Committed when it returns."""

    async def process(self, batch: Batch) -> C:
        """Take every message of the batch to its end, then acknowledge it.

        What could not be published stays in `outgoing`, from where a redelivery or the keeper publishes it.
        """
        tally = self.nothing()
        entries = [Entry(incoming, self.aside.submission_of(incoming)) for incoming in batch.messages]
        await self._take(entries, batch, tally)
        await batch.ack()
        return tally

    async def _take(self, entries: Sequence[Entry], batch: Batch, tally: C) -> None:
        """Decide, write and send; halve on an error that a message may have caused."""
        remaining = list(entries)
        while remaining:
            now = remaining
            try:
                outcome = await insist(partial(self.look, now), what=self.what)
            except self.raced:
                continue
            except Exception as error:
                if len(now) == 1:
                    await self.aside.failed(now[0].incoming, error, batch)
                    tally.aside += 1
                    return
                log.warning("batch halved", messages=len(now), why=type(error).__name__)
                middle = len(now) // 2
                await self._take(now[:middle], batch, tally)
                await self._take(now[middle:], batch, tally)
                return
            tally.add(outcome.tally)
            if outcome.jobs:
                await self.dispatcher.send(outcome.jobs)
            for entry in outcome.waiting:
                await self.aside.again_later(entry.incoming, batch)
            for entry, refused in outcome.nobodys:
                await self.aside.to_dead_letters(entry.incoming, refused.refusal.diagnostics(), batch)
            remaining = list(outcome.again)

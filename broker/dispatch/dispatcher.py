"""Sends what was decided, and records that it left (design "Crash points").

The order is everywhere: database commit → publisher confirm → recorded as sent → consumer acknowledgement. This room is
given jobs after the commit; it returns when each is confirmed and recorded, or is known not to be. It never decides
what leaves, and never acknowledges anything that was consumed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import asyncpg
import structlog

from broker.amqp.publishing import Outcome, OutgoingMessage
from broker.dispatch.jobs import OutgoingJob, message_of, messages_of
from broker.dispatch.patience import insist
from broker.dispatch.recording import record_sent
from broker.identity import BrokerIdentity

RETRY_WAITS: Final = (0.2, 1.0, 3.0)
"""Seconds before a failed publish is tried again within one call; then it is left to a redelivery or the keeper."""

SIGNED_AT_ONCE: Final = 50
"""Slips that one thread signs before the next piece."""

log = structlog.get_logger(__name__)


class Publishes(Protocol):
    """The part of `broker.amqp.publishing.Publisher` that is used here."""

    async def publish_all(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Publish all; one outcome for each, in order. MUST NOT report `confirmed` without the server's confirm."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of the jobs of one call."""

    published: int
    unroutable: tuple[OutgoingJob, ...] = ()
    """No mailbox took it. It stays unpublished: the keeper makes the mailbox again and sends it."""
    failed: tuple[OutgoingJob, ...] = ()
    """Not confirmed. It stays unpublished, and may have arrived."""


class Dispatcher:
    """Publishes jobs and records what was confirmed."""

    def __init__(
        self,
        publisher: Publishes,
        pool: asyncpg.Pool[asyncpg.Record],
        identity: BrokerIdentity,
        *,
        executor: Executor | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`executor` signs the slips of larger calls in its threads; without it they are signed in the event loop."""
        self._publisher = publisher
        self._pool = pool
        self._identity = identity
        self._executor = executor
        self._clock = clock
        self._sleep = sleep

    async def send(self, jobs: Iterable[OutgoingJob]) -> Sent:
        """Publish all jobs, await every confirm, record what was confirmed; failed ones are tried a few times more.

        Sending documents can release changes that waited for them (contract §3.3): those are sent in the same call.
        While the database is away, recording waits for it.
        """
        waiting = list(jobs)
        published = 0
        unroutable: list[OutgoingJob] = []
        for wait in (*RETRY_WAITS, None):
            failed: list[OutgoingJob] = []
            while waiting:
                done, homeless, refused = await self._publish(waiting)
                published += len(done)
                unroutable += homeless
                failed += refused
                waiting = await self._record(done) if done else []
            waiting = failed
            if not waiting or wait is None:
                break
            log.warning("publishes failed, trying again", publishes=len(waiting), seconds=wait)
            await self._sleep(wait)
        if unroutable:
            log.warning(
                "mailboxes are missing", publishes=len(unroutable), owners=sum(len(j.owners) for j in unroutable)
            )
        return Sent(published=published, unroutable=tuple(unroutable), failed=tuple(waiting))

    async def _record(self, done: Sequence[OutgoingJob]) -> list[OutgoingJob]:
        """Record confirms, however long the database is away: forgetting them would publish everything once more."""
        at = self._clock()
        return await insist(lambda: record_sent(self._pool, done, at=at), what="record publishes", sleep=self._sleep)

    async def _messages(self, jobs: Sequence[OutgoingJob]) -> list[OutgoingMessage]:
        """Make and sign the messages; signing lets go of the interpreter's lock, so threads are worth it."""
        if self._executor is None or len(jobs) < SIGNED_AT_ONCE:
            return [message_of(job, self._identity) for job in jobs]
        loop = asyncio.get_running_loop()
        pieces = await asyncio.gather(
            *(
                loop.run_in_executor(self._executor, messages_of, jobs[start : start + SIGNED_AT_ONCE], self._identity)
                for start in range(0, len(jobs), SIGNED_AT_ONCE)
            )
        )
        return [message for piece in pieces for message in piece]

    async def _publish(
        self, jobs: Sequence[OutgoingJob]
    ) -> tuple[list[OutgoingJob], list[OutgoingJob], list[OutgoingJob]]:
        """Publish once; the jobs that were confirmed, unroutable, and failed."""
        outcomes = await self._publisher.publish_all(await self._messages(jobs))
        confirmed: list[OutgoingJob] = []
        unroutable: list[OutgoingJob] = []
        failed: list[OutgoingJob] = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            (confirmed if outcome.confirmed else unroutable if outcome.unroutable else failed).append(job)
        return confirmed, unroutable, failed

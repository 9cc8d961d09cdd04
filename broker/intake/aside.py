"""What happens to a message that cannot be processed now, or not at all (design "Bad messages").

It goes to the retry ladder with its attempts counted, and after the last to `lt.dead` with its reason, a record and a
notice. Each of these is confirmed before the original is acknowledged. Never decides whether a message is good.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

import asyncpg
import structlog

from broker.amqp.publishing import OutgoingMessage
from broker.amqp.reading import Batch, Incoming
from broker.amqp.retry import dead_message, origin, retry_message
from broker.directory.snapshot import Directory
from broker.dispatch.dispatcher import Dispatcher, Publishes
from broker.dispatch.jobs import OutgoingJob
from broker.dispatch.notices import NoticeBuilder
from broker.dispatch.patience import insist, wait_before
from broker.identity import BrokerIdentity
from broker.intake.checks import claims_of
from broker.intake.submission import Refused, Submission
from broker.intake.writing import write
from schemas.errors import Refusal

log = structlog.get_logger(__name__)


class CurrentDirectory(Protocol):
    """The part of `broker.directory.live.LiveDirectory` that is used here."""

    @property
    def current(self) -> Directory: ...


class Aside:
    """Puts messages aside; one for a worker."""

    def __init__(
        self,
        *,
        publisher: Publishes,
        dispatcher: Dispatcher,
        pool: asyncpg.Pool[asyncpg.Record],
        directory: CurrentDirectory,
        identity: BrokerIdentity,
        broker_user: str,
        max_attempts: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._publisher = publisher
        self._dispatcher = dispatcher
        self._pool = pool
        self._directory = directory
        self._identity = identity
        self._broker_user = broker_user
        self._max_attempts = max_attempts
        self._clock = clock
        self._sleep = sleep

    def submission_of(self, incoming: Incoming) -> Submission:
        """The message as the checks see it; `lt-*` headers count only under the broker's own user (contract §3)."""
        source = origin(incoming, broker_user=self._broker_user)
        return Submission(
            body=incoming.body,
            routing_key=incoming.routing_key,
            submitter=source.submitter,
            message_id=source.message_id,
            kind=incoming.type or None,
            has_copy_header="CC" in incoming.headers,
            attempt=source.attempts + 1,
        )

    async def failed(self, incoming: Incoming, error: Exception, batch: Batch) -> None:
        """Processing this message alone has failed: try again later, or give it up after the last attempt."""
        submission = self.submission_of(incoming)
        log.error(
            "message failed",
            message_id=submission.message_id,
            submitter=submission.submitter,
            attempt=submission.attempt,
            error=type(error).__name__,
            place=_place(error),
        )
        if submission.attempt < self._max_attempts:
            await self.again_later(incoming, batch)
        else:
            await self._give_up(incoming, submission, error, batch)

    async def again_later(self, incoming: Incoming, batch: Batch) -> None:
        """Let the message wait on the retry ladder; this attempt counts."""
        attempt = self.submission_of(incoming).attempt
        await self._publish(retry_message(incoming, attempt, broker_user=self._broker_user), batch)

    async def to_dead_letters(self, incoming: Incoming, reason: str, batch: Batch) -> None:
        """Put the message into `lt.dead` with `reason`, for an operator."""
        await self._publish(dead_message(incoming, reason, broker_user=self._broker_user), batch)

    async def _give_up(self, incoming: Incoming, submission: Submission, error: Exception, batch: Batch) -> None:
        found = f"{type(error).__name__} in each of {submission.attempt} attempts"
        refusal = Refusal(code="LT-BROKER", found=found, expected="a message that the exchange can process")
        user = submission.submitter
        refused = Refused(
            submission=submission,
            refusal=refusal,
            claims=claims_of(submission),
            submitter=self._directory.current.agency(user) if user else None,
            at=self._clock(),
            quarantined=True,
        )
        await self._dispatcher.send(await insist(lambda: self._record(refused), what="record a message given up"))
        await self.to_dead_letters(incoming, refusal.diagnostics(), batch)

    async def _record(self, refused: Refused) -> tuple[OutgoingJob, ...]:
        notices = NoticeBuilder(self._identity)
        async with self._pool.acquire() as connection, connection.transaction():
            written = await write(
                connection, acceptances=(), refused=(refused,), repeated=(), notices=notices, now=refused.at
            )
        return written.jobs

    async def _publish(self, message: OutgoingMessage, batch: Batch) -> None:
        """Publish until it is confirmed, or the batch's connection is lost, whereupon the original comes again."""
        tries = 0
        while not batch.lost:
            outcome = (await self._publisher.publish_all([message]))[0]
            if outcome.confirmed:
                return
            tries += 1
            log.warning("message could not be put aside", exchange=message.exchange, tries=tries, why=outcome.reason)
            await self._sleep(wait_before(tries))


def _place(error: Exception) -> str:
    """Where the error came from, without its text: that could hold what a document says."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].name}:{frames[-1].lineno}" if frames else "unknown"

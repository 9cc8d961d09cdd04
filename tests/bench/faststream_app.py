"""The exchange's intake as a FastStream application, written as FastStream's documentation teaches.

One handler for one message; a default channel with a prefetch of 200 and publisher confirms; the handler's state in the
context, made in the lifespan; acknowledged when the handler returns. It does what a worker does for each document, with
the same pure code (parsing, checks, recipients, events, slips, notices), so what differs is the handling: one message,
one transaction, one publish at a time, 200 of them side by side.

Everything is to its favour where there was a choice: uvloop, no logging of messages, only as many round trips to the
database as the rows need, no answers to bad messages, changes or repetitions.

    python -m tests.bench.faststream_app       (addresses from LIENTHONG_*)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import uvloop
from faststream import AckPolicy, Context, ContextRepo, FastStream
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.annotations import RabbitMessage

from broker.amqp.messages import OutgoingMessage
from broker.directory.live import load_directory
from broker.directory.snapshot import Directory
from broker.dispatch.jobs import OutgoingJob, SlipFacts, message_of
from broker.dispatch.notices import Notice, NoticeBuilder, accepted_item, reference
from broker.dispatch.recording import dispatch_event
from broker.identity import BrokerIdentity
from broker.intake.acceptance import Acceptance, IntakeRules, accept
from broker.intake.checks import open_submission
from broker.intake.parts import check_inline
from broker.intake.recipients import resolve
from broker.intake.submission import Authentic, Opened, Submission
from broker.intake.verifying import verify
from broker.settings import load_settings
from broker.worker import rules_of
from schemas.manifest import DocumentManifest
from schemas.wire import DELIVER, INTAKE_NORMAL
from tests.bench.one_document import Stored, earlier_with_key, mark_sent, store

PREFETCH = 200
DATABASE_CONNECTIONS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """What every message is handled with."""

    pool: asyncpg.Pool[asyncpg.Record]
    directory: Directory
    identity: BrokerIdentity
    rules: IntakeRules


settings = load_settings()
broker = RabbitBroker(
    settings.amqp_url,
    default_channel=Channel(prefetch_count=PREFETCH, publisher_confirms=True, on_return_raises=True),
    logger=None,
)
deliver = RabbitExchange(DELIVER, type=ExchangeType.DIRECT, durable=True, declare=False)
intake = RabbitQueue(INTAKE_NORMAL, durable=True, declare=False)


@asynccontextmanager
async def lifespan(context: ContextRepo) -> AsyncIterator[None]:
    """The pool and the directory, for as long as the application runs."""
    async with asyncpg.create_pool(
        settings.database_url, min_size=DATABASE_CONNECTIONS, max_size=DATABASE_CONNECTIONS
    ) as pool:
        async with pool.acquire() as connection:
            directory = await load_directory(connection)
        exchange = Exchange(
            pool=pool, directory=directory, identity=BrokerIdentity.load(settings), rules=rules_of(settings)
        )
        context.set_global("exchange", exchange)
        yield


app = FastStream(broker, logger=None, lifespan=lifespan)


@broker.subscriber(intake, ack_policy=AckPolicy.NACK_ON_ERROR)
async def accept_document(message: RabbitMessage, exchange: Annotated[Exchange, Context()]) -> None:
    """Check, store, publish, record; FastStream acknowledges when this returns."""
    authentic = check(message, exchange)
    opened = authentic.opened
    manifest = opened.manifest
    resolution = resolve(manifest.to, sender=opened.sender, directory=exchange.directory, partial=manifest.partial)
    key = manifest.natural_key()
    natural_key = key.key_digest() if key is not None else None
    now = datetime.now(UTC)
    async with exchange.pool.acquire() as connection, connection.transaction():
        acceptance = accept(
            authentic,
            resolution=resolution,
            parts=check_inline(manifest.parts, opened.message.content),
            change=None,
            natural_key=natural_key,
            earlier_with_key=await earlier_with_key(connection, natural_key),
            rules=exchange.rules,
            now=now,
        )
        notice = tell(acceptance, exchange.identity)
        stored = await store(connection, acceptance, notice.signed.stored(), now)
    if stored is None:
        return
    jobs = document_job(acceptance, stored), notice_job(notice, stored, exchange.identity)
    for job in jobs:
        await publish(message_of(job, exchange.identity))
    at = datetime.now(UTC)
    async with exchange.pool.acquire() as connection, connection.transaction():
        await mark_sent(connection, stored, [(dispatch_event(job, at), job.document_id) for job in jobs])


def check(message: RabbitMessage, exchange: Exchange) -> Authentic[DocumentManifest]:
    """Contract §4, steps 1 to 9. Raises the Refusal of the first that fails."""
    raw = message.raw_message
    submission = Submission(
        body=message.body,
        routing_key=raw.routing_key or "",
        submitter=raw.user_id,
        message_id=raw.message_id,
        kind=raw.type,
        has_copy_header="CC" in raw.headers,
    )
    opened = open_submission(submission, exchange.directory)
    manifest = opened.manifest
    if not isinstance(manifest, DocumentManifest):
        raise TypeError(f"a {manifest.kind} in the intake of documents")
    document = Opened(
        submission=submission,
        message=opened.message,
        manifest=manifest,
        submitter=opened.submitter,
        sender=opened.sender,
    )
    answer = verify(document, directory=exchange.directory, now=datetime.now(UTC), limits=exchange.rules.times)
    if not isinstance(answer, Authentic):
        raise answer.refusal
    return answer


async def publish(message: OutgoingMessage) -> None:
    """One confirmed publish."""
    await broker.publish(
        message.body,
        exchange=deliver,
        routing_key=message.routing_key,
        mandatory=True,
        persist=True,
        headers={**message.headers, "BCC": list(message.bcc)} if message.bcc else dict(message.headers),
        content_type=message.content_type,
        message_type=message.type,
        priority=message.priority,
    )


def tell(acceptance: Acceptance, identity: BrokerIdentity) -> Notice:
    """The signed notice that the document was accepted."""
    opened = acceptance.authentic.opened
    recipients = acceptance.resolution.recipients
    notices = NoticeBuilder(identity)
    item = accepted_item(
        concerns=reference(opened.sender.code, acceptance.manifest.id, acceptance.digest),
        at=acceptance.at,
        first_accepted_at=acceptance.at,
        count=len(recipients),
        recipients=({"code": r.agency.code, "addressed_as": r.addressed_as, "owner": r.owner.code} for r in recipients),
        unresolved=(),
        warnings=acceptance.warnings,
        leaf=acceptance.leaf,
        log_by=acceptance.log_by,
    )
    notices.add(opened.submitter.id, opened.submitter.code, item)
    return notices.build(acceptance.at)[0]


def document_job(acceptance: Acceptance, stored: Stored) -> OutgoingJob:
    """The one publish that serves all recipients."""
    opened = acceptance.authentic.opened
    recipients = acceptance.resolution.recipients
    return OutgoingJob(
        outgoing_id=stored.outgoing_document,
        kind="document",
        owners=tuple(r.owner.code for r in recipients),
        signed=opened.message.signed,
        from_=opened.sender.code,
        id=acceptance.manifest.id,
        content=acceptance.content,
        slip=SlipFacts(
            certificate=acceptance.authentic.certificate.der,
            accepted_at=acceptance.at,
            leaf=acceptance.leaf,
            log_by=acceptance.log_by,
        ),
        document_id=stored.document_id,
        deliveries=tuple((r.agency.id, r.agency.code) for r in recipients),
    )


def notice_job(notice: Notice, stored: Stored, identity: BrokerIdentity) -> OutgoingJob:
    """The publish of the notice."""
    return OutgoingJob(
        outgoing_id=stored.outgoing_notice,
        kind="notice",
        owners=(notice.owner_code,),
        signed=notice.signed,
        from_=identity.code,
        id=notice.id,
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(app.run())

"""Writes down that publishes were confirmed, and lets changes go that waited for that (contract §3.3, §9).

One transaction for all of a batch. Knows SQL, no AMQP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from broker.directory.records import Agency, AgencyId
from broker.dispatch.fanout import PlannedPublish, plan
from broker.dispatch.jobs import OutgoingJob
from broker.dispatch.unpublished import SQL, load_jobs
from broker.intake.recipients import Recipient
from broker.store.pool import Connection
from schemas.delivery_events import dispatched
from schemas.events import Event


@dataclass(frozen=True, slots=True)
class Named:
    """A message as events name it."""

    from_: str
    id: UUID
    digest: str


async def record_sent(
    pool: asyncpg.Pool[asyncpg.Record], jobs: Sequence[OutgoingJob], *, at: datetime
) -> list[OutgoingJob]:
    """Record that `jobs` were confirmed at `at`; returns jobs for changes that may follow now."""
    async with pool.acquire() as connection, connection.transaction():
        return await _record(connection, jobs, at)


async def _record(connection: Connection, jobs: Sequence[OutgoingJob], at: datetime) -> list[OutgoingJob]:
    await connection.execute(SQL["mark_published"], [job.outgoing_id for job in jobs], at)
    await insert_events(connection, [(dispatch_event(job, at), job.document_id) for job in jobs])
    pairs = sorted((job.document_id, agency_id) for job in jobs if job.document_id for agency_id, _ in job.deliveries)
    if not pairs:
        return []
    documents, recipients = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    overtaken = await connection.fetch(SQL["record_dispatched"], documents, recipients, at)
    if overtaken:
        await connection.execute(
            SQL["ask_again"], [row["document_id"] for row in overtaken], [row["recipient_id"] for row in overtaken]
        )
    changes = await connection.fetch(SQL["changes_of"], sorted(set(documents)))
    released: list[OutgoingJob] = []
    for change in changes:
        released += await _release(connection, change["document_id"], at)
    return released


async def _release(connection: Connection, change_id: int, at: datetime) -> list[OutgoingJob]:
    """Put copies of a change into `outgoing` for recipients that have the document by now."""
    rows = await connection.fetch(SQL["changes_to_release"], change_id)
    if not rows:
        return []
    recipients = [
        Recipient(_bare(row["recipient_id"]), _bare(row["owner_id"]), row["addressed_as"], False) for row in rows
    ]
    ids = await insert_outgoing_documents(connection, [(change_id, publish) for publish in plan(recipients)], at)
    return await load_jobs(connection, ids, now=at)


def _bare(agency_id: int) -> Agency:
    """An agency of which only the id matters: planning looks at nothing else."""
    return Agency(id=AgencyId(agency_id), code=str(agency_id), name="", level="commune")


def dispatch_event(job: OutgoingJob, at: datetime) -> Event:
    """The event that a publish was confirmed."""
    return dispatched(
        at=at,
        message=Named(job.from_, job.id, job.signed.digest),
        kind=job.kind,
        attempt=job.attempt,
        owners=job.owners,
        recipients=[recipient.code for recipient in job.recipients] if job.recipients is not None else None,
    )


async def insert_events(connection: Connection, events: Sequence[tuple[Event, int | None]]) -> None:
    """Write events, each with the document that it is about."""
    await connection.execute(
        SQL["insert_events"],
        [event.at for event, _ in events],
        [event.kind for event, _ in events],
        [event.body for event, _ in events],
        [event.leaf for event, _ in events],
        [document_id for _, document_id in events],
    )


async def insert_outgoing_documents(
    connection: Connection, publishes: Sequence[tuple[int, PlannedPublish]], at: datetime | Sequence[datetime]
) -> list[int]:
    """Put planned publishes of documents into `outgoing`; their ids, in order.

    `at` is when each was decided; a later time keeps it back until then.
    """
    if not publishes:
        return []
    rows = await connection.fetch(
        SQL["insert_outgoing"],
        ["document"] * len(publishes),
        [document_id for document_id, _ in publishes],
        [None] * len(publishes),
        [array_text(publish.owner_ids) for _, publish in publishes],
        [array_text([r.agency.id for r in publish.recipients]) if publish.named else None for _, publish in publishes],
        [at] * len(publishes) if isinstance(at, datetime) else at,
    )
    return [row["outgoing_id"] for row in rows]


async def insert_outgoing_notices(
    connection: Connection, notices: Sequence[tuple[int, bytes]], at: datetime
) -> list[int]:
    """Put signed notices (mailbox owner's id, stored form) into `outgoing`; their ids, in order."""
    if not notices:
        return []
    rows = await connection.fetch(
        SQL["insert_outgoing"],
        ["notice"] * len(notices),
        [None] * len(notices),
        [signed for _, signed in notices],
        [array_text([owner_id]) for owner_id, _ in notices],
        [None] * len(notices),
        [at] * len(notices),
    )
    return [row["outgoing_id"] for row in rows]


def array_text(ids: Sequence[int]) -> str:
    """An array of ids as PostgreSQL reads it from text: one parameter can then hold many arrays of unequal length."""
    return f"{{{','.join(map(str, ids))}}}"

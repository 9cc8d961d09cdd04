"""The rows of one document, in one transaction: as an application writes them that handles one message at a time.

The same rows as `broker.intake.writing` and `broker.dispatch.recording` write for a batch, with plain statements that
asyncpg prepares once a connection. For the FastStream contender only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson

from broker.intake.acceptance import Acceptance
from broker.store.pool import Connection
from schemas.events import Event

NATURAL_KEY = """
SELECT id FROM document WHERE action = 'new' AND natural_key = $1 ORDER BY accepted_at, document_id LIMIT 1
"""
DOCUMENT = """
INSERT INTO document (sender_id, id, digest, jws, action, priority, test, number, notation, issued_on, type, subject,
                      natural_key, thumbprint, submitter_id, via, sent_at, accepted_at, leaf, log_by, recipients,
                      unresolved, warnings)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)
ON CONFLICT (sender_id, id) DO NOTHING
RETURNING document_id
"""
CONTENT = """
INSERT INTO content (digest, size, inline, place, stored_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (digest) DO NOTHING
"""
PART = "INSERT INTO document_part (document_id, ordinal, digest, name) VALUES ($1, $2, $3, $4)"
DELIVERIES = """
INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, due_arrival)
SELECT $1, k.recipient_id, k.owner_id, k.addressed_as, $5
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS k (recipient_id, owner_id, addressed_as)
"""
EVENT = """
INSERT INTO event (at, kind, body, leaf, document_id, epoch)
VALUES ($1, $2, $3, $4, $5, (SELECT epoch FROM exchange_epoch))
"""
OUTGOING_DOCUMENT = """
INSERT INTO outgoing (kind, document_id, owner_ids, created_at) VALUES ('document', $1, $2, $3) RETURNING outgoing_id
"""
OUTGOING_NOTICE = """
INSERT INTO outgoing (kind, notice, owner_ids, created_at) VALUES ('notice', $1, $2, $3) RETURNING outgoing_id
"""
PUBLISHED = "UPDATE outgoing SET published_at = $2 WHERE outgoing_id = ANY ($1::bigint[])"
DISPATCHED = """
UPDATE delivery SET processing = 'dispatched', dispatched_at = $2, sends = sends + 1, last_sent_at = $2
WHERE document_id = $1
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Keys of what was written."""

    document_id: int
    outgoing_document: int
    outgoing_notice: int


async def earlier_with_key(connection: Connection, natural_key: bytes | None) -> UUID | None:
    """An accepted document with the same number and notation, if any."""
    found: UUID | None = await connection.fetchval(NATURAL_KEY, natural_key)
    return found


async def store(connection: Connection, acceptance: Acceptance, notice: bytes, now: datetime) -> Stored | None:
    """Write an accepted document and its notice; None if it was accepted before."""
    opened = acceptance.authentic.opened
    manifest = acceptance.manifest
    fields = manifest.document
    recipients = acceptance.resolution.recipients
    document_id = await connection.fetchval(
        DOCUMENT,
        opened.sender.id,
        manifest.id,
        bytes.fromhex(opened.digest),
        opened.message.signed.stored(),
        manifest.action.value,
        fields.priority,
        manifest.test,
        fields.number,
        fields.notation,
        fields.issued_on,
        fields.type or "",
        fields.subject,
        acceptance.natural_key,
        acceptance.authentic.certificate.thumbprint,
        opened.submitter.id,
        None,
        manifest.sent_at,
        now,
        acceptance.leaf,
        acceptance.log_by,
        len(recipients),
        "[]",
        orjson.dumps(acceptance.warnings).decode(),
    )
    if document_id is None:
        return None
    for ordinal, part in enumerate(acceptance.parts):
        digest = bytes.fromhex(part.sha256)
        await connection.execute(CONTENT, digest, part.size, part.inline, part.place, now)
        await connection.execute(PART, document_id, ordinal, digest, manifest.parts[ordinal].name)
    await connection.execute(
        DELIVERIES,
        document_id,
        [r.agency.id for r in recipients],
        [r.owner.id for r in recipients],
        [r.addressed_as for r in recipients],
        acceptance.due_arrival,
    )
    for event in acceptance.events:
        await insert_event(connection, event, document_id)
    return Stored(
        document_id=document_id,
        outgoing_document=await connection.fetchval(
            OUTGOING_DOCUMENT, document_id, [r.owner.id for r in recipients], now
        ),
        outgoing_notice=await connection.fetchval(OUTGOING_NOTICE, notice, [opened.submitter.id], now),
    )


async def mark_sent(connection: Connection, stored: Stored, events: list[tuple[Event, int | None]]) -> None:
    """Record that document and notice were confirmed."""
    at = events[0][0].at
    await connection.execute(PUBLISHED, [stored.outgoing_document, stored.outgoing_notice], at)
    await connection.execute(DISPATCHED, stored.document_id, at)
    for event, document_id in events:
        await insert_event(connection, event, document_id)


async def insert_event(connection: Connection, event: Event, document_id: int | None) -> None:
    """Append one event."""
    await connection.execute(EVENT, event.at, event.kind, event.body, event.leaf, document_id)

"""Makes jobs again from rows of `outgoing`: after a crash, for a duplicate that completes what was left undone, for a
redelivery. Reads only; deciding when to send is its callers' (contract §5, design "Crash points").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import orjson
import structlog

from broker.dispatch.jobs import OutgoingJob, SlipFacts
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.jws import MAX_INLINE, parse_stored
from schemas.slip import SlipRecipient

SQL: Final = load_queries("broker.dispatch", "dispatch.sql")

log = structlog.get_logger(__name__)


async def load_unpublished_of(
    connection: Connection, document_ids: Sequence[int], *, now: datetime, older_than: timedelta
) -> list[OutgoingJob]:
    """The publishes of these documents that were decided at least `older_than` before `now` and have not left.

    Held documents stay. Recipients whose delivery was recalled or cancelled meanwhile are left out; a publish that
    serves nobody any more is marked as done.
    """
    rows = await connection.fetch(SQL["unpublished_of"], document_ids, now - older_than)
    return await load_jobs(connection, [row["outgoing_id"] for row in rows], now=now)


async def load_jobs(connection: Connection, outgoing_ids: Sequence[int], *, now: datetime) -> list[OutgoingJob]:
    """Jobs for these rows of `outgoing`, published before or not, in the order of their ids."""
    if not outgoing_ids:
        return []
    rows = await connection.fetch(SQL["outgoing_rows"], outgoing_ids)
    documents = await _documents(connection, {row["document_id"] for row in rows if row["document_id"] is not None})
    statuses = await _statuses(connection, {r["status_message_id"] for r in rows if r["status_message_id"] is not None})
    codes = {
        row["agency_id"]: row["code"]
        for row in await connection.fetch(SQL["agency_codes"], list({i for row in rows for i in row["owner_ids"]}))
    }
    jobs: list[OutgoingJob] = []
    without_recipients: list[int] = []
    for row in rows:
        if row["kind"] == "document":
            job = _document_job(row, documents[row["document_id"]], codes)
            if job is None:
                without_recipients.append(row["outgoing_id"])
            else:
                jobs.append(job)
        elif row["kind"] == "status":
            jobs.append(_status_job(row, statuses[row["status_message_id"]], codes))
        else:
            jobs.append(_notice_job(row, codes))
    if without_recipients:
        await connection.execute(SQL["mark_published"], without_recipients, now)
        log.info("nobody left to send to", publishes=len(without_recipients))
    return jobs


@dataclass(frozen=True, slots=True)
class _Document:
    row: asyncpg.Record
    content: Mapping[str, bytes]
    deliveries: Mapping[int, asyncpg.Record]
    """Open deliveries by recipient."""


async def _documents(connection: Connection, ids: Iterable[int]) -> dict[int, _Document]:
    wanted = sorted(ids)
    if not wanted:
        return {}
    rows = {row["document_id"]: row for row in await connection.fetch(SQL["documents_to_send"], wanted)}
    content: dict[int, dict[str, bytes]] = {document_id: {} for document_id in wanted}
    for part in await connection.fetch(SQL["inline_parts"], wanted):
        kept = content[part["document_id"]]
        # Parts that were not inline in the message itself are in the content store too (broker.intake.parts).
        if sum(map(len, kept.values())) + len(part["inline"]) <= MAX_INLINE:
            kept[part["digest"].hex()] = part["inline"]
    deliveries: dict[int, dict[int, asyncpg.Record]] = {document_id: {} for document_id in wanted}
    for delivery in await connection.fetch(SQL["open_deliveries"], wanted):
        deliveries[delivery["document_id"]][delivery["recipient_id"]] = delivery
    return {
        document_id: _Document(row, content[document_id], deliveries[document_id]) for document_id, row in rows.items()
    }


async def _statuses(connection: Connection, ids: Iterable[int]) -> dict[int, asyncpg.Record]:
    wanted = sorted(ids)
    if not wanted:
        return {}
    return {row["status_message_id"]: row for row in await connection.fetch(SQL["statuses_to_send"], wanted)}


def _document_job(row: asyncpg.Record, document: _Document, codes: Mapping[int, str]) -> OutgoingJob | None:
    named = row["recipient_ids"] is not None
    served = [
        delivery
        for agency_id in (row["recipient_ids"] if named else row["owner_ids"])
        if (delivery := document.deliveries.get(agency_id)) is not None
    ]
    if not served:
        return None
    facts = document.row
    return OutgoingJob(
        outgoing_id=row["outgoing_id"],
        kind="document",
        owners=tuple(codes[i] for i in row["owner_ids"]) if named else tuple(delivery["code"] for delivery in served),
        signed=parse_stored(facts["jws"]),
        from_=facts["sender"],
        id=facts["id"],
        content=document.content,
        slip=_slip(facts),
        recipients=tuple(SlipRecipient(code=d["code"], addressed_as=d["addressed_as"]) for d in served)
        if named
        else None,
        urgent=facts["priority"] > 0,
        attempt=row["attempt"],
        document_id=row["document_id"],
        deliveries=tuple((delivery["recipient_id"], delivery["code"]) for delivery in served),
    )


def _named(served: Sequence[asyncpg.Record]) -> tuple[SlipRecipient, ...]:
    return tuple(SlipRecipient(code=row["code"], addressed_as=row["addressed_as"]) for row in served)


def _status_job(row: asyncpg.Record, status: asyncpg.Record, codes: Mapping[int, str]) -> OutgoingJob:
    return OutgoingJob(
        outgoing_id=row["outgoing_id"],
        kind="status",
        owners=tuple(codes[owner_id] for owner_id in row["owner_ids"]),
        signed=parse_stored(status["jws"]),
        from_=status["sender"],
        id=status["id"],
        slip=_slip(status),
        attempt=row["attempt"],
    )


def _notice_job(row: asyncpg.Record, codes: Mapping[int, str]) -> OutgoingJob:
    signed = parse_stored(row["notice"])
    manifest = orjson.loads(signed.payload)  # the exchange's own words
    return OutgoingJob(
        outgoing_id=row["outgoing_id"],
        kind="notice",
        owners=tuple(codes[owner_id] for owner_id in row["owner_ids"]),
        signed=signed,
        from_=manifest["from"],
        id=UUID(manifest["id"]),
        attempt=row["attempt"],
    )


def _slip(facts: asyncpg.Record) -> SlipFacts:
    return SlipFacts(
        certificate=facts["der"],
        accepted_at=facts["accepted_at"],
        leaf=facts["leaf"],
        log_by=facts["log_by"],
        custody=facts["custody"],
    )

"""Loads a document's `Story` from the database. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from broker.audit.record import (
    ChangeRecord,
    DeliveryRecord,
    DocumentRecord,
    RejectionRecord,
    StatusRecord,
    Story,
    UnpublishedRecord,
)
from broker.audit.scope import EVERYTHING, Scope, visible
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.problem import Problem

SQL = load_queries("broker.audit", "audit.sql")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"(?P<number>[^/]*)/(?P<notation>.+)")


async def story_of(
    connection: Connection,
    text: str,
    *,
    sender: str | None = None,
    recipient: str | None = None,
    scope: Scope = EVERYTHING,
) -> Story:
    """The story of the document that a person means by `text`.

    `text` is a document id, a manifest digest (64 hex digits) or `number/notation`; `sender` narrows it to one agency
    and `recipient` to one delivery. A document of which every message was refused has a story too (without `document`).
    The auditor of a subtree gets only what concerns deliveries to it, unless the sender belongs to it.
    Raises `Problem` if nothing is known under it, or if it fits several documents (which are named).
    """
    wanted = text.strip()
    agencies = await visible(connection, scope)
    meant = await _meant(connection, wanted, sender, agencies)
    if meant is None:
        rejections = await _rejections(connection, wanted.lower(), sender, agencies)
        if not rejections:
            raise Problem(
                f"No document and no refused message is known under “{wanted}”{f' of {sender}' if sender else ''}.",
                "a document id (UUID), a digest of 64 hex digits, or number/notation.",
                "Look for it with `lienthong audit search`. A message that was refused is known by its id: "
                "`lienthong audit search --refused`. If it was sent, it has not reached us yet.",
            )
        return Story(document=None, rejections=rejections)
    document_id = meant.document_id
    row = await connection.fetchrow(SQL["document_row"], document_id)
    assert row is not None
    own = agencies is None or row["sender_id"] in agencies
    seen = None if own else agencies
    deliveries = await connection.fetch(SQL["deliveries"], document_id, recipient, seen)
    if recipient is not None and not deliveries:
        raise Problem(
            f"{recipient} is not a recipient of document {row['id']}.",
            "the code of one of its recipients.",
            f"See them all with `lienthong document trace {row['id']}`.",
        )
    statuses = await connection.fetch(SQL["status_entries"], document_id, recipient, seen)
    changes = await connection.fetch(SQL["change_requests"], document_id, recipient, seen)
    unpublished = await connection.fetch(SQL["unpublished"], document_id) if own else ()
    return Story(
        document=_document(row),
        deliveries=tuple(DeliveryRecord(**dict(r)) for r in deliveries),
        statuses=tuple(StatusRecord(**dict(r)) for r in statuses),
        changes=tuple(ChangeRecord(**dict(r)) for r in changes),
        unpublished=tuple(UnpublishedRecord(**dict(r)) for r in unpublished),
        rejections=await _rejections(connection, str(row["id"]), row["sender"], agencies),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Meant:
    """The one document that a person named."""

    document_id: int
    id: UUID
    sender: str


async def document_meant(
    connection: Connection, text: str, *, sender: str | None = None, scope: Scope = EVERYTHING
) -> Meant:
    """The accepted document that a person means by `text`, as `story_of` reads it. Raises Problem if it is not one."""
    meant = await _meant(connection, text.strip(), sender, await visible(connection, scope))
    if meant is None:
        raise Problem(
            f"No accepted document is known under “{text.strip()}”{f' of {sender}' if sender else ''}.",
            "a document id (UUID), a digest of 64 hex digits, or number/notation.",
            "Look for it with `lienthong audit search`.",
        )
    return meant


async def _meant(connection: Connection, wanted: str, sender: str | None, agencies: list[int] | None) -> Meant | None:
    found = await _candidates(connection, wanted, sender)
    if agencies is not None and found:
        rows = await connection.fetch(SQL["visible"], [row["document_id"] for row in found], agencies)
        seen = {row["document_id"] for row in rows}
        found = [row for row in found if row["document_id"] in seen]
    if len(found) > 1:
        listed = ", ".join(f"{row['id']} of {row['sender']}" for row in found[:5])
        raise Problem(
            f"“{wanted}” fits {len(found)} documents: {listed}.",
            "exactly one document.",
            "Give the id, and the sender with --from.",
        )
    if not found:
        return None
    return Meant(document_id=found[0]["document_id"], id=found[0]["id"], sender=found[0]["sender"])


async def _candidates(connection: Connection, wanted: str, sender: str | None) -> Sequence[asyncpg.Record]:
    try:
        identifier = UUID(wanted)
    except ValueError:
        identifier = None
    if identifier is not None:
        return await connection.fetch(SQL["document_by_id"], identifier, sender)
    if _DIGEST.fullmatch(wanted.lower()):
        return await connection.fetch(SQL["document_by_digest"], bytes.fromhex(wanted))
    if (match := _NUMBER.fullmatch(wanted)) is not None:
        return await connection.fetch(SQL["document_by_number"], match["number"], match["notation"], sender)
    return ()


async def _rejections(
    connection: Connection, wanted: str, sender: str | None, agencies: list[int] | None
) -> tuple[RejectionRecord, ...]:
    rows = await connection.fetch(SQL["rejections_of"], wanted, sender, agencies)
    return tuple(rejection(row) for row in rows)


def rejection(row: asyncpg.Record) -> RejectionRecord:
    """A rejection row as a record."""
    values = dict(row)
    values["detail"] = as_json(values["detail"])
    return RejectionRecord(**values)


def as_json(value: Any) -> Any:
    """A jsonb column's value, whether or not the connection decodes it already."""
    return json.loads(value) if isinstance(value, str) else value


def _document(row: asyncpg.Record) -> DocumentRecord:
    values = dict(row)
    del values["sender_id"]
    for name in ("digest", "leaf", "thumbprint"):
        values[name] = values[name].hex()
    values["unresolved"] = tuple(as_json(values["unresolved"]))
    values["warnings"] = tuple(as_json(values["warnings"]))
    values["via"] = as_json(values["via"])
    return DocumentRecord(**values)

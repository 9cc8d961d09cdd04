"""Loads a document's `Story` from the database. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
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
from broker.store.queries import load_queries
from schemas.problem import Problem

SQL = load_queries("broker.audit", "audit.sql")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"(?P<number>[^/]*)/(?P<notation>.+)")


async def story_of(
    connection: asyncpg.Connection[Any], text: str, *, sender: str | None = None, recipient: str | None = None
) -> Story:
    """The story of the document that a person means by `text`.

    `text` is a document id, a manifest digest (64 hex digits) or `number/notation`; `sender` narrows it to one agency
    and `recipient` to one delivery. A document of which every message was refused has a story too (without `document`).
    Raises `Problem` if nothing is known under it, or if it fits several documents (which are named).
    """
    wanted = text.strip()
    found = await _candidates(connection, wanted, sender)
    if len(found) > 1:
        listed = ", ".join(f"{row['id']} of {row['sender']}" for row in found[:5])
        raise Problem(
            f"“{wanted}” fits {len(found)} documents: {listed}.",
            "exactly one document.",
            "Give the id, and the sender with --from.",
        )
    if not found:
        rejections = await _rejections(connection, wanted.lower(), sender)
        if not rejections:
            raise Problem(
                f"No document and no refused message is known under “{wanted}”{f' of {sender}' if sender else ''}.",
                "a document id (UUID), a digest of 64 hex digits, or number/notation.",
                "Look for it with `lienthong audit search`. If it was sent, it has not reached us yet.",
            )
        return Story(document=None, rejections=rejections)
    document_id: int = found[0]["document_id"]
    row = await connection.fetchrow(SQL["document_row"], document_id)
    assert row is not None
    deliveries = await connection.fetch(SQL["deliveries"], document_id, recipient)
    if recipient is not None and not deliveries:
        raise Problem(
            f"{recipient} is not a recipient of document {row['id']}.",
            "the code of one of its recipients.",
            f"See them all with `lienthong document trace {row['id']}`.",
        )
    statuses = await connection.fetch(SQL["status_entries"], document_id, recipient)
    changes = await connection.fetch(SQL["change_requests"], document_id, recipient)
    unpublished = await connection.fetch(SQL["unpublished"], document_id)
    return Story(
        document=_document(row),
        deliveries=tuple(DeliveryRecord(**dict(r)) for r in deliveries),
        statuses=tuple(StatusRecord(**dict(r)) for r in statuses),
        changes=tuple(ChangeRecord(**dict(r)) for r in changes),
        unpublished=tuple(UnpublishedRecord(**dict(r)) for r in unpublished),
        rejections=await _rejections(connection, str(row["id"]), row["sender"]),
    )


async def _candidates(
    connection: asyncpg.Connection[Any], wanted: str, sender: str | None
) -> Sequence[Mapping[str, Any]]:
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
    connection: asyncpg.Connection[Any], wanted: str, sender: str | None
) -> tuple[RejectionRecord, ...]:
    rows = await connection.fetch(SQL["rejections_of"], wanted, sender)
    return tuple(rejection(row) for row in rows)


def rejection(row: Mapping[str, Any]) -> RejectionRecord:
    """A rejection row as a record."""
    values = dict(row)
    values["detail"] = as_json(values["detail"])
    return RejectionRecord(**values)


def as_json(value: Any) -> Any:
    """A jsonb column's value, whether or not the connection decodes it already."""
    return json.loads(value) if isinstance(value, str) else value


def _document(row: Mapping[str, Any]) -> DocumentRecord:
    values = dict(row)
    for name in ("digest", "leaf", "thumbprint"):
        values[name] = values[name].hex()
    values["unresolved"] = tuple(as_json(values["unresolved"]))
    values["warnings"] = tuple(as_json(values["warnings"]))
    values["via"] = as_json(values["via"])
    return DocumentRecord(**values)

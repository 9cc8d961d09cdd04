"""Loads a document's `Story` from the database. Reads only."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from broker.audit.finding import reading
from broker.audit.record import (
    ChangeRecord,
    DeliveryRecord,
    DocumentRecord,
    RejectionRecord,
    StatusRecord,
    Story,
    UnpublishedRecord,
)
from broker.audit.refused import refused_under
from broker.audit.scope import EVERYTHING, Scope, visible
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.problem import Problem

SQL = load_queries("broker.audit", "audit.sql")

Agencies: TypeAlias = Mapping[int, asyncpg.Record]
"""Code, name and level of agencies by their numbers. How many rows a document has is not known before they are read:
joining the directory to each list made the planner read it whole, several times for one document."""

_NAMES_AN_AGENCY: Final = {
    "sender_id", "submitter_id", "signer_id", "recipient_id", "owner_id", "moved_to_id", "by_id",
}  # fmt: skip

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
    async with reading(connection):
        return await _story(connection, text.strip(), sender, recipient, await visible(connection, scope))


async def _story(
    connection: Connection, wanted: str, sender: str | None, recipient: str | None, agencies: list[int] | None
) -> Story:
    meant = await _meant(connection, wanted, sender, agencies)
    if meant is None:
        rejections = await _rejections(connection, wanted.lower(), sender, agencies)
        if not rejections and (match := _NUMBER.fullmatch(wanted)) is not None:
            rows = await refused_under(connection, *match.group("number", "notation"), sender=sender, agencies=agencies)
            rejections = tuple(rejection(row) for row in rows)
        if not rejections:
            raise Problem(
                f"No document and no refused message is known under “{wanted}”{f' of {sender}' if sender else ''}.",
                "a document id (UUID), a digest of 64 hex digits, or number/notation.",
                "Look for it with `lienthong audit search`. A message that was refused may be known by its id alone: "
                "`lienthong audit search --refused`. If it was sent, it has not reached us yet.",
            )
        return Story(document=None, rejections=rejections)
    document_id = meant.document_id
    row = await connection.fetchrow(SQL["document_row"], document_id)
    assert row is not None
    own = agencies is None or row["sender_id"] in agencies
    shown = None if own else agencies
    if recipient is not None:
        coded = {found["agency_id"] for found in await connection.fetch(SQL["agencies_coded"], recipient)}
        shown = sorted(coded if shown is None else coded.intersection(shown))
    to = as_array(shown)
    deliveries = await connection.fetch(SQL["deliveries"], document_id, to)
    if recipient is not None and not deliveries:
        raise Problem(
            f"{recipient} is not a recipient of document {row['id']}.",
            "the code of one of its recipients.",
            f"See them all with `lienthong document trace {row['id']}`.",
        )
    statuses = await connection.fetch(SQL["status_entries"], document_id, to)
    changes = await connection.fetch(SQL["change_requests"], document_id, to)
    asked = await connection.fetch(SQL["asked_by"], document_id, to) if row["action"] != "new" else ()
    unpublished = await connection.fetch(SQL["unpublished"], document_id) if own else ()
    known = await _agencies_in(connection, [row], deliveries, statuses, changes, asked)
    return Story(
        document=_document(row, known),
        deliveries=tuple(sorted((_delivery(one, known) for one in deliveries), key=lambda one: one.recipient)),
        statuses=tuple(_status(one, known) for one in statuses),
        changes=tuple(_change(one, known) for one in changes),
        asked=tuple(_change(one, known) for one in asked),
        unpublished=tuple(UnpublishedRecord(**dict(one)) for one in unpublished),
        rejections=await _rejections(connection, str(row["id"]), meant.sender, agencies),
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
        documents = as_array([row["document_id"] for row in found])
        rows = await connection.fetch(SQL["visible"], documents, as_array(agencies))
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
        number, notation = (unicodedata.normalize("NFC", match[name].strip()) for name in ("number", "notation"))
        notations = [notation, notation.upper()]
        notations += [unicodedata.normalize("NFD", one) for one in notations]
        return await connection.fetch(SQL["document_by_number"], number, number.upper(), *notations, sender)
    return ()


async def _rejections(
    connection: Connection, wanted: str, sender: str | None, agencies: list[int] | None
) -> tuple[RejectionRecord, ...]:
    rows = await connection.fetch(SQL["rejections_of"], wanted, sender, as_array(agencies))
    return tuple(rejection(row) for row in rows)


def rejection(row: asyncpg.Record) -> RejectionRecord:
    """A rejection row as a record."""
    values = dict(row)
    values["detail"] = as_json(values["detail"])
    return RejectionRecord(**values)


def as_array(numbers: Iterable[int] | None) -> str | None:
    """An array of numbers as PostgreSQL writes it, for statements that take it as text."""
    return None if numbers is None else f"{{{','.join(map(str, numbers))}}}"


def as_json(value: Any) -> Any:
    """A jsonb column's value, whether or not the connection decodes it already."""
    return json.loads(value) if isinstance(value, str) else value


async def _agencies_in(connection: Connection, *lists: Sequence[asyncpg.Record]) -> Agencies:
    """The agencies that these rows name by their numbers."""
    named = set()
    for rows in lists:
        for column in _NAMES_AN_AGENCY.intersection(rows[0].keys() if rows else ()):
            named.update([row[column] for row in rows])
    return {row["agency_id"]: row for row in await connection.fetch(SQL["agencies"], as_array(named - {None}))}


def _document(row: asyncpg.Record, known: Agencies) -> DocumentRecord:
    values = dict(row)
    sender, submitter = known[values.pop("sender_id")], known[values.pop("submitter_id")]
    signer = known[values.pop("signer_id")]
    for name in ("digest", "leaf", "thumbprint"):
        values[name] = values[name].hex()
    values["unresolved"] = tuple(as_json(values["unresolved"]))
    values["warnings"] = tuple(as_json(values["warnings"]))
    values["via"] = as_json(values["via"])
    return DocumentRecord(
        **values,
        sender=sender["code"],
        sender_name=sender["name"],
        submitter=submitter["code"],
        submitter_name=submitter["name"],
        signer=signer["code"],
    )


def _delivery(row: asyncpg.Record, known: Agencies) -> DeliveryRecord:
    values = dict(row)
    recipient, owner, heir = known[values.pop("recipient_id")], known[values.pop("owner_id")], values.pop("moved_to_id")
    return DeliveryRecord(
        **values,
        recipient=recipient["code"],
        recipient_name=recipient["name"],
        level=recipient["level"],
        owner=owner["code"],
        owner_name=owner["name"],
        moved_to=None if heir is None else known[heir]["code"],
    )


def _status(row: asyncpg.Record, known: Agencies) -> StatusRecord:
    values = dict(row)
    recipient, by = known[values.pop("recipient_id")], known[values.pop("by_id")]
    return StatusRecord(**values, recipient=recipient["code"], by=by["code"])


def _change(row: asyncpg.Record, known: Agencies) -> ChangeRecord:
    values = dict(row)
    recipient = known[values.pop("recipient_id")]
    return ChangeRecord(**values, recipient=recipient["code"])

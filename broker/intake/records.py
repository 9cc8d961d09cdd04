"""What the record already knows about the messages of a batch: one question for each kind of fact. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from broker.directory.records import AgencyId
from broker.intake.changes import Earlier, EarlierDelivery, EarlierDocuments
from broker.intake.parts import KnownContent
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.manifest import DocumentManifest, NaturalKey, Reference

SQL: Final = load_queries("broker.intake", "intake.sql")
Key = tuple[int, UUID]
"""Sender and id: what makes a message the same message."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDocument:
    """A document that was accepted before."""

    document_id: int
    digest: str
    accepted_at: datetime
    leaf: bytes
    log_by: datetime
    recipients: int
    unresolved: tuple[str, ...]
    warnings: tuple[dict[str, object], ...]


async def known_documents(connection: Connection, keys: Iterable[Key]) -> dict[Key, KnownDocument]:
    """Which of these (sender, id) are accepted."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    rows = await connection.fetch(SQL["known_documents"], [key[0] for key in wanted], [key[1] for key in wanted])
    return {
        (row["sender_id"], row["id"]): KnownDocument(
            document_id=row["document_id"],
            digest=row["digest"].hex(),
            accepted_at=row["accepted_at"],
            leaf=row["leaf"],
            log_by=row["log_by"],
            recipients=row["recipients"],
            unresolved=tuple(orjson.loads(row["unresolved"])),
            warnings=tuple(orjson.loads(row["warnings"])),
        )
        for row in rows
    }


async def known_natural_keys(connection: Connection, keys: Iterable[bytes]) -> dict[bytes, UUID]:
    """The earliest accepted new document of each natural key."""
    wanted = sorted(set(keys))
    if not wanted:
        return {}
    return {row["natural_key"]: row["id"] for row in await connection.fetch(SQL["known_natural_keys"], wanted)}


async def recipients_of(connection: Connection, document_ids: Sequence[int]) -> dict[int, list[dict[str, str]]]:
    """Code, addressed_as and owner of the first recipients of documents, as notices list them."""
    found: dict[int, list[dict[str, str]]] = {document_id: [] for document_id in document_ids}
    if document_ids:
        for row in await connection.fetch(SQL["recipients_of"], sorted(set(document_ids))):
            told = {"code": row["code"], "addressed_as": row["addressed_as"], "owner": row["owner"]}
            found[row["document_id"]].append(told)
    return found


async def known_content(
    connection: Connection, wanted: Sequence[tuple[str, int, int]]
) -> dict[tuple[str, int, int], KnownContent]:
    """What is kept of (sha256, sender, submitter), and whether they could already read it."""
    if not wanted:
        return {}
    rows = await connection.fetch(
        SQL["known_content"],
        [bytes.fromhex(sha256) for sha256, _, _ in wanted],
        [sender for _, sender, _ in wanted],
        [submitter for _, _, submitter in wanted],
    )
    return {
        wanted[row["position"] - 1]: KnownContent(size=row["size"], inline=row["inline"], readable=row["readable"])
        for row in rows
    }


async def earlier_documents(connection: Connection, changes: Iterable[DocumentManifest]) -> EarlierDocuments:
    """Everything that recalls, updates and replacements may concern."""
    concerns = [concern for manifest in changes for concern in manifest.concerns]
    ids = sorted({concern.id for concern in concerns if isinstance(concern, Reference)})
    keys = sorted({concern.key_digest() for concern in concerns if isinstance(concern, NaturalKey)})
    if not concerns:
        return EarlierDocuments(by_id={}, by_natural_key={})
    rows = [
        *(await connection.fetch(SQL["earlier_by_id"], ids) if ids else ()),
        *(await connection.fetch(SQL["earlier_by_natural_key"], keys) if keys else ()),
    ]
    deliveries: dict[int, list[EarlierDelivery]] = {row["document_id"]: [] for row in rows}
    for row in await connection.fetch(SQL["deliveries_of"], sorted(deliveries)):
        deliveries[row["document_id"]].append(EarlierDelivery(AgencyId(row["recipient_id"]), row["can_change"]))
    by_id: dict[str, list[Earlier]] = {}
    by_key: dict[bytes, list[Earlier]] = {}
    for row in {row["document_id"]: row for row in rows}.values():
        earlier = _earlier(row, deliveries[row["document_id"]])
        by_id.setdefault(earlier.id, []).append(earlier)
        if row["natural_key"] is not None and row["action"] == "new":
            by_key.setdefault(row["natural_key"], []).append(earlier)
    return EarlierDocuments(by_id=by_id, by_natural_key=by_key)


def _earlier(row: Mapping[str, Any], deliveries: Sequence[EarlierDelivery]) -> Earlier:
    return Earlier(
        document_id=row["document_id"],
        sender_id=AgencyId(row["sender_id"]),
        sender_code=row["sender_code"],
        id=str(row["id"]),
        digest=row["digest"].hex(),
        action=row["action"],
        deliveries=tuple(deliveries),
    )

"""A subtree's share of the proof of a document that others received too: only what is silent about the others.

What was logged is one leaf, and a leaf cannot be cut: a publish to eight mailboxes names all eight. So the share is
collected, looked through, and given only if nothing in it tells what the others got, said or did; their codes may stand
in it where the sender's own signed manifest names them. Messages that also speak of other documents are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from broker.evidence.bundle.assemble import assemble, scope_of
from broker.evidence.bundle.collect import Selection, collect
from broker.evidence.bundle.heads import heads_of
from broker.evidence.bundle.material import Material
from broker.gateway.app import Gateway
from broker.gateway.pages.documents import Seen
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.jws import parse_stored
from schemas.manifest import DocumentManifest, StatusManifest, parse_manifest
from schemas.problem import Problem

SQL = load_queries("broker.gateway.pages", "pages.sql")

ABOUT_NOBODY = frozenset({"directory_changed", "directory_described", "log_opened", "mailbox_reset"})
"""Events that tell of keys, mandates and the log, and of no document."""


async def share_of(
    connection: Connection,
    gateway: Gateway,
    seen: Seen,
    *,
    agencies: list[int],
    own: frozenset[str],
    recipient: str | None,
) -> bytes | None:
    """The bundle of the deliveries to `own`, or to one of them; None if it would speak of others.

    `agencies` and `own` are the subtree by number and by code. Without `recipient` every delivery must be of the
    subtree: a bundle tells of a whole document, or of one delivery. Raises Problem if no checkpoint covers it yet.
    """
    codes = frozenset({recipient}) if recipient is not None else None
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(SQL["with_changes"], seen.document_id, agencies)
        selection = Selection(
            documents={row["document_id"]: codes for row in rows}, subtree=frozenset(map(int, agencies))
        )
        material = await collect(connection, selection, await heads_of(connection), gateway.identity.thumbprint)
    document = seen.document
    if document.digest not in material.documents:
        raise Problem(
            f"Document {document.id} was accepted at {document.accepted_at:%H:%M:%S}, after the newest checkpoint.",
            f"a checkpoint that covers it; the log has promised one by {document.log_by:%H:%M:%S}.",
            "Try again in a moment; if it stays so, let the keeper run (`lienthong keeper`).",
        )
    _without_what_is_the_senders(material)
    if any(_told_of_others(material, own)):
        return None
    scope = scope_of({"from": document.sender, "id": str(document.id), "digest": document.digest}, recipient)
    return assemble(material, scope=scope, identity=gateway.identity, made_at=datetime.now(UTC))


def _without_what_is_the_senders(material: Material) -> None:
    """Leave out what the exchange told the sender, and what it refused of him."""
    notices = set(material.notices)
    material.notices.clear()

    def is_his(body: Mapping[str, Any]) -> bool:
        return body["event"] == "rejected" or (body["event"] == "dispatched" and body["message"]["digest"] in notices)

    for place in [key for key, one in material.entries.items() if is_his(one.value)]:
        del material.entries[place], material.paths[place]


def _told_of_others(material: Material, own: frozenset[str]) -> Iterator[str]:
    """What the material tells of agencies that are not `own`, beyond what the senders' manifests name."""
    named = _named(material)
    owners: dict[str, str] = {}
    for entry in material.entries.values():
        if entry.value["event"] == "accepted":
            owners.update(entry.value["recipients"])
    boxes = own | {owners[code] for code in own & owners.keys()} | _senders(material)
    for entry in material.entries.values():
        body = entry.value
        match body["event"]:
            case "accepted":
                others = {code for code, owner in body["recipients"] if code not in own}
                yield from others - named
                yield from (
                    owner for code, owner in body["recipients"] if code in others and owner not in boxes | {code}
                )
            case "dispatched":
                yield from set(body["owners"]) - boxes
                yield from set(body.get("recipients") or ()) - own
            case "status_recorded":
                yield from {item["recipient"] for item in body["items"]} - own
                yield from {item["document"]["digest"] for item in body["items"]} - material.documents.keys()
            case "overdue":
                yield from set(body["recipients"]) - own
            case "operator_action":
                yield from set(body.get("recipients") or ()) - own
            case kind if kind not in ABOUT_NOBODY:
                yield str(kind)
    for digest, jws in material.statuses.items():
        manifest = parse_manifest(parse_stored(jws).payload)
        if not isinstance(manifest, StatusManifest):
            yield digest
            continue
        yield from {item.for_ or manifest.from_ for item in manifest.items} - own - _senders(material)
        yield from {code for item in manifest.items for code in item.to} - own


def _named(material: Material) -> frozenset[str]:
    """Whom the senders' signed manifests name as recipients."""
    manifests = [parse_manifest(parse_stored(jws).payload) for jws in material.documents.values()]
    return frozenset(code for one in manifests if isinstance(one, DocumentManifest) for code in one.to)


def _senders(material: Material) -> frozenset[str]:
    """Who sent and submitted the documents: statuses went to their mailboxes."""
    bodies = [entry.value for entry in material.entries.values() if entry.value["event"] == "accepted"]
    return frozenset(code for body in bodies for code in (body["document"]["from"], body["submitter"]))

"""Gathers what a bundle is made of from the database, in one snapshot. Reads only; signs nothing.

What lies beyond the newest checkpoint is left out: it can be proved a second later. The exact bytes of slips are not
kept by the exchange; what they say is, in events, so `broker.evidence.bundle.assemble` says it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from broker.evidence.bundle.collect_directory import collect_directory
from broker.evidence.bundle.facts import at_of
from broker.evidence.bundle.gathered import concerns
from broker.evidence.bundle.heads import add_paths, covered, take_stamped
from broker.evidence.bundle.material import Head, Material
from broker.evidence.bundle.trees import SQL
from broker.store.pool import Connection
from schemas.jws import parse_stored
from schemas.manifest import NoticeManifest, Reference, StatusManifest, parse_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which documents, and of each which recipients' stories (None: everybody's)."""

    documents: Mapping[int, frozenset[str] | None]
    subtree: frozenset[int] | None = None
    """Ids of the agencies beyond whose documents nothing may be told: signed messages that also speak of a document
    which touches none of them are left out, and named as left out."""
    share: bool = False
    """The recipients named are only one part's share of those that the archive tells of: nothing is kept from it."""


async def collect(
    connection: Connection,
    selection: Selection,
    heads: Mapping[int, Head],
    broker_thumbprint: bytes,
    *,
    stamped: bool = False,
) -> Material:
    """Everything about the selected documents that the checkpoints `heads` cover, with audit paths.

    With `stamped`, an older checkpoint that covers all of it and bears an authority's timestamp takes its head's place.
    Raises Problem if the exchange's own certificate is not enrolled. A document whose acceptance is not covered yet is
    left out.
    """
    material = Material(heads=dict(heads))
    ids = list(selection.documents)
    rows: dict[int, Mapping[str, Any]] = {
        row["document_id"]: dict(row) for row in await connection.fetch(SQL["documents"], ids)
    }
    entries = await covered(connection, material, "document_events", ids)
    accepted = {entry.value["document"]["digest"] for entry, _ in entries if entry.value["event"] == "accepted"}
    for document_id in ids:
        row = rows[document_id]
        digest = row["digest"].hex()
        if digest in accepted:
            material.documents[digest] = row["jws"]
            material.log_by[digest] = row["log_by"]
    owners: dict[str, dict[str, str]] = {digest: {} for digest in material.documents}
    for entry, _ in entries:
        if entry.value["event"] == "accepted":
            owners.setdefault(entry.value["document"]["digest"], {}).update(entry.value["recipients"])
    for entry, about in entries:
        codes = selection.documents.get(about) if about is not None else None
        digest = rows[about]["digest"].hex() if about is not None else ""
        if digest in material.documents and (codes is None or concerns(entry.value, codes, owners)):
            material.entries[entry.origin_id, entry.position] = entry
    wanted = {row["digest"].hex(): selection.documents[about] for about, row in rows.items()}
    await _statuses(connection, material, selection, {name: wanted[name] for name in material.documents}, owners)
    await _notices(connection, material, selection, list(rows.values()))
    await _rejections(connection, material, list(rows.values()))
    await collect_directory(connection, material, broker_thumbprint)
    await _addressed(connection, material, rows)
    if stamped:
        await take_stamped(connection, material)
    await add_paths(connection, material)
    return material


async def _statuses(
    connection: Connection,
    material: Material,
    selection: Selection,
    wanted: Mapping[str, frozenset[str] | None],
    owners: Mapping[str, Mapping[str, str]],
) -> None:
    """The signed messages behind the statuses. `wanted`: digest of a document → whose stories of it are told."""
    recorded = {body["message"]["digest"]: body["message"] for body in material.of_kind("status_recorded")}
    if not recorded:
        return
    rows = await connection.fetch(
        SQL["statuses"],
        [one["from"] for one in recorded.values()],
        [UUID(one["id"]) for one in recorded.values()],
        [bytes.fromhex(one["digest"]) for one in recorded.values()],
    )
    ids: dict[int, str] = {}
    spoken = {row["digest"].hex(): _documents_in(row["jws"]) for row in rows}
    beyond = await _beyond(connection, spoken, selection, material)
    for row in rows:
        digest = row["digest"].hex()
        ids[row["status_message_id"]] = digest
        if digest in beyond:
            material.withheld[digest] = ("status", "other-documents")
        else:
            material.statuses[digest] = row["jws"]
    # What a message said of a document before that was accepted is in events that name no document.
    for entry, _ in await covered(connection, material, "statuses_at", sorted({row["accepted_at"] for row in rows})):
        named = {item["document"]["digest"] for item in entry.value["items"]} & set(wanted)
        codes = [wanted[one] for one in named]
        told = None in codes or concerns(entry.value, frozenset().union(*(one for one in codes if one)), owners)
        if entry.value["message"]["digest"] in recorded and named and told:
            material.entries[entry.origin_id, entry.position] = entry
    for digest in recorded:
        if digest not in material.statuses and digest not in material.withheld:
            material.withheld[digest] = ("status", "retention")
    times = [row["published_at"] for row in await connection.fetch(SQL["status_dispatches"], list(ids))]
    await _dispatches(connection, material, times, set(ids.values()))


async def _dispatches(connection: Connection, material: Material, times: Iterable[Any], digests: set[str]) -> None:
    for entry, _ in await covered(connection, material, "dispatches_at", sorted(set(times))):
        if entry.value["message"]["digest"] in digests:
            material.entries[entry.origin_id, entry.position] = entry


async def _notices(
    connection: Connection, material: Material, selection: Selection, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Notices have no index of their own; they are written in the transaction, and at the time, of what they tell."""
    pairs = {(row[owner], row["accepted_at"]) for row in rows for owner in ("submitter_id", "sender_id")}
    by_digest = {row["digest"].hex(): row for row in rows}
    pairs |= {
        (by_digest[body["document"]["digest"]][owner], at_of(body))
        for kind in ("overdue", "rerouted")
        for body in material.of_kind(kind)
        for owner in ("submitter_id", "sender_id")
    }
    refusing = [body for body in material.of_kind("status_recorded") if any("error" in item for item in body["items"])]
    if refusing:
        codes = await connection.fetch(SQL["agency_ids"], [body["submitter"] for body in refusing])
        ids = {row["code"]: row["agency_id"] for row in codes}
        pairs |= {(ids[body["submitter"]], at_of(body)) for body in refusing if body["submitter"] in ids}
    ordered = sorted(pairs)
    found = await connection.fetch(SQL["notices"], [pair[0] for pair in ordered], [pair[1] for pair in ordered])
    times = []
    known = {*material.documents, *material.statuses, *material.withheld}
    spoken = {parse_stored(row["notice"]).digest: _documents_in(row["notice"]) for row in found}
    one_delivery = (
        selection.subtree is None
        and not selection.share
        and any(codes is not None for codes in selection.documents.values())
    )
    beyond = await _beyond(connection, spoken, selection, material)
    for row in found:
        digest = parse_stored(row["notice"]).digest
        digests = {one for _, one in spoken[digest]}
        if digest in beyond or digests.isdisjoint(known) or (one_delivery and not digests <= known):
            continue
        material.notices[digest] = row["notice"]
        times += [row["published_at"]] if row["published_at"] is not None else []
    await _dispatches(connection, material, times, set(material.notices))


async def _rejections(connection: Connection, material: Material, rows: Sequence[Mapping[str, Any]]) -> None:
    """Refusals of other messages under the same sender and id: a conflict, or an attempt that failed before."""
    names = {(str(row["id"]), row["sender"]) for row in rows if row["digest"].hex() in material.documents}
    times = await connection.fetch(SQL["rejection_times"], [name[0] for name in names], [name[1] for name in names])
    for entry, _ in await covered(connection, material, "rejections_at", [row["at"] for row in times]):
        if (entry.value.get("id"), entry.value.get("claimed_from")) in names:
            material.entries[entry.origin_id, entry.position] = entry


async def _addressed(connection: Connection, material: Material, rows: Mapping[int, Mapping[str, Any]]) -> None:
    named = {
        code
        for body in material.of_kind("dispatched")
        if body["message"]["digest"] in material.documents
        for code in body.get("recipients", ())
    }
    if not named:
        return
    for row in await connection.fetch(SQL["addressed"], list(rows), sorted(named)):
        material.addressed[rows[row["document_id"]]["digest"].hex(), row["code"]] = row["addressed_as"]


def _documents_in(jws: bytes) -> set[tuple[str, str]]:
    """Id and digest of every message that a status message or a notice speaks of."""
    manifest = parse_manifest(parse_stored(jws).payload)
    if not isinstance(manifest, StatusManifest | NoticeManifest):
        return set()
    concerned = [item.concerns for item in manifest.items]
    return {(str(one.id), one.digest) for one in concerned if isinstance(one, Reference)}


async def _beyond(
    connection: Connection, spoken: Mapping[str, set[tuple[str, str]]], selection: Selection, material: Material
) -> set[str]:
    """Those messages (digest → what they speak of) that also speak of a document outside of the subtree."""
    if selection.subtree is None:
        return set()
    known = {*material.documents, *material.statuses, *material.withheld}
    strange = {one for about in spoken.values() for one in about if one[1] not in known}
    touching = await connection.fetch(
        SQL["touching"], [UUID(id) for id, _ in sorted(strange)], sorted(selection.subtree)
    )
    inside = known | {row["digest"].hex() for row in touching}
    return {digest for digest, about in spoken.items() if any(one not in inside for _, one in about)}

"""Gathers what a bundle is made of from the database, in one snapshot. Reads only; signs nothing.

What lies beyond the newest checkpoint is left out: it can be proved a second later. The exact bytes of slips are not
kept by the exchange; what they say is, in events, so `broker.evidence.bundle.assemble` says it again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from broker.evidence.bundle.facts import at_of
from broker.evidence.bundle.gathered import concerns
from broker.evidence.bundle.trees import SQL, load_nodes
from broker.evidence.merkle import consistency_proof, inclusion_proof, nodes_of_consistency, nodes_of_inclusion
from broker.evidence.notes import Checkpoint, parse_note
from broker.store.pool import Connection
from schemas.jws import parse_stored
from schemas.manifest import NoticeManifest, Reference, StatusManifest, parse_manifest
from schemas.problem import Problem

FOREVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which documents, and of each which recipients' stories (None: everybody's)."""

    documents: Mapping[int, frozenset[str] | None]
    subtree: frozenset[int] | None = None
    """Ids of the agencies beyond whose documents nothing may be told: signed messages that also speak of a document
    which touches none of them are left out, and named as left out."""
    share: bool = False
    """The recipients named are only one part's share of those that the archive tells of: nothing is kept from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event and its place in the log."""

    body: bytes
    value: Mapping[str, Any]
    origin_id: int
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """An enrolled certificate."""

    thumbprint: bytes
    der: bytes
    chain: tuple[bytes, ...]
    agency_id: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A checkpoint to which everything of its origin is proved."""

    origin_id: int
    origin: str
    size: int
    note: str
    since: str | None = None
    proof: tuple[bytes, ...] = ()
    timestamps: tuple[bytes, ...] = ()


@dataclass(slots=True, kw_only=True)
class Material:
    """Everything that goes into a bundle."""

    heads: dict[int, Head]
    documents: dict[str, bytes] = field(default_factory=dict)
    """Stored JWS by digest, as the others."""
    statuses: dict[str, bytes] = field(default_factory=dict)
    notices: dict[str, bytes] = field(default_factory=dict)
    withheld: dict[str, tuple[str, str]] = field(default_factory=dict)
    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    """By origin and position."""
    signers: dict[bytes, Signer] = field(default_factory=dict)
    statements: list[dict[str, Any]] = field(default_factory=list)
    log_by: dict[str, Any] = field(default_factory=dict)
    """Digest of a document → until when the log promised to hold its acceptance."""
    addressed: dict[tuple[str, str], str] = field(default_factory=dict)
    """(digest, recipient) → what the sender wrote."""
    paths: dict[tuple[int, int], list[bytes]] = field(default_factory=dict)


async def heads_of(connection: Connection, since: bytes | None = None) -> dict[int, Head]:
    """The newest checkpoint of every origin, with witnesses' signatures; `since` is an older note to continue from.

    Raises Problem if `since` is no checkpoint of this log.
    """
    heads: dict[int, Head] = {}
    older = Checkpoint.parse(parse_note(since).text) if since is not None else None
    for row in await connection.fetch(SQL["checkpoints"]):
        note = await _with_witnesses(connection, row["origin_id"], row["size"], row["note"])
        old: str | None = None
        proof: tuple[bytes, ...] = ()
        if older is not None and since is not None and older.origin == row["origin"]:
            if older.size > row["size"]:
                raise Problem(
                    f"The older checkpoint covers {older.size} entries, and the newest one only {row['size']}.",
                    "a checkpoint from before.",
                    "Compare the log with `lienthong audit verify`: a log never shrinks.",
                )
            places = nodes_of_consistency(older.size, row["size"])
            node = await load_nodes(connection, row["origin_id"], places)
            old, proof = since.decode(), tuple(consistency_proof(older.size, row["size"], node))
        heads[row["origin_id"]] = Head(
            origin_id=row["origin_id"], origin=row["origin"], size=row["size"], note=note, since=old, proof=proof
        )
    if older is not None and not any(head.since for head in heads.values()):
        raise Problem(
            f"No log here is called {older.origin}.",
            f"a checkpoint of {', '.join(head.origin for head in heads.values()) or 'this exchange'}.",
            "Name the file of an older checkpoint of this very exchange.",
        )
    if not heads:
        raise Problem(
            "This exchange has signed no checkpoint yet.",
            "a log with at least one checkpoint.",
            "Let the keeper run (`lienthong keeper`), and look at `lienthong audit checkpoint`.",
        )
    return heads


async def _with_witnesses(connection: Connection, origin_id: int, size: int, note: bytes) -> str:
    lines = await connection.fetch(SQL["cosignatures"], origin_id, size)
    return note.decode() + "".join(f"{line['line']}\n" for line in lines)


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
    Raises Problem if the acceptance of none of them is covered yet.
    """
    material = Material(heads=dict(heads))
    ids = list(selection.documents)
    rows: dict[int, Mapping[str, Any]] = {
        row["document_id"]: dict(row) for row in await connection.fetch(SQL["documents"], ids)
    }
    entries = await _entries(connection, material, "document_events", ids)
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
    await _directory(connection, material, broker_thumbprint)
    await _addressed(connection, material, rows)
    if stamped:
        await _stamp(connection, material)
    await _paths(connection, material)
    return material


async def _entries(
    connection: Connection, material: Material, query: str, *arguments: object
) -> list[tuple[Entry, int | None]]:
    """Events that the checkpoints cover, in the order of the log, each with the document that it is about."""
    found = []
    for row in await connection.fetch(SQL[query], *arguments):
        head = material.heads.get(row["origin_id"])
        if head is None or row["position"] >= head.size:
            continue
        entry = Entry(
            body=row["body"],
            value=json.loads(row["body"]),
            origin_id=row["origin_id"],
            position=row["position"],
        )
        found.append((entry, row["document_id"]))
    return sorted(found, key=lambda pair: (pair[0].origin_id, pair[0].position))


def _of_kind(material: Material, kind: str) -> list[Mapping[str, Any]]:
    return [entry.value for entry in material.entries.values() if entry.value["event"] == kind]


async def _statuses(
    connection: Connection,
    material: Material,
    selection: Selection,
    wanted: Mapping[str, frozenset[str] | None],
    owners: Mapping[str, Mapping[str, str]],
) -> None:
    """The signed messages behind the statuses. `wanted`: digest of a document → whose stories of it are told."""
    recorded = {body["message"]["digest"]: body["message"] for body in _of_kind(material, "status_recorded")}
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
    for entry, _ in await _entries(connection, material, "statuses_at", sorted({row["accepted_at"] for row in rows})):
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
    for entry, _ in await _entries(connection, material, "dispatches_at", sorted(set(times))):
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
        for body in _of_kind(material, kind)
        for owner in ("submitter_id", "sender_id")
    }
    refusing = [
        body for body in _of_kind(material, "status_recorded") if any("error" in item for item in body["items"])
    ]
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
    for entry, _ in await _entries(connection, material, "rejections_at", [row["at"] for row in times]):
        if (entry.value.get("id"), entry.value.get("claimed_from")) in names:
            material.entries[entry.origin_id, entry.position] = entry


async def _directory(connection: Connection, material: Material, broker_thumbprint: bytes) -> None:
    """Certificates of everybody who signed, and what the log says of them, their hubs and the exchange."""
    signed = [*material.documents.values(), *material.statuses.values(), *material.notices.values()]
    thumbprints = {broker_thumbprint, *(parse_stored(jws).thumbprint for jws in signed)}
    bodies = [*_of_kind(material, "accepted"), *_of_kind(material, "status_recorded")]
    thumbprints |= {bytes.fromhex(body["thumbprint"]) for body in bodies}
    for row in await connection.fetch(SQL["certificates"], sorted(thumbprints)):
        material.signers[row["thumbprint"]] = Signer(
            thumbprint=row["thumbprint"],
            der=row["der"],
            chain=tuple(row["chain"]),
            agency_id=row["agency_id"],
            code=row["code"],
        )
    if broker_thumbprint not in material.signers:
        raise Problem(
            "The exchange's own certificate is not enrolled in this database.",
            "the certificate with which bundles are sealed.",
            "Enrol it: `lienthong run`, `lienthong worker` and `lienthong pki init` do it when they start.",
        )
    signing, succeeding = _pairs(material, bodies)
    codes = sorted({code for pair in (*signing, *succeeding) for code in pair})
    ids = {signer.agency_id for signer in material.signers.values()}
    ids |= {row["agency_id"] for row in await connection.fetch(SQL["agency_ids"], codes)}
    told: dict[tuple[str, str, str], datetime] = {}
    for entry, _ in await _entries(connection, material, "directory_events", sorted(ids)):
        reasons = _needed(entry.value, material, signing, succeeding)
        for reason in reasons:
            told[reason] = min(at_of(entry.value), told.get(reason, FOREVER))
        if reasons:
            material.entries[entry.origin_id, entry.position] = entry
    untold = [pair for pair, at in sorted(signing.items()) if told.get(("mandate", *pair), FOREVER) > at]
    for row in await connection.fetch(SQL["mandates"], [p[0] for p in untold], [p[1] for p in untold]):
        # What the row says of signing, a later event may have said: before it the row said something else.
        if not row["may_sign"] and ("mandate", row["hub"], row["agency"]) not in told:
            continue
        statement = {"kind": "mandate", "who": row["hub"], "agency": row["agency"], "from": str(row["valid_from"])}
        if row["valid_until"] is not None:
            statement["until"] = str(row["valid_until"])
        material.statements.append(statement)
    untold = [pair for pair in sorted(succeeding) if ("succession", *pair) not in told]
    for row in await connection.fetch(SQL["successions"], [p[0] for p in untold], [p[1] for p in untold]):
        material.statements.append(
            {"kind": "succession", "who": row["heir"], "agency": row["agency"], "from": str(row["on_date"])}
        )


def _pairs(
    material: Material, bodies: Sequence[Mapping[str, Any]]
) -> tuple[dict[tuple[str, str], datetime], set[tuple[str, str]]]:
    """Who signs for whom, as (hub, agency), with the first time; and who succeeds whom, as (heir, agency)."""
    signing: dict[tuple[str, str], datetime] = {}
    succeeding: set[tuple[str, str]] = set()
    for body in bodies:
        speaker = body["document" if body["event"] == "accepted" else "message"]["from"]
        signer = material.signers.get(bytes.fromhex(body["thumbprint"]))
        spoken_for = {(code, speaker) for code in (signer.code if signer else speaker, body["submitter"])}
        for item in body.get("items", ()):
            if item["recipient"] != speaker and item["code"] != "13":
                spoken_for.add((speaker, item["recipient"]))
                succeeding.add((speaker, item["recipient"]))
        for pair in spoken_for:
            if pair[0] != pair[1]:
                signing[pair] = min(at_of(body), signing.get(pair, FOREVER))
        jws = material.statuses.get(body.get("message", {}).get("digest"))
        manifest = parse_manifest(parse_stored(jws).payload) if jws is not None else None
        if isinstance(manifest, StatusManifest):
            spoken = {item.for_ for item in manifest.items if item.for_}
            succeeding |= {(heir, item["recipient"]) for heir in spoken for item in body["items"]}
    return signing, {pair for pair in succeeding if pair[0] != pair[1]}


def _needed(
    body: Mapping[str, Any],
    material: Material,
    signing: Collection[tuple[str, str]],
    succeeding: Collection[tuple[str, str]],
) -> set[tuple[str, str, str]]:
    """What a directory event is needed for: (kind, who, for whom)."""
    change, codes, facts = body["change"], body["codes"], body.get("facts", {})
    if change in ("certificate.enrolled", "certificate.revoked"):
        name = str(facts.get("thumbprint"))
        return {("certificate", name, "")} if bytes.fromhex(name) in material.signers else set()
    if change in ("mandate.given", "mandate.ended") and len(codes) == 2:
        return {("mandate", codes[1], codes[0])} if (codes[1], codes[0]) in signing else set()
    if change == "mandates.imported":
        return {("mandate", codes[0], agency) for agency in codes[1:] if (codes[0], agency) in signing}
    if change == "agency.added" and codes:
        needed = {("mandate", str(facts["hub"]), codes[0])} if (facts.get("hub"), codes[0]) in signing else set()
        return needed | ({("exchange", codes[0], "")} if facts.get("level") == "exchange" else set())
    if change == "agency.closed":
        return {("succession", heir, codes[0]) for heir in codes[1:] if (heir, codes[0]) in succeeding}
    return set()


async def _addressed(connection: Connection, material: Material, rows: Mapping[int, Mapping[str, Any]]) -> None:
    named = {
        code
        for body in _of_kind(material, "dispatched")
        if body["message"]["digest"] in material.documents
        for code in body.get("recipients", ())
    }
    if not named:
        return
    for row in await connection.fetch(SQL["addressed"], list(rows), sorted(named)):
        material.addressed[rows[row["document_id"]]["digest"].hex(), row["code"]] = row["addressed_as"]


async def _stamp(connection: Connection, material: Material) -> None:
    """The first timestamped checkpoint above everything that was collected bounds its time from above most closely."""
    for origin_id, head in list(material.heads.items()):
        last = max((position for other, position in material.entries if other == origin_id), default=None)
        if last is None or head.since is not None:
            continue
        rows = await connection.fetch(SQL["stamped"], origin_id, last, head.size)
        if rows:
            size = rows[0]["size"]
            material.heads[origin_id] = Head(
                origin_id=origin_id,
                origin=head.origin,
                size=size,
                note=await _with_witnesses(connection, origin_id, size, rows[0]["note"]),
                timestamps=tuple(row["token"] for row in rows if row["size"] == size),
            )


async def _paths(connection: Connection, material: Material) -> None:
    """The audit path of every event to its origin's checkpoint."""
    for origin_id, head in material.heads.items():
        positions = [position for other, position in material.entries if other == origin_id]
        places = {place for position in positions for place in nodes_of_inclusion(position, head.size)}
        if not places:
            material.paths |= {(origin_id, position): [] for position in positions}
            continue
        node = await load_nodes(connection, origin_id, places)
        for position in positions:
            material.paths[origin_id, position] = inclusion_proof(position, head.size, node)


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

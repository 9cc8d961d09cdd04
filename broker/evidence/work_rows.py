"""One row of the REST façade's work tables against what it names: signed messages, deliveries, refusals. Pure.

`packet` and `submission` take a row of work.sql and give what does not fit. What a row may be by any order of steps,
by a crash between two of them, a retry, a lease that ended, a mailbox that was made again, is no finding.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from unicodedata import normalize

from broker.directory.suggestions import written
from broker.evidence.findings import Finding, shown
from broker.gateway.vxp.ids import arrival_id, document_id, packet_id, rejection_id
from schemas.edxml.kept import FIELD, ORIGINAL
from schemas.edxml.reading import read
from schemas.edxml.records import Status, StatusHeader
from schemas.edxml.rendering import render_statuses
from schemas.edxml.writable import writable_text
from schemas.edxml.writing import write
from schemas.errors import Refusal
from schemas.jws import Signed, parse_message, parse_stored
from schemas.manifest import DocumentManifest, Role, StatusCode, StatusManifest, parse_manifest
from schemas.wire import document_key, status_key

Row = Any
Names = Mapping[str, frozenset[int]]
"""Which agencies are or were called so."""

PROTOCOL: Final = "vxp"
UNKNOWN_CODE: Final = "LT-BROKER"
"""What an office is told of a refusal whose code the catalogue does not have."""
NOT_A_STATUS: Final = (None, "", None)


def packet(row: Row, names: Names) -> Iterator[Finding]:
    """What is wrong with a packet: whose it is, out of which message, and whether it may be in its state."""
    key = f"{row['system']} {row['doc_id']}"

    def wrong(what: str, found: object, expected: str) -> Finding:
        return Finding(where="vxp_packet", key=key, what=what, found=shown(found), expected=expected)

    refusal = row["refused_system"] is not None
    source = row["source"]
    follows = rejection_id(source) if refusal else packet_id(row["system_id"], row["agency_id"], source, row["item"])
    if row["doc_id"] != follows:
        expected = f"{follows}, which follows from its system, agency, message and item: one of these was changed"
        yield wrong("doc_id", row["doc_id"], expected)
    if row["kind"] == "edoc":
        if source != row["digest"]:
            yield wrong("source", source, f"{row['digest'].hex()}, its document's digest")
        if row["from_id"] != row["sender_id"]:
            yield wrong("from_id", row["from"], f"{row['sender']}, its document's sender")
        if not row["addressed"] and row["owner"] is None:
            yield wrong("agency_id", row["agency"], "a recipient of its document")
        elif not row["addressed"]:
            yield wrong("system_id", row["system"], f"the system of {row['owner']}, to whom the delivery went")
    elif refusal:
        if row["refused_system"] != row["system_id"]:
            yield wrong("system_id", row["system"], "the system whose submission was rejected")
        if row["refused_from"] != row["agency_id"]:
            yield wrong("agency_id", row["agency"], "the agency whose submission was rejected")
        if not _tells_refusal(row):
            yield wrong("file", row["file"], f"a file that tells of {', '.join(filter(None, row['refused_codes']))}")
    elif row["jws"] is not None:
        for what, found, expected in _status_packet(row, names):
            yield wrong(what, found, expected)
    if row["kind"] == "status" and row["edxml_id"] is not None:
        yield wrong("edxml_id", row["edxml_id"], "nothing: a status has none")
    for what, found, expected in _state_of_packet(row):
        yield wrong(what, found, expected)


def _tells_refusal(row: Row) -> bool:
    header = _header(row["file"])
    if header is None or header.response_for is None:
        return False
    code = (header.description or "").partition(":")[0]
    told = (header.status_code, header.response_for.organ_id, header.response_for.document_id)
    return told == (StatusCode.REFUSED.value, row["agency"], row["refused_named"]) and (
        code in row["refused_codes"] or code == UNKNOWN_CODE
    )


def _status_packet(row: Row, names: Names) -> Iterator[tuple[str, object, str]]:
    signed = parse_stored_or_none(row["jws"])
    manifest = _manifest(signed)
    if signed is None or not isinstance(manifest, StatusManifest):
        return  # bytes that are none are told where messages are verified
    told = [(item, asked) for item in manifest.items for asked in (item.to or (None,))]
    if not 0 <= row["item"] < len(told):
        yield "item", row["item"], f"one of the {len(told)} files that its status message makes"
        return
    item, asked = told[row["item"]]
    code = asked if item.code is StatusCode.TAKE_BACK and asked else item.concerns.from_
    if row["agency_id"] not in names.get(code, ()) and row["agency_id"] not in names.get(written(code), ()):
        yield "agency_id", row["agency"], f"{code}, to whom its status message is told"
    if not any(row["from_id"] in names.get(one, ()) for one in (item.for_, manifest.from_) if one):
        yield "from_id", row["from"], f"{item.for_ or manifest.from_}, who says it"
    header, said = _header(row["file"]), (item.code.value, _plain(item.reason), item.at.replace(microsecond=0))
    if len(told) == 1 and FIELD in json.loads(signed.payload):
        said = _told_by(_rendered(signed.payload))
    if header is None and said != NOT_A_STATUS:
        yield "file", row["file"], "a status"
    elif header is not None and _told_by(header) != said:
        found = f"{header.status_code} of {header.timestamp}: {header.description}"
        yield "file", found, f"{said[0]} of {said[2]}: {said[1]}, as signed"
    if not row["addressed"]:
        yield "system_id", row["system"], "the system to whose mailbox its status message was forwarded"


def _header(file: bytes) -> StatusHeader | None:
    message = read(file).message
    return message.header if isinstance(message, Status) else None


def _rendered(payload: bytes) -> StatusHeader | None:
    """The header that a single status has in edXML: what its extension says of it stands before its own fields."""
    try:
        message = render_statuses(payload)[0].message
        return None if message is None else _header(write(message))
    except Refusal:
        return None


def _told_by(header: StatusHeader | None) -> tuple[str | None, str, datetime | None]:
    return NOT_A_STATUS if header is None else (header.status_code, _plain(header.description), header.timestamp)


def _plain(text: str | None) -> str:
    """A text as it survives the way through XML."""
    return normalize("NFC", " ".join(writable_text(text or "").split()))


def _state_of_packet(row: Row) -> Iterator[tuple[str, object, str]]:
    if row["kind"] == "edoc" and (row["state"] == "done") != (row["arrival_id"] is not None):
        if row["state"] == "done":
            yield "state", row["state"], "a packet that is done has its 01, and none was made for this one"
        else:
            yield "state", row["state"], "done: its 01 was made with that"
    if row["kind"] == "status" and row["arrival_id"] is not None:
        yield "arrival_id", row["arrival_id"], "nothing: a status is answered by nobody"
    if row["fails"] < 0 or (row["state"] == "failed" and row["fails"] == 0):
        yield "fails", row["fails"], f"how often it failed: it is {row['state']}"
    if row["fails"] > 0 and row["fail_reason"] is None:
        yield "fail_reason", "nothing", f"what its system said: it failed {row['fails']} times"
    if row["kept_back"]:
        yield "available_at", row["available_at"], f"the end of a lease that was given at {row['updated_at']}"
    if row["ahead"]:
        yield "updated_at", row["updated_at"], "a time that has been"


def submission(row: Row) -> Iterator[Finding]:
    """What is wrong with a submission: its id, its message, and what it says became of it."""
    key = f"{row['system']} {row['doc_id']}"

    def wrong(what: str, found: object, expected: str) -> Finding:
        return Finding(where="vxp_submission", key=key, what=what, found=shown(found), expected=expected)

    arrival = row["kind"] == "arrival"
    if arrival and row["packet"] is None:
        yield wrong("row", "a 01", "no row, or the packet that is done with it: no packet names it")
    elif arrival != (row["file_digest"] is None):
        yield wrong("file_digest", row["file_digest"] or "nothing", "the digest of its file, and of a 01 nothing")
    else:
        follows = arrival_id(row["packet"]) if arrival else document_id(row["system"], row["kind"], row["file_digest"])
        if row["doc_id"] != follows:
            of = "its packet" if arrival else "its system, kind and file"
            yield wrong("doc_id", row["doc_id"], f"{follows}, which follows from {of}")
    for what, found, expected in (*_message(row), *_state_of_submission(row)):
        yield wrong(what, found, expected)


def loose(row: Row) -> Signed | None:
    """A message that the record does not hold as well: whether its signature holds is to be looked at."""
    if row["message"] is None or row["document"] is not None or row["status"] is not None:
        return None
    return _parsed(row["message"])


def _message(row: Row) -> Iterator[tuple[str, object, str]]:
    """The signed message, of the row itself or as it was accepted, against the columns that repeat it."""
    kind = row["kind"]
    if row["message"] is None and (kind == "arrival" or row["state"] == "taken"):
        why = "a 01 is kept" if kind == "arrival" else "its fate is not known yet"
        yield "message", "nothing", f"the signed message: {why}"
    if row["message"] is not None:
        signed = _parsed(row["message"])
        if signed is None:
            yield "message", row["message"][:100], "a signed message"
            return
        if bytes.fromhex(signed.digest) != row["digest"]:
            yield "digest", row["digest"], f"{signed.digest}, the digest of its message"
    else:
        signed = parse_stored_or_none(row["document"] or row["status"])
    if not row["routing_key"].endswith(row["hub"]):
        yield "routing_key", row["routing_key"], f"one that ends with {row['hub']}"
    manifest = _manifest(signed)
    if signed is None or manifest is None:
        return
    yield from _said(row, manifest, signed.payload)


def _said(row: Row, manifest: Any, payload: bytes) -> Iterator[tuple[str, object, str]]:
    wanted: list[tuple[str, object, object]] = [("doc_id", row["doc_id"], manifest.id)]
    if isinstance(manifest, DocumentManifest):
        original = next((part.sha256 for part in manifest.parts if part.role is Role.EDXML), None)
        wanted += [
            ("kind", row["kind"], "document"),
            ("from_id", row["from"], manifest.from_),
            ("routing_key", row["routing_key"], document_key(row["hub"], manifest.urgent)),
            ("file_digest", row["file_digest"] and row["file_digest"].hex(), original),
            ("edxml_id", row["edxml_id"] or None, _document_id(json.loads(payload)) or None),
        ]
    elif isinstance(manifest, StatusManifest):
        (item, *more) = manifest.items
        kept = json.loads(payload).get(FIELD)
        original = kept.get(ORIGINAL) if isinstance(kept, dict) else None
        wanted += [
            ("kind", row["kind"] == "document", False),
            ("file_digest", row["file_digest"] and row["file_digest"].hex(), original),
            ("from_id", row["from"], item.for_ or manifest.from_),
            ("routing_key", row["routing_key"], status_key(row["hub"])),
            ("edxml_id", row["edxml_id"], None),
        ]
        if row["kind"] == "arrival" and row["packet"] is not None:
            about = (item.code.value, item.concerns.from_, item.concerns.id, item.concerns.digest, len(more))
            of = ("01", row["arrived_from"], row["arrived_id"], row["arrived_digest"], 0)
            wanted.append(("message", about, of))
            wanted.append(("from_id", row["from"], row["packet_agency_code"]))
    else:
        yield "message", manifest.kind, "a document or a status"
    via = json.loads(payload).get("via")
    wanted.append(("system_id", {"protocol": PROTOCOL, "system": row["system"]}, via))
    for what, found, expected in wanted:
        if found != expected:
            yield what, "nothing" if found is None else found, f"{expected}, as signed"


def _state_of_submission(row: Row) -> Iterator[tuple[str, object, str]]:
    state = row["state"]
    accepted = row["document"] is not None or (row["status"] is not None and row["whole"])
    if state == "accepted" and not accepted:
        yield "state", state, "another state: no document or status with this sender, id and digest was accepted"
    if state == "rejected" and not row["refused"]:
        yield "state", f"{state}, {row['error']}", "another state: it was not refused so since it was given out"
    if state != "rejected" and row["error"] is not None:
        yield "error", row["error"], f"nothing: it is {state}"
    if state != "rejected" and row["detailed"]:
        yield "detail", "a detail", f"nothing: it is {state}"
    if row["untold"]:
        yield "answered", False, "true, or the packet that tells the office of the refusal"
    if row["ahead"]:
        yield "attempted_at", row["attempted_at"], "a time that has been"
    if row["beyond"]:
        yield "attempt_after", row["attempt_after"], "a refusal that there has been"


def edxml_id_of(jws: bytes) -> str | None:
    """The id by which an edXML office knows a document; None for bytes that are no document."""
    signed = parse_stored_or_none(jws)
    try:
        said = json.loads(signed.payload) if signed is not None else None
    except ValueError:
        return None
    return _document_id(said) or str(said["id"]) if isinstance(said, dict) and "id" in said else None


def _document_id(said: Mapping[str, Any]) -> str | None:
    """What `schemas.edxml.tying.known_of` finds, without a look at the rest of the manifest."""
    kept = said.get(FIELD)
    header = kept.get("MessageHeader") if isinstance(kept, dict) else None
    found = header.get("DocumentId") if isinstance(header, dict) else None
    return found if isinstance(found, str) else None


def parse_stored_or_none(jws: bytes | None) -> Signed | None:
    """A signed message of the record; bytes that are none are told where messages are verified."""
    try:
        return None if jws is None else parse_stored(jws)
    except Refusal:
        return None


def _parsed(message: bytes) -> Signed | None:
    try:
        return parse_message(message, slip_allowed=False).signed
    except Refusal:
        return None


def _manifest(signed: Signed | None) -> Any:
    try:
        return None if signed is None else parse_manifest(signed.payload)
    except Refusal:
        return None

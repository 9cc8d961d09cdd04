"""From a posted edXML file to the manifest that the exchange signs for the office. Pure.

The office's own words stay as they are: the file travels byte for byte as a part of role `edxml`. What is added is who
made the manifest (`via`), the moment of submission, and the canonical codes of agencies that the file names otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import IO, Any, Final
from uuid import UUID

from broker.directory.records import Agency
from broker.directory.snapshot import Directory
from schemas.edxml.content import Content
from schemas.edxml.converted import Converted, encoded
from schemas.edxml.documents import document_manifest
from schemas.edxml.reading import Reading
from schemas.edxml.records import Document, Organization, ResponseFor, Status
from schemas.edxml.statuses import status_manifest
from schemas.edxml.tying import Known
from schemas.jws import MAX_INLINE
from schemas.manifest import DocumentManifest, parse_manifest
from schemas.times import rfc3339

PROTOCOL: Final = "vxp"
"""What `via` says of a manifest that was made here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A manifest ready to be signed, with the bytes of its parts by SHA-256."""

    id: UUID
    payload: bytes
    contents: Mapping[str, Content]
    urgent: bool = False


def file_in(body: IO[bytes], hash_file: str | None) -> bytes | None:
    """The file in a request's body, which has a CRLF behind it that does not belong to it; None if the hash is another.

    `hash_file` is SHA-256 in hex; existing software leaves the leading zero of a byte away. Without a hash, as in the
    provincial flavour, the body is the file.
    """
    body.seek(0)
    file = body.read()
    if hash_file is None:
        return file
    given = hash_file.strip().lower()
    for one in (file.removesuffix(b"\r\n"), file):
        digest = sha256(one).digest()
        if given in (digest.hex(), unpadded(digest)):
            return one
    return None


def unpadded(digest: bytes) -> str:
    """A digest in hex as existing software writes it: each byte without its leading zero."""
    return "".join(f"{byte:x}" for byte in digest)


def speaker(message: Document | Status, directory: Directory) -> tuple[str, Agency | None]:
    """Who speaks in the file: what is written there, and the agency that it means."""
    written = (message.header.from_.organ_id if message.header.from_ else None) or ""
    return written, directory.find(written)


def named_canonically(reading: Reading, directory: Directory) -> Reading:
    """The file's message with the canonical codes of `From` and `ResponseFor`, and without a manifest it may carry.

    Aliases are the directory's knowledge and not the codec's. What the file carries behind itself was signed by nobody
    and does not count here. Recipients stay as written: resolving them is acceptance's.
    """
    message = reading.message
    assert message is not None

    def organization(one: Organization | None) -> Organization | None:
        return None if one is None else replace(one, organ_id=_canonical(one.organ_id, directory))

    def response(one: ResponseFor) -> ResponseFor:
        return replace(one, organ_id=_canonical(one.organ_id, directory))

    if isinstance(message, Status):
        about = message.header.response_for
        header = replace(
            message.header,
            from_=organization(message.header.from_),
            response_for=None if about is None else response(about),
        )
        return replace(reading, message=replace(message, header=header, carried=None))
    fields = replace(
        message.header,
        from_=organization(message.header.from_),
        response_for=tuple(response(one) for one in message.header.response_for),
    )
    return replace(reading, message=replace(message, header=fields, carried=None))


def make_document(reading: Reading, *, id: UUID, system: str, now: datetime, known: Sequence[Known]) -> Made:
    """The manifest of a posted document. Raises Refusal as `document_manifest` does, LT-SIZE if it is too large."""
    converted = document_manifest(reading, id=id, sent_at=now, known=known)
    return _made(converted, id=id, system=system, now=now)


def make_status(reading: Reading, *, id: UUID, hub: str, system: str, now: datetime, known: Sequence[Known]) -> Made:
    """The manifest of a posted status; the hub signs for the agency that it speaks for. Raises as `status_manifest`."""
    converted = status_manifest(reading, id=id, sent_at=now, known=known, speaker=hub)
    return _made(converted, id=id, system=system, now=now)


def inline(contents: Mapping[str, Content]) -> dict[str, bytes]:
    """The parts that travel inside the message: the smallest first, as many as fit (contract §2.3)."""
    room = MAX_INLINE
    taken: dict[str, bytes] = {}
    for digest, content in sorted(contents.items(), key=lambda one: one[1].size):
        if content.size > room:
            break
        taken[digest] = b"".join(content.pieces())
        room -= content.size
    return taken


def arrival(*, id: UUID, hub: str, agency: str, reference: Mapping[str, str], now: datetime, system: str) -> bytes:
    """The status 01 for a document that a system has fetched and stored: its proof of delivery."""
    item: dict[str, Any] = {"concerns": dict(reference), "code": "01", "at": rfc3339(now)}
    if agency != hub:
        item["for"] = agency
    payload = encoded(
        {
            "spec": "lienthong/1",
            "kind": "status",
            "id": str(id),
            "from": hub,
            "sent_at": rfc3339(now),
            "items": [item],
            "via": {"protocol": PROTOCOL, "system": system},
        }
    )
    parse_manifest(payload)
    return payload


def replay(*, id: UUID, hub: str, since: datetime, now: datetime) -> bytes:
    """The request for everything since a moment: the hub's mailbox was lost (contract §2.6)."""
    payload = encoded(
        {
            "spec": "lienthong/1",
            "kind": "request",
            "id": str(id),
            "from": hub,
            "sent_at": rfc3339(now),
            "request": "replay",
            "since": rfc3339(since),
        }
    )
    parse_manifest(payload)
    return payload


def _made(converted: Converted, *, id: UUID, system: str, now: datetime) -> Made:
    said = json.loads(converted.payload)
    said["via"] = {"protocol": PROTOCOL, "system": system}
    if said["kind"] == "status":
        # The file's own time has no zone and its clock may be ahead: no fact is later than the moment it was told.
        for item in said["items"]:
            item["at"] = min(item["at"], rfc3339(now), key=_instant)
    payload = encoded(said)
    manifest = parse_manifest(payload)
    return Made(
        id=id,
        payload=payload,
        contents=converted.contents,
        urgent=isinstance(manifest, DocumentManifest) and manifest.urgent,
    )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _canonical(written: str | None, directory: Directory) -> str | None:
    found = directory.find(written) if written else None
    return found.code if found is not None else written

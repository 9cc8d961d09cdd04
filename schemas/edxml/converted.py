"""What converting an edXML message gives, and what both kinds of message need for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.edxml.carried import carried_by
from schemas.edxml.content import Content
from schemas.edxml.faults import EdxmlFault, Kind, Text, quoted, refusal
from schemas.edxml.kept import Json
from schemas.edxml.naming import agency
from schemas.edxml.records import Document, Record, Status
from schemas.edxml.rules import Inside
from schemas.errors import Refusal
from schemas.manifest import DocumentManifest, NaturalKey, Reference, StatusManifest, parse_manifest

PROTOCOL: Final = "edxml"
"""What `via` says of a manifest that was made from edXML."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted:
    """A manifest to be signed, and the bytes of its parts."""

    manifest: DocumentManifest | StatusManifest
    # What is to be signed: the manifest with its extension field.
    payload: bytes
    # By SHA-256.
    contents: Mapping[str, Content]
    # What could not be said in the manifest as it stands in the file.
    remarks: tuple[Text, ...]


def given_back(message: Document | Status) -> Converted | None:
    """The manifest that the message was made from, if it carries it, is unchanged, and has all parts with it."""
    payload = carried_by(message)
    if payload is None:
        return None
    try:
        manifest = parse_manifest(payload)
    except Refusal:
        return None
    contents: dict[str, Content] = {}
    if isinstance(message, Document) and isinstance(manifest, DocumentManifest):
        contents = {one.content.sha256: one.content for one in message.attachments if one.content is not None}
        if any(part.sha256 not in contents for part in manifest.parts):
            return None
    elif not (isinstance(message, Status) and isinstance(manifest, StatusManifest)):
        return None
    return Converted(manifest=manifest, payload=payload, contents=contents, remarks=())


def canonical_agency(organ_id: str | None, record: Record | None, element: str) -> str:
    """The canonical code of an agency id. Raises Refusal LT-EDXML, with the element's place, if it cannot be one."""
    code = agency(organ_id) if organ_id else None
    if code is None:
        expected = Text(
            "an agency code: groups of A-Z and 0-9 with dots", "mã định danh: các nhóm A-Z, 0-9 cách bởi dấu chấm"
        )
        fault = EdxmlFault(
            kind=Kind.MAPPING, place=Inside(record, element).place, found=quoted(organ_id or ""), expected=expected
        )
        raise refusal([fault])
    return code


def key_json(key: NaturalKey) -> Json:
    """A natural key as it stands in a manifest."""
    return {
        "from": key.from_,
        "number": key.number,
        "notation": key.notation,
        "issued_on": key.issued_on.isoformat(),
    }


def reference_json(reference: Reference) -> Json:
    """A reference as it stands in a manifest."""
    return {"from": reference.from_, "id": str(reference.id), "digest": reference.digest}


def filled(fields: Mapping[str, Any]) -> Json:
    """Without what says nothing."""
    return {name: value for name, value in fields.items() if value is not None and value != [] and value != {}}


def encoded(value: Mapping[str, Any]) -> bytes:
    """The bytes of a manifest."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

"""From a letter, a status or a request to signed bytes. Pure but for the key: the time and the ids are passed in.

Documents are read back with the exchange's own reading of the contract before they are signed, so that a mistake is
told here, with its field, and not by a notice a second later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Any

from adapters.identity import Signer
from adapters.letter import Letter, NaturalRef, Ref
from schemas import wire
from schemas.jws import Signed, encode_message
from schemas.manifest import DocumentManifest, parse_manifest
from schemas.times import rfc3339

SPEC = "lienthong/1"
VIET_NAM = timezone(timedelta(hours=7))
# Statuses under one signature (contract §2.4).
MAX_ITEMS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """Signed bytes, ready for the outbox."""

    kind: str
    speaker: str
    id: str
    digest: str
    urgent: bool
    body: bytes

    @property
    def ref(self) -> Ref:
        return Ref(self.speaker, self.id, self.digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedPart:
    """A part whose bytes have been measured; `inline` holds them if they travel in the message."""

    name: str
    media_type: str
    role: str
    size: int
    sha256: str
    inline: bytes | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "media_type": self.media_type,
            "size": self.size,
            "sha256": self.sha256,
            "role": self.role,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeOf:
    """What makes a document manifest a recall, an update or a replacement."""

    action: str
    concerns: Sequence[Ref | NaturalRef]
    reason: str | None = None
    metadata: bool = False
    added: Sequence[str] = ()
    removed: Sequence[str] = ()


def routing_key(kind: str, *, user: str, urgent: bool) -> str:
    """Where a message of this kind is published by the AMQP user `user` (contract §3)."""
    match kind:
        case "document":
            return wire.document_key(user, urgent)
        case "status":
            return wire.status_key(user)
        case "request":
            return wire.request_key(user)
        case _:
            raise ValueError(f"agencies do not send a {kind}")


def document(
    letter: Letter,
    parts: Sequence[PreparedPart],
    *,
    speaker: str,
    signer: Signer,
    id: str,
    now: datetime,
    change: ChangeOf | None = None,
) -> Outgoing:
    """A signed document. Raises Refusal if it breaks the contract, or is too large for one message."""
    payload = _encode(document_manifest(letter, parts, speaker=speaker, id=id, now=now, change=change))
    parse_manifest(payload)
    signed = signer.sign(payload)
    content = {part.sha256: part.inline for part in parts if part.inline is not None}
    return outgoing(signed, kind="document", speaker=speaker, id=id, urgent=letter.priority >= 1, content=content)


def manifest(
    payload: bytes, *, speaking_for: Callable[[str], Signer], content: Mapping[str, bytes] | None = None
) -> Outgoing:
    """A finished manifest, signed as it stands, by whoever speaks for its `from`. Raises Refusal as `document` does."""
    told = parse_manifest(payload)
    return outgoing(
        speaking_for(told.from_).sign(payload),
        kind=str(told.kind),
        speaker=told.from_,
        id=str(told.id),
        urgent=isinstance(told, DocumentManifest) and told.urgent,
        content=content,
    )


def document_manifest(
    letter: Letter,
    parts: Sequence[PreparedPart],
    *,
    speaker: str,
    id: str,
    now: datetime,
    change: ChangeOf | None = None,
) -> dict[str, Any]:
    """The manifest of contract §2.2 as JSON values, absent fields left out."""
    fields: dict[str, Any] = {
        "number": letter.number,
        "notation": letter.notation,
        "issued_on": letter.issued_on or now.astimezone(VIET_NAM).date(),
        "type": letter.type,
        "subject": letter.subject,
        "priority": letter.priority,
        "deliver_by": letter.deliver_by,
        **letter.further,
    }
    manifest: dict[str, Any] = {
        **_common("document", speaker=speaker, id=id, now=now, test=letter.test),
        "action": "new" if change is None else change.action,
        "to": list(letter.to) or None,
        "partial": letter.partial or None,
        "document": _without_nothing(fields),
        "replies_to": [one.as_dict() for one in letter.replies_to] or None,
        "parts": [part.as_dict() for part in parts],
    }
    if change is not None:
        manifest["concerns"] = [one.as_dict() for one in change.concerns]
        manifest["reason"] = change.reason
        if change.action == "update":
            manifest["changes"] = {
                "metadata": change.metadata,
                "added": list(change.added),
                "removed": list(change.removed),
            }
    return _without_nothing(manifest)


def statuses(
    items: Sequence[Mapping[str, Any]], *, signer: Signer, id: str, now: datetime, test: bool = False
) -> Outgoing:
    """One signed status message; `items` (at most 500) concern documents of one sender."""
    if not 1 <= len(items) <= MAX_ITEMS:
        raise ValueError(f"a status message has 1 to {MAX_ITEMS} items, not {len(items)}")
    manifest = {**_common("status", speaker=signer.code, id=id, now=now, test=test), "items": list(items)}
    signed = signer.sign(_encode(_without_nothing(manifest)))
    return outgoing(signed, kind="status", speaker=signer.code, id=id, urgent=False)


def status_item(
    document: Ref,
    code: str,
    *,
    at: datetime,
    for_: str | None = None,
    to: Sequence[str] = (),
    answers: Mapping[str, str] | None = None,
    reason: str | None = None,
    staff: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One item of a status message (contract §2.4) as JSON values."""
    return _without_nothing(
        {
            "concerns": document.as_dict(),
            "for": for_,
            "code": code,
            "at": rfc3339(at),
            "to": list(to) or None,
            "answers": dict(answers) if answers else None,
            "reason": reason,
            "staff": dict(staff) if staff else None,
        }
    )


def replay(since: datetime, *, signer: Signer, id: str, now: datetime) -> Outgoing:
    """A signed request for everything since then (contract §2.6)."""
    manifest = {
        **_common("request", speaker=signer.code, id=id, now=now, test=False),
        "request": "replay",
        "since": rfc3339(since),
    }
    return outgoing(
        signer.sign(_encode(_without_nothing(manifest))), kind="request", speaker=signer.code, id=id, urgent=False
    )


def outgoing(
    signed: Signed,
    *,
    kind: str,
    speaker: str,
    id: str,
    urgent: bool,
    content: Mapping[str, bytes] | None = None,
) -> Outgoing:
    """Wrap signed bytes for the outbox. Raises Refusal LT-SIZE if the message is larger than the contract allows."""
    body = encode_message(signed, content=content or {})
    return Outgoing(kind=kind, speaker=speaker, id=id, digest=signed.digest, urgent=urgent, body=body)


def _common(kind: str, *, speaker: str, id: str, now: datetime, test: bool) -> dict[str, Any]:
    return {"spec": SPEC, "kind": kind, "id": id, "from": speaker, "sent_at": rfc3339(now), "test": test or None}


def _encode(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, ensure_ascii=False, separators=(",", ":"), default=_plain).encode("utf-8")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in a manifest")


def _without_nothing(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

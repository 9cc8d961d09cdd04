"""What an agency of a test makes and signs: manifests, messages and letters, as bytes of its own."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from cryptography import x509

from broker.directory.records import AgencyId
from schemas.jws import PrivateKey, encode_message, parse_message, sign
from schemas.times import new_id, rfc3339


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """An agency or hub as the test plays it."""

    id: AgencyId
    code: str
    key: PrivateKey
    certificate: x509.Certificate
    thumbprint: bytes
    password: str
    has_mailbox: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A signed document of a test."""

    manifest: dict[str, Any]
    body: bytes
    digest: str

    @property
    def id(self) -> UUID:
        return UUID(self.manifest["id"])

    def reference(self) -> dict[str, str]:
        """As other messages name it."""
        return {"from": self.manifest["from"], "id": self.manifest["id"], "digest": self.digest}


def part(name: str, data: bytes, role: str = "document") -> dict[str, Any]:
    """A part of a manifest that describes these bytes."""
    return {
        "name": name,
        "media_type": "application/pdf",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "role": role,
    }


def digest_of(body: bytes) -> str:
    """The digest of a message, from its bytes."""
    return parse_message(body, slip_allowed=True).signed.digest


def new_manifest(
    sender: End, to: Sequence[End | str] = (), *, parts: Mapping[str, bytes] | None = None, **fields: Any
) -> dict[str, Any]:
    """A manifest of action `new` with one small part; `fields` add to it, replace, or with None take away.

    `document` is merged into the default one; `from_code` claims another sender.
    """
    files = {"công văn.pdf": b"%PDF-1.7 " + secrets.token_bytes(12)} if parts is None else parts
    now = datetime.now(UTC)
    manifest: dict[str, Any] = {
        "spec": "lienthong/1",
        "kind": "document",
        "id": str(new_id(now)),
        "from": fields.pop("from_code", sender.code),
        "sent_at": rfc3339(now),
        "action": "new",
        "to": [one.code if isinstance(one, End) else one for one in to],
        "document": {
            "number": str(secrets.randbelow(10**9)),
            "notation": "VPCP-TH",
            "issued_on": "2026-03-12",
            "type": "Công văn",
            "subject": "Về việc kết nối",
        }
        | fields.pop("document", {}),
        "parts": [part(name, data) for name, data in files.items()],
    }
    manifest |= fields
    return {name: value for name, value in manifest.items() if value is not None}


def signed_body(
    manifest: Mapping[str, Any] | bytes,
    by: End,
    *,
    content: Iterable[bytes] = (),
    key: PrivateKey | None = None,
) -> bytes:
    """The signed message for a manifest, with `content` inline; `key` signs in the place of the agency's own."""
    payload = manifest if isinstance(manifest, bytes) else json.dumps(manifest, ensure_ascii=False).encode()
    signed = sign(payload, key=key or by.key, thumbprint=by.thumbprint)
    return encode_message(signed, content={hashlib.sha256(data).hexdigest(): data for data in content})


def new_letter(sender: End, to: Sequence[End | str], *, by: End | None = None, **fields: Any) -> Letter:
    """A signed document with its own small part (or without, if `parts` is None), ready to be submitted."""
    data = b"%PDF-1.7 " + secrets.token_bytes(12)
    if fields.get("parts", ...) is None:
        del fields["parts"]
        files = {}
    else:
        files = {"công văn.pdf": data}
    manifest = new_manifest(sender, to, parts=files, **fields)
    body = signed_body(manifest, by or sender, content=files.values())
    return Letter(manifest=manifest, body=body, digest=digest_of(body))


def payload_of(letter: Letter) -> bytes:
    """The signed bytes of a letter."""
    return parse_message(letter.body, slip_allowed=True).signed.payload

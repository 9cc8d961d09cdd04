"""Messages on the wire and their signatures (contract §1): flattened JWS with content and a slip, and compact JWS.

The bytes that were signed are kept as they came; nothing here re-serialises a payload, and nothing here reads one: what
a manifest says is `schemas.manifest`, whose key it is and whether he may sign is the directory's knowledge.
Everything is a function of its arguments and safe to call from several threads at once.
"""

import binascii
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final

from schemas import base64url, strict_json
from schemas.errors import Refusal
from schemas.signatures import (
    LARGEST_SIGNATURE,
    SIGNATURE_LENGTHS,
    PrivateKey,
    PublicKey,
    algorithm_for,
    make_signature,
    signature_verifies,
)

__all__ = [
    "MAX_INLINE",
    "MAX_MESSAGE",
    "MAX_SLIP",
    "MEDIA_TYPE",
    "TYP",
    "Message",
    "PrivateKey",
    "PublicKey",
    "Signed",
    "encode_message",
    "parse_compact",
    "parse_message",
    "parse_stored",
    "sign",
    "sign_compact",
    "signature_holds",
]

MEDIA_TYPE: Final = "application/vnd.lienthong+json"
TYP: Final = "lienthong+jws"
"""The `typ` of everything signed under this contract; authentication tokens have another one, so neither can be
replayed as the other."""

MAX_MESSAGE: Final = 512 * 1024
"""Bytes of a submitted message (contract §1)."""

MAX_INLINE: Final = 128 * 1024
"""Bytes of all inline parts of a message together, before base64 (contract §2.3)."""

MAX_SLIP: Final = 256 * 1024
"""Characters that the broker's slip may add to a message that was as large as a message may be."""

_SLIP_MEMBER: Final = len(',"slip":""')

_MAX_INLINE_PARTS: Final = 100
"""As many as a manifest may have parts (contract §2.2)."""

_MAX_PROTECTED: Final = 2048
"""Characters of a protected header; a real one has about 150."""

_MAX_SIGNATURE: Final = 4 * LARGEST_SIGNATURE // 3 + 3

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_NO_CONTENT: Final[Mapping[str, bytes]] = MappingProxyType({})

_JSON_TYPES: Final[Mapping[type, str]] = MappingProxyType(
    {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
)

_FORBIDDEN_HEADERS: Final = {
    "jwk": "an embedded key",
    "jku": "a link to keys",
    "x5u": "a link to a certificate",
    "x5c": "an embedded certificate",
    "crit": "critical extensions",
    "b64": "an unencoded payload",
}
"""Header parameters that would let a message bring its own key, or mean other bytes than it seems to (contract §1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A payload and one signature over it, well-formed but not verified."""

    # The three texts exactly as they travelled: the signature is over protected + "." + payload_b64.
    protected: str
    payload_b64: str
    signature: str
    # The decoded payload; nobody serialises it again.
    payload: bytes
    # SHA-256 of the payload, lower-case hex: the digest of the message.
    digest: str
    # One of ES256, ES384, RS256, PS256, EdDSA.
    alg: str
    # SHA-256 of the signer's DER certificate, 32 bytes: says which key, proves nothing.
    thumbprint: bytes

    def signing_input(self) -> bytes:
        """The bytes that the signature is over (RFC 7515 §5.1)."""
        return f"{self.protected}.{self.payload_b64}".encode("ascii")

    def compact(self) -> str:
        """The compact serialisation (RFC 7515 §7.1)."""
        return f"{self.protected}.{self.payload_b64}.{self.signature}"

    def stored(self) -> bytes:
        """The flattened serialisation without content and slip: what databases and evidence bundles keep."""
        return (
            f'{{"protected":"{self.protected}","payload":"{self.payload_b64}","signature":"{self.signature}"}}'
        ).encode("ascii")


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What one AMQP body holds."""

    signed: Signed
    # Digest (lower-case hex) as the sender wrote it → bytes. Whether they fit is checked with the parts (§4 step 10).
    content: Mapping[str, bytes]
    # The broker's compact JWS, not read yet; only on what the broker delivers.
    slip: str | None


def parse_message(body: bytes, *, slip_allowed: bool) -> Message:
    """Read the bytes of one message; verifies nothing.

    `slip_allowed` is true at an agency, which reads what the broker delivers, and false at the broker.
    Raises Refusal LT-SIZE for more than 512 KiB (a slip excepted) or more than 128 KiB of inline parts; LT-SHAPE for
    everything that is not strict JSON of the right shape; LT-ALGORITHM for an `alg` outside contract §1.
    """
    _check_size(len(body), "message", slip=_SLIP_MEMBER + MAX_SLIP if slip_allowed else 0)
    members = _members(strict_json.loads(body, what="message"), what="message")
    slip = None
    if "slip" in members:
        if not slip_allowed:
            raise _shape("slip", "a slip", "no slip: only the broker adds one to what it delivers")
        slip = _text(members, "slip", MAX_SLIP)
    _check_size(len(body), "message", slip=0 if slip is None else _SLIP_MEMBER + len(slip))
    signed = _flattened(members)
    content = _content(members["content"]) if "content" in members else _NO_CONTENT
    return Message(signed=signed, content=content, slip=slip)


def parse_stored(jws: bytes) -> Signed:
    """Read what `Signed.stored` wrote, or any flattened JWS under the rules of contract §1; verifies nothing.

    Raises Refusal LT-SIZE, LT-SHAPE, LT-ALGORITHM like `parse_message`.
    """
    _check_size(len(jws), "jws")
    return _flattened(_members(strict_json.loads(jws, what="jws"), what="jws"))


def parse_compact(text: str, *, typ: str = TYP) -> Signed:
    """Read a compact JWS: a slip, or with another `typ` an authentication token (contract §6); verifies nothing.

    Raises Refusal LT-SIZE, LT-SHAPE, LT-ALGORITHM like `parse_message`.
    """
    _check_size(len(text), "jws")
    protected, *rest = text.split(".", 3)
    if len(rest) != 2:
        raise _shape("jws", f"{text.count('.') + 1} sections", "three sections with dots between them")
    return _signed(protected, rest[0], rest[1], typ)


def sign(payload: bytes, *, key: PrivateKey, thumbprint: bytes, alg: str | None = None) -> Signed:
    """Sign the bytes of a manifest, a slip or a notice.

    `thumbprint` is the SHA-256 of the signer's DER certificate. The algorithm follows from the key (P-256 ES256, P-384
    ES384, RSA PS256, Ed25519 EdDSA); `alg` may ask for RS256 with an RSA key.
    Raises Refusal LT-ALGORITHM if `alg` does not fit the key, or RSA has fewer than 2048 bits; ValueError if the
    thumbprint does not have 32 bytes.
    """
    return _sign(payload, key, thumbprint, TYP, alg)


def sign_compact(payload: bytes, *, key: PrivateKey, thumbprint: bytes, typ: str = TYP, alg: str | None = None) -> str:
    """Like `sign`, in the compact serialisation and with any `typ`: slips, authentication tokens."""
    return _sign(payload, key, thumbprint, typ, alg).compact()


def encode_message(signed: Signed, *, content: Mapping[str, bytes] = _NO_CONTENT, slip: str | None = None) -> bytes:
    """The bytes of a message: `signed` as it is, inline parts by digest, and the broker's slip on what it delivers.

    The caller answers for the digests being those of the bytes. No text in here needs escaping: all are base64 or hex.
    Raises Refusal LT-SIZE for what `parse_message` would refuse.
    """
    pieces = [signed.stored()[:-1]]
    if content:
        _check_inline(sum(map(len, content.values())))
        parts = [b'"%b":"%b"' % (digest.encode("ascii"), b64encode(data)) for digest, data in content.items()]
        pieces.append(b',"content":{%b}' % b",".join(parts))
    _check_size(sum(map(len, pieces)) + 1, "message")
    if slip is not None:
        if len(slip) > MAX_SLIP:
            found = f"{len(slip)} characters"
            raise Refusal(code="LT-SIZE", field="slip", found=found, expected=f"at most {MAX_SLIP} characters")
        pieces.append(b',"slip":"%b"' % slip.encode("ascii"))
    pieces.append(b"}")
    return b"".join(pieces)


def signature_holds(signed: Signed, public_key: PublicKey) -> bool:
    """Whether the bytes verify under the key: the first of the three answers, and no word about trust or policy.

    Releases the interpreter's lock while it computes. Raises Refusal LT-ALGORITHM if `alg` does not fit the key.
    """
    return signature_verifies(
        signed.alg, public_key, base64url.decode(signed.signature, field="signature"), signed.signing_input()
    )


def _sign(payload: bytes, key: PrivateKey, thumbprint: bytes, typ: str, alg: str | None) -> Signed:
    alg = algorithm_for(key, alg)
    protected = _protected_text(alg, typ, thumbprint)
    payload_b64 = base64url.encode(payload)
    signature = make_signature(alg, key, f"{protected}.{payload_b64}".encode("ascii"))
    return Signed(
        protected=protected,
        payload_b64=payload_b64,
        signature=base64url.encode(signature),
        payload=payload,
        digest=sha256(payload).hexdigest(),
        alg=alg,
        thumbprint=thumbprint,
    )


@lru_cache(maxsize=256)
def _protected_text(alg: str, typ: str, thumbprint: bytes) -> str:
    if len(thumbprint) != sha256().digest_size:
        raise ValueError(f"a thumbprint of {len(thumbprint)} bytes; SHA-256 of the DER certificate has 32")
    header = {"alg": alg, "typ": typ, "x5t#S256": base64url.encode(thumbprint)}
    return base64url.encode(json.dumps(header, separators=(",", ":")).encode("ascii"))


def _flattened(members: dict[str, Any]) -> Signed:
    for name in ("header", "signatures"):
        if name in members:
            raise _shape(name, f"the member {name!r}", "one signature, and only a protected header")
    protected = _text(members, "protected", _MAX_PROTECTED)
    return _signed(protected, _text(members, "payload"), _text(members, "signature", _MAX_SIGNATURE), TYP)


def _signed(protected: str, payload_b64: str, signature: str, typ: str) -> Signed:
    alg, thumbprint = _read_protected(protected, typ)
    if len(signature) > _MAX_SIGNATURE:
        raise _shape("signature", f"{len(signature)} characters", f"at most {_MAX_SIGNATURE} characters")
    _check_signature_length(alg, base64url.decode(signature, field="signature"))
    payload = base64url.decode(payload_b64, field="payload")
    return Signed(
        protected=protected,
        payload_b64=payload_b64,
        signature=signature,
        payload=payload,
        digest=sha256(payload).hexdigest(),
        alg=alg,
        thumbprint=thumbprint,
    )


# A signer's header is the same in every message, so that it is read once and then only compared.
@lru_cache(maxsize=8192)
def _read_protected(protected: str, typ: str) -> tuple[str, bytes]:
    """`alg` and thumbprint of a protected header; refused headers are not remembered."""
    if len(protected) > _MAX_PROTECTED:
        raise _shape("protected", f"{len(protected)} characters", f"at most {_MAX_PROTECTED} characters")
    decoded = base64url.decode(protected, field="protected")
    header = _members(strict_json.loads(decoded, what="protected"), what="protected")
    alg = _text(header, "alg", within="protected.")
    if alg not in SIGNATURE_LENGTHS:
        expected = f"one of {', '.join(SIGNATURE_LENGTHS)}"
        raise Refusal(code="LT-ALGORITHM", field="protected.alg", found=ascii(alg), expected=expected)
    for name, meaning in _FORBIDDEN_HEADERS.items():
        if name in header:
            raise _shape(f"protected.{name}", meaning, "alg, typ and x5t#S256 only")
    found_typ = _text(header, "typ", within="protected.")
    if found_typ != typ:
        raise _shape("protected.typ", ascii(found_typ), repr(typ))
    thumbprint = base64url.decode(_text(header, "x5t#S256", within="protected."), field="protected.x5t#S256")
    if len(thumbprint) != sha256().digest_size:
        raise _shape("protected.x5t#S256", f"{len(thumbprint)} bytes", "SHA-256 of the DER certificate, 32 bytes")
    return alg, thumbprint


def _check_signature_length(alg: str, signature: bytes) -> None:
    shortest, longest = SIGNATURE_LENGTHS[alg]
    if shortest <= len(signature) <= longest:
        return
    found = f"{len(signature)} bytes"
    if alg.startswith("ES") and signature.startswith(b"\x30"):
        found += " that look like ASN.1 DER, as openssl writes it"
    expected = f"{longest} bytes" if shortest == longest else f"{shortest} to {longest} bytes"
    if alg.startswith("ES"):
        expected += f": r and s of {longest // 2} bytes each, one after the other (RFC 7518 §3.4)"
    raise _shape("signature", found, expected)


def _content(value: Any) -> Mapping[str, bytes]:
    members = _members(value, what="content")
    if len(members) > _MAX_INLINE_PARTS:
        raise _shape("content", f"{len(members)} members", f"at most {_MAX_INLINE_PARTS}")
    decoded: dict[str, bytes] = {}
    for digest in members:
        if _DIGEST.fullmatch(digest) is None:
            raise _shape("content", f"the member {digest[:80]!a}", "SHA-256 in 64 lower-case hex digits")
        decoded[digest] = _base64(_text(members, digest, within="content."), field=f"content.{digest}")
    _check_inline(sum(map(len, decoded.values())))
    return MappingProxyType(decoded)


def _base64(text: str, *, field: str) -> bytes:
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError:
        raise _shape(field, "something else", "base64 with padding, in one line (RFC 4648 §4)") from None
    # The decoder lets bits slip at the end that no byte uses; the last group tells.
    if text[-4:] != b64encode(data[(len(data) - 1) // 3 * 3 :]).decode("ascii"):
        raise _shape(field, "bits left over at the end", "base64 whose unused bits are zero (RFC 4648 §3.5)")
    return data


def _check_size(length: int, field: str, *, slip: int = 0) -> None:
    if length - slip > MAX_MESSAGE:
        expected = f"at most {MAX_MESSAGE} bytes, the broker's slip not counted"
        raise Refusal(code="LT-SIZE", field=field, found=f"{length} bytes", expected=expected)


def _check_inline(length: int) -> None:
    if length > MAX_INLINE:
        expected = f"at most {MAX_INLINE} bytes together; larger parts go to the content store"
        raise Refusal(code="LT-SIZE", field="content", found=f"{length} bytes of inline parts", expected=expected)


def _members(value: Any, *, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _shape(what, _json_type(value), "an object")
    return value


def _text(members: dict[str, Any], name: str, longest: int = MAX_MESSAGE, *, within: str = "") -> str:
    if name not in members:
        raise _shape(f"{within}{name}", "nothing", "a string")
    value = members[name]
    if not isinstance(value, str):
        raise _shape(f"{within}{name}", _json_type(value), "a string")
    if len(value) > longest:
        raise _shape(f"{within}{name}", f"{len(value)} characters", f"at most {longest} characters")
    return value


def _json_type(value: Any) -> str:
    return _JSON_TYPES.get(type(value), "null")


def _shape(field: str, found: str, expected: str) -> Refusal:
    return Refusal(code="LT-SHAPE", field=field, found=found, expected=expected)

"""Which fields each type of line of a bundle has, of which types, and what orders the lines of a type. Pure."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from broker.evidence.bundle.lines import SPEC, WITHHELD
from schemas.errors import Refusal
from schemas.times import parse_rfc3339, rfc3339

_HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and rfc3339(parse_rfc3339(value)) == value
    except Refusal:
        return False


def _is_scope(value: Any) -> bool:
    if not isinstance(value, dict) or not set(value) <= {"document", "recipient", "archive"}:
        return False
    kinds = {"document": dict, "recipient": str, "archive": dict}
    agencies = value["archive"].get("agencies", []) if isinstance(value.get("archive"), dict) else []
    if not isinstance(agencies, list) or not all(isinstance(one, str) for one in agencies):
        return False
    return ("document" in value) != ("archive" in value) and all(
        isinstance(member, kinds[name]) for name, member in value.items()
    )


def _is_base64(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return bool(value) and b64encode(b64decode(value, validate=True)).decode() == value
    except (Base64Error, ValueError):
        return False


def _is_hash(value: Any) -> bool:
    return _is_base64(value) and len(b64decode(value)) == 32


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _HEX_DIGEST.fullmatch(value) is not None


def _is_jws(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"payload", "protected", "signature"}


def _all(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(check(one) for one in value)


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one type of line."""

    fields: Mapping[str, tuple[Callable[[Any], bool], str]]
    key: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """What orders lines of this type."""
    optional: frozenset[str] = frozenset()

    def problem(self, value: Mapping[str, Any]) -> tuple[str, str] | None:
        """What was found and what was expected, or None."""
        for name in value:
            if name != "type" and name not in self.fields:
                return f"the field {name[:40]!a}", f"type, {', '.join(self.fields)}"
        for name, (check, expected) in self.fields.items():
            if name not in value:
                if name in self.optional:
                    continue
                return f"no {name}", f"{name}: {expected}"
            if not check(value[name]):
                return f"another {name}", f"{name}: {expected}"
        return None


_TEXT: Final = (_is_text, "a text")
_COUNT: Final = (_is_count, "a whole number from 0")
_DIGEST: Final = (_is_digest, "SHA-256 in lower-case hex")
_BASE64: Final = (_is_base64, "base64 in its one spelling")
_HASHES: Final = (_all(_is_hash), "a list of SHA-256 values in base64")
_JWS: Final = (_is_jws, "payload, protected and signature")


def _digest_of(value: Mapping[str, Any]) -> str:
    """Orders messages: the texts themselves, so that no decoding is needed to order a line."""
    jws = value["jws"]
    text = jws if isinstance(jws, str) else f"{jws['protected']}.{jws['payload']}.{jws['signature']}"
    return sha256(text.encode()).hexdigest()


def _certificate_key(value: Mapping[str, Any]) -> tuple[Any, ...]:
    return (sha256(b64decode(value["der"])).hexdigest(),)


_MESSAGE: Final = Shape({"jws": _JWS}, lambda value: (_digest_of(value),))

SHAPES: Final[Mapping[str, Shape]] = {
    "bundle": Shape(
        {
            "spec": (lambda value: value == SPEC, f'"{SPEC}"'),
            "made_at": (_is_time, "a time of RFC 3339 in UTC with microseconds"),
            "scope": (_is_scope, "document, recipient or archive"),
        },
        lambda _: (),
    ),
    "checkpoint": Shape(
        {
            "origin": _TEXT,
            "note": _TEXT,
            "since": _TEXT,
            "proof": _HASHES,
            "timestamps": (_all(_is_base64), "a list of base64"),
        },
        lambda value: (value["origin"],),
        frozenset({"since", "proof", "timestamps"}),
    ),
    "certificate": Shape({"der": _BASE64, "chain": (_all(_is_base64), "a list of base64")}, _certificate_key),
    "statement": Shape(
        {
            "kind": (lambda value: value in ("mandate", "succession"), "mandate or succession"),
            "who": _TEXT,
            "agency": _TEXT,
            "from": _TEXT,
            "until": _TEXT,
        },
        lambda value: (value["kind"], value["agency"], value["who"], value["from"]),
        frozenset({"until"}),
    ),
    "document": _MESSAGE,
    "status": _MESSAGE,
    "notice": _MESSAGE,
    "slip": Shape({"jws": _TEXT}, lambda value: (_digest_of(value),)),
    "withheld": Shape(
        {
            "kind": (lambda value: value in ("document", "status"), "document or status"),
            "digest": _DIGEST,
            "why": (lambda value: value in WITHHELD, f"one of {', '.join(WITHHELD)}"),
        },
        lambda value: (value["digest"],),
    ),
    "hashes": Shape(
        {"list": (lambda value: _HASHES[0](value) and _rising(value), "SHA-256 values in base64, rising, each once")},
        lambda _: (),
    ),
    "event": Shape(
        {
            "log": _COUNT,
            "index": _COUNT,
            "path": (_all(_is_count), "a list of positions in the list of hashes"),
            "body": (_is_object, "an object"),
        },
        lambda value: (value["log"], value["index"]),
    ),
    "seal": Shape({"jws": _TEXT}, lambda _: ()),
}


def _rising(hashes: Sequence[str]) -> bool:
    """In the order of their bytes, which is not that of their base64."""
    decoded = [b64decode(one) for one in hashes]
    return all(decoded[at] < decoded[at + 1] for at in range(len(decoded) - 1))

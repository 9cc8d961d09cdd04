#!/usr/bin/env python3
"""Check a bundle of evidence of the document exchange, with public keys alone. / Kiểm tra một gói chứng cứ.

    python3 check_bundle.py BUNDLE|FOLDER --key VKEY|FILE [--root PEM] [--since-checkpoint FILE]

One file; needs Python 3.9 or newer and the package `cryptography` (42 or newer), and nothing of the exchange: it was
written from docs/evidence-bundle.md, docs/reference/wire-contract.md, RFC 6962, RFC 8785, RFC 7515 and the C2SP notes,
so that you can read all of it before you trust it. Exit code 0 if everything holds, 1 with the first reason and its
place if not, 2 for a wrong call, 141 if nobody read what it said to the end.
"""

# JSON from strangers has no types that could be declared; every field is looked at before it is used.
# mypy: disable-error-code="assignment,attr-defined,misc,no-untyped-call,no-untyped-def,var-annotated"
from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
import unicodedata
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

SPEC = "lienthong-bundle/1"
TYPES = (
    "bundle",
    "checkpoint",
    "certificate",
    "statement",
    "document",
    "status",
    "notice",
    "slip",
    "withheld",
    "hashes",
    "event",
    "seal",
)
FIELDS = {  # type of line: (fields it must have, fields it may have)
    "bundle": ("spec made_at scope", ""),
    "checkpoint": ("origin note", "since proof timestamps"),
    "certificate": ("der chain", ""),
    "statement": ("kind who agency from", "until"),
    "document": ("jws", ""),
    "status": ("jws", ""),
    "notice": ("jws", ""),
    "slip": ("jws", ""),
    "withheld": ("kind digest why", ""),
    "hashes": ("list", ""),
    "event": ("log index path body", ""),
    "seal": ("jws", ""),
}
ORDERS = {
    "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
}
MOST_LINES = 5_000_000
MOST_BYTES = 2 * 1024**3
LONGEST_NOTE = 65_536
MOST_PATHS = 500  # certificates that are tried on the way to a root
HEX64 = re.compile(r"[0-9a-f]{64}\Z")
TIME = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z")
UNWANTED = re.compile("[\0\ud800-\udfff]")
VIETNAM = timezone(timedelta(hours=7))


class Bad(Exception):
    """The first thing that does not hold."""

    def __init__(self, reason: str, line: int, text: str) -> None:
        super().__init__(f"line {line}: {text} [{reason}]" if line else f"{text} [{reason}]")
        self.reason = reason
        self.line = line


# ── Shapes ───────────────────────────────────────────────────────────────────────────────────────
# A shape is a test of one value, a dict of members ("?": may be missing, "~": may be null, too), or a list of a shape,
# how many at least and how many at most.
def written(pattern: str, most: int = 1 << 30, flags=re.ASCII):
    compiled = re.compile(pattern + r"\Z", flags)
    return lambda value: isinstance(value, str) and len(value) <= most and compiled.match(value) is not None


def whole(least: float = -float("inf"), most: float = float("inf")):
    return lambda value: type(value) is int and least <= value <= most


def one_of(words: str):
    return lambda value: isinstance(value, str) and value in words.split()


def text(value) -> bool:
    return isinstance(value, str)


def flag(value) -> bool:
    return isinstance(value, bool)


def thing(value) -> bool:
    return isinstance(value, dict)


def time(value) -> bool:
    return moment(value) is not None


def date(value) -> bool:
    return bool(text(value) and re.match(r"\d{4}-\d\d-\d\d\Z", value) and datetime.fromisoformat(value))


def trimmed(value) -> str:
    return unicodedata.normalize("NFC", value or "").strip()


def fits(value, shape) -> None:
    """Raises ValueError for a value of another shape."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise ValueError(f"{str(value)[:40]!r} is no object")
        for name, inner in shape.items():
            found = value.get(name.rstrip("?~"))
            if found is None and (name.endswith("~") or (name.endswith("?") and name[:-1] not in value)):
                continue
            try:
                fits(found, inner)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{name.rstrip('?~')}: {error}") from None
    elif isinstance(shape, list):
        inner, least, most = shape if len(shape) == 3 else (shape[0], 0, 1 << 30)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(f"no list of {least} to {most}")
        for one in value:
            fits(one, inner)
    elif not shape(value):
        raise ValueError(f"another value: {str(value)[:40]!r}")


def names(shape, above: str = ""):
    """Every member that a shape knows, as paths without positions."""
    for name, inner in shape.items() if isinstance(shape, dict) else ():
        path = above + name.rstrip("?~")
        yield path
        inner = inner[0] if isinstance(inner, list) else inner
        for more in EITHER.get(inner, ()) if callable(inner) else (inner,):
            yield from names(more, path + ".")


CODE = written(r"[0-9A-Z]+(\.[0-9A-Z]+)*", 35)
ID = written("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DIGEST = written("[0-9a-f]{64}")
ADDRESSEE = written(r"[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*", 255)
NAME_BAD = r"\x00-\x1f\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069"
NAME = written(f"[^{NAME_BAD}]*[^{NAME_BAD}\\x20.][^{NAME_BAD}]*", 255)  # unbounded, it takes the square
SUBTYPE = "[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MEDIA_TYPE = written(
    SUBTYPE + "/" + SUBTYPE + r'( ?; ?[A-Za-z0-9-]+=([A-Za-z0-9!#$&^_.+-]+|"[^"\\\x00-\x1f\x7f]*"))*', 255
)
REFERENCE = {"from": CODE, "id": ID, "digest": DIGEST}
KEY = {"from": CODE, "issued_on": date, "number": text, "notation": text}


def reference_or_key(value) -> bool:
    fits(value, REFERENCE if thing(value) and "id" in value else KEY)
    return True


def reference_or_message(value) -> bool:
    fits(value, REFERENCE if thing(value) and "digest" in value else {"from": CODE, "id": ID})
    return True


def reference_or_name(value) -> bool:
    if not (thing(value) and text(value.get("message_id"))):
        fits(value, REFERENCE)
    return True


EITHER = {
    reference_or_key: (REFERENCE, KEY),
    reference_or_message: (REFERENCE,),
    reference_or_name: (REFERENCE, {"message_id": text}),
}
EVERY = {"id": ID, "from": CODE, "sent_at": time, "must_understand?": [text], "test?": flag}
MANIFESTS = {  # contract §2
    "document": {
        **EVERY,
        "action": one_of("new recall update replace"),
        "to?": [ADDRESSEE, 0, 5000],
        "partial?": flag,
        "document": {
            **dict.fromkeys(("number?", "notation?"), text),
            "subject?": lambda value: text(value) and len(value) <= 500,
            **dict.fromkeys(("place~", "type~", "summary~", "scope~", "drafter~"), text),
            **dict.fromkeys(("issued_on~", "due_on~"), date),
            **dict.fromkeys(("deliver_by~", "expires_at~"), time),
            **dict.fromkeys(("pages~", "copies~"), whole(0)),
            "appendixes?": [text],
            "filed_to?": [text],
            "signer~": {"name~": text, "position~": text, "authority~": text},
            "priority?": whole(0, 4),
            "steering~": whole(0, 3),
        },
        "replies_to?": [reference_or_key],
        "concerns?": [reference_or_key],
        "changes~": {"metadata?": flag, "added?": [CODE, 0, 5000], "removed?": [CODE, 0, 5000]},
        "reason~": text,
        "parts?": [
            {
                "name": lambda value: NAME(value) and len(value.encode()) <= 255,
                "media_type": MEDIA_TYPE,
                "size": whole(0, 2**53),
                "sha256": DIGEST,
                "role": one_of("document attachment edxml"),
            },
            0,
            100,
        ],
        "via~": {"protocol": text, "system~": text},
    },
    "status": {
        **EVERY,
        "items": [
            {
                "concerns": REFERENCE,
                "for~": CODE,
                "code": one_of("01 02 03 04 05 06 13 15 16"),
                "at": time,
                "to?": [ADDRESSEE, 0, 5000],
                "answers~": reference_or_message,
                "reason~": text,
                "staff~": dict.fromkeys(("name~", "department~", "phone~", "email~"), text),
            },
            1,
            500,
        ],
    },
    "notice": {
        **EVERY,
        "items": [
            {
                "event": one_of("accepted rejected rerouted overdue quarantined status-refused mailbox-reset"),
                "concerns~": reference_or_name,
                "error~": text,
                "detail~": thing,
                "at": time,
                "first_accepted_at~": time,
                "recipients~": {
                    "count": whole(0),
                    "list?": [{"code": CODE, "addressed_as": text, "owner": CODE}, 0, 500],
                },
                "unresolved?": [text],
                "warnings?": [thing],
                "leaf~": DIGEST,
                "log_by~": time,
            },
            1,
            500,
        ],
    },
    "slip": {
        "document": REFERENCE,
        "accepted_at": time,
        "attempt": whole(1),
        "recipients~": [{"code": CODE, "addressed_as": text}],
        "certificate": lambda value: text(value) and value != "" and base64.b64decode(value, validate=True) is not None,
        "leaf": DIGEST,
        "log_by": time,
        "custody~": one_of("broker"),
    },
}


def run(value) -> bool:
    """How so many recipients, one after the other, are addressed: None is by their own codes."""
    return isinstance(value, list) and len(value) == 2 and (value[0] is None or text(value[0])) and whole()(value[1])


NAMED = {"from": text, "id": ID, "digest": DIGEST}
ITEM = {"item": whole(), "document": NAMED, "recipient": text, "code": text, "at": time, "error?": text}
EVENTS = {  # contract §9, as far as it is looked at
    "accepted": {
        "document": NAMED,
        "action": text,
        "priority": whole(),
        "test": flag,
        "sent_at": time,
        "submitter": text,
        "thumbprint": DIGEST,
        "count": whole(),
        "recipients": [[text, 2, 2]],
        "parts_digests?": [DIGEST],
        "concerns?": [NAMED],
        "due_arrival?": time,
        "log_by?": time,
        "addressed?": [run],
        "added?": {"recipients": [[text, 2, 2]], "addressed?": [run]},
        **dict.fromkeys(("unresolved_sha256?", "warnings_sha256?"), DIGEST),
        "notice?": text,
    },
    "dispatched": {"message": NAMED, "kind": text, "attempt": whole(), "owners": [text], "recipients?": [text]},
    "status_recorded": {
        "message": NAMED,
        "submitter": text,
        "thumbprint": DIGEST,
        "items": [{**ITEM, "anomalous?": flag}],
        "log_by?": time,
        "forwards?": [text],
        "row?": thing,
        "notice?": text,
    },
    "overdue": {"document": NAMED, "what": text, "due": time, "recipients": [text], "notice?": text},
    "rerouted": {
        "document": NAMED,
        "deliveries": [{"closed": text, "successors": [text], "moved": flag, "owner?": text, "due_arrival?": time}],
        "notice?": text,
    },
    "operator_action": {"actor": text, "action": text, "target": text, "recipients?": [text]},
    "directory_changed": {"change": text, "codes": [text], "facts?": thing},
    "rejected": {"error": text, "id?": text, "claimed_from?": text, "row?": thing, "notice?": text},
}


def rules(kind: str, manifest) -> None:
    """What contract §2 asks of a manifest beyond the shape of its members. Raises ValueError."""
    demanded = set(manifest.get("must_understand", ()))
    if demanded - {"spec", "kind", *(names(MANIFESTS[kind]) if demanded else ())}:
        raise ValueError("a field that must be understood and is not known")
    if kind == "document":
        action, fields = manifest["action"], manifest["document"]
        if (action == "new") == bool(manifest.get("concerns")) or (action == "new" and not manifest.get("to")):
            raise ValueError(f"whom and what a document of action {action} is about")
        if action in ("recall", "replace") and not trimmed(manifest.get("reason")):
            raise ValueError("no reason")
        if action in ("new", "replace") and not manifest.get("parts"):
            raise ValueError("no part")
        if (action == "update") != (manifest.get("changes") is not None):
            raise ValueError("changes")
        if fields.get("priority") == 4 and fields.get("deliver_by") is None:
            raise ValueError("no hour by which it must be delivered")
    for item in manifest["items"] if kind == "status" else ():
        if item["concerns"]["from"] != manifest["items"][0]["concerns"]["from"]:
            raise ValueError("documents of several senders")
        if item["code"] in ("02", "13", "16") and not trimmed(item.get("reason")):
            raise ValueError("no reason")
        if (item["code"] == "13" and not item.get("to")) or (item["code"] in ("15", "16") and not item.get("answers")):
            raise ValueError(f"to whom or to what a {item['code']} is")


# ── Bytes ────────────────────────────────────────────────────────────────────────────────────────
def strict_json(data: bytes, *, fractions: bool = False):
    """RFC 8259 with one meaning only: no doubles, no surrogates, no U+0000; fractions in signed payloads alone."""

    def pairs(items):
        found = dict(items)
        if len(found) != len(items):
            raise ValueError("a member twice")
        return found

    def refuse(text):
        raise ValueError(f"the number {text[:30]}")

    def integer(text):
        number = int(text) if len(text) < 20 else None
        if number is None or abs(number) > 2**53 - (not fractions):
            refuse(text)
        return number

    def fraction(text):
        return float(text) if fractions and abs(float(text)) <= sys.float_info.max else refuse(text)

    text = data.decode("utf-8")
    value = json.loads(text, object_pairs_hook=pairs, parse_float=fraction, parse_int=integer, parse_constant=refuse)
    look(value, 0)
    return value


def look(value, depth: int) -> None:
    if isinstance(value, str):
        if UNWANTED.search(value):
            raise ValueError("U+0000 or half a surrogate pair")
    elif isinstance(value, dict):
        if depth >= 32:
            raise ValueError("nesting deeper than 32")
        for name, member in value.items():
            look(name, depth)
            look(member, depth + 1)
    elif isinstance(value, list):
        if depth >= 32:
            raise ValueError("nesting deeper than 32")
        for member in value:
            look(member, depth + 1)


def canonical(value) -> bytes:
    """RFC 8785 for objects, arrays, texts, whole numbers, true, false and null."""

    def sort(item):
        if isinstance(item, dict):
            return {name: sort(item[name]) for name in sorted(item, key=lambda name: name.encode("utf-16-be"))}
        return [sort(one) for one in item] if isinstance(item, list) else item

    return json.dumps(sort(value), ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def read_manifest(payload: bytes, kind: str):
    """What was signed: a manifest (contract §2) or a slip (§3.2) of that kind. Raises ValueError, RecursionError."""
    manifest = strict_json(payload, fractions=True)
    fits(manifest, {"spec": one_of("lienthong/1"), "kind": one_of(kind), **MANIFESTS[kind]})
    if kind != "slip":
        rules(kind, manifest)
    return manifest


def b64(text, line: int, what: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
        if not data or base64.b64encode(data).decode() != text:
            raise ValueError
    except (AttributeError, ValueError):
        raise Bad("shape", line, f"{what} is not base64 in its one spelling") from None
    return data


def b64url(text: str) -> bytes:
    """base64url without padding and without slack bits (RFC 7515 §2). Raises ValueError."""
    if not re.match(r"[A-Za-z0-9_-]*\Z", text):
        raise ValueError("another character than base64url has")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
        raise ValueError("bits left over")
    return data


def moment(text) -> datetime:
    """RFC 3339 with an offset; digits beyond microseconds are dropped. Raises ValueError."""
    match = TIME.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"no time: {text!r}")
    fraction = (match[2] or ".0")[1:7].ljust(6, "0")
    zone = match[3].upper().replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(f"{match[1].upper()}.{fraction}{zone}").astimezone(timezone.utc)  # noqa: UP017
    except OverflowError:
        raise ValueError(f"a time outside of the years 1 to 9999: {text!r}") from None


def day_of(at: datetime) -> str:
    """The day in Vietnamese time."""
    try:
        return at.astimezone(VIETNAM).date().isoformat()
    except OverflowError:  # the last hours of the year 9999
        return at.date().isoformat()


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


# ── Merkle tree: RFC 6962 §2.1, verified as in RFC 9162 §2.1.3.2 and §2.1.4.2 ────────────────────
def node(left: bytes, right: bytes) -> bytes:
    return sha(b"\x01" + left + right)


def root_from_path(leaf: bytes, index: int, size: int, path) -> bytes:
    if index >= size:
        raise ValueError(f"index {index} in a tree of {size}")
    fn, sn, found = index, size - 1, leaf
    for one in path:
        if sn == 0:
            raise ValueError("a path that is too long")
        if fn & 1 or fn == sn:
            found = node(one, found)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            found = node(found, one)
        fn >>= 1
        sn >>= 1
    if sn:
        raise ValueError("a path that is too short")
    return found


def check_consistency(first: int, first_root: bytes, second: int, second_root: bytes, path) -> None:
    if first > second:
        raise ValueError(f"the older tree has {first} leaves, the newer {second}")
    if first == second:
        if path or first_root != second_root:
            raise ValueError("two trees of one size with different roots, or a needless proof")
        return
    if first == 0:
        if path or first_root != sha(b""):
            raise ValueError("an empty tree with another root, or a needless proof")
        return
    path = list(path)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        raise ValueError("no proof")
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    old = new = path[0]
    for one in path[1:]:
        if sn == 0:
            raise ValueError("a proof that is too long")
        if fn & 1 or fn == sn:
            old, new = node(one, old), node(one, new)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            new = node(new, one)
        fn >>= 1
        sn >>= 1
    if old != first_root or new != second_root or sn:
        raise ValueError("a proof that leads to other roots")


# ── Signed notes and checkpoints (C2SP) ──────────────────────────────────────────────────────────
def read_key(text: str):
    """A verifier key: name+key id+base64(type ‖ Ed25519 key)."""
    name, digits, encoded = text.split("+", 2)
    data = base64.b64decode(encoded, validate=True)
    if len(data) != 33 or data[0] not in (1, 4) or not name:
        raise ValueError("another kind of key")
    if sha(name.encode() + b"\n" + data)[:4].hex() != digits:
        raise ValueError("a key id that does not belong to the key")
    return name, data


def may_sign(name: str, origin: str) -> bool:
    """Whether a key of this name is the log's for an origin: `x/log` signs `x/2026` and no other exchange's log."""
    return name == origin or (name.endswith("/log") and origin.startswith(name[:-3]))


def check_note(note: str, keys):
    """Origin, size and root of a checkpoint that the log has signed, and who has signed. Raises ValueError."""
    if len(note.encode()) > LONGEST_NOTE:
        raise ValueError(f"a note of more than {LONGEST_NOTE} bytes")
    text, separator, rest = note.rpartition("\n\n")
    if not separator or not rest.endswith("\n"):
        raise ValueError("no signed note")
    text += "\n"
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines) or not re.match(r"(0|[1-9][0-9]{0,18})\Z", lines[1]):
        raise ValueError("no checkpoint: origin, size and root, each on a line of its own")
    root = base64.b64decode(lines[2], validate=True)
    if len(root) != 32 or base64.b64encode(root).decode() != lines[2]:
        raise ValueError("a root that is no SHA-256 value")
    # The log signs under its own name and, with the same key, under the origin's.
    known = {}
    logs = [(name, data) for name, data in keys if data[0] == 1 and may_sign(name, lines[0])]
    for name, data in [*keys, *((lines[0], data) for _, data in logs)]:
        known[name, sha(name.encode() + b"\n" + data)[:4]] = data
    signers = []
    for one in rest[:-1].split("\n"):
        match = re.match(r"— ([^\s+]+) (\S+)\Z", one)
        if match is None:
            raise ValueError(f"no signature line: {one[:60]!r}")
        raw = base64.b64decode(match[2], validate=True)
        if base64.b64encode(raw).decode() != match[2] or len(raw) < 5:
            raise ValueError("a signature that is not in its one spelling")
        data = known.get((match[1], raw[:4]))
        if data is None:
            continue
        signed, signature = text.encode(), raw[4:]
        if data[0] == 4:
            seconds = int.from_bytes(raw[4:12], "big")
            signed, signature = f"cosignature/v1\ntime {seconds}\n{text}".encode(), raw[12:]
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(data[1:]).verify(signature, signed)
        except InvalidSignature:
            raise ValueError(f"the signature of {match[1]} does not fit") from None
        signers.append((match[1], data[0]))
    if not any(kind == 1 and may_sign(name, lines[0]) for name, kind in signers):
        raise ValueError("no signature by the log's key that was given")
    return lines[0], int(lines[1]), root, [name for name, _ in signers]


# ── JWS (RFC 7515) after the wire contract §1 ────────────────────────────────────────────────────
class Jws:
    """A signed message of the bundle, taken apart and not verified."""

    def __init__(self, value, line: int, kind: str) -> None:
        self.line, self.kind = line, kind
        try:
            if isinstance(value, str):
                self.protected, self.payload_text, self.signature_text = value.split(".")
            else:
                if not isinstance(value, dict) or set(value) != {"protected", "payload", "signature"}:
                    raise ValueError("not protected, payload and signature")
                self.protected, self.payload_text, self.signature_text = (
                    value["protected"],
                    value["payload"],
                    value["signature"],
                )
            header = strict_json(b64url(self.protected))
            self.payload = b64url(self.payload_text)
            self.signature = b64url(self.signature_text)
            self.alg = header["alg"]
            if self.alg not in ("ES256", "ES384", "RS256", "PS256", "EdDSA"):
                raise ValueError(f"the algorithm {self.alg!r}")
            if header["typ"] != ("lienthong-seal+jws" if kind == "seal" else "lienthong+jws"):
                raise ValueError(f"the type {header['typ']!r}")
            if set(header) & {"jwk", "jku", "x5u", "x5c", "crit", "b64"}:
                raise ValueError("a header that brings its own key or meaning")
            self.thumbprint = b64url(header["x5t#S256"])
            sizes = {"ES256": (64, 64), "ES384": (96, 96), "EdDSA": (64, 64)}.get(self.alg, (256, 2048))
            if len(self.thumbprint) != 32 or not sizes[0] <= len(self.signature) <= sizes[1]:
                raise ValueError("a thumbprint or signature of another size")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Bad("shape", line, f"{kind}: {error}") from None
        self.digest = sha(self.payload).hex()
        self.text = f"{self.protected}.{self.payload_text}.{self.signature_text}"

    def holds(self, key) -> bool:
        data = f"{self.protected}.{self.payload_text}".encode()
        try:
            if self.alg in ("ES256", "ES384") and isinstance(key, ec.EllipticCurvePublicKey):
                if key.curve.name != {"ES256": "secp256r1", "ES384": "secp384r1"}[self.alg]:
                    return False
                half = len(self.signature) // 2
                r, s = int.from_bytes(self.signature[:half], "big"), int.from_bytes(self.signature[half:], "big")
                scheme = ec.ECDSA(hashes.SHA256() if self.alg == "ES256" else hashes.SHA384())
                key.verify(encode_dss_signature(r, s), data, scheme)
            elif self.alg in ("RS256", "PS256") and isinstance(key, rsa.RSAPublicKey):
                if key.key_size < 2048:
                    return False
                pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
                key.verify(self.signature, data, pss if self.alg == "PS256" else padding.PKCS1v15(), hashes.SHA256())
            elif self.alg == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(self.signature, data)
            else:
                return False
        except InvalidSignature:
            return False
        return True


# ── The bundle ───────────────────────────────────────────────────────────────────────────────────
class Event:
    """One log entry."""

    def __init__(self, line: int, value) -> None:
        self.line, self.log, self.index, self.path = line, value["log"], value["index"], value["path"]
        self.body = value["body"]
        self.leaf = sha(b"\x00" + canonical(self.body))
        self.kind = self.body.get("event")

    @property
    def at(self) -> datetime:
        return moment(self.body["at"])


class Checker:
    """Asks the questions in the order of the format; the first answer that is no ends it."""

    def __init__(self, data: bytes, keys, roots=(), since=None) -> None:
        self.data, self.keys, self.roots, self.since = data, list(keys), list(roots), since
        self.said = []

    def check(self) -> None:
        """Raises Bad with the first thing that does not hold."""
        self.read()
        self.checkpoints()
        self.inclusion()
        self.bodies()
        self.read_certificates()
        self.learn_directory()
        self.read_messages()
        self.agreement()
        self.signatures()
        if self.disorder:
            raise Bad("order", self.disorder, "a line that does not stand where it belongs")
        self.seal()

    # Form
    def read(self) -> None:
        if not self.data.endswith(b"\n"):
            raise Bad("encoding", 0, "the last line does not end")
        self.lines = {name: [] for name in TYPES}
        self.disorder = 0
        seen, before = set(), None
        if self.data.count(b"\n") > MOST_LINES:
            raise Bad("encoding", 0, f"more than {MOST_LINES} lines")
        raw_lines = self.data[:-1].split(b"\n")
        for number, raw in enumerate(raw_lines, 1):
            try:
                value = strict_json(raw)
                if not isinstance(value, dict) or canonical(value) != raw:
                    raise ValueError("not canonical JSON (RFC 8785)")
            except (ValueError, RecursionError) as error:
                raise Bad("encoding", number, str(error)) from None
            self.shape(number, value)
            if raw in seen:
                raise Bad("order", number, "the same line once more")
            seen.add(raw)
            key = TYPES.index(value["type"]), self.key(number, value)
            if before is not None and key <= before:
                if key[0] < before[0]:
                    raise Bad("order", number, f"a {value['type']} after a later type of line")
                self.disorder = self.disorder or number
            before = key
            self.lines[value["type"]].append((number, value))
        for name in ("bundle", "hashes", "seal"):
            if len(self.lines[name]) != 1:
                raise Bad("shape", 0, f"{len(self.lines[name])} lines of type {name}")
        self.sealed = sha(self.data[: self.data.rfind(b"\n", 0, len(self.data) - 1) + 1]).hex()
        header = self.lines["bundle"][0][1]
        self.scope, self.made_at = header["scope"], header["made_at"]
        hashes_line = self.lines["hashes"][0]
        self.hashes_line = hashes_line[0]
        self.hashes = [b64(one, hashes_line[0], "a hash") for one in hashes_line[1]["list"]]
        if any(len(one) != 32 for one in self.hashes) or self.hashes != sorted(set(self.hashes)):
            raise Bad("shape", self.hashes_line, "hashes that are not SHA-256 values in rising order")
        self.messages = [
            Jws(value["jws"], number, name)
            for name in ("document", "status", "notice", "slip", "seal")
            for number, value in self.lines[name]
        ]
        self.of = lambda name: [one for one in self.messages if one.kind == name]
        self.events = [Event(number, value) for number, value in self.lines["event"]]

    def shape(self, number: int, value) -> None:
        name = value.get("type")
        if not isinstance(name, str) or name not in FIELDS:
            raise Bad("shape", number, f"no such type of line: {name!r}")
        must, may = (set(one.split()) for one in FIELDS[name])
        if not must <= set(value) - {"type"} <= must | may:
            raise Bad("shape", number, f"the fields of a {name}: {', '.join(sorted(value))}")
        try:
            self.types(number, name, value)
        except (ValueError, TypeError, KeyError):
            raise Bad("shape", number, f"a field of another kind in a {name}") from None

    def types(self, number: int, name: str, value) -> None:
        def need(condition) -> None:
            if not condition:
                raise ValueError

        def text(*names) -> None:
            need(all(isinstance(value[one], str) for one in names if one in value))

        if name == "bundle":
            scope = value["scope"]
            need(value["spec"] == SPEC and value["made_at"].endswith("Z") and len(value["made_at"]) == 27)
            moment(value["made_at"])
            need(isinstance(scope, dict) and set(scope) <= {"document", "recipient", "archive"})
            need(("document" in scope) != ("archive" in scope))
            need(isinstance(scope.get("document", scope.get("archive")), dict))
            need(isinstance(scope.get("recipient", ""), str))
            agencies = scope.get("archive", {}).get("agencies", [])
            need(isinstance(agencies, list) and all(isinstance(one, str) for one in agencies))
        elif name == "checkpoint":
            text("origin", "note", "since")
            for one in value.get("proof", []):
                need(len(b64(one, number, "a hash")) == 32)
            need(isinstance(value.get("timestamps", []), list))
            for one in value.get("timestamps", []):
                b64(one, number, "a timestamp")
        elif name == "certificate":
            b64(value["der"], number, "a certificate")
            need(isinstance(value["chain"], list))
            for one in value["chain"]:
                b64(one, number, "a certificate")
        elif name == "statement":
            text("who", "agency", "from", "until")
            need(value["kind"] in ("mandate", "succession"))
        elif name in ("document", "status", "notice"):
            need(isinstance(value["jws"], dict))
        elif name in ("slip", "seal"):
            text("jws")
        elif name == "withheld":
            need(value["kind"] in ("document", "status") and HEX64.match(value["digest"]))
            need(value["why"] in ("other-documents", "retention"))
        elif name == "hashes":
            need(isinstance(value["list"], list))
        elif name == "event":
            need(all(type(one) is int and one >= 0 for one in [value["log"], value["index"], *value["path"]]))
            need(isinstance(value["body"], dict))

    def key(self, number: int, value):
        name = value["type"]
        if name == "checkpoint":
            return (value["origin"],)
        if name == "certificate":
            return (sha(b64(value["der"], number, "a certificate")).hex(),)
        if name == "statement":
            return (value["kind"], value["agency"], value["who"], value["from"])
        if name in ("document", "status", "notice", "slip", "seal"):
            jws = value["jws"]
            if isinstance(jws, dict):
                jws = f"{jws.get('protected')}.{jws.get('payload')}.{jws.get('signature')}"
            return (sha(jws.encode()).hex(),) if name != "seal" else ()
        if name == "withheld":
            return (value["digest"],)
        if name == "event":
            return (value["log"], value["index"])
        return ()

    # Checkpoints and the tree
    def checkpoints(self) -> None:
        self.trees = []
        for number, value in self.lines["checkpoint"]:
            try:
                origin, size, root, signers = check_note(value["note"], self.keys)
                if origin != value["origin"]:
                    raise ValueError(f"origin {value['origin']} around a checkpoint of {origin}")
            except ValueError as error:
                raise Bad("checkpoint", number, str(error)) from None
            try:
                if "since" in value:
                    old_origin, old_size, old_root, _ = check_note(value["since"], self.keys)
                    if old_origin != origin:
                        raise ValueError(f"an older checkpoint of {old_origin}")
                    proof = [b64(one, number, "a hash") for one in value.get("proof", [])]
                    check_consistency(old_size, old_root, size, root, proof)
                elif value.get("proof"):
                    raise ValueError("a proof without the older checkpoint")
            except ValueError as error:
                raise Bad("consistency", number, str(error)) from None
            self.trees.append((origin, size, root, signers))
        if not self.trees:
            raise Bad("missing", 0, "no checkpoint")
        if self.since is not None and self.since not in [value.get("since") for _, value in self.lines["checkpoint"]]:
            raise Bad("consistency", 0, "no proof from the older checkpoint that was given")
        used = {event.log for event in self.events}
        for at, (number, value) in enumerate(self.lines["checkpoint"]):
            if at not in used and "since" not in value:
                raise Bad("unused", number, "a checkpoint without an event")

    def inclusion(self) -> None:
        used = set()
        for event in self.events:
            if event.log >= len(self.trees) or any(at >= len(self.hashes) for at in event.path):
                raise Bad("inclusion", event.line, "a checkpoint or hash that is not there")
            _, size, root, _ = self.trees[event.log]
            used.update(event.path)
            try:
                found = root_from_path(event.leaf, event.index, size, [self.hashes[at] for at in event.path])
            except ValueError as error:
                raise Bad("inclusion", event.line, str(error)) from None
            if found != root:
                raise Bad("inclusion", event.line, f"event {event.index} is not in the log as it stands here")
        if len(used) != len(self.hashes):
            raise Bad("unused", self.hashes_line, "a hash that no path uses")

    def bodies(self) -> None:
        for event in self.events:
            body = event.body
            try:
                if type(body["v"]) is not int or body["v"] != 1 or not isinstance(event.kind, str):
                    raise ValueError("another version")
                fits(body, {"at": time, "part?": whole(), "parts?": whole(), **EVENTS.get(event.kind, {})})
                moved = body["deliveries"] if event.kind == "rerouted" else ()
                if any("owner" in one and len(one["successors"]) != 1 for one in moved):
                    raise ValueError("an owner of several")
                if event.kind == "directory_changed":
                    custody = body.get("facts", {}).get("custody")
                    if body["change"] == "certificate.enrolled" and custody not in ("agency", "broker"):
                        raise ValueError("custody that is neither agency nor broker")
            except (KeyError, ValueError, TypeError, AttributeError) as error:
                raise Bad("shape", event.line, f"event {event.index}: {error}") from None

    # Certificates and what the log says of the directory
    def read_certificates(self) -> None:
        self.certificates = {}
        for number, value in self.lines["certificate"]:
            try:
                ders = [b64(one, number, "a certificate") for one in [value["der"], *value["chain"]]]
                parsed = [x509.load_der_x509_certificate(der) for der in ders]
                key = parsed[0].public_key()
                for der, one in zip(ders, parsed):  # noqa: B905 - Python 3.9 has no strict=
                    if one.public_bytes(Encoding.DER) != der or one.serial_number <= 0:
                        raise ValueError("another spelling")
                    if not der.endswith(b"\x00" + one.signature):
                        raise ValueError("bytes after the signature")
                    _ = one.extensions, one.subject, one.issuer, one.not_valid_before_utc, one.version
            except Bad:
                raise
            except Exception as error:  # the library has many ways to say that a certificate cannot be read
                raise Bad("certificate", number, f"{type(error).__name__}: {error}") from None
            if not self.allowed(key):
                raise Bad("certificate", number, "a kind of key that the contract does not know")
            self.certificates[sha(ders[0])] = (number, ders[0], parsed[0], parsed[1:], key)

    @staticmethod
    def allowed(key) -> bool:
        if isinstance(key, ec.EllipticCurvePublicKey):
            return key.curve.name in ("secp256r1", "secp384r1")
        if isinstance(key, rsa.RSAPublicKey):
            return 2048 <= key.key_size <= 16384
        return isinstance(key, ed25519.Ed25519PublicKey)

    def learn_directory(self) -> None:
        self.enrolled, self.revoked, self.mandates, self.exchange, self.heirs = {}, {}, {}, set(), {}
        for event in self.events:
            if event.kind != "directory_changed":
                continue
            codes, facts, change = event.body["codes"], event.body.get("facts", {}), event.body["change"]
            if change == "certificate.enrolled" and codes:
                name = str(facts.get("thumbprint"))
                if name not in self.enrolled or event.at < self.enrolled[name][1]:
                    self.enrolled[name] = (codes[0], event.at, str(facts.get("custody")), event.index)
            elif change == "certificate.revoked":
                name = str(facts.get("thumbprint"))
                self.revoked[name] = min(event.at, self.revoked.get(name, event.at))
            elif change == "mandate.given" and len(codes) == 2:
                self.mandate(event, codes[1], codes[0], facts.get("sign") is True, facts.get("from", ""))
            elif change == "mandate.ended" and len(codes) == 2:
                self.mandate(event, codes[1], codes[0], False, "")
            elif change == "mandates.imported":
                for agency in codes[1:]:
                    self.mandate(event, codes[0], agency, facts.get("sign") is True, facts.get("from", ""))
            elif change == "agency.added" and codes:
                if facts.get("level") == "exchange":
                    self.exchange.add(codes[0])
                if isinstance(facts.get("hub"), str):
                    self.mandate(event, facts["hub"], codes[0], True, facts.get("from", ""))
            elif change == "agency.closed" and codes:
                for heir in codes[1:]:
                    self.heirs[heir, codes[0]] = event.at

    def mandate(self, event: Event, hub: str, agency: str, may: bool, since) -> None:
        """From an event, and from a day on, the hub may sign for the agency, or may not. What is no day never comes."""
        since = since if isinstance(since, str) else "never"
        self.mandates.setdefault((hub, agency), []).append((event.at, event.log, event.index, may, since))

    def stated(self, kind: str, who: str, agency: str, at: datetime) -> bool:
        # An end is a day and began during it; when, an event says that counts before any statement.
        return any(
            (one["kind"], one["who"], one["agency"]) == (kind, who, agency)
            and one["from"] <= day_of(at)
            and ("until" not in one or day_of(at) <= one["until"])
            for _, one in self.lines["statement"]
        )

    def may_sign(self, hub: str, agency: str, at: datetime) -> bool:
        told = [one for one in self.mandates.get((hub, agency), []) if one[0] <= at and one[4] <= day_of(at)]
        return max(told)[3] if told else self.stated("mandate", hub, agency, at)

    def succeeds(self, heir: str, agency: str, at: datetime) -> bool:
        since = self.heirs.get((heir, agency))
        return (since is not None and since <= at) or self.stated("succession", heir, agency, at)

    # Messages against events
    def read_messages(self) -> None:
        for message in self.messages:
            if message.kind == "seal":
                continue
            try:
                message.manifest = read_manifest(message.payload, message.kind)
            except (ValueError, RecursionError) as error:
                raise Bad("shape", message.line, f"{message.kind}: {error}") from None

    def agreement(self) -> None:
        self.accepted = self.group("accepted", "document")
        self.recorded = self.group("status_recorded", "message")
        self.dispatched = self.group("dispatched", "message")
        self.owners = {
            digest: {code: owner for event in events for code, owner in event.body["recipients"]}
            for digest, events in self.accepted.items()
        }
        for event in self.events:
            if event.kind == "rerouted":
                owners = self.owners.get(event.body["document"]["digest"], {})
                owners.update({o["successors"][0]: o["owner"] for o in event.body["deliveries"] if "owner" in o})
        self.withheld = {value["digest"]: (number, value["kind"]) for number, value in self.lines["withheld"]}
        self.promised = {}
        self.check_scope()
        for kind in ("document", "status", "notice", "slip"):
            for message in self.of(kind):
                try:
                    getattr(self, f"check_{kind}")(message, message.manifest)
                except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                    raise Bad("shape", message.line, f"{kind}: {type(error).__name__} {error}") from None
        firsts = [events[0].body["document"] for events in self.accepted.values()]
        self.known = (
            {one.digest for one in self.of("document")} | set(self.withheld),
            {one.digest for one in self.of("status")} | set(self.withheld),
            {one.digest for one in self.of("notice")},
            {one[name] for one in firsts for name in ("id", "digest")},
        )
        for event in self.events:
            self.check_event(event)
        self.check_spare()

    def group(self, kind: str, about: str):
        groups = {}
        for event in self.events:
            if event.kind == kind:
                groups.setdefault(event.body[about]["digest"], []).append(event)
        for group in groups.values():
            group.sort(key=lambda one: (one.body.get("part", 1) if about == "document" else 0, one.log, one.index))
        return groups

    def check_scope(self) -> None:
        named = self.scope.get("document")
        if named is None:
            return
        digest = str(named.get("digest"))
        if digest not in self.accepted or self.accepted[digest][0].body["document"] != named:
            raise Bad("missing", 1, "no acceptance of the document that is proved")
        recipient = self.scope.get("recipient")
        if recipient is not None and not self.is_recipient(recipient):
            raise Bad("missing", 1, "no event names the recipient whose story this is")
        concerned = {
            other: {one["digest"] for event in events for one in event.body.get("concerns", [])}
            for other, events in self.accepted.items()
        }
        related, before = {digest}, 0
        while len(related) > before:
            before = len(related)
            related |= {other for other, named in concerned.items() if named & related}
        for other, events in self.accepted.items():
            if other not in related:
                raise Bad("unused", events[0].line, "a document that changes nothing here")

    def is_recipient(self, code: str) -> bool:
        moved = [one for event in self.events if event.kind == "rerouted" for one in event.body["deliveries"]]
        return any(code in owners for owners in self.owners.values()) or any(
            code in (one["closed"], *one["successors"]) for one in moved
        )

    def check_document(self, message: Jws, manifest) -> None:
        events = self.accepted.get(message.digest)
        if not events or events[0].body.get("part", 1) != 1:
            raise Bad("missing", message.line, "no event that the document was accepted")
        first = events[0].body
        signed = (
            manifest["from"],
            manifest["id"],
            message.thumbprint.hex(),
            manifest["action"],
            manifest["document"].get("priority", 0),
            manifest.get("test", False),
            moment(manifest["sent_at"]),
            [part["sha256"] for part in manifest.get("parts", [])],
        )
        logged = (
            first["document"]["from"],
            first["document"]["id"],
            first["thumbprint"],
            first["action"],
            first["priority"],
            first["test"],
            moment(first["sent_at"]),
            first.get("parts_digests", []),
        )
        if signed != logged:
            raise Bad("mismatch", message.line, f"signed {signed}, logged {logged}")
        if self.wanted(message.digest) is None:
            parts = [event.body.get("part", 1) for event in events]
            count = sum(len(event.body["recipients"]) for event in events)
            if parts != list(range(1, first.get("parts", 1) + 1)) or count != first["count"]:
                raise Bad("missing", events[0].line, f"{count} of {first['count']} recipients")

    def check_status(self, message: Jws, manifest) -> None:
        if message.digest not in self.recorded:
            raise Bad("missing", message.line, "no event that the status was recorded")
        for event in self.recorded[message.digest]:
            body = event.body
            if (body["message"]["from"], body["message"]["id"]) != (manifest["from"], manifest["id"]):
                raise Bad("mismatch", message.line, "another sender or id than in the log")
            if body["thumbprint"] != message.thumbprint.hex():
                raise Bad("mismatch", message.line, "another certificate than in the log")
            for item in body["items"]:
                self.check_item(manifest, event, item)
        # Every item is judged and logged, refused ones with their error: none may be passed over.
        told = {item["item"] for event in self.recorded[message.digest] for item in event.body["items"]}
        for number, item in enumerate(manifest["items"]):
            digest = item["concerns"]["digest"]
            if number in told or digest not in self.accepted:
                continue
            codes, speaker = self.wanted(digest), item.get("for") or manifest["from"]
            if codes is None or (speaker in codes and speaker in self.owners[digest]):
                raise Bad("missing", message.line, f"no event that tells of item {number}")

    def check_item(self, manifest, event: Event, item) -> None:
        if not 0 <= item["item"] < len(manifest["items"]):
            raise Bad("mismatch", event.line, f"there is no item {item['item']}")
        signed = manifest["items"][item["item"]]
        about = {name: signed["concerns"][name] for name in ("from", "id", "digest")}
        logged = {name: item["document"][name] for name in about}
        if (about, signed["code"], moment(signed["at"])) != (logged, item["code"], moment(item["at"])):
            raise Bad("mismatch", event.line, f"item {item['item']} says something else than was signed")
        if "error" in item or signed["code"] == "13":
            return
        speaker, recipient, said_by = signed.get("for") or manifest["from"], item["recipient"], manifest["from"]
        if speaker != recipient and not self.succeeds(speaker, recipient, event.at):
            raise Bad("mismatch", event.line, f"item {item['item']} is about {recipient}, and speaks for {speaker}")
        if said_by in (speaker, recipient) or item["document"]["digest"] not in self.accepted:
            return
        if any(owners.get(recipient) == said_by for owners in self.owners.values()):
            return
        if not self.may_sign(said_by, recipient, event.at):
            raise Bad("policy", event.line, f"{said_by} may not report for {recipient}")

    def check_notice(self, message: Jws, manifest) -> None:
        concerned = False
        for item in manifest["items"]:
            digest = (item.get("concerns") or {}).get("digest")
            if digest not in self.accepted and digest not in self.recorded:
                continue
            concerned = True
            events = self.accepted.get(digest)
            if item["event"] != "accepted" or events is None or events[0].body.get("part", 1) != 1:
                continue
            if item.get("leaf") != events[0].leaf.hex() or moment(item["first_accepted_at"]) != events[0].at:
                raise Bad("mismatch", message.line, "the notice promises another leaf or time than the log has")
            if item.get("log_by") is not None:
                self.check_promise(message, digest, item["log_by"], events[0])
            self.check_addressed(message, digest, (item.get("recipients") or {}).get("list", []))
        if not concerned:
            raise Bad("unused", message.line, "a notice about something else")

    def check_promise(self, message: Jws, digest, log_by, first: Event) -> None:
        """Until when the log was to hold an acceptance is promised once, and not before it."""
        promised = self.promised.setdefault(digest, moment(first.body.get("log_by", log_by)))
        if moment(log_by) != promised or promised < first.at:
            raise Bad("mismatch", message.line, "another promise (log_by) than elsewhere, or one before the acceptance")

    def check_addressed(self, message: Jws, digest, recipients) -> None:
        """Recipients are written as the acceptance tells, unless it does not name them, or is one of before."""
        told = {}
        for body in (event.body for event in self.accepted[digest] if "due_arrival" in event.body):
            codes = [code for code, _ in body["recipients"]]
            written = []
            for text_, many in body.get("addressed", []):
                written += [text_] * min(many, len(codes) - len(written))
            told.update(zip(codes, written + [None] * (len(codes) - len(written)), strict=True))
        for one in recipients:
            code, written = one["code"], one["addressed_as"]
            digested = None if written == code else hashlib.sha256(written.encode()).hexdigest()[:32]
            if code in told and told[code] != digested:
                raise Bad("mismatch", message.line, f"{code} is addressed otherwise than the log says")

    def check_slip(self, message: Jws, slip) -> None:
        events = self.accepted.get(slip["document"]["digest"])
        if events is None:
            raise Bad("unused", message.line, "a slip of another document")
        first = events[0]
        said = slip["document"]["from"], slip["document"]["id"], moment(slip["accepted_at"]), slip["leaf"]
        if said != (first.body["document"]["from"], first.body["document"]["id"], first.at, first.leaf.hex()):
            raise Bad("mismatch", message.line, "the slip says something else than the log")
        self.check_promise(message, slip["document"]["digest"], slip["log_by"], first)
        self.check_addressed(message, slip["document"]["digest"], slip.get("recipients") or [])
        signer = self.certificates.get(bytes.fromhex(first.body["thumbprint"]))
        if signer is None or base64.b64decode(slip["certificate"]) != signer[1]:
            raise Bad("mismatch", message.line, "the slip has another certificate")
        named = [one["code"] for one in slip["recipients"]] if slip.get("recipients") is not None else None
        if not any(
            event.body["attempt"] == slip["attempt"] and (named is None or event.body.get("recipients") == named)
            for event in self.dispatched.get(slip["document"]["digest"], [])
        ):
            raise Bad("missing", message.line, "no dispatch in the log that fits the slip")

    def check_event(self, event: Event) -> None:
        body, kind = event.body, event.kind
        documents, statuses, notices, names = self.known
        if kind == "accepted":
            fits = body["document"]["digest"] in documents
        elif kind == "status_recorded":
            if not any(item["document"]["digest"] in self.accepted for item in body["items"]):
                raise Bad("unused", event.line, "statuses of other documents")
            fits = body["message"]["digest"] in statuses
        elif kind == "dispatched":
            digest = body["message"]["digest"]
            fits = digest in self.accepted or digest in self.recorded or digest in notices
        elif kind in ("overdue", "rerouted"):
            fits = body["document"]["digest"] in self.accepted
        elif kind == "operator_action":
            fits = body["target"] in names
        elif kind == "directory_changed":
            fits = bool(self.concerned() & set(body["codes"]))
        elif kind == "rejected":
            fits = body.get("id") in names
        else:
            fits = False
        if not fits:
            reason = "missing" if kind in ("accepted", "status_recorded") else "unused"
            raise Bad(reason, event.line, f"an event {kind} with which nothing goes")
        about = [body.get("document") or body.get("message") or {}, *(one["document"] for one in body.get("items", []))]
        wanted = [self.wanted(digest) for digest in {one.get("digest") for one in about} if digest in self.accepted]
        if wanted and None not in wanted and not self.tells_of(body, set().union(*wanted)):
            raise Bad("unused", event.line, "an event about other recipients")

    def wanted(self, digest: str):
        """Whose stories alone may be told of a document, or None for everybody's."""
        if "recipient" in self.scope:
            return {self.scope["recipient"]}
        agencies = self.scope.get("archive", {}).get("agencies")
        sender = self.accepted[digest][0].body["document"]["from"]
        return None if agencies is None or sender in agencies else set(agencies)

    def tells_of(self, body, codes) -> bool:
        kind = body["event"]
        if kind == "accepted":
            return body.get("part", 1) == 1 or any(one in codes for one, _ in body["recipients"])
        if kind == "dispatched" and body["message"]["digest"] in self.owners:
            if "recipients" in body:
                return bool(codes & set(body["recipients"]))
            owners = self.owners[body["message"]["digest"]]
            return bool((codes | {owners.get(code, code) for code in codes}) & set(body["owners"]))
        if kind == "status_recorded":
            return any(item["recipient"] in codes for item in body["items"])
        if kind == "rerouted":
            return any(codes & {one["closed"], *one["successors"]} for one in body["deliveries"])
        return bool(codes & set(body["recipients"])) if kind == "overdue" else True

    def concerned(self):
        if not hasattr(self, "_concerned"):
            codes = {str(self.scope.get("recipient"))}
            for message in self.messages:
                enrolled = self.enrolled.get(message.thumbprint.hex())
                codes |= {enrolled[0]} if enrolled else set()
            for events in self.accepted.values():
                for event in events:
                    codes |= {event.body["document"]["from"], event.body["submitter"]}
            for events in self.recorded.values():
                for event in events:
                    codes |= {event.body["message"]["from"], event.body["submitter"]}
                    codes |= {item["recipient"] for item in event.body["items"]}
            self._concerned = codes
        return self._concerned

    def check_spare(self) -> None:
        used = {message.thumbprint for message in self.messages}
        for group in (*self.accepted.values(), *self.recorded.values()):
            used |= {bytes.fromhex(event.body["thumbprint"]) for event in group}
        for name, (number, *_) in self.certificates.items():
            if name not in used:
                raise Bad("unused", number, "a certificate of nobody who signed here")
        for number, one in self.lines["statement"]:
            if not self.concerned() & {one["who"], one["agency"]}:
                raise Bad("unused", number, "a statement about nobody who speaks here")
        present = {message.digest for message in self.messages}
        for digest, (number, kind) in self.withheld.items():
            if digest not in (self.accepted if kind == "document" else self.recorded) or digest in present:
                raise Bad("unused", number, "a gap where nothing is missing")

    # The three answers
    def signatures(self) -> None:
        made_at = moment(self.made_at)
        for message in self.messages:
            if message.kind == "seal":
                continue
            manifest = message.manifest
            if message.kind in ("document", "status"):
                events = (self.accepted if message.kind == "document" else self.recorded)[message.digest]
                submitter = events[0].body["submitter"]
                self.judge(message, manifest["from"], moment(manifest["sent_at"]), events[0].at, submitter, False)
            elif message.kind == "notice":
                sent_at = moment(manifest["sent_at"])
                self.judge(message, manifest["from"], sent_at, sent_at, None, True)
            else:
                enrolled = self.enrolled.get(message.thumbprint.hex())
                self.judge(message, enrolled[0] if enrolled else "?", made_at, made_at, None, True)

    def judge(self, message: Jws, speaker: str, signed_at, received_at, submitter, exchange: bool, reason="") -> None:
        known = self.certificates.get(message.thumbprint)
        if known is None or not message.holds(known[4]):
            raise Bad(
                reason or "signature", message.line, f"the {message.kind} of {speaker}: the signature does not hold"
            )
        _, _, certificate, chain, _ = known
        name = message.thumbprint.hex()
        enrolled, revoked = self.enrolled.get(name), self.revoked.get(name)
        good_from, good_to = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        problem = None
        if enrolled is None or enrolled[1] > received_at:
            problem = "its certificate was not enrolled by then, as far as the log tells"
        elif revoked is not None and revoked <= received_at:
            problem = "its certificate was revoked"
        elif not all(good_from <= when <= good_to for when in (signed_at, received_at)):
            problem = "its certificate was not valid at that time"
        elif self.roots and not self.leads_to_root(certificate, chain, received_at):
            problem = "its certificate does not lead to a root that was given"
        if problem:
            raise Bad(reason or "trust", message.line, f"the {message.kind} of {speaker}: {problem}")
        signer, _, custody, index = enrolled
        allowed = signer == speaker or (not exchange and self.may_sign(signer, speaker, received_at))
        if exchange and speaker not in self.exchange:
            allowed = False
        if submitter not in (None, speaker, signer) and not self.may_sign(submitter, speaker, received_at):
            allowed = False
        if not allowed:
            raise Bad(reason or "policy", message.line, f"the {message.kind}: {signer} may not say this for {speaker}")
        self.said.append((message.kind, speaker, signer, custody, index))

    def leads_to_root(self, certificate, chain, at: datetime) -> bool:
        """A path to a root (RFC 5280, as far as agencies' certificates need it): signatures, times, basic constraints,
        path lengths and key usage; certificates with name constraints above them are refused."""
        usage = self.extension(certificate, x509.KeyUsage)
        if usage is not None and not usage.digital_signature:
            return False
        self.tried = 0
        return self.path(certificate, list(chain), at, 0)

    def path(self, certificate, chain, at: datetime, below: int) -> bool:
        self.tried += 1
        if self.tried > MOST_PATHS or not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            return False
        der = certificate.public_bytes(Encoding.DER)
        if any(root.public_bytes(Encoding.DER) == der for root in self.roots):
            return True
        for issuer in [*self.roots, *chain]:
            constraints = self.extension(issuer, x509.BasicConstraints)
            usage = self.extension(issuer, x509.KeyUsage)
            if (
                constraints is None
                or not constraints.ca
                or (constraints.path_length is not None and constraints.path_length < below)
                or (usage is not None and not usage.key_cert_sign)
                or self.extension(issuer, x509.NameConstraints) is not None
            ):
                continue
            try:
                certificate.verify_directly_issued_by(issuer)
            except (InvalidSignature, ValueError, TypeError):
                continue
            rest = [one for one in chain if one is not issuer]
            own = 0 if issuer.subject == issuer.issuer else 1
            if self.path(issuer, rest, at, below + own):
                return True
        return False

    @staticmethod
    def extension(certificate, kind):
        try:
            return certificate.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None

    def seal(self) -> None:
        (seal,) = self.of("seal")
        try:
            claimed = strict_json(seal.payload)
            counts = {name: len(self.lines[name]) for name in TYPES if self.lines[name] and name != "seal"}
            wanted = {
                "kind": "seal",
                "spec": SPEC,
                "from": claimed["from"],
                "made_at": self.made_at,
                "scope": self.scope,
                "sha256": self.sealed,
                "counts": counts,
            }
            if not isinstance(claimed["from"], str) or canonical(wanted) != seal.payload:
                raise ValueError("the seal is over other content")
            order = ORDERS.get(seal.alg)
            half = len(seal.signature) // 2
            if order is not None and int.from_bytes(seal.signature[half:], "big") > order // 2:
                raise ValueError("the larger of two ECDSA signatures")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Bad("seal", seal.line, str(error)) from None
        made_at = moment(self.made_at)
        self.judge(seal, claimed["from"], made_at, made_at, None, True, reason="seal")

    # For people
    def story(self):
        """What the bundle proves, a line a fact, in the order of time."""
        told = []
        for events in self.accepted.values():
            first = events[0].body
            name = f"{first['document']['from']} {first['document']['id']}"
            told.append((moment(first["sent_at"]), f"{name}: signed by the sender / nơi gửi ký"))
            test = " (a rehearsal / diễn tập)" if first["test"] else ""
            told.append((events[0].at, f"{name}: accepted, {first['count']} recipients / trục tiếp nhận{test}"))
        for digest, events in self.dispatched.items():
            for event in events if digest in self.accepted else ():
                whom = event.body.get("recipients", event.body["owners"])
                who = ", ".join(whom[:3]) + (f" … ({len(whom)})" if len(whom) > 3 else "")
                told.append((event.at, f"handed over / đã chuyển: {who}"))
        for events in self.recorded.values():
            for event in events:
                for item in event.body["items"]:
                    note = " (not taken / không ghi nhận)" if "error" in item else ""
                    if event.body["message"]["digest"] in self.withheld:
                        note += " (signature withheld / chữ ký không kèm theo)"
                    told.append((moment(item["at"]), f"status / trạng thái {item['code']}: {item['recipient']}{note}"))
        for event in self.events:
            if event.kind == "overdue":
                told.append((event.at, f"overdue / quá hạn: {', '.join(event.body['recipients'][:5])}"))
            if event.kind == "rerouted":
                for one in event.body["deliveries"]:
                    where = ", ".join(one["successors"]) if one["moved"] else "not moved / không chuyển"
                    told.append((event.at, f"recipient closed / nơi nhận đã kết thúc: {one['closed']} → {where}"))
            if event.kind == "operator_action":
                told.append((event.at, f"operator / người vận hành: {event.body['action']}"))
        return sorted(told)


def say(text: str) -> None:
    """Print what strangers wrote as it stands: what would move the cursor or turn the writing round is shown by its
    number, so that nobody's words can pass for the verdict."""
    odd = ("Cc", "Cf", "Zl", "Zp", "Cs")
    print("".join(f"\\u{ord(one):04x}" if unicodedata.category(one) in odd else one for one in text))


def local(at: datetime) -> str:
    try:
        return f"{at.astimezone(VIETNAM):%Y-%m-%d %H:%M:%S}"
    except OverflowError:  # the last hours of the year 9999
        return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def check_archive(folder: Path, keys, roots) -> int:
    """An archive: its sealed contents, every part named there and nothing else, and the index."""
    name = "contents.bundle"
    try:
        contents = Checker((folder / name).read_bytes(), keys, roots)
        contents.check()
        told = contents.scope["archive"]
        named = {part["name"]: part["sha256"] for part in told["parts"]}
        named[told["index"]["name"]] = told["index"]["sha256"]
        present = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        for strange in sorted(set(present) ^ {*named, "contents.bundle"})[:1]:
            name = strange
            raise Bad("archive", 0, "a file that is missing, or that the contents do not name")
        for name, digest in named.items():
            if sha(present[name].read_bytes()).hex() != digest:
                raise Bad("archive", 0, "another SHA-256 than the contents say")
        for number, part in enumerate(told["parts"], 1):
            name = part["name"]
            checker = Checker(present[name].read_bytes(), keys, roots)
            checker.check()
            scope = checker.scope.get("archive", {})
            wanted = [told.get(one) for one in ("since", "until", "subtree")] + [number]
            if [scope.get(one) for one in ("since", "until", "subtree", "part")] != wanted:
                raise Bad("archive", 0, "a part of another archive, or in another's place")
            gaps = f", {len(checker.withheld)} messages withheld / không kèm theo" if checker.withheld else ""
            say(f"{name}: {len(checker.accepted)} documents, {len(checker.said)} signatures{gaps}")
    except (Bad, OSError, KeyError, TypeError) as bad:
        say(f"NOT GOOD / KHÔNG ĐẠT: {name}: {bad if isinstance(bad, Bad) else repr(bad)}")
        return 1
    print(f"GOOD / ĐẠT: {len(told['parts'])} parts")
    return 0


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--key", action="append", required=True, metavar="VKEY|FILE", help="the log's public key")
    parser.add_argument("--root", action="append", type=Path, default=[], metavar="PEM", help="root certificates")
    parser.add_argument("--since-checkpoint", type=Path, metavar="FILE", help="an older checkpoint that you hold")
    options = parser.parse_args(arguments)
    try:
        texts = [
            line
            for text in options.key
            for line in (Path(text).read_text().split() if Path(text).is_file() else [text])
        ]
        keys = [read_key(text) for text in texts]
        roots = [one for path in options.root for one in x509.load_pem_x509_certificates(path.read_bytes())]
        since = options.since_checkpoint.read_text(encoding="utf-8") if options.since_checkpoint else None
    except (OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if options.bundle.is_dir():
        if since is not None:
            print("--since-checkpoint is for single bundles: an archive holds no proof from it", file=sys.stderr)
            return 2
        return check_archive(options.bundle, keys, roots)
    try:
        if not options.bundle.is_file() or options.bundle.stat().st_size > MOST_BYTES:
            raise Bad("encoding", 0, f"no file, or one of more than {MOST_BYTES} bytes")
        checker = Checker(options.bundle.read_bytes(), keys, roots, since)
        checker.check()
    except Bad as bad:
        say(f"NOT GOOD / KHÔNG ĐẠT: {bad}")
        return 1
    for at, text in checker.story():
        say(f"{local(at)}  {text}")
    for kind, speaker, signer, custody, index in checker.said:
        kept = ", key kept by the exchange / trục giữ khóa" if custody == "broker" else ""
        by = "" if signer == speaker else f" by {signer}"
        say(f"{kind} of {speaker}{by}: cryptography good, trust good, policy good (enrolled by entry {index}{kept})")
    for origin, size, root, signers in checker.trees:
        say(f"log {origin}: {size} entries, root {root.hex()}, signed by {', '.join(signers)}")
    sinces = ["since" in value for _, value in checker.lines["checkpoint"]]
    for (origin, *_), continued in zip(checker.trees, sinces):  # noqa: B905 - Python 3.9 has no strict=
        if any(sinces) and not continued:
            say(f"the older checkpoint says nothing about log {origin} / không nói gì về nhật ký này")
    for _, value in checker.lines["checkpoint"]:
        if value.get("timestamps"):
            say("an RFC 3161 timestamp is enclosed; this program does not check it (openssl ts -verify does)")
    if not roots:
        say("no --root was given: certificates rest on their enrolment in the log alone")
    if "archive" in checker.scope:
        say(f"part of an archive / một phần của kho lưu trữ: {len(checker.accepted)} documents / văn bản")
    elif "recipient" in checker.scope:
        say(f"only the delivery to / chỉ lượt gửi đến {checker.scope['recipient']}")
    gaps = f", {len(checker.withheld)} messages withheld / không kèm theo" if checker.withheld else ""
    say(f"GOOD / ĐẠT: {len(checker.events)} log entries, {len(checker.said)} signatures{gaps}")
    return 0


def told(arguments=None) -> int:
    """As `main`; a verdict that could not be told is neither good nor bad."""
    try:
        code = main(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(told())

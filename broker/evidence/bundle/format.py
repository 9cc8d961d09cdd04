"""What a bundle file looks like: lines of canonical JSON in one order, so that one content has one spelling. Pure.

docs/evidence-bundle.md is the reference. Reading here means form only: every line is exactly what RFC 8785 makes of its
value, its type is known, its fields have their types, and lines stand in their one order without doubles. Whether what
they say holds is `broker.evidence.bundle.check`'s question.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from schemas import strict_json
from schemas.canonical import canonical_json, leaf_hash
from schemas.errors import Refusal
from schemas.jws import Signed, parse_compact, parse_stored
from schemas.times import parse_rfc3339, rfc3339

SPEC: Final = "lienthong-bundle/1"
"""The version of this format; a reader refuses any other."""

SEAL_TYP: Final = "lienthong-seal+jws"
"""The `typ` of the seal: no message, slip or token can be taken for one."""

TYPES: Final = (
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
"""Every type of line, in the order in which they stand in the file."""

MAX_LINES: Final = 5_000_000
MAX_BYTES: Final = 2 * 1024**3
"""A file that is larger is not read: checking takes several times its size in memory."""

WITHHELD: Final[tuple[str, ...]] = ("other-documents", "retention")
"""Why a signed message is not in a bundle: it also speaks of documents outside of it, or is not kept any more."""

_RANK: Final = {name: rank for rank, name in enumerate(TYPES)}
_HEX_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that does not hold: where, what was found, what was expected.

    `reason` is one word of the table in docs/evidence-bundle.md, the same in every checker.
    """

    reason: str
    line: int
    """Counted from 1; 0 for the file as a whole."""
    what: str
    found: str
    expected: str

    def sentence(self) -> str:
        """For a person."""
        place = f"line {self.line}, {self.what}" if self.line else self.what
        return f"{place}: found {self.found}; expected {self.expected} [{self.reason}]"


class BadBundle(Exception):
    """The file is no bundle, or not one that can be read any further."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.sentence())
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A signed message of a bundle, or a slip; not verified."""

    line: int
    type: str
    signed: Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointLine:
    """A signed checkpoint, and the older one that the auditor holds, with the proof that leads from it to this one."""

    line: int
    origin: str
    note: str
    since: str | None
    proof: tuple[bytes, ...]
    timestamps: tuple[bytes, ...] = ()
    """RFC 3161 tokens over the note as the log signed it; sealed here, verified by who trusts an authority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateLine:
    """A signer's certificate and the intermediates above it, in DER."""

    line: int
    der: bytes
    chain: tuple[bytes, ...]

    @property
    def thumbprint(self) -> bytes:
        """SHA-256 of the DER: the name by which signatures and events refer to it."""
        return sha256(self.der).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What the exchange's directory says and no event of the log tells by name; rests on the seal alone."""

    line: int
    kind: str
    """`mandate`: the hub `who` may sign for `agency`; `succession`: `who` took over from `agency`."""
    who: str
    agency: str
    since: str
    until: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """A signed message that the bundle speaks of and does not contain, and why."""

    line: int
    kind: str
    digest: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLine:
    """One event, and where the log holds it."""

    line: int
    log: int
    """Which of the bundle's checkpoints, counted from 0."""
    index: int
    path: tuple[int, ...]
    """Its audit path, as positions in the bundle's list of hashes."""
    body: Mapping[str, Any]
    leaf: bytes


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle's content, well-formed; nothing in it is verified."""

    made_at: str
    scope: Mapping[str, Any]
    checkpoints: tuple[CheckpointLine, ...]
    certificates: tuple[CertificateLine, ...]
    statements: tuple[Statement, ...]
    documents: tuple[Message, ...]
    statuses: tuple[Message, ...]
    notices: tuple[Message, ...]
    slips: tuple[Message, ...]
    withheld: tuple[Withheld, ...]
    hashes_line: int
    hashes: tuple[bytes, ...]
    events: tuple[EventLine, ...]
    seal: Message
    sealed: str
    """SHA-256 of all bytes before the seal's line, lower-case hex."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many lines of each type there are, the seal not counted."""
    disorder: Fault | None = None
    """The first line that does not stand where it belongs among those of its type. Told late: whoever changes a
    message moves it in the order, and should be told of the change."""

    @cached_property
    def by_thumbprint(self) -> Mapping[bytes, CertificateLine]:
        """The certificates by their names."""
        return {line.thumbprint: line for line in self.certificates}


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────
def encode_line(value: Mapping[str, Any]) -> bytes:
    """One line of a bundle, with its newline. Raises ValueError for what has no canonical form."""
    return canonical_json(dict(value)) + b"\n"


def b64(data: bytes) -> str:
    """Standard base64 with padding."""
    return b64encode(data).decode("ascii")


def jws_value(signed: Signed) -> dict[str, str]:
    """A flattened JWS as it stands in a bundle."""
    return {"payload": signed.payload_b64, "protected": signed.protected, "signature": signed.signature}


def sort_key(value: Mapping[str, Any]) -> tuple[int, tuple[Any, ...]]:
    """Where a line belongs: lines stand in the strictly rising order of this key."""
    return _RANK[value["type"]], _SHAPES[value["type"]].key(value)


def count_lines(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """How many lines of each type there are."""
    counts: dict[str, int] = {}
    for line in lines:
        counts[line["type"]] = counts.get(line["type"], 0) + 1
    return counts


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────
def read(data: bytes) -> Bundle:
    """Read a bundle's bytes. Raises BadBundle with the first thing that is not as the format wants it."""
    values, disorder = _values(data)
    seal_at = data.rfind(b"\n", 0, len(data) - 1) + 1
    by_type: dict[str, list[tuple[int, Mapping[str, Any]]]] = {name: [] for name in TYPES}
    for number, value in enumerate(values, 1):
        by_type[value["type"]].append((number, value))
    for name in ("bundle", "hashes", "seal"):
        if len(by_type[name]) != 1:
            raise _bad("shape", 0, "bundle", f"{len(by_type[name])} lines of type {name}", "exactly one")
    header = by_type["bundle"][0][1]
    hashes_line, hashes = by_type["hashes"][0]
    seal_line, seal = by_type["seal"][0]
    return Bundle(
        made_at=header["made_at"],
        scope=header["scope"],
        checkpoints=tuple(
            CheckpointLine(
                line=number,
                origin=value["origin"],
                note=value["note"],
                since=value.get("since"),
                proof=tuple(b64decode(one) for one in value.get("proof", ())),
                timestamps=tuple(b64decode(one) for one in value.get("timestamps", ())),
            )
            for number, value in by_type["checkpoint"]
        ),
        certificates=tuple(
            CertificateLine(
                line=number, der=b64decode(value["der"]), chain=tuple(b64decode(one) for one in value["chain"])
            )
            for number, value in by_type["certificate"]
        ),
        statements=tuple(
            Statement(
                line=number,
                kind=value["kind"],
                who=value["who"],
                agency=value["agency"],
                since=value["from"],
                until=value.get("until"),
            )
            for number, value in by_type["statement"]
        ),
        documents=_messages(by_type["document"]),
        statuses=_messages(by_type["status"]),
        notices=_messages(by_type["notice"]),
        slips=_messages(by_type["slip"]),
        withheld=tuple(
            Withheld(line=number, kind=value["kind"], digest=value["digest"], why=value["why"])
            for number, value in by_type["withheld"]
        ),
        hashes_line=hashes_line,
        hashes=tuple(b64decode(one) for one in hashes["list"]),
        events=tuple(
            EventLine(
                line=number,
                log=value["log"],
                index=value["index"],
                path=tuple(value["path"]),
                body=value["body"],
                leaf=leaf_hash(canonical_json(value["body"])),
            )
            for number, value in by_type["event"]
        ),
        seal=_messages([(seal_line, seal)])[0],
        sealed=sha256(data[:seal_at]).hexdigest(),
        counts=count_lines(values[:-1]),
        disorder=disorder,
    )


def _values(data: bytes) -> tuple[list[Mapping[str, Any]], Fault | None]:
    """Every line's value: canonical, of a known type and shape, types in order, no line twice; and the first line that
    does not stand in the order of its type."""
    if not data.endswith(b"\n"):
        raise _bad("encoding", 0, "bundle", "a last line without a newline", "a newline after every line")
    if (many := data.count(b"\n")) > MAX_LINES:
        raise _bad("encoding", 0, "bundle", f"{many} lines", f"at most {MAX_LINES}")
    lines = data[:-1].split(b"\n")
    values: list[Mapping[str, Any]] = []
    seen: set[bytes] = set()
    before: tuple[int, tuple[Any, ...]] | None = None
    disorder: Fault | None = None
    for number, line in enumerate(lines, 1):
        value = _value(number, line)
        if line in seen:
            raise _bad("order", number, value["type"], "the same line once more", "every line once")
        seen.add(line)
        key = sort_key(value)
        if before is not None and key <= before:
            wrong = _bad("order", number, value["type"], "it after a line that it must precede", "the format's order")
            if key[0] < before[0]:
                raise wrong
            disorder = disorder or wrong.fault
        before = key
        values.append(value)
    return values, disorder


def _value(number: int, line: bytes) -> Mapping[str, Any]:
    try:
        value = strict_json.loads(line, what="line")
    except Refusal as refusal:
        raise _bad("encoding", number, "line", str(refusal.found), str(refusal.expected)) from None
    if not isinstance(value, dict):
        raise _bad("encoding", number, "line", "no object", "a JSON object")
    try:
        if _has_float(value) or canonical_json(value) != line:
            raise ValueError
    except ValueError:
        raise _bad("encoding", number, "line", "another spelling", "canonical JSON (RFC 8785), whole numbers") from None
    name = value.get("type")
    shape = _SHAPES.get(name) if isinstance(name, str) else None
    if shape is None:
        raise _bad("shape", number, "line", f"type {str(name)[:40]!a}", f"one of {', '.join(TYPES)}")
    problem = shape.problem(value)
    if problem is not None:
        raise _bad("shape", number, str(name), problem[0], problem[1])
    return value


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_float(member) for member in value.values())
    if isinstance(value, list):
        return any(_has_float(member) for member in value)
    return isinstance(value, float)


def _messages(lines: Sequence[tuple[int, Mapping[str, Any]]]) -> tuple[Message, ...]:
    return tuple(_message(number, value) for number, value in lines)


def _message(number: int, value: Mapping[str, Any]) -> Message:
    name, jws = value["type"], value["jws"]
    try:
        if isinstance(jws, str):
            signed = parse_compact(jws, typ=SEAL_TYP if name == "seal" else "lienthong+jws")
        else:
            signed = parse_stored(canonical_json(jws))
    except Refusal as refusal:
        found = f"{refusal.field}: {refusal.found}"
        raise _bad("shape", number, name, found, refusal.expected or "a signed message after contract §1") from None
    return Message(line=number, type=name, signed=signed)


def _bad(reason: str, line: int, what: str, found: str, expected: str) -> BadBundle:
    return BadBundle(Fault(reason=reason, line=line, what=what, found=found, expected=expected))


# ── Shapes: type of line → its fields ────────────────────────────────────────────────────────────
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
class _Shape:
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


_MESSAGE: Final = _Shape({"jws": _JWS}, lambda value: (_digest_of(value),))

_SHAPES: Final[Mapping[str, _Shape]] = {
    "bundle": _Shape(
        {
            "spec": (lambda value: value == SPEC, f'"{SPEC}"'),
            "made_at": (_is_time, "a time of RFC 3339 in UTC with microseconds"),
            "scope": (_is_scope, "document, recipient or archive"),
        },
        lambda _: (),
    ),
    "checkpoint": _Shape(
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
    "certificate": _Shape({"der": _BASE64, "chain": (_all(_is_base64), "a list of base64")}, _certificate_key),
    "statement": _Shape(
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
    "slip": _Shape({"jws": _TEXT}, lambda value: (_digest_of(value),)),
    "withheld": _Shape(
        {
            "kind": (lambda value: value in ("document", "status"), "document or status"),
            "digest": _DIGEST,
            "why": (lambda value: value in WITHHELD, f"one of {', '.join(WITHHELD)}"),
        },
        lambda value: (value["digest"],),
    ),
    "hashes": _Shape(
        {"list": (lambda value: _HASHES[0](value) and _rising(value), "SHA-256 values in base64, rising, each once")},
        lambda _: (),
    ),
    "event": _Shape(
        {
            "log": _COUNT,
            "index": _COUNT,
            "path": (_all(_is_count), "a list of positions in the list of hashes"),
            "body": (_is_object, "an object"),
        },
        lambda value: (value["log"], value["index"]),
    ),
    "seal": _Shape({"jws": _TEXT}, lambda _: ()),
}


def _rising(hashes: Sequence[str]) -> bool:
    """In the order of their bytes, which is not that of their base64."""
    decoded = [b64decode(one) for one in hashes]
    return all(decoded[at] < decoded[at + 1] for at in range(len(decoded) - 1))

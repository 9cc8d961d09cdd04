"""What a bundle file looks like: lines of canonical JSON in one order, so that one content has one spelling. Pure.

docs/evidence-bundle.md is the reference. Reading here means form only: every line is exactly what RFC 8785 makes of its
value, its type is known, its fields have their types, and lines stand in their one order without doubles. Whether what
they say holds is `broker.evidence.bundle.check`'s question.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from broker.evidence.bundle.lines import (
    MAX_LINES,
    SEAL_TYP,
    TYPES,
    BadBundle,
    Bundle,
    CertificateLine,
    CheckpointLine,
    EventLine,
    Fault,
    Message,
    Statement,
    Withheld,
)
from broker.evidence.bundle.shapes import SHAPES
from schemas import strict_json
from schemas.canonical import canonical_json, leaf_hash
from schemas.errors import Refusal
from schemas.jws import Signed, parse_compact, parse_stored

_RANK: Final = {name: rank for rank, name in enumerate(TYPES)}


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
    return _RANK[value["type"]], SHAPES[value["type"]].key(value)


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
    shape = SHAPES.get(name) if isinstance(name, str) else None
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

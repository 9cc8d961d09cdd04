"""The lines of a bundle file as records, well-formed and not verified, and what is said of one that does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from schemas.jws import Signed

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

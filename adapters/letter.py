"""What a developer at an agency writes and reads: letters, their parts, and what the other side said about them.

Plain records; nothing here opens a connection or a database. Reading the bytes of an incoming part goes through a
function that the inbox gives it.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from schemas.errors import CATALOGUE
from schemas.manifest import DocumentManifest
from schemas.problem import Problem

UNKNOWN_MEDIA_TYPE = "application/octet-stream"


class Ref(NamedTuple):
    """A document (or a status message) by sender, id and the digest of its signed bytes: contract §2.1."""

    sender: str
    id: str
    digest: str

    def as_dict(self) -> dict[str, str]:
        """As it stands in a manifest."""
        return {"from": self.sender, "id": self.id, "digest": self.digest}


class NaturalRef(NamedTuple):
    """A document by what is printed on it, when its id is not known: contract §2.2."""

    sender: str
    number: str
    notation: str
    issued_on: date

    def as_dict(self) -> dict[str, str]:
        """As it stands in a manifest."""
        return {
            "from": self.sender,
            "number": self.number,
            "notation": self.notation,
            "issued_on": self.issued_on.isoformat(),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One file to be sent: bytes in memory or a file on disk."""

    name: str
    # None: guessed from the name.
    media_type: str | None = None
    # `document`, `attachment` or `edxml`; None: the first part is the document, the others are attachments.
    role: str | None = None
    source: Path | bytes

    @classmethod
    def file(
        cls, path: Path | str, *, name: str | None = None, media_type: str | None = None, role: str | None = None
    ) -> Part:
        """A file on disk, read when the letter is sent. Raises Problem if it is not there."""
        source = Path(path)
        if not source.is_file():
            raise Problem(found=f"no file {source}", expected="a file to send", remedy="Correct the path.")
        return cls(name=name or source.name, media_type=media_type, role=role, source=source)

    @classmethod
    def data(cls, name: str, content: bytes, *, media_type: str | None = None, role: str | None = None) -> Part:
        """Bytes in memory."""
        return cls(name=name, media_type=media_type, role=role, source=content)

    @property
    def declared_media_type(self) -> str:
        """What the manifest says."""
        return self.media_type or mimetypes.guess_type(self.name)[0] or UNKNOWN_MEDIA_TYPE


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A document to be sent (contract §2.2). Codes and groups in `to` may be aliases; the exchange resolves them."""

    subject: str
    to: Sequence[str]
    parts: Sequence[Part]
    number: str
    notation: str
    # None: today in Viet Nam.
    issued_on: date | None = None
    type: str = "Công văn"
    # 0 thường, 1 khẩn, 2 thượng khẩn, 3 hỏa tốc, 4 hỏa tốc hẹn giờ (then `deliver_by` is needed).
    priority: int = 0
    deliver_by: datetime | None = None
    # Accept for the recipients that can be resolved, instead of refusing the whole for one unknown code.
    partial: bool = False
    replies_to: Sequence[Ref | NaturalRef] = ()
    # Further fields of `document` by their names in the contract: place, summary, signer, due_on, pages, filed_to …
    further: Mapping[str, Any] = field(default_factory=dict)
    # A rehearsal: processed in full, marked everywhere, left out of statistics.
    test: bool = False
    # None: a new one. With an id that was used before and other content the exchange answers LT-DUP-CONFLICT.
    id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IncomingPart:
    """One file that came; it is already on this agency's own disk."""

    name: str
    media_type: str
    role: str
    size: int
    sha256: str
    fetch: Callable[[str], Awaitable[bytes]] = field(repr=False, compare=False)

    async def read(self) -> bytes:
        """The bytes, whose digest was verified when they were stored."""
        return await self.fetch(self.sha256)


@dataclass(frozen=True, kw_only=True, slots=True)
class IncomingLetter:
    """A document that came for `recipient` and is stored durably; its 01 is on its way."""

    ref: Ref
    recipient: str
    # What the sender wrote: the code, an alias or a group.
    addressed_as: str
    # `new`, `recall`, `update` or `replace`.
    action: str
    manifest: DocumentManifest
    parts: tuple[IncomingPart, ...]
    # When the exchange accepted it.
    accepted_at: datetime
    # Three answers about the sender's signature, as found when it came: cryptography, trust, policy.
    verdict: Mapping[str, Mapping[str, str]]
    # Recalls, updates and replacements of this document that have come so far, also those that came before it.
    changed_by: tuple[Ref, ...] = ()
    # For a recall, update or replacement: the documents here that it concerns.
    concerns: tuple[Ref, ...] = ()

    @property
    def number(self) -> str:
        return str(self.manifest.document.number or "")

    @property
    def notation(self) -> str:
        return str(self.manifest.document.notation or "")

    @property
    def subject(self) -> str:
        return str(self.manifest.document.subject or "")

    @property
    def priority(self) -> int:
        return int(self.manifest.document.priority or 0)

    @property
    def reason(self) -> str | None:
        """Why it is recalled or replaced."""
        return self.manifest.reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What a recipient said about one of our documents."""

    document: Ref
    # The agency of which it tells: the recipient, also when its hub signed.
    agency: str
    code: str
    at: datetime
    reason: str | None = None
    staff: Mapping[str, str] = field(default_factory=dict)
    # For 15 and 16: the asking recall, update, replacement or take-back.
    answers: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeBack:
    """A sender asks for its document back (status 13); answered with `agree` or `decline`."""

    document: Ref
    # The status message that asked.
    asked_by: Ref
    # Those of the agencies asked that this program speaks for.
    recipients: tuple[str, ...]
    at: datetime
    reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """What the exchange said about something of ours: rerouted, overdue, quarantined, status-refused …"""

    event: str
    # The reference it concerns, as in the contract, or {"message_id"} for something unreadable.
    concerns: Mapping[str, str]
    error: str | None
    detail: Mapping[str, Any]
    at: str
    # The whole item as the exchange wrote and signed it.
    item: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The exchange has taken responsibility for a document."""

    document: Ref
    first_accepted_at: str | None
    # Number of resolved recipients, and up to 500 of them as {"code", "addressed_as", "owner"}.
    count: int
    recipients: tuple[Mapping[str, str], ...]
    unresolved: tuple[Any, ...]
    warnings: tuple[Any, ...]
    # The log's promise: this leaf will be in the log by that time.
    leaf: str | None
    log_by: str | None


class Rejected(Exception):
    """The exchange did not take the document: `field` holds `found`, where `expected` was needed."""

    def __init__(
        self,
        *,
        document: Ref,
        code: str,
        field: str | None,
        found: str | None,
        expected: str | None,
        detail: Mapping[str, Any],
    ) -> None:
        super().__init__(code)
        self.document = document
        self.code = code
        self.field = field
        self.found = found
        self.expected = expected
        self.detail = detail

    @property
    def retryable(self) -> bool:
        """Whether the same bytes may be accepted later without a change."""
        entry = CATALOGUE.get(self.code)
        return entry is not None and entry.retryable

    def __str__(self) -> str:
        place = f" in {self.field}" if self.field else ""
        found = f": found {self.found}" if self.found else ""
        expected = f", expected {self.expected}" if self.expected else ""
        explained = str(self.detail.get("en") or "")
        return f"{self.code}{place}{found}{expected}. {explained}".strip()


class Refuse(Exception):
    """Raised in the block: the recipient does not take the document (02), with the reason for its sender."""

    def __init__(self, reason: str, *, staff: Mapping[str, str] | None = None) -> None:
        if not reason.strip():
            raise ValueError("a refusal needs a reason: it is what the sender reads")
        super().__init__(reason)
        self.reason = reason
        self.staff = dict(staff or {})

"""What an edXML message says, as plain records: one for each element that has elements inside.

Texts are as they were written; None is an element that is absent or empty. `source` is where a record was read
from, for faults that are found later; it is no part of what the record says.
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum
from typing import Final

from schemas.edxml.content import Content
from schemas.edxml.tree import Element
from schemas.verdict import SignatureVerdict

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class BusinessType(IntEnum):
    """`BussinessDocType`: what a document does."""

    NEW = 0
    RECALL = 1
    UPDATE = 2
    REPLACE = 3


@dataclass(frozen=True, slots=True)
class Further:
    """An element that the format does not have where it stood; kept, and written again in its place's record."""

    name: str
    namespace: str | None
    text: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple["Further", ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """Base of all records."""

    further: tuple[Further, ...] = ()
    source: Element | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Organization(Record):
    """An agency as it describes itself."""

    organ_id: str | None = None
    in_charge: str | None = None
    name: str | None = None
    address: str | None = None
    email: str | None = None
    telephone: str | None = None
    fax: str | None = None
    website: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Code(Record):
    """Số và ký hiệu."""

    number: str | None = None
    notation: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Promulgation(Record):
    """Place and date of issue."""

    place: str | None = None
    issued_on: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentType(Record):
    """Loại văn bản; only the name can be relied upon."""

    type: int | None = None
    detail: int | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer(Record):
    """Who signed it on paper."""

    competence: str | None = None
    position: str | None = None
    full_name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherInfo(Record):
    """Urgency, circulation, size."""

    priority: int | None = None
    sphere: str | None = None
    typer: str | None = None
    copies: int | None = None
    pages: int | None = None
    direction: bool | None = None
    reply_fors: str | None = None
    reference_codes: str | None = None
    appendixes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseFor(Record):
    """Names another document: the one that is answered, or the one whose status is told."""

    organ_id: str | None = None
    code: str | None = None
    document_id: str | None = None
    issued_on: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StaffInfo(Record):
    """The clerk."""

    department: str | None = None
    staff: str | None = None
    email: str | None = None
    mobile: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageHeader(Record):
    """The document as a records clerk describes it."""

    from_: Organization | None = None
    to: tuple[Organization, ...] = ()
    document_id: str | None = None
    code: Code | None = None
    promulgation: Promulgation | None = None
    document_type: DocumentType | None = None
    subject: str | None = None
    content: str | None = None
    signer: Signer | None = None
    due_date: date | None = None
    other: OtherInfo | None = None
    response_for: tuple[ResponseFor, ...] = ()
    steering: int | None = None
    task_codes: tuple[str, ...] = ()
    to_places: tuple[str, ...] = ()
    application_type: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TraceHeader(Record):
    """One system that the message passed."""

    organ_id: str | None = None
    timestamp: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver(Record):
    """A recipient that an update removes (False) or adds (True)."""

    organ_id: str | None = None
    added: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeInfo(Record):
    """What an update changes."""

    metadata: bool | None = None
    recipients: bool | None = None
    receivers: tuple[Receiver, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Replacement(Record):
    """A document that is replaced, and where."""

    document_id: str | None = None
    organ_ids: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Business(Record):
    """New, or a change of what document and why (`Bussiness`, spelled so)."""

    document_id: str | None = None
    type: int | None = None
    reason: str | None = None
    paper: str | None = None
    changes: ChangeInfo | None = None
    replacements: tuple[Replacement, ...] = ()
    staff: tuple[StaffInfo, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace(Record):
    """The way of the message, and its business."""

    id: str | None = None
    version: str | None = None
    must_understand: str | None = None
    actor: str | None = None
    hops: tuple[TraceHeader, ...] = ()
    business: Business | None = None
    paper: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ContentReference(Record):
    """What the list of contents says of an attachment."""

    content_id: str | None = None
    content_type: str | None = None
    description: str | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attachment(Record):
    """An attachment and its bytes; None if they cannot be used."""

    content_id: str | None = None
    name: str | None = None
    description: str | None = None
    content_type: str | None = None
    field_name: str | None = None
    mime_type: str | None = None
    format: str | None = None
    content: Content | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusHeader(Record):
    """One status of one document."""

    from_: Organization | None = None
    response_for: ResponseFor | None = None
    staff: StaffInfo | None = None
    status_code: str | None = None
    description: str | None = None
    timestamp: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A message of kind `edoc`."""

    header: MessageHeader
    trace: Trace | None = None
    references: tuple[ContentReference, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    verdict: SignatureVerdict | None = field(default=None, compare=False)
    # What this exchange wrote behind the message, see `carried`.
    carried: str | None = field(default=None, compare=False, repr=False)

    @property
    def business_type(self) -> BusinessType:
        """What it does; a document that does not say is new."""
        business = self.trace.business if self.trace else None
        return BusinessType(business.type) if business and business.type is not None else BusinessType.NEW


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """A message of kind `status`."""

    header: StatusHeader
    verdict: SignatureVerdict | None = field(default=None, compare=False)
    carried: str | None = field(default=None, compare=False, repr=False)


Message = Document | Status
"""What an edXML file holds."""


def bare_id(content_id: str | None) -> str:
    """A content id as it is compared: builders drop `cid:` on one side of a link, or write `<…>` as mails have it."""
    bare = (content_id or "").strip().removeprefix("<").removesuffix(">").strip()
    if bare[:4].lower() == "cid:":
        bare = bare[4:].strip()
    return bare.lower() if _UUID.fullmatch(bare) else bare

"""The format as tables: which elements stand in which, how often, with what value, written in which order.

Reading, writing and what is kept beside a manifest all follow these tables. The order is that of the SDK; reading takes
any. A length beyond its limit is only remarked: the limits of the regulation were never enforced.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeVar

from schemas.edxml.records import (
    Attachment,
    Business,
    ChangeInfo,
    Code,
    ContentReference,
    DocumentType,
    MessageHeader,
    Organization,
    OtherInfo,
    Promulgation,
    Receiver,
    Record,
    Replacement,
    ResponseFor,
    Signer,
    StaffInfo,
    StatusHeader,
    Trace,
    TraceHeader,
)
from schemas.edxml.tree import DATA_ELEMENT
from schemas.edxml.values import BIT, DATE, FLAG, MOMENT, TEXT, TOKEN, Value, number
from schemas.states import StatusCode

R_co = TypeVar("R_co", bound=Record, covariant=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One element inside another."""

    element: str
    # The field of the record.
    field: str
    # A simple value, or a record of its own; neither: attachment data.
    value: Value | None = None
    shape: "Shape[Record] | None" = None
    # 0..n instead of 0..1.
    many: bool = False
    required: bool = False
    # Characters.
    limit: int | None = None
    # The element around all of them: Appendixes around every Appendix.
    inside: str | None = None
    # A wrong value is only remarked, and taken for none.
    lenient: bool = False


@dataclass(frozen=True)
class Shape(Generic[R_co]):
    """An element with elements inside."""

    record: type[R_co]
    slots: tuple[Slot, ...]
    # XML attributes and their fields.
    attributes: tuple[tuple[str, str], ...] = ()

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The elements that have to be there."""
        return tuple(slot.inside or slot.element for slot in self.slots if slot.required)

    @cached_property
    def by_element(self) -> dict[str, Slot]:
        """The slots by the element that is directly below."""
        return {slot.inside or slot.element: slot for slot in self.slots}


def _text(element: str, field: str, limit: int | None = None, *, required: bool = False) -> Slot:
    return Slot(element=element, field=field, value=TEXT, limit=limit, required=required)


def _value(element: str, field: str, value: Value, *, required: bool = False, limit: int | None = None) -> Slot:
    return Slot(element=element, field=field, value=value, required=required, limit=limit)


def _record(element: str, field: str, shape: "Shape[Record]", *, required: bool = False) -> Slot:
    return Slot(element=element, field=field, shape=shape, required=required)


ORGANIZATION: Final = Shape(
    Organization,
    (
        _value("OrganId", "organ_id", TOKEN, required=True, limit=35),
        _text("OrganizationInCharge", "in_charge", 500),
        _text("OrganName", "name", 200),
        _text("OrganAdd", "address", 500),
        _text("Email", "email", 100),
        _text("Telephone", "telephone", 20),
        _text("Fax", "fax", 20),
        _text("Website", "website", 100),
    ),
)

CODE: Final = Shape(
    Code,
    (
        _value("CodeNumber", "number", TOKEN, required=True, limit=11),
        _value("CodeNotation", "notation", TOKEN, required=True, limit=30),
    ),
)

PROMULGATION: Final = Shape(
    Promulgation,
    (_text("Place", "place", 50), _value("PromulgationDate", "issued_on", DATE, required=True)),
)

DOCUMENT_TYPE: Final = Shape(
    DocumentType,
    (
        _value("Type", "type", number(0), required=True),
        _value("TypeDetail", "detail", number(0)),
        _text("TypeName", "name", 100, required=True),
    ),
)

SIGNER: Final = Shape(
    Signer,
    (_text("Competence", "competence", 100), _text("Position", "position", 100), _text("FullName", "full_name", 50)),
)

OTHER_INFO: Final = Shape(
    OtherInfo,
    (
        _value("Priority", "priority", number(0, 4)),
        _text("SphereOfPromulgation", "sphere", 100),
        _text("TyperNotation", "typer", 10),
        _value("PromulgationAmount", "copies", number(0)),
        _value("PageAmount", "pages", number(0)),
        _value("Direction", "direction", FLAG),
        _text("ReplyFors", "reply_fors"),
        _text("ReferenceCodes", "reference_codes"),
        Slot(element="Appendix", field="appendixes", value=TEXT, many=True, limit=250, inside="Appendixes"),
    ),
)

RESPONSE_FOR: Final = Shape(
    ResponseFor,
    (
        _value("OrganId", "organ_id", TOKEN, limit=35),
        _value("Code", "code", TOKEN),
        _value("DocumentId", "document_id", TOKEN),
        _value("PromulgationDate", "issued_on", DATE),
    ),
)

STAFF: Final = Shape(
    StaffInfo,
    (_text("Department", "department"), _text("Staff", "staff"), _text("Email", "email"), _text("Mobile", "mobile")),
)

MESSAGE_HEADER: Final = Shape(
    MessageHeader,
    (
        _record("From", "from_", ORGANIZATION, required=True),
        Slot(element="To", field="to", shape=ORGANIZATION, many=True, required=True),
        _value("DocumentId", "document_id", TOKEN),
        _record("Code", "code", CODE, required=True),
        _record("PromulgationInfo", "promulgation", PROMULGATION, required=True),
        _record("DocumentType", "document_type", DOCUMENT_TYPE, required=True),
        _text("Subject", "subject", 500, required=True),
        _text("Content", "content", 500),
        _record("SignerInfo", "signer", SIGNER),
        # Builders write 0001/01/01 for a deadline that nobody has set.
        Slot(element="DueDate", field="due_date", value=DATE, lenient=True),
        _record("OtherInfo", "other", OTHER_INFO),
        Slot(element="ResponseFor", field="response_for", shape=RESPONSE_FOR, many=True),
        _value("SteeringType", "steering", number(0, 3)),
        Slot(element="TaskCode", field="task_codes", value=TOKEN, many=True, inside="ResponseForTask"),
        Slot(element="Place", field="to_places", value=TEXT, many=True, limit=150, inside="ToPlaces"),
        _value("ApplicationType", "application_type", TOKEN),
    ),
)

TRACE_HEADER: Final = Shape(
    TraceHeader,
    (
        _value("OrganId", "organ_id", TOKEN),
        Slot(element="Timestamp", field="timestamp", value=MOMENT, lenient=True),
    ),
)

RECEIVER: Final = Shape(
    Receiver,
    (_value("OrganId", "organ_id", TOKEN, required=True), _value("ReceiverType", "added", BIT, required=True)),
)

CHANGE_INFO: Final = Shape(
    ChangeInfo,
    (
        _value("DocumentInfo", "metadata", BIT),
        _value("DocumentReceiver", "recipients", BIT),
        Slot(element="Receiver", field="receivers", shape=RECEIVER, many=True, inside="ReceiverList"),
    ),
)

REPLACEMENT: Final = Shape(
    Replacement,
    (
        _value("DocumentId", "document_id", TOKEN, required=True),
        Slot(element="OrganId", field="organ_ids", value=TOKEN, many=True, inside="OrganIdList"),
    ),
)

BUSINESS: Final = Shape(
    Business,
    (
        _value("DocumentId", "document_id", TOKEN),
        _value("BussinessDocType", "type", number(0, 3), required=True),
        _text("BussinessDocReason", "reason"),
        _value("Paper", "paper", TOKEN),
        _record("BussinessDocumentInfo", "changes", CHANGE_INFO),
        Slot(
            element="ReplacementInfo",
            field="replacements",
            shape=REPLACEMENT,
            many=True,
            inside="ReplacementInfoList",
        ),
        Slot(element="StaffInfo", field="staff", shape=STAFF, many=True),
    ),
)

TRACE: Final = Shape(
    Trace,
    (
        Slot(element="TraceHeader", field="hops", shape=TRACE_HEADER, many=True),
        _record("Bussiness", "business", BUSINESS),
        _value("Paper", "paper", TOKEN),
    ),
    attributes=(
        ("id", "id"),
        ("version", "version"),
        ("mustUnderstand", "must_understand"),
        ("actor", "actor"),
    ),
)

CONTENT_REFERENCE: Final = Shape(
    ContentReference,
    (
        _value("ContentId", "content_id", TOKEN),
        _value("ContentType", "content_type", TOKEN),
        _text("Description", "description"),
        _text("AttachmentName", "name"),
    ),
)

ATTACHMENT: Final = Shape(
    Attachment,
    (
        _value("ContentId", "content_id", TOKEN),
        _text("AttachmentName", "name"),
        _text("Description", "description"),
        _value("ContentType", "content_type", TOKEN),
        _text("FieldName", "field_name"),
        _value("MimeType", "mime_type", TOKEN),
        _text("Format", "format"),
        Slot(element=DATA_ELEMENT, field="content", required=True),
    ),
)

_STATUS_CODES: Final = Value(
    TOKEN.expected._replace(
        en=f"one of {', '.join(StatusCode)}",
        vi=f"một trong các mã {', '.join(StatusCode)}",
    ),
    lambda text: TOKEN.read(text) if text in set(StatusCode) else None,
    str,
)


def _ordered(shape: Shape[R_co], *elements: str) -> Shape[R_co]:
    """The same with these elements first: statuses are laid out in another order than documents."""
    first = {element: at for at, element in enumerate(elements)}
    return Shape(shape.record, tuple(sorted(shape.slots, key=lambda slot: first.get(slot.element, len(first)))))


STATUS_HEADER: Final = Shape(
    StatusHeader,
    (
        _record("From", "from_", _ordered(ORGANIZATION, "OrganId", "OrganName"), required=True),
        _record(
            "ResponseFor",
            "response_for",
            _ordered(RESPONSE_FOR, "OrganId", "Code", "PromulgationDate"),
            required=True,
        ),
        _record("StaffInfo", "staff", _ordered(STAFF, "Department", "Staff", "Mobile")),
        _value("StatusCode", "status_code", _STATUS_CODES, required=True),
        _text("Description", "description"),
        _value("Timestamp", "timestamp", MOMENT, required=True),
    ),
)

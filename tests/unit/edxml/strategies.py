"""Hypothesis strategies: any message, by the tables of the format."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from hypothesis import strategies as st

from schemas.edxml import shapes, values
from schemas.edxml.content import Plain
from schemas.edxml.records import (
    Attachment,
    ContentReference,
    Document,
    Further,
    MessageHeader,
    Organization,
    Record,
    Status,
    Trace,
)
from schemas.edxml.shapes import Shape, Slot
from schemas.states import StatusCode

CHARACTERS: Final = st.characters(
    codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff", include_characters="\t\n\r"
)
TEXT: Final = st.text(CHARACTERS, max_size=12).map(lambda text: f"{text}." if text.isspace() or not text else text)
TOKEN: Final = TEXT.map(lambda text: text.strip() or ".")
AGENCY: Final = TOKEN.map(lambda text: "".join(sign for sign in text if sign.isprintable()).strip() or ".").filter(
    lambda text: text.lower() != "null"
)
NAME: Final = st.sampled_from(["Own", "Extra", "Xy"])
DATE: Final = st.dates(date(1000, 1, 1), date(9998, 12, 30))
MOMENT: Final = st.datetimes(datetime(1000, 1, 1), datetime(9998, 12, 30)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=values.VIET_NAM)
)

_BY_VALUE: Final[Mapping[int, st.SearchStrategy[Any]]] = {
    id(values.TEXT): TEXT,
    id(values.TOKEN): TOKEN,
    id(values.DATE): DATE,
    id(values.MOMENT): MOMENT,
    id(values.FLAG): st.booleans(),
    id(values.BIT): st.booleans(),
}
_NUMBERS: Final = {"Priority": 4, "SteeringType": 3, "BussinessDocType": 3}

FURTHER: Final = st.builds(
    Further,
    name=NAME,
    namespace=st.sampled_from(["urn:own", "http://www.mic.gov.vn/TBT/QCVN_102_2016"]),
    text=st.one_of(st.just(""), TEXT),
    attributes=st.dictionaries(NAME, TOKEN, max_size=2).map(lambda found: tuple(found.items())),
)


def record(shape: Shape[Record], **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A record of that shape; what the format demands is there, the rest may be."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for slot in shape.slots:
        if slot.value is None and slot.shape is None:
            continue
        fields[slot.field] = given.pop(slot.field) if slot.field in given else _slot(slot)
    for _, field in shape.attributes:
        fields[field] = st.none() | TOKEN
    if shape.record is Organization:
        fields["organ_id"] = AGENCY
    return st.builds(shape.record, **fields, further=st.lists(FURTHER, max_size=1).map(tuple), **given)


def _slot(slot: Slot) -> st.SearchStrategy[Any]:
    one = _one(slot)
    if slot.many:
        return st.lists(one, min_size=int(slot.required), max_size=3).map(tuple)
    return one if slot.required else st.none() | one


def _one(slot: Slot) -> st.SearchStrategy[Any]:
    if slot.shape is not None:
        # One that says nothing is not there: only the reader of empty elements is asked about those.
        return record(slot.shape).filter(lambda made: made != slot.shape.record())  # type: ignore[union-attr]
    if slot.element == "StatusCode":
        return st.sampled_from([code.value for code in StatusCode])
    numbers = st.integers(0, _NUMBERS.get(slot.element, 10**6))
    return _BY_VALUE.get(id(slot.value), numbers)


AGENCIES: Final = st.lists(record(shapes.ORGANIZATION), min_size=1, max_size=3, unique_by=lambda one: one.organ_id)
HEADERS: Final = record(shapes.MESSAGE_HEADER, to=AGENCIES.map(tuple))
BUSINESS: Final = record(
    shapes.BUSINESS, replacements=st.lists(record(shapes.REPLACEMENT), min_size=1, max_size=2).map(tuple)
)
TRACES: Final = st.none() | record(shapes.TRACE, business=st.none() | BUSINESS)
FILES: Final = st.lists(st.tuples(TEXT, st.binary(min_size=1, max_size=200), st.booleans()), max_size=3)
RESPONSES: Final = record(shapes.RESPONSE_FOR, organ_id=AGENCY, code=TOKEN)


def _document(header: MessageHeader, trace: Trace | None, files: list[tuple[str, bytes, bool]]) -> Document:
    ids = [f"cid:{position}" for position in range(len(files))]
    references = tuple(
        ContentReference(content_id=id, content_type="application/pdf", name=name)
        for id, (name, _, _) in zip(ids, files, strict=True)
    )
    attachments = tuple(
        Attachment(content_id=id, name=name, content=Plain(data=data, wrapped=wrapped or data[:4] == b"PK\x03\x04"))
        for id, (name, data, wrapped) in zip(ids, files, strict=True)
    )
    return Document(header=header, trace=trace, references=references, attachments=attachments)


DOCUMENTS: Final = st.builds(_document, HEADERS, TRACES, FILES)
"""Documents that `check` has no errors for."""

STATUSES: Final = st.builds(Status, header=record(shapes.STATUS_HEADER, response_for=RESPONSES))
"""Statuses that `check` has no errors for."""


def bare(message: Document | Status) -> Any:
    """What a message says, with the attachments' digests for their bytes."""
    if isinstance(message, Status):
        return message
    found = [(one.content.sha256, one.content.wrapped) if one.content else None for one in message.attachments]
    told = tuple(Attachment(**{**_fields(one), "content": None}) for one in message.attachments)
    return message.header, message.trace, message.references, told, found


def _fields(one: Attachment) -> dict[str, Any]:
    names = ("content_id", "name", "description", "content_type", "field_name", "mime_type", "format", "further")
    return {name: getattr(one, name) for name in names}

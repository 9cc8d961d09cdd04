"""Records as JSON by the names of their elements, and what of it a manifest has no field for.

A manifest made from edXML carries the rest in its extension field `edxml`; together they give the message again. Both
directions follow the tables of `shapes`; which leaves have a field of their own in a manifest is a table here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from schemas.edxml.records import Document, Further, Record, Status
from schemas.edxml.shapes import ATTACHMENT, CONTENT_REFERENCE, MESSAGE_HEADER, STATUS_HEADER, TRACE, Shape, Slot

R = TypeVar("R", bound=Record)
Json = dict[str, Any]

FIELD: Final = "edxml"
"""The manifest's extension field."""

ORIGINAL: Final = "sha256"
"""In the extension of a status: the digest of its edXML file. A status has no parts in which the file could travel."""

_FURTHER: Final = "+"
"""Where elements stand that the format does not have."""

DOCUMENT_FIELDS: Final[Mapping[str, Any]] = {
    "MessageHeader": {
        "To": {"OrganId": True},
        "Code": {"CodeNumber": True, "CodeNotation": True},
        "PromulgationInfo": {"Place": True, "PromulgationDate": True},
        "DocumentType": {"TypeName": True},
        "Subject": True,
        "Content": True,
        "SignerInfo": {"Competence": True, "Position": True, "FullName": True},
        "DueDate": True,
        "OtherInfo": {
            "Priority": True,
            "SphereOfPromulgation": True,
            "TyperNotation": True,
            "PromulgationAmount": True,
            "PageAmount": True,
            "Appendix": True,
        },
        "SteeringType": True,
        "Place": True,
    },
    "TraceHeaderList": {"Bussiness": {"BussinessDocType": True, "BussinessDocReason": True}},
}
"""The leaves of a document that a manifest says by itself."""

STATUS_FIELDS: Final[Mapping[str, Any]] = {
    "MessageHeader": {
        "StatusCode": True,
        "Description": True,
        "Timestamp": True,
        "StaffInfo": {"Department": True, "Staff": True, "Mobile": True, "Email": True},
    },
}
"""The leaves of a status that a manifest says by itself."""


def document_json(message: Document) -> Json:
    """Everything a document says but its attachments' bytes."""
    found: Json = {"MessageHeader": record_json(message.header, MESSAGE_HEADER)}
    if message.trace is not None:
        found["TraceHeaderList"] = record_json(message.trace, TRACE)
    if message.references:
        found["Reference"] = [record_json(one, CONTENT_REFERENCE) for one in message.references]
    if message.attachments:
        found["Attachment"] = [record_json(one, ATTACHMENT) for one in message.attachments]
    return found


def document_of(found: Mapping[str, Any]) -> Document:
    """The document of that JSON, its attachments without bytes."""
    trace = found.get("TraceHeaderList")
    return Document(
        header=record_of(found.get("MessageHeader", {}), MESSAGE_HEADER),
        trace=None if trace is None else record_of(trace, TRACE),
        references=tuple(record_of(one, CONTENT_REFERENCE) for one in _list(found.get("Reference"))),
        attachments=tuple(record_of(one, ATTACHMENT) for one in _list(found.get("Attachment"))),
    )


def status_json(message: Status) -> Json:
    """Everything a status says."""
    return {"MessageHeader": record_json(message.header, STATUS_HEADER)}


def status_of(found: Mapping[str, Any]) -> Status:
    """The status of that JSON."""
    return Status(header=record_of(found.get("MessageHeader", {}), STATUS_HEADER))


def record_json(record: Record, shape: Shape[Record]) -> Json:
    """One record: values as the format writes them, attributes under `@name`, lists without the element around."""
    found: Json = {}
    for slot in shape.slots:
        value = getattr(record, slot.field)
        if value is None or value == () or (slot.value is None and slot.shape is None):
            continue
        found[slot.element] = [_json(slot, one) for one in value] if slot.many else _json(slot, value)
    for name, field in shape.attributes:
        if (value := getattr(record, field)) is not None:
            found[f"@{name}"] = value
    if record.further:
        found[_FURTHER] = [_further_json(one) for one in record.further]
    return found


def _json(slot: Slot, value: Any) -> Any:
    if slot.shape is not None:
        return record_json(value, slot.shape)
    assert slot.value is not None
    return slot.value.write(value)


def record_of(found: Any, shape: Shape[R]) -> R:
    """The record of that JSON; what cannot be one of its values is left out."""
    fields: dict[str, Any] = {}
    if isinstance(found, Mapping):
        fields.update(_fields(found, shape))
        further = [_further_of(one) for one in _list(found.get(_FURTHER))]
        fields["further"] = tuple(one for one in further if one is not None)
    return shape.record(**fields)


def _fields(found: Mapping[str, Any], shape: Shape[R]) -> Iterator[tuple[str, Any]]:
    for slot in shape.slots:
        if slot.element not in found or (slot.value is None and slot.shape is None):
            continue
        raw = found[slot.element]
        if slot.many:
            yield slot.field, tuple(value for one in _list(raw) if (value := _value(slot, one)) is not None)
        elif (value := _value(slot, raw)) is not None:
            yield slot.field, value
    for name, field in shape.attributes:
        if isinstance(found.get(f"@{name}"), str):
            yield field, found[f"@{name}"]


def _value(slot: Slot, raw: Any) -> Any:
    if slot.shape is not None:
        return record_of(raw, slot.shape)
    assert slot.value is not None
    read = slot.value.read(raw) if isinstance(raw, str) else None
    return None if read is None else read.value


def _further_json(further: Further) -> Json:
    found: Json = {"name": further.name, "namespace": further.namespace, "text": further.text}
    found["attributes"] = dict(further.attributes)
    found["children"] = [_further_json(child) for child in further.children]
    return {name: value for name, value in found.items() if value}


def _further_of(found: Any) -> Further | None:
    if not isinstance(found, Mapping) or not isinstance(found.get("name"), str):
        return None
    attributes = found.get("attributes")
    children = (_further_of(child) for child in _list(found.get("children")))
    return Further(
        name=found["name"],
        namespace=found.get("namespace"),
        text=str(found.get("text", "")),
        attributes=tuple(attributes.items()) if isinstance(attributes, Mapping) else (),
        children=tuple(child for child in children if child is not None),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def without(found: Any, fields: Mapping[str, Any] | bool) -> Any:
    """`found` without the leaves that `fields` names; empty objects go, the members of a list stay in their places."""
    if fields is True:
        return None
    if isinstance(found, list):
        rest = [without(one, fields) or {} for one in found]
        return rest if any(rest) else None
    if not isinstance(found, dict) or not isinstance(fields, Mapping):
        return found
    kept = {name: without(value, fields[name]) if name in fields else value for name, value in found.items()}
    return {name: value for name, value in kept.items() if value is not None} or None


def absences(message: Document) -> Json:
    """What is not in a document and a manifest always says: no urgency is 0, no business is a new document."""
    other, trace = message.header.other, message.trace
    absent: Json = {}
    if other is None or other.priority is None:
        absent["MessageHeader"] = {"OtherInfo": None if other is None else {"Priority": None}}
    if trace is None:
        absent["TraceHeaderList"] = None
    elif trace.business is None:
        absent["TraceHeaderList"] = {"Bussiness": None}
    return absent


def only(found: Any, fields: Mapping[str, Any] | bool) -> Any:
    """The leaves of `found` that `fields` names: the other half of `without`."""
    if fields is True:
        return found
    if isinstance(found, list):
        return [only(one, fields) or {} for one in found]
    if not isinstance(found, dict) or not isinstance(fields, Mapping):
        return None
    chosen = {name: only(found[name], inner) for name, inner in fields.items() if name in found}
    return {name: value for name, value in chosen.items() if value is not None} or None


def together(one: Any, other: Any) -> Any:
    """Two halves as one again. Where both say something, `other` is right; null in `other` is: not there."""
    return _there(overlaid(one, other))


def overlaid(one: Any, other: Any) -> Any:
    """`one` with everything that `other` says, its nulls included."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {name: overlaid(one[name], value) if name in one else value for name, value in other.items()}
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [overlaid(mine, theirs) for mine, theirs in zip(one, other, strict=True)]
    return other


def _there(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: _there(value) for name, value in found.items() if value is not None}
    return [_there(one) for one in found] if isinstance(found, list) else found

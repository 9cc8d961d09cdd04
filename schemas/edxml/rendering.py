"""From a manifest to edXML: for recipients whose software reads nothing else.

A manifest that was made from edXML gives the file itself back, byte for byte, or, where its part is not at hand, the
message that it was. Any other is written as the SDK would, and the manifest travels behind the message (`carried`), so
that nothing of it is lost on the way back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from schemas.edxml.carried import carry
from schemas.edxml.content import Content
from schemas.edxml.converted import encoded
from schemas.edxml.documents import ACTIONS
from schemas.edxml.faults import NOTHING, EdxmlFault, Kind, Place, Text, refusal
from schemas.edxml.kept import (
    DOCUMENT_FIELDS,
    FIELD,
    STATUS_FIELDS,
    Json,
    document_json,
    document_of,
    only,
    status_json,
    status_of,
    together,
)
from schemas.edxml.naming import composite_id
from schemas.edxml.records import (
    Attachment,
    Business,
    BusinessType,
    ChangeInfo,
    Code,
    ContentReference,
    Document,
    DocumentType,
    MessageHeader,
    Organization,
    OtherInfo,
    Promulgation,
    Receiver,
    Replacement,
    ResponseFor,
    Signer,
    StaffInfo,
    Status,
    StatusHeader,
    Trace,
    TraceHeader,
)
from schemas.edxml.tying import Known
from schemas.edxml.values import VIET_NAM
from schemas.edxml.writable import writable
from schemas.errors import Refusal
from schemas.manifest import (
    DocumentManifest,
    NaturalKey,
    Part,
    Reference,
    Role,
    StatusItem,
    StatusManifest,
    parse_manifest,
)

BUSINESS_TYPES: Final = {action: type for type, action in ACTIONS.items()}
_RECIPIENTS: Final = Text("recipients: edXML always names them", "nơi nhận: edXML luôn phải nêu nơi nhận")
_PLAIN_TYPE: Final = 1
"""`DocumentType/Type`: what the SDK's samples write for every type; its meaning is not to be relied upon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """One edXML file to be written: the original if there is one, else a message."""

    original: Content | None = None
    message: Document | Status | None = None


def render_document(
    payload: bytes,
    contents: Mapping[str, Content],
    *,
    recipients: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> Rendered:
    """The edXML file of a document's manifest.

    `contents` are the bytes of its parts by SHA-256. `recipients` are named instead of `to`, as a change without `to`
    and a slip need it; `names` are agencies' names by code. Characters that no XML can hold are replaced (`writable`).
    Raises Refusal: LT-PART-MISSING, LT-EDXML for a change that goes to nobody, and what `parse_manifest` raises.
    """
    manifest = parse_manifest(payload)
    if not isinstance(manifest, DocumentManifest):
        raise TypeError(f"a {manifest.kind} is not a document")
    for part in manifest.parts:
        if part.role is Role.EDXML and part.sha256 in contents and not recipients:
            return Rendered(original=contents[part.sha256])
    extension = _extension(payload)
    parts = [part for part in manifest.parts if part.role is not Role.EDXML or extension is None]
    to = tuple(dict.fromkeys(recipients or manifest.to))
    if not to:
        place = Place(1, 1, "MessageHeader/To")
        fault = EdxmlFault(kind=Kind.MISSING, place=place, found=NOTHING, expected=_RECIPIENTS)
        raise refusal([fault])
    rendered = _document(manifest, parts, to, names or {})
    if extension is not None and not recipients:
        rendered = document_of(together(only(document_json(rendered), DOCUMENT_FIELDS), extension))
    message = writable(replace(rendered, attachments=_with_bytes(rendered.attachments, parts, contents)))
    return Rendered(message=replace(message, carried=carry(message, payload) if extension is None else None))


def render_statuses(payload: bytes, known: Sequence[Known] = ()) -> tuple[Rendered, ...]:
    """The edXML files of a status manifest: one for each item, and for a 13 one for each agency that is asked.

    `known` are the documents, for the number and date that edXML names them by. Raises what `parse_manifest` raises.
    """
    manifest = parse_manifest(payload)
    if not isinstance(manifest, StatusManifest):
        raise TypeError(f"a {manifest.kind} is not a status")
    single = [(item, asked) for item in manifest.items for asked in (item.to or (None,))]
    extension = _extension(payload)
    if extension is not None and len(single) == 1:
        said = status_json(_status(manifest, *single[0], known))
        return (Rendered(message=writable(status_of(together(only(said, STATUS_FIELDS), extension)))),)
    rendered = []
    for position, (item, asked) in enumerate(single):
        message = writable(_status(manifest, item, asked, known))
        alone = payload if len(single) == 1 else _alone(payload, manifest, item, asked, position)
        rendered.append(Rendered(message=replace(message, carried=carry(message, alone))))
    return tuple(rendered)


def _extension(payload: bytes) -> Json | None:
    found = json.loads(payload).get(FIELD)
    return found if isinstance(found, dict) else None


def _alone(payload: bytes, manifest: StatusManifest, item: StatusItem, asked: str | None, position: int) -> bytes:
    """A manifest with that one item: what its file stands for when it comes back alone."""
    whole = json.loads(payload)
    mine = whole["items"][manifest.items.index(item)] | ({"to": [asked]} if asked else {})
    return encoded(whole | {"id": str(uuid5(manifest.id, str(position))), "items": [mine]})


def _organization(code: str, names: Mapping[str, str]) -> Organization:
    return Organization(organ_id=code, name=names.get(code))


def _document(
    manifest: DocumentManifest, parts: Sequence[Part], to: Sequence[str], names: Mapping[str, str]
) -> Document:
    fields = manifest.document
    business = _business(manifest, to)
    recalled = business.type == BusinessType.RECALL
    header = MessageHeader(
        from_=_organization(manifest.from_, names),
        to=tuple(_organization(code, names) for code in to),
        document_id=_id_of(manifest.concerns[0]) if recalled else str(manifest.id),
        code=Code(number=fields.number or None, notation=fields.notation or None),
        promulgation=Promulgation(place=fields.place, issued_on=fields.issued_on),
        document_type=DocumentType(type=_PLAIN_TYPE, detail=0, name=fields.type),
        subject=fields.subject,
        content=fields.summary,
        signer=None
        if fields.signer is None
        else Signer(competence=fields.signer.authority, position=fields.signer.position, full_name=fields.signer.name),
        due_date=fields.due_on or (fields.deliver_by and fields.deliver_by.astimezone(VIET_NAM).date()),
        other=OtherInfo(
            priority=fields.priority,
            sphere=fields.scope,
            typer=fields.drafter,
            copies=fields.copies,
            pages=fields.pages,
            appendixes=fields.appendixes,
        ),
        response_for=tuple(_response_for(one) for one in manifest.replies_to),
        steering=fields.steering,
        to_places=fields.filed_to,
    )
    references, attachments = _attached(parts)
    return Document(
        header=header,
        trace=Trace(hops=(TraceHeader(organ_id=manifest.from_, timestamp=manifest.sent_at),), business=business),
        references=references,
        attachments=attachments,
    )


def _business(manifest: DocumentManifest, to: Sequence[str]) -> Business:
    type = BUSINESS_TYPES[manifest.action]
    changes, replaced = manifest.changes, type is BusinessType.REPLACE
    removed, added = (changes.removed, changes.added) if changes else ((), ())
    receivers = [(code, False) for code in removed] + [(code, True) for code in added]
    return Business(
        type=type,
        reason=manifest.reason,
        paper="0",
        document_id=_id_of(manifest.concerns[0]) if type is BusinessType.UPDATE else None,
        changes=None
        if changes is None
        else ChangeInfo(
            metadata=changes.metadata,
            recipients=bool(receivers),
            receivers=tuple(Receiver(organ_id=code, added=is_added) for code, is_added in receivers),
        ),
        replacements=tuple(Replacement(document_id=_id_of(one), organ_ids=tuple(to)) for one in manifest.concerns)
        if replaced
        else (),
    )


def _id_of(concerned: Reference | NaturalKey) -> str:
    return str(concerned.id) if isinstance(concerned, Reference) else composite_id(concerned)


def _response_for(answered: Reference | NaturalKey) -> ResponseFor:
    if isinstance(answered, Reference):
        return ResponseFor(organ_id=answered.from_, document_id=str(answered.id))
    return ResponseFor(
        organ_id=answered.from_,
        code=f"{answered.number}/{answered.notation}",
        document_id=composite_id(answered),
        issued_on=answered.issued_on,
    )


def _attached(parts: Sequence[Part]) -> tuple[tuple[ContentReference, ...], tuple[Attachment, ...]]:
    ids = [f"cid:{uuid5(NAMESPACE_URL, f'{at}:{part.sha256}')}" for at, part in enumerate(parts)]
    references = tuple(
        ContentReference(content_id=id, content_type=part.media_type, description=part.name, name=part.name)
        for id, part in zip(ids, parts, strict=True)
    )
    attachments = tuple(
        Attachment(content_id=id, name=part.name, description=part.name, content_type="application/zip")
        for id, part in zip(ids, parts, strict=True)
    )
    return references, attachments


def _with_bytes(
    attachments: Sequence[Attachment], parts: Sequence[Part], contents: Mapping[str, Content]
) -> tuple[Attachment, ...]:
    for position, part in enumerate(parts):
        if part.sha256 not in contents:
            raise Refusal(
                code="LT-PART-MISSING", field=f"parts.{position}", found="no bytes", expected=f"the file {part.name}"
            )
    return tuple(
        replace(attachment, content=contents[part.sha256]) for attachment, part in zip(attachments, parts, strict=False)
    )


def _status(manifest: StatusManifest, item: StatusItem, asked: str | None, known: Sequence[Known]) -> Status:
    document = next((one for one in known if one.reference == item.concerns), None)
    key = document.key if document else None
    staff = item.staff
    return Status(
        header=StatusHeader(
            from_=Organization(organ_id=item.for_ or manifest.from_),
            response_for=ResponseFor(
                organ_id=asked or item.concerns.from_,
                code=f"{key.number}/{key.notation}" if key else None,
                document_id=(document.document_id if document else None) or str(item.concerns.id),
                issued_on=key.issued_on if key else None,
            ),
            staff=None
            if staff is None
            else StaffInfo(department=staff.department, staff=staff.name, email=staff.email, mobile=staff.phone),
            status_code=item.code.value,
            description=item.reason,
            timestamp=item.at,
        )
    )

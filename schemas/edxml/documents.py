"""From an edXML document to the manifest that says the same (contract §2.2), losing nothing.

The file itself becomes a part of role `edxml`, byte for byte; what it says and a manifest has no field for stands in
the extension field `edxml`; a message that was made from a manifest and is unchanged gives back that manifest's bytes.
Nothing is signed here. Times and ids come from the file unless they are passed in, so that the same file gives the
same manifest every time.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from schemas.edxml.content import Content, Plain
from schemas.edxml.converted import (
    PROTOCOL,
    Converted,
    canonical_agency,
    encoded,
    filled,
    given_back,
    key_json,
    reference_json,
)
from schemas.edxml.faults import EdxmlFault, Kind, Place, Text, quoted, refusal
from schemas.edxml.kept import DOCUMENT_FIELDS, FIELD, Json, absences, document_json, overlaid, without
from schemas.edxml.naming import file_name, key_in, media_type, natural_key
from schemas.edxml.reading import Reading
from schemas.edxml.records import Business, BusinessType, Document, MessageHeader, Replacement, bare_id
from schemas.edxml.rules import Inside
from schemas.edxml.tying import Known, tie
from schemas.edxml.values import VIET_NAM
from schemas.errors import Refusal
from schemas.manifest import SPEC, Action, DocumentManifest, Role, parse_manifest
from schemas.manifest.document import MAX_SUBJECT
from schemas.times import rfc3339

ACTIONS: Final[Mapping[BusinessType, Action]] = {
    BusinessType.NEW: Action.NEW,
    BusinessType.RECALL: Action.RECALL,
    BusinessType.UPDATE: Action.UPDATE,
    BusinessType.REPLACE: Action.REPLACE,
}
"""Business types and actions (contract §2.2)."""

EXTENSION_LIMIT: Final = 48 * 1024
"""Bytes of the extension field: a message has to stay below 512 KiB. The whole is always in the edXML part."""

_APPOINTED: Final = 4
_AT_ONCE: Final = 3


def document_manifest(
    reading: Reading,
    *,
    id: UUID | None = None,
    sent_at: datetime | None = None,
    deliver_by: datetime | None = None,
    known: Sequence[Known] = (),
    name: str | None = None,
) -> Converted:
    """The manifest of an edXML document.

    `id` and `sent_at` are by default made from the file: from its digest, and from its first hop. `deliver_by` is the
    hour that priority 4 appoints, for which edXML has no element. `known` are documents at hand, to tie what is
    answered or changed to; `name` is the file's. Raises Refusal: LT-EDXML for a file that is not good or says what no
    manifest can say, LT-CONCERNS-AMBIGUOUS, and what `parse_manifest` raises.
    """
    message = reading.accepted()
    if not isinstance(message, Document):
        raise TypeError("a status is not a document")
    if (given := given_back(message)) is not None:
        return given
    maker = _Maker(message, known)
    file = Plain(data=reading.data, wrapped=False)
    parts, contents = _parts(message)
    parts.append(_part(file_name(name or "van-ban.edxml", 0), "application/xml", file, Role.EDXML))
    manifest: Json = {
        "spec": SPEC,
        "kind": "document",
        "id": str(id or uuid5(NAMESPACE_URL, f"edxml:{reading.sha256}")),
        "from": maker.sender,
        "sent_at": rfc3339(sent_at or maker.sent_at()),
        "action": maker.action.value,
        "to": [to.organ_id for to in message.header.to],
        "document": maker.fields(deliver_by),
        "replies_to": maker.replies_to(),
        "concerns": maker.concerns(),
        "changes": maker.changes(),
        "reason": maker.reason(),
        "parts": parts,
        "via": {"protocol": PROTOCOL},
        FIELD: _extension(message, maker),
    }
    payload = encoded({key: value for key, value in manifest.items() if value})
    parsed = parse_manifest(payload)
    assert isinstance(parsed, DocumentManifest)
    return Converted(
        manifest=parsed,
        payload=payload,
        contents=contents | {file.sha256: file},
        remarks=tuple(maker.remarks),
    )


class _Maker:
    """The fields of a document's manifest, one by one."""

    def __init__(self, message: Document, known: Sequence[Known]) -> None:
        self.message = message
        self.remarks: list[Text] = []
        self.action = ACTIONS[message.business_type]
        header = message.header
        self.sender = canonical_agency(header.from_.organ_id if header.from_ else None, header.from_, "OrganId")
        self._known = known

    @property
    def header(self) -> MessageHeader:
        return self.message.header

    def sent_at(self) -> datetime:
        """The first hop's time; without one the day of issue."""
        hops = self.message.trace.hops if self.message.trace else ()
        told = next((hop.timestamp for hop in hops if hop.timestamp is not None), None)
        issued = self.header.promulgation.issued_on if self.header.promulgation else None
        assert issued is not None
        return told or datetime.combine(issued, time(), VIET_NAM)

    def fields(self, deliver_by: datetime | None) -> Json:
        header, other, signer = self.header, self.header.other, self.header.signer
        assert header.code is not None and header.promulgation is not None
        issued = header.promulgation.issued_on
        named = signer and {"name": signer.full_name, "position": signer.position, "authority": signer.competence}
        fields = {
            "number": header.code.number,
            "notation": header.code.notation,
            "issued_on": issued and issued.isoformat(),
            "place": header.promulgation.place,
            "type": header.document_type and header.document_type.name,
            "subject": self._subject(),
            "summary": header.content,
            "signer": named and filled(named),
            "due_on": header.due_date and header.due_date.isoformat(),
            "filed_to": list(header.to_places),
            "steering": header.steering,
            "priority": self._priority(deliver_by),
        }
        if fields["priority"] == _APPOINTED and deliver_by is not None:
            fields["deliver_by"] = rfc3339(deliver_by)
        if other is not None:
            fields |= {"scope": other.sphere, "drafter": other.typer, "copies": other.copies, "pages": other.pages}
            fields["appendixes"] = list(other.appendixes)
        return filled(fields)

    def _subject(self) -> str:
        subject = self.header.subject or ""
        if len(subject) <= MAX_SUBJECT:
            return subject
        en = f"The subject has {len(subject)} characters; the manifest has the first {MAX_SUBJECT - 1}."
        vi = f"Trích yếu có {len(subject)} ký tự; bản kê chỉ có {MAX_SUBJECT - 1} ký tự đầu."
        self.remarks.append(Text(en, vi))
        return f"{subject[: MAX_SUBJECT - 1]}…"

    def _priority(self, deliver_by: datetime | None) -> int | None:
        priority = self.header.other.priority if self.header.other else None
        if priority != _APPOINTED or deliver_by is not None:
            return priority
        en = "Priority 4 (at an appointed hour) without the hour: the manifest has priority 3."
        self.remarks.append(Text(en, "Hỏa tốc hẹn giờ nhưng không có giờ hẹn: bản kê ghi độ khẩn 3 (hỏa tốc)."))
        return _AT_ONCE

    def replies_to(self) -> list[Json]:
        found = []
        for one in self.header.response_for:
            tied = self._tied(one.document_id, one.organ_id, one.code, one.issued_on)
            if tied is None:
                en = "An answered document is not named by agency, number and date; it stands in the extension only."
                vi = "Văn bản được trả lời thiếu cơ quan, số ký hiệu hoặc ngày; chỉ được giữ ở phần mở rộng."
                self.remarks.append(Text(en, vi))
            elif tied not in found:
                found.append(tied)
        return found

    def concerns(self) -> list[Json]:
        """What a change is about: the replaced documents, the one that the business names, or the one sent again."""
        business = self.message.trace.business if self.message.trace else None
        if self.action is Action.NEW or business is None:
            return []
        named: Sequence[Replacement | Business]
        named = business.replacements if self.action is Action.REPLACE else (business,)
        found: list[Json] = []
        for one in named:
            tied = self._concerned(one.document_id)
            if tied is None:
                raise refusal([_unnamed(one.document_id, Inside(one, "DocumentId").place)])
            if tied not in found:
                found.append(tied)
        return found

    def _concerned(self, document_id: str | None) -> Json | None:
        header = self.header
        assert header.code is not None and header.promulgation is not None
        if document_id is not None and document_id != header.document_id:
            return self._tied(document_id, None, None, None)
        issued_on = header.promulgation.issued_on
        other = key_in(header.document_id)
        if other is not None and issued_on is not None and other.issued_on.year != issued_on.year:
            years = (other.issued_on.year, issued_on.year)
            en = "The document's id says the year {}, its date of issue {}: the date counts.".format(*years)
            vi = "Mã văn bản ghi năm {}, ngày ban hành ghi {}: lấy theo ngày.".format(*years)
            self.remarks.append(Text(en, vi))
        code = f"{header.code.number}/{header.code.notation}"
        return self._tied(header.document_id, self.sender, code, issued_on)

    def _tied(
        self, document_id: str | None, organ_id: str | None, code: str | None, issued_on: date | None
    ) -> Json | None:
        """The document as a reference if it is at hand, else as a natural key, else None."""
        try:
            known = tie(sender=organ_id, document_id=document_id, code=code, issued_on=issued_on, known=self._known)
        except Refusal as refused:
            if refused.code != "LT-CONCERNS-UNKNOWN":
                raise
            key = natural_key(organ_id, code, issued_on) or key_in(document_id)
            return key_json(key) if key else None
        return reference_json(known.reference)

    def changes(self) -> Json | None:
        if self.action is not Action.UPDATE:
            return None
        business = self.message.trace.business if self.message.trace else None
        info = business.changes if business else None
        if info is None:
            return {"metadata": True}
        codes: dict[bool, list[str]] = {True: [], False: []}
        for one in info.receivers:
            codes[bool(one.added)].append(canonical_agency(one.organ_id, one, "OrganId"))
        return {"metadata": bool(info.metadata), "added": codes[True], "removed": codes[False]}

    def reason(self) -> str | None:
        business = self.message.trace.business if self.message.trace else None
        return business.reason if business else None


def _parts(message: Document) -> tuple[list[Json], dict[str, Content]]:
    """The attachments as parts; the first is the document. Names and types may stand on either side of a link."""
    listed = {bare_id(reference.content_id): reference for reference in message.references}
    parts: list[Json] = []
    contents: dict[str, Content] = {}
    for position, attachment in enumerate(message.attachments, start=1):
        assert attachment.content is not None
        reference = listed.get(bare_id(attachment.content_id))
        name = file_name(attachment.name or (reference.name if reference else None), position)
        declared = (reference.content_type if reference else None, attachment.content_type)
        role = Role.DOCUMENT if position == 1 else Role.ATTACHMENT
        parts.append(_part(name, media_type(name, *declared), attachment.content, role))
        contents[attachment.content.sha256] = attachment.content
    return parts, contents


def _part(name: str, type: str, content: Content, role: Role) -> Json:
    return {"name": name, "media_type": type, "size": content.size, "sha256": content.sha256, "role": role.value}


def _extension(message: Document, maker: _Maker) -> Json | None:
    """What the manifest has no field for. The addresses of thousands of recipients stay in the edXML part."""
    # What is said otherwise than it stands in the file is kept as it stands there.
    fields = _without_altered(DOCUMENT_FIELDS) if maker.remarks else DOCUMENT_FIELDS
    rest: Json = overlaid(without(document_json(message), fields) or {}, absences(message))
    header = rest.get("MessageHeader", {})
    if len(encoded(rest)) > EXTENSION_LIMIT and "To" in header:
        del header["To"]
        en = "The recipients' names and addresses are too many for the manifest; they are in the edXML part."
        maker.remarks.append(Text(en, "Tên, địa chỉ nơi nhận quá nhiều; chỉ có trong tệp edXML kèm theo."))
    if len(encoded(rest)) > EXTENSION_LIMIT:
        en = "What the manifest has no field for is too much for it; it is in the edXML part."
        maker.remarks.append(Text(en, "Phần thông tin thêm quá lớn; chỉ có trong tệp edXML kèm theo."))
        return None
    return rest or None


def _without_altered(fields: Mapping[str, Any]) -> Json:
    header = {name: inner for name, inner in fields["MessageHeader"].items() if name != "Subject"}
    other = {name: inner for name, inner in header["OtherInfo"].items() if name != "Priority"}
    return {**fields, "MessageHeader": header | {"OtherInfo": other}}


def _unnamed(document_id: str | None, place: Place) -> EdxmlFault:
    return EdxmlFault(
        kind=Kind.MAPPING,
        place=place,
        found=quoted(document_id or ""),
        expected=Text(
            "a document at hand, or an id of the form agency,yyyy/MM/dd,number/notation",
            "văn bản đã biết, hoặc mã dạng cơ-quan,yyyy/MM/dd,số/ký-hiệu",
        ),
    )

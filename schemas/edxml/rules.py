"""What has to hold between the elements of a message, beyond the tables: addressees, links, dates, what a change needs.

Only the message itself is known here: no directory, no database, and the date of today only if it is passed in.
"""

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache
from typing import Final

from schemas.edxml.faults import EMPTY, NOTHING, Faults, Kind, Place, Text, quoted, same
from schemas.edxml.naming import agency
from schemas.edxml.records import BusinessType, ContentReference, Document, Record, Status, Trace, bare_id
from schemas.manifest.document import MAX_PARTS
from schemas.states import StatusCode

_NO_AGENCY: Final = "null"
"""What a relay writes when it does not know itself."""

_CODE_LIMIT: Final = 255
"""Characters; the regulation has 35, which is only remarked."""

_EACH_ID_ONCE: Final = Text("every content id once", "mỗi ContentId một lần")
_DOUBLED: Final = re.compile(r"(.)\1")
_NAME_LIMIT: Final = 64

_MOST_FILES: Final = MAX_PARTS - 1
"""The file itself becomes a part, too, unless it was made from a manifest."""

_WITH_REASON: Final = (StatusCode.REFUSED, StatusCode.TAKE_BACK, StatusCode.CHANGE_REFUSED)


def place_of(record: Record | None) -> Place:
    """Where a record was read; the file as a whole if it was not."""
    return record.source.place if record is not None and record.source is not None else Place(1, 1, "file")


class Inside:
    """An element inside a record, or where it would have to stand."""

    def __init__(self, record: Record | None, *elements: str) -> None:
        self._record = record
        self._elements = elements

    @property
    def place(self) -> Place:
        place, element = place_of(self._record), self._record.source if self._record is not None else None
        for name in self._elements:
            inner = element.child(name) if element is not None else None
            place = inner.place if inner is not None else place._replace(element=f"{place.element}/{name}")
            element = inner
        return place


def alike(name: str, known: Iterable[str]) -> str | None:
    """The known one that differs in capitals and doubled letters only, as `Bussiness` does from `Business`."""
    folded = _folded(name) if len(name) <= _NAME_LIMIT else None
    return next((one for one in known if _folded(one) == folded), None)


@lru_cache(maxsize=1024)
def _folded(name: str) -> str:
    return _DOUBLED.sub(r"\1", name.lower())


def check_document(message: Document, faults: Faults, *, today: date | None) -> None:
    """The rules of a document."""
    for rule in _DOCUMENT_RULES:
        rule(message, faults)
    promulgation = message.header.promulgation
    issued = promulgation.issued_on if promulgation else None
    if today is not None and issued is not None and issued > today:
        expected = Text(f"no later than today, {today:%Y/%m/%d}", f"không muộn hơn hôm nay, {today:%Y/%m/%d}")
        faults.error(
            Kind.VALUE,
            Inside(promulgation, "PromulgationDate"),
            found=f"{issued:%Y/%m/%d}",
            expected=expected,
        )


def check_status(message: Status, faults: Faults) -> None:
    """The rules of a status."""
    header = message.header
    _agency(header.from_.organ_id if header.from_ else None, Inside(header.from_, "OrganId"), faults)
    if (about := header.response_for) is not None:
        _agency(about.organ_id, Inside(about, "OrganId"), faults)
        if not about.organ_id:
            faults.error(Kind.MISSING, Inside(about, "OrganId"), found=NOTHING, expected=same("<OrganId>"))
        if not about.code and not about.document_id:
            expected = Text("<DocumentId> or <Code>: which document", "<DocumentId> hoặc <Code>: văn bản nào")
            faults.error(Kind.MISSING, Inside(about, "DocumentId"), found=NOTHING, expected=expected)
        elif not about.code or not about.document_id:
            name = "DocumentId" if about.code else "Code"
            expected = Text(f"<{name}> too: some receivers demand it", f"có cả <{name}>: một số nơi nhận bắt buộc")
            faults.remark(Kind.MISSING, Inside(about, name), found=NOTHING, expected=expected)
    if header.status_code in _WITH_REASON and not (header.description or "").strip():
        expected = Text(f"the reason of {header.status_code}", f"lý do của trạng thái {header.status_code}")
        faults.remark(Kind.MISSING, Inside(header, "Description"), found=NOTHING, expected=expected)


def _addressees(message: Document, faults: Faults) -> None:
    header = message.header
    _agency(header.from_.organ_id if header.from_ else None, Inside(header.from_, "OrganId"), faults)
    seen = set()
    for to in header.to:
        _agency(to.organ_id, Inside(to, "OrganId"), faults)
        code = to.organ_id and (agency(to.organ_id) or to.organ_id)
        if code in seen:
            expected = Text("every recipient once", "mỗi nơi nhận một lần")
            faults.error(Kind.DUPLICATE, Inside(to, "OrganId"), found=to.organ_id or "", expected=expected)
        elif code is not None:
            seen.add(code)


def _agency(code: str | None, place: Inside, faults: Faults) -> None:
    """Codes are opaque, but one line of text; what a manifest's `to` does not take can address nobody."""
    if code is not None and (code.lower() == _NO_AGENCY or not code.isprintable() or len(code) > _CODE_LIMIT):
        faults.error(Kind.VALUE, place, found=code, expected=Text("an agency code", "mã định danh cơ quan"))


def _way(message: Document, faults: Faults) -> None:
    trace = message.trace
    if trace is None:
        expected = Text("<TraceHeaderList>; taken as a new document", "<TraceHeaderList>; được coi là văn bản mới")
        faults.remark(Kind.MISSING, place_of(message.header), found=NOTHING, expected=expected)
        return
    if trace.business is None:
        _without_business(trace, faults)
    for hop in trace.hops:
        if hop.organ_id is None or hop.organ_id.lower() == _NO_AGENCY:
            found = hop.organ_id or NOTHING
            expected = Text("the code of the system that passed it on", "mã của hệ thống đã chuyển tiếp")
            faults.remark(Kind.VALUE, Inside(hop, "OrganId"), found=found, expected=expected)


def _without_business(trace: Trace, faults: Faults) -> None:
    """Taken as a new document, unless something else is said and not understood: a recall must not become one."""
    element = trace.source
    empty = element.child("Bussiness") if element is not None else None
    if empty is not None and empty.child("BussinessDocType") is not None:
        expected = Text("a whole number 0-3", "số nguyên 0-3")
        faults.error(Kind.MISSING, Inside(trace, "Bussiness", "BussinessDocType"), found=EMPTY, expected=expected)
        return
    for child in element.children if element is not None else ():
        if child.name != "Bussiness" and alike(child.name, ["Bussiness"]):
            expected = Text(
                "<Bussiness>: not understood, it would become a new document",
                "<Bussiness>: nếu không hiểu được sẽ thành văn bản mới",
            )
            faults.error(Kind.UNKNOWN, child.place, found=child.name, expected=expected)
            return
    expected = Text("<Bussiness>; taken as a new document", "<Bussiness>; được coi là văn bản mới")
    faults.remark(Kind.MISSING, Inside(trace, "Bussiness"), found=NOTHING, expected=expected)


def _change(message: Document, faults: Faults) -> None:
    business = message.trace.business if message.trace else None
    if business is None or business.type is None:
        return
    if message.business_type is BusinessType.REPLACE and not business.replacements:
        expected = Text("the documents that are replaced", "các văn bản bị thay thế")
        faults.error(Kind.MISSING, Inside(business, "ReplacementInfoList"), found=NOTHING, expected=expected)
    if message.business_type is BusinessType.UPDATE and business.changes is None:
        expected = Text("what the update changes", "nội dung được cập nhật")
        faults.remark(Kind.MISSING, Inside(business, "BussinessDocumentInfo"), found=NOTHING, expected=expected)
    if message.business_type in (BusinessType.RECALL, BusinessType.REPLACE) and not (business.reason or "").strip():
        expected = Text("the reason", "lý do")
        faults.remark(Kind.MISSING, Inside(business, "BussinessDocReason"), found=NOTHING, expected=expected)


def _links(message: Document, faults: Faults) -> None:
    """References and attachments belong together by content id, compared without `cid:`."""
    listed: dict[str, ContentReference] = {}
    for reference in message.references:
        key = bare_id(reference.content_id)
        if listed.setdefault(key, reference) is not reference:
            place = Inside(reference, "ContentId")
            faults.error(Kind.DUPLICATE, place, found=reference.content_id or "", expected=_EACH_ID_ONCE)
    if len(message.attachments) > _MOST_FILES and message.carried is None:
        expected = Text(f"at most {_MOST_FILES} of them", f"tối đa {_MOST_FILES}")
        one_more = Inside(message.attachments[_MOST_FILES])
        faults.error(Kind.TOO_LARGE, one_more, found=same(str(len(message.attachments))), expected=expected)
    present: set[str] = set()
    for attachment in message.attachments:
        key, place = bare_id(attachment.content_id), Inside(attachment, "ContentId")
        if key in present:
            faults.error(Kind.DUPLICATE, place, found=attachment.content_id or "", expected=_EACH_ID_ONCE)
        present.add(key)
        named = listed.get(key)
        if named is None:
            expected = Text("a <Reference> with this content id", "<Reference> có cùng ContentId")
            faults.remark(Kind.LINK, place, found=attachment.content_id or "", expected=expected)
        elif (attachment.content_id or "") != (named.content_id or ""):
            expected = quoted(named.content_id or "")
            faults.remark(Kind.LINK, place, found=attachment.content_id or "", expected=expected)
        if not (attachment.name or "").strip() and not (named and (named.name or "").strip()):
            expected = Text("the name of the file", "tên tệp")
            faults.remark(Kind.MISSING, Inside(attachment, "AttachmentName"), found=NOTHING, expected=expected)
    for key, reference in listed.items():
        if key not in present:
            expected = Text("an <Attachment> with this content id", "<Attachment> có cùng ContentId")
            place = Inside(reference, "ContentId")
            faults.error(Kind.LINK, place, found=reference.content_id or "", expected=expected)


_DOCUMENT_RULES: Final[tuple[Callable[[Document, Faults], None], ...]] = (_addressees, _way, _change, _links)

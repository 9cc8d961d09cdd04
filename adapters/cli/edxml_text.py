"""How `lienthong-agency edxml` shows a message and its faults: in both languages, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.edxml.faults import Severity
from schemas.edxml.kept import document_json, status_json
from schemas.edxml.reading import Reading
from schemas.edxml.records import BusinessType, Document, Organization, Status, bare_id

TYPES: Final[Mapping[BusinessType, str]] = {
    BusinessType.NEW: "new / văn bản mới",
    BusinessType.RECALL: "recall / thu hồi",
    BusinessType.UPDATE: "update / cập nhật",
    BusinessType.REPLACE: "replacement / thay thế",
}
CODES: Final[Mapping[str, str]] = {
    "01": "arrived / đã đến",
    "02": "refused / từ chối tiếp nhận",
    "03": "received / đã tiếp nhận, vào sổ",
    "04": "assigned / phân công",
    "05": "processing / đang xử lý",
    "06": "completed / hoàn thành",
    "13": "take-back asked / yêu cầu lấy lại",
    "15": "change agreed / đồng ý",
    "16": "change refused / từ chối",
}
URGENCY: Final = ("normal / thường", "khẩn", "thượng khẩn", "hỏa tốc", "hỏa tốc hẹn giờ")


def report(name: str, reading: Reading) -> dict[str, Any]:
    """What is wrong with a file, for programs."""
    return {
        "file": name,
        "good": reading.good,
        "kind": kind_of(reading),
        "size": len(reading.data),
        "faults": [fault.as_dict() for fault in reading.faults],
        "untold": reading.untold,
    }


def report_text(name: str, reading: Reading) -> str:
    """What is wrong with a file, for people: a headline, then every fault in both languages."""
    errors, remarks = len(reading.errors), len(reading.faults) - len(reading.errors)
    if reading.good:
        kind = "status / trạng thái" if kind_of(reading) == "status" else "document / văn bản"
        told = f", {remarks} remark{'s' * (remarks > 1)} / {remarks} lưu ý" if remarks else ""
        lines = [f"{name}: good / hợp lệ ({kind}{told})"]
    else:
        lines = [f"{name}: NOT GOOD / KHÔNG HỢP LỆ ({errors} error{'s' * (errors > 1)} / {errors} lỗi)"]
    for fault in reading.faults:
        error = fault.severity is Severity.ERROR
        lines += [
            f"  {'error' if error else 'remark'}: {fault.en}",
            f"  {'lỗi' if error else 'lưu ý'}: {fault.vi}",
        ]
    if reading.untold:
        lines.append(f"  and {reading.untold} more / và {reading.untold} mục khác")
    return "\n".join(lines)


def kind_of(reading: Reading) -> str | None:
    """`document`, `status`, or None if neither could be told."""
    match reading.message:
        case Document():
            return "document"
        case Status():
            return "status"
        case None:
            return None


def overview(name: str, reading: Reading) -> dict[str, Any]:
    """What a message says, for programs: its elements by name, its attachments, the verdict, the faults."""
    found = report(name, reading) | {"sha256": reading.sha256}
    message = reading.message
    if message is not None and message.verdict is not None:
        found["verdict"] = message.verdict.as_dict()
    if isinstance(message, Document):
        found |= {
            "business_type": message.business_type.value,
            "says": document_json(message),
            "attachments": list(attachments(message)),
        }
    elif isinstance(message, Status):
        found["says"] = status_json(message)
    return found


def attachments(message: Document) -> Iterator[dict[str, Any]]:
    """Every attachment with what was found in it."""
    listed = {bare_id(one.content_id): one for one in message.references}
    for one in message.attachments:
        reference = listed.get(bare_id(one.content_id))
        yield {
            "name": one.name or (reference.name if reference else None),
            "content_type": (reference.content_type if reference else None) or one.content_type,
            "good": one.content is not None,
            "size": one.content.size if one.content else None,
            "sha256": one.content.sha256 if one.content else None,
            "zipped": one.content.wrapped if one.content else None,
        }


def overview_text(name: str, reading: Reading) -> str:
    """What a message says, for people."""
    message = reading.message
    match message:
        case Document():
            lines = list(_document(message))
        case Status():
            lines = list(_status(message))
        case None:
            lines = []
    if message is not None and message.verdict is not None:
        for question, finding in message.verdict.as_dict().items():
            lines.append(_line(f"Signature / chữ ký: {question}", f"{finding['answer']} ({finding['why']})"))
    return "\n".join([*lines, report_text(name, reading)])


def _document(message: Document) -> Iterator[str]:
    header, other = message.header, message.header.other
    yield _line("Kind / loại gói tin", f"document / văn bản: {TYPES[message.business_type]}")
    yield _line("From / nơi gửi", _agency(header.from_))
    for to in header.to:
        yield _line("To / nơi nhận", _agency(to))
    code, issued = header.code, header.promulgation
    yield _line("Number / số, ký hiệu", f"{code.number or ''}/{code.notation or ''}" if code else None)
    yield _line("Issued / ban hành", f"{issued.place or ''} {issued.issued_on or ''}".strip() if issued else None)
    yield _line("Type / loại văn bản", header.document_type.name if header.document_type else None)
    yield _line("Subject / trích yếu", header.subject)
    if header.signer:
        signer = header.signer
        yield _line(
            "Signer / người ký", ", ".join(filter(None, (signer.competence, signer.position, signer.full_name)))
        )
    priority = (other.priority if other else None) or 0
    yield _line("Urgency / độ khẩn", f"{priority} {URGENCY[priority]}")
    yield _line("Due / hạn", header.due_date)
    yield _line("Document id / mã văn bản", header.document_id)
    for answered in header.response_for:
        named = (answered.organ_id, answered.code, answered.issued_on, answered.document_id)
        yield _line("Answers / trả lời", ", ".join(str(one) for one in named if one))
    business = message.trace.business if message.trace else None
    if business:
        yield _line("Reason / lý do", business.reason)
        yield _line("Concerns / liên quan", business.document_id)
        for replaced in business.replacements:
            yield _line("Replaces / thay thế", f"{replaced.document_id} ({', '.join(replaced.organ_ids)})")
        for receiver in business.changes.receivers if business.changes else ():
            word = "added / thêm" if receiver.added else "removed / bớt"
            yield _line("Recipient / nơi nhận", f"{receiver.organ_id} {word}")
        for staff in business.staff:
            clerk = ", ".join(filter(None, (staff.staff, staff.department, staff.email, staff.mobile)))
            yield _line("Clerk / cán bộ", clerk)
    for hop in message.trace.hops if message.trace else ():
        yield _line("Passed / chuyển qua", f"{hop.organ_id or '?'} {hop.timestamp or ''}")
    for one in attachments(message):
        state = f"{one['size']} bytes" if one["good"] else "cannot be used / không dùng được"
        yield _line("Attachment / tệp kèm", f"{one['name']} ({one['content_type'] or '?'}, {state})")


def _status(message: Status) -> Iterator[str]:
    header = message.header
    about, staff, code = header.response_for, header.staff, header.status_code
    yield _line("Kind / loại gói tin", "status / trạng thái")
    yield _line("From / nơi gửi", _agency(header.from_))
    yield _line("Status / trạng thái", f"{code} {CODES.get(code, '?')}" if code else None)
    yield _line("Time / thời điểm", header.timestamp)
    if about:
        asked = "Asked / hỏi cơ quan" if code == "13" else "Sender / nơi ban hành"
        yield _line(asked, about.organ_id)
        yield _line("Document / văn bản", ", ".join(str(one) for one in (about.code, about.issued_on) if one))
        yield _line("Document id / mã văn bản", about.document_id)
    yield _line("Text / nội dung", header.description)
    if staff:
        clerk = ", ".join(filter(None, (staff.staff, staff.department, staff.email, staff.mobile)))
        yield _line("Clerk / cán bộ", clerk)


def _agency(one: Organization | None) -> str | None:
    if one is None:
        return None
    contact = ", ".join(filter(None, (one.address, one.email, one.telephone)))
    return " — ".join(filter(None, (one.organ_id, one.name, contact)))


def _line(label: str, value: object) -> str:
    """A labelled line without anything that could act on a terminal."""
    text = "".join(sign if sign.isprintable() else " " for sign in str(value)) if value else "–"
    return f"{label + ':':<30} {text}"

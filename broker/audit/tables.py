"""Which columns each answer has as a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from broker.audit.completeness import Completeness
from broker.audit.overview import Overview
from broker.audit.questions import AgencyDay, DeliveryLine, Missing
from broker.audit.record import RejectionRecord
from broker.audit.report import COUNTS, Report
from broker.audit.search import Found, Page
from broker.audit.sheets import Cell, Sheet, Told, text_of
from broker.audit.terms import STATES
from broker.audit.words import LEVELS, PROCESSING, STATUS, TIERS, Words
from schemas.languages import Sentences
from schemas.refusal_sentences import CLAUSES, REFUSED

FIGURES: Final = {
    "sent": Words("sent", "gửi"),
    "deliveries": Words("deliveries", "chuyển đến"),
    "received": Words("received", "nhận"),
    "refused": Words("refused", "từ chối"),
    "completed": Words("completed", "hoàn thành"),
    "overdue": Words("overdue", "quá hạn"),
    "arrived": Words("arrived", "đã đến"),
}
DIMENSION: Final = {
    "tier": Words("tier", "cấp"),
    "level": Words("level", "loại cơ quan"),
    "agency": Words("agency", "mã cơ quan"),
    "day": Words("day", "ngày"),
    "month": Words("month", "tháng"),
}
ACCEPTED: Final = Words("accepted by the exchange", "trục tiếp nhận")
NUMBER: Final = Words("number/notation", "số/ký hiệu")
SENDER: Final = Words("sender", "nơi gửi")
RECIPIENT: Final = Words("recipient", "nơi nhận")
NAME: Final = Words("name", "tên")
SUBJECT: Final = Words("subject", "trích yếu")
STATE: Final = Words("state", "trạng thái")
REASON: Final = Words("reason", "lý do")
ID: Final = Words("id", "mã văn bản")
TOTAL: Final = Told(Words("total", "tổng"), "tổng (total)")
REFUSALS: Final = Sentences({**REFUSED, **CLAUSES})


def completeness_note(complete: Completeness) -> Words:
    """Up to when an answer is complete."""
    if complete.position is None and not complete.behind:
        return Words("as recorded at this moment", "theo bản ghi tại thời điểm này")
    if complete.position is None:
        return Words("nothing of the log has been counted yet", "chưa tính được phần nào của nhật ký")
    at = text_of(complete.at)
    en = f"complete up to entry {complete.position} of log {complete.origin} ({at})"
    vi = f"đầy đủ đến mục {complete.position} của nhật ký {complete.origin} ({at})"
    if complete.behind:
        en += f"; {complete.behind} or more later events are not counted yet"
        vi += f"; còn ít nhất {complete.behind} sự kiện sau đó chưa tính"
    return Words(en, vi)


def report_sheet(found: Report) -> Sheet:
    """The report; by tier it has the national table's lines."""
    named = found.by in ("tier", "level", "agency")
    headings = [DIMENSION[found.by], *([NAME] if named else []), *(FIGURES[name] for name in COUNTS)]
    total = found.total()
    return Sheet(
        title=Words("sent and received", "gửi và nhận"),
        headings=tuple(headings),
        rows=tuple(
            (*_names(row.key, _title(found.by, row.key, row.title), named), *(getattr(row, n) for n in COUNTS))
            for row in found.rows
        ),
        total=(*_names(TOTAL, "", named), *(getattr(total, n) for n in COUNTS)),
        notes=(completeness_note(found.complete),),
        nothing=Words(
            "Nothing was sent or received in this period.", "Không có văn bản nào được gửi hoặc nhận trong kỳ này."
        ),
    )


def documents_sheet(page: Page) -> Sheet:
    """Documents found."""
    shown = len(page.documents)
    about, khoang = ("", "") if page.exact else ("about ", "khoảng ")
    counted = Words(f"{shown} shown of {about}{page.estimate}", f"hiển thị {shown} trong {khoang}{page.estimate}")
    if page.after and not page.exact and page.estimate <= shown + 1:
        # One more than is shown was looked for and found; the estimate knows nothing better.
        counted = Words(f"{shown} shown, there are more", f"hiển thị {shown}, còn nữa")
    notes = (
        counted,
        *([Words(f"next page: --after {page.after}", f"trang sau: --after {page.after}")] if page.after else []),
        completeness_note(page.complete),
    )
    nothing = Words(
        "No document fits. Fewer words, words without diacritics or a longer period find more.",
        "Không có văn bản nào phù hợp. Hãy bớt từ, viết không dấu hoặc mở rộng khoảng thời gian.",
    )
    return _documents(page.documents, Words("documents", "văn bản"), notes, nothing)


def _documents(documents: Iterable[Found], title: Words, notes: tuple[Words, ...], nothing: Words) -> Sheet:
    return Sheet(
        title=title,
        headings=(ACCEPTED, NUMBER, SENDER, SUBJECT, Words("recipients", "số nơi nhận"), ID),
        rows=tuple(
            (
                one.accepted_at,
                _name(one.number, one.notation),
                Told.named(one.sender, one.sender_name),
                _subject(one.subject, test=one.test),
                one.recipients,
                str(one.id),
            )
            for one in documents
        ),
        notes=notes,
        nothing=nothing,
    )


def rejections_sheet(rejections: Sequence[RejectionRecord], after: str | None) -> Sheet:
    """Refused messages."""
    return Sheet(
        title=Words("refused messages", "thông điệp bị từ chối"),
        headings=(
            Words("refused", "thời điểm"),
            Words("code", "mã lỗi"),
            Words("claimed from", "tự xưng"),
            Words("connection", "kết nối"),
            Words("field", "trường"),
            Words("found", "thấy"),
            Words("expected", "cần"),
            ID,
        ),
        rows=tuple(
            (
                one.at,
                one.code,
                one.claimed_from,
                one.amqp_user,
                _plain(one.detail.get("field")),
                *(_clause(one.detail.get(name)) for name in ("found", "expected")),
                one.id,
            )
            for one in rejections
        ),
        notes=(Words(f"next page: --after {after}", f"trang sau: --after {after}"),) if after else (),
        nothing=Words("No refused message fits.", "Không có thông điệp bị từ chối nào phù hợp."),
    )


def deliveries_sheet(
    lines: Iterable[DeliveryLine], *, title: Words, nothing: Words, notes: tuple[Words, ...] = ()
) -> Sheet:
    """Deliveries of a list; `nothing` is said if it is empty."""
    return Sheet(
        title=title,
        headings=(
            ACCEPTED,
            NUMBER,
            SENDER,
            RECIPIENT,
            NAME,
            STATE,
            Words("expected by", "hạn đến"),
            Words("arrived", "đã đến"),
            REASON,
            SUBJECT,
            ID,
        ),
        rows=tuple(
            (
                one.accepted_at,
                _name(one.number, one.notation),
                one.sender,
                one.recipient,
                one.recipient_name,
                _state(one.state),
                one.due_arrival,
                one.arrived_at,
                one.reason,
                one.subject,
                str(one.id),
            )
            for one in lines
        ),
        notes=notes,
        nothing=nothing,
    )


def missing_sheet(found: Missing) -> Sheet:
    """Who has not confirmed a document."""
    note = Words(
        f"{len(found.lines)} of {found.of} recipients have not confirmed it",
        f"{len(found.lines)} trong {found.of} nơi nhận chưa xác nhận",
    )
    nothing = Words("None of its recipients is meant by this.", "Không có nơi nhận nào thuộc phạm vi này.")
    if found.of:
        nothing = Words("Everybody has confirmed it.", "Tất cả đã xác nhận.")
    return deliveries_sheet(found.lines, title=Words("not received", "chưa nhận"), notes=(note,), nothing=nothing)


def day_sheets(found: AgencyDay) -> tuple[Sheet, ...]:
    """What an agency did on a day."""
    cut = (Words("cut: ask with a higher --limit", "đã cắt bớt: tăng --limit"),) if found.more else ()
    none = Words("Nothing on this day.", "Không có gì trong ngày này.")
    statuses = Sheet(
        title=Words("reported", "trạng thái đã báo"),
        headings=(
            Words("time of the fact", "thời điểm"),
            Words("status", "trạng thái"),
            Words("signed by", "bên ký"),
            NUMBER,
            SENDER,
            REASON,
            ID,
        ),
        rows=tuple(
            (
                one.at,
                Told.both(STATUS[one.code]),
                one.by,
                _name(one.number, one.notation),
                one.sender,
                one.reason,
                str(one.id),
            )
            for one in found.statuses
        ),
        notes=cut,
        nothing=none,
    )
    return (
        _documents(found.sent, Words("sent", "văn bản đi"), cut, none),
        deliveries_sheet(found.received, title=Words("received", "văn bản đến"), notes=cut, nothing=none),
        statuses,
    )


def overview_sheet(found: Overview) -> Sheet:
    """Places with their traffic and the states of their deliveries."""
    states = [state for state in STATES if any(place.states[state] for place in found.places)]
    headings = [Words("code", "mã"), NAME, *(FIGURES[n] for n in ("sent", "deliveries", "arrived", "overdue"))]
    return Sheet(
        title=Words("overview", "toàn cảnh"),
        headings=(*headings, *(PROCESSING[state] for state in states)),
        rows=tuple(
            (
                place.code,
                place.name,
                place.sent,
                place.deliveries,
                place.arrived,
                place.overdue,
                *(place.states[state] for state in states),
            )
            for place in found.places
        ),
        notes=(completeness_note(found.complete),),
        nothing=Words("No delivery went there.", "Không có văn bản nào được chuyển đến đây."),
    )


def _names(key: Cell, title: Cell, named: bool) -> tuple[Cell, ...]:
    return (key, title) if named else (key,)


def _title(by: str, key: str, title: str) -> Cell:
    """The name of a report's line: of an agency its own, of a tier or level in the reader's language."""
    words = {"tier": TIERS, "level": LEVELS}.get(by, {}).get(key)
    return title if words is None else Told(words, title)


def _subject(subject: str, *, test: bool) -> Cell:
    if not test:
        return subject
    shown = Words(f"{subject} (rehearsal)", f"{subject} (diễn tập)")
    return Told(shown, f"{subject} (diễn tập / rehearsal)")


def _name(number: str, notation: str) -> str:
    return f"{number}/{notation}" if notation else number


def _state(state: str) -> Cell:
    return Told.both(PROCESSING[state])


def _clause(value: object) -> Cell:
    """What a refusal found or expected; what nobody has put into Vietnamese is shown as it is."""
    if value is None:
        return None
    english = str(value)
    return Told(Words(english, REFUSALS.told(english, "vi")), english)


def _plain(value: object) -> str | None:
    return None if value is None else str(value)

"""Where a document is, why, and what happens next: one paragraph, in English and in Vietnamese.

Pure: takes a `Story` and the time, gives text. It may not look anything up. Each sentence speaks about one group of
deliveries that share a fate, so that a telegram to 3,355 agencies still fits one paragraph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.audit.period import VIETNAM
from broker.audit.record import DeliveryRecord, DocumentRecord, RejectionRecord, Story
from broker.audit.words import CHANGE, PROCESSING, Words
from schemas.errors import CATALOGUE

NAMED = 5
"""So many agencies are named in a sentence; the others are counted."""

_ONLY_ASKING = ("recall", "update")
"""Actions of documents that nobody registers and works on: they are answered with 15 or 16."""
_OPEN_STATES: Final = ("arrived", "received", "assigned", "processing")


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One paragraph in each language."""

    sentences: tuple[Words, ...]

    @property
    def en(self) -> str:
        return " ".join(sentence.en for sentence in self.sentences)

    @property
    def vi(self) -> str:
        return " ".join(sentence.vi for sentence in self.sentences)


def explain(story: Story, *, now: datetime) -> Explanation:
    """Tell where the document of `story` is, why, and what happens next.

    `now` is an aware time, used to say whether a deadline is still to come.
    """
    if story.document is None:
        sentences = [*_refused_messages(story.rejections, accepted=False)]
    else:
        sentences = [
            _opening(story.document),
            *_held(story.document),
            *_waiting(story, now),
            *_silent(story, now),
            *_at_recipients(story),
            *_successions(story),
            *_changes(story),
            *_asks(story),
            *_refused_messages(story.rejections, accepted=True),
            *_nothing_left(story),
        ]
    return Explanation(sentences=tuple(sentences))


def local(at: datetime) -> str:
    """`at` as people in Viet Nam write it, to the second."""
    return at.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S")


def _names(codes: Iterable[str]) -> Words:
    listed = sorted(codes)
    shown = ", ".join(listed[:NAMED])
    rest = len(listed) - NAMED
    if rest <= 0:
        return Words(shown, shown)
    return Words(f"{shown} and {rest} more", f"{shown} và {rest} cơ quan khác")


def _count(number: int, singular: str, plural: str) -> str:
    return f"{number} {singular if number == 1 else plural}"


def _opening(document: DocumentRecord) -> Words:
    title = (
        " ".join(part for part in (document.type, f"{document.number}/{document.notation}".strip("/")) if part)
        or "document"
    )
    by_hub = document.submitter != document.sender
    change = CHANGE.get(document.action, Words("", ""))
    asks_en, asks_vi = (f" ({words})" if words else "" for words in (change.en, change.vi))
    en = (
        f"{title}{asks_en} of {document.sender_name} ({document.sender}), id {document.id}, was accepted by the exchange at "
        f"{local(document.accepted_at)} for {_count(document.recipients, 'recipient', 'recipients')}"
    )
    vi = (
        f"{title}{asks_vi} của {document.sender_name} ({document.sender}), mã {document.id}, được trục tiếp nhận lúc "
        f"{local(document.accepted_at)} để gửi {document.recipients} nơi nhận"
    )
    if by_hub:
        en += f", submitted through the hub {document.submitter}"
        vi += f", gửi qua đầu mối {document.submitter}"
    if document.signer != document.sender:
        en += f", signed by {document.signer} under its mandate"
        vi += f", do {document.signer} ký theo ủy quyền"
    if document.custody == "broker":
        en += " with a key that the exchange keeps for the office"
        vi += " bằng khóa do trục giữ hộ cơ quan"
    if document.test:
        en += " (a rehearsal)"
        vi += " (diễn tập)"
    return Words(en + ".", vi + ".")


def _held(document: DocumentRecord) -> Iterable[Words]:
    if document.held_at is not None:
        at = local(document.held_at)
        yield Words(
            f"An operator has held it since {at}; nothing goes out until it is released or cancelled.",
            f"Người vận hành đã tạm giữ từ {at}; văn bản chỉ được chuyển khi được cho phép, hoặc bị hủy.",
        )


def _waiting(story: Story, now: datetime) -> Iterable[Words]:
    """Decided, but not handed to RabbitMQ with its confirm yet."""
    document = story.document
    waiting = [d for d in story.deliveries if d.state == "accepted"]
    if not waiting or (document is not None and document.held_at is not None):
        return
    who = _names(d.recipient for d in waiting)
    if story.unpublished:
        oldest = min(u.created_at for u in story.unpublished)
        age = max(0, int((now - oldest).total_seconds()))
        yield Words(
            f"It is not yet handed to the mailboxes of {who.en}: the publish was decided {age} s ago and has no confirm; "
            "a worker or, after the grace period, the keeper completes it.",
            f"Chưa chuyển vào hộp thư của {who.vi}: lệnh chuyển đã có {age} giây nhưng chưa được xác nhận; "
            "tiến trình xử lý hoặc tiến trình giám sát sẽ hoàn tất.",
        )
    else:
        yield Words(
            f"It is not yet handed to the mailboxes of {who.en}, and no publish is outstanding for them: "
            "run `lienthong document resend` for it.",
            f"Chưa chuyển vào hộp thư của {who.vi} và không còn lệnh chuyển nào: hãy chạy `lienthong document resend`.",
        )


def _silent(story: Story, now: datetime) -> Iterable[Words]:
    """In the mailbox, no signed 01."""
    silent = [d for d in story.deliveries if d.state == "dispatched"]
    if not silent:
        return
    late = [d for d in silent if d.overdue_at is not None]
    in_time = [d for d in silent if d.overdue_at is None]
    if in_time:
        yield _silent_sentence(in_time, now)
    if late:
        who = _names(d.recipient for d in late)
        since = local(min(d.overdue_at for d in late if d.overdue_at is not None))
        yield Words(
            f"Overdue since {since}: {who.en} never confirmed it; the sender was told and an operator should call the office"
            f"{_through(late).en}.",
            f"Quá hạn từ {since}: {who.vi} chưa xác nhận; nơi gửi đã được báo, người vận hành cần liên hệ cơ quan"
            f"{_through(late).vi}.",
        )


def _silent_sentence(silent: Sequence[DeliveryRecord], now: datetime) -> Words:
    who = _names(d.recipient for d in silent)
    due = min(d.due_arrival for d in silent)
    copies = max(d.sends for d in silent)
    again_en = f" ({_count(copies, 'copy', 'copies')} sent so far)" if copies > 1 else ""
    again_vi = f" (đã gửi {copies} lần)" if copies > 1 else ""
    if due > now:
        return Words(
            f"It lies in the mailbox for {who.en}{_through(silent).en}{again_en}; their signed 01 is expected by {local(due)}, "
            "after which it is sent again if the mailbox turns out empty, and then counts as overdue.",
            f"Đang nằm trong hộp thư của {who.vi}{_through(silent).vi}{again_vi}; chờ trạng thái 01 đến {local(due)}, "
            "sau đó được gửi lại nếu hộp thư trống, rồi bị coi là quá hạn.",
        )
    return Words(
        f"It lies in the mailbox for {who.en}{_through(silent).en}{again_en}; the signed 01 was due at {local(due)} and the keeper "
        "will send it again if the mailbox is empty, or flag it overdue.",
        f"Đang nằm trong hộp thư của {who.vi}{_through(silent).vi}{again_vi}; hạn trạng thái 01 là {local(due)}, tiến trình giám sát "
        "sẽ gửi lại nếu hộp thư trống hoặc đánh dấu quá hạn.",
    )


def _through(deliveries: Sequence[DeliveryRecord]) -> Words:
    hubs = {d.owner for d in deliveries if d.owner != d.recipient}
    if not hubs:
        return Words("", "")
    names = _names(hubs)
    return Words(f", served by the hub {names.en}", f", qua đầu mối {names.vi}")


def _at_recipients(story: Story) -> Iterable[Words]:
    """Arrived or further; refused; recalled; cancelled."""
    by_state: dict[str, list[str]] = {}
    for delivery in story.deliveries:
        by_state.setdefault(delivery.state, []).append(delivery.recipient)
    for state in (*_OPEN_STATES, "completed"):
        if codes := by_state.get(state):
            who = _names(codes)
            yield Words(f"{_cap(PROCESSING[state].en)} at {who.en}.", f"{_cap(PROCESSING[state].vi)} tại {who.vi}.")
    working = [code for state in _OPEN_STATES for code in by_state.get(state, ())]
    if working and (story.document is None or story.document.action not in _ONLY_ASKING):
        who = _names(working)
        yield Words(
            f"The next word is the clerk's of {who.en} (03, 04, 05, 06 or 02).",
            f"Bước tiếp theo thuộc về văn thư của {who.vi} (03, 04, 05, 06 hoặc 02).",
        )
    if codes := by_state.get("refused"):
        reasons = Counter(s.reason or "?" for s in story.statuses if s.code == "02" and s.recipient in set(codes))
        told = "; ".join(f"“{reason}”" for reason, _ in reasons.most_common(3))
        who = _names(codes)
        yield Words(
            f"Refused by {who.en} with the reason {told}: the sender has to act.",
            f"Bị {who.vi} từ chối với lý do {told}: nơi gửi cần xử lý.",
        )
    for state in ("recalled", "cancelled", "held"):
        if codes := by_state.get(state):
            who = _names(codes)
            yield Words(f"{_cap(PROCESSING[state].en)}: {who.en}.", f"{_cap(PROCESSING[state].vi)}: {who.vi}.")


def _successions(story: Story) -> Iterable[Words]:
    """Recipients that have closed: where their documents went, or that the sender has to choose."""
    moved: dict[str, list[str]] = {}
    for delivery in story.deliveries:
        if delivery.moved_to is not None:
            moved.setdefault(delivery.moved_to, []).append(delivery.recipient)
    for heir, codes in moved.items():
        who = _names(codes)
        yield Words(
            f"{who.en} closed before a 01 had come, so the document went to the successor {heir}; the old office may have "
            "taken its copy all the same.",
            f"{who.vi} kết thúc hoạt động khi chưa có trạng thái 01, nên văn bản đã được chuyển sang cơ quan kế thừa {heir}; "
            "cơ quan cũ vẫn có thể đã nhận bản của mình.",
        )
    stranded = [d.recipient for d in story.deliveries if d.stranded_at and not d.moved_at and not d.closed_at]
    if stranded:
        who = _names(stranded)
        yield Words(
            f"{who.en} has closed and no single agency took over: the sender has been told and has to choose.",
            f"{who.vi} đã kết thúc hoạt động và không có một cơ quan kế thừa duy nhất: nơi gửi đã được thông báo và cần chọn.",
        )


def _changes(story: Story) -> Iterable[Words]:
    moved = {d.recipient for d in story.deliveries if d.moved_at is not None}
    open_changes: dict[tuple[str, bool], list[str]] = {}
    for change in story.changes:
        if change.state == "asked" and change.recipient not in moved:
            open_changes.setdefault((change.kind, change.overdue_at is not None), []).append(change.recipient)
    for (kind, late), codes in open_changes.items():
        who = _names(codes)
        yield Words(
            f"A {CHANGE[kind].en} was asked and {who.en} has not answered yet (15 agrees, 16 refuses)"
            f"{'; the answer is overdue and the sender has been told' if late else ''}.",
            f"Đã yêu cầu {CHANGE[kind].vi}, {who.vi} chưa trả lời (15 đồng ý, 16 từ chối)"
            f"{'; đã quá hạn trả lời và nơi gửi đã được thông báo' if late else ''}.",
        )


def _asks(story: Story) -> Iterable[Words]:
    """What a recall, an update or a replacement asks of the recipients of the document that it concerns."""
    by_answer: dict[tuple[str, str], list[str]] = {}
    for one in story.asked:
        by_answer.setdefault((one.kind, one.state), []).append(one.recipient)
    for (kind, state), codes in by_answer.items():
        who, change = _names(codes), CHANGE[kind]
        match state:
            case "agreed":
                yield Words(
                    f"{who.en} agreed to the {change.en} that it asks for, or had not been sent the document yet.",
                    f"{who.vi} đã đồng ý {change.vi}, hoặc chưa được gửi văn bản đó.",
                )
            case "refused_change":
                yield Words(f"{who.en} refused the {change.en} (16).", f"{who.vi} không đồng ý {change.vi} (16).")
            case _:
                yield Words(
                    f"It asks for a {change.en}; the next word is the clerk's of {who.en} (15 agrees, 16 refuses).",
                    f"Văn bản yêu cầu {change.vi}; bước tiếp theo thuộc về văn thư của {who.vi} (15 đồng ý, 16 từ chối).",
                )


def _refused_messages(rejections: Sequence[RejectionRecord], *, accepted: bool) -> Iterable[Words]:
    """Messages with this id that were refused: the whole story, or an attempt beside the accepted one."""
    if not rejections:
        return
    last = rejections[-1]
    entry = CATALOGUE[last.code]
    field, found, expected = (str(last.detail.get(k) or "") for k in ("field", "found", "expected"))
    where_en = f" ({field}: found {found}, expected {expected})" if field or found or expected else ""
    where_vi = f" ({field}: thấy {found}, cần {expected})" if field or found or expected else ""
    times = len(rejections)
    if accepted:
        yield Words(
            f"Besides, {_count(times, 'other message', 'other messages')} with this id was refused, last at {local(last.at)} as "
            f"{last.code}: {entry.en}{where_en} Nobody received that one.",
            f"Ngoài ra có {times} thông điệp khác cùng mã bị từ chối, lần cuối lúc {local(last.at)} với lỗi {last.code}: "
            f"{entry.vi}{where_vi} Không nơi nào nhận được.",
        )
        return
    yield Words(
        f"The exchange refused this message from {last.claimed_from or 'an unnamed sender'} (connection {last.amqp_user or 'unknown'})"
        f"{'' if times == 1 else f' {times} times, last'} at {local(last.at)} as {last.code}: {entry.en}{where_en} Nobody received it. "
        f"Next: {entry.remedy_en}",
        f"Trục đã từ chối thông điệp của {last.claimed_from or 'nơi gửi không rõ'} (kết nối {last.amqp_user or 'không rõ'})"
        f"{'' if times == 1 else f' {times} lần, lần cuối'} lúc {local(last.at)} với lỗi {last.code}: {entry.vi}{where_vi} "
        f"Không nơi nào nhận được. Tiếp theo: {entry.remedy_vi}",
    )
    if last.quarantined:
        yield Words(
            "It is kept in quarantine for an operator.",
            "Thông điệp được giữ cách ly chờ người vận hành.",
        )


def _nothing_left(story: Story) -> Iterable[Words]:
    final: tuple[str, ...] = ("completed", "refused", "cancelled", "recalled", "moved")
    if story.document is not None and story.document.action in _ONLY_ASKING:
        final += _OPEN_STATES
    moved = {d.recipient for d in story.deliveries if d.moved_at is not None}
    pending = any(c.state == "asked" and c.recipient not in moved for c in (*story.changes, *story.asked))
    if story.deliveries and not pending and all(d.state in final for d in story.deliveries):
        yield Words("Nothing more is expected.", "Không còn bước nào phải chờ.")


def _cap(text: str) -> str:
    return text[:1].upper() + text[1:]

"""A document's story as a timeline: pure, one `Moment` a line, in the order of time.

Facts that many recipients share at one moment (a telegram handed to 500 mailboxes) are told once, with their number.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.audit.record import DeliveryRecord, Story
from broker.audit.words import CHANGE, CHANGE_STATE, STATUS, Words

NO_WORDS: Final = Words("", "")
OPERATOR: Final = Words("operator", "người vận hành")
KEPT_KEY: Final = Words("key kept by the exchange", "trục giữ hộ khóa")

MANY = 4
"""From so many recipients on, the same fact in the same second is told once for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One thing that happened."""

    at: datetime
    what: Words
    who: Words
    """Agency codes, or a number of agencies."""
    signed: bool = False
    """Rests on an agency's signature; otherwise on the exchange's own record."""
    detail: Words = NO_WORDS


def timeline(story: Story) -> list[Moment]:
    """All moments of `story`, oldest first."""
    moments: list[Moment] = []
    document = story.document
    if document is not None:
        digest = f"{document.digest[:16]}…"
        signer = [Words(f"signer {document.signer}", f"bên ký {document.signer}")]
        custody = [KEPT_KEY] if document.custody == "broker" else []
        moments.append(
            Moment(
                at=document.sent_at,
                what=Words("signed by the sender", "nơi gửi ký"),
                who=_who([document.sender]),
                signed=True,
                detail=_listed([*signer, *custody, Words(f"digest {digest}", f"mã băm {digest}")]),
            )
        )
        moments.append(
            Moment(
                at=document.accepted_at,
                what=Words("accepted by the exchange", "trục tiếp nhận"),
                who=_who([document.submitter]),
                detail=Words(
                    f"{document.recipients} recipient{'s' * (document.recipients != 1)}, leaf {document.leaf[:16]}…",
                    f"{document.recipients} nơi nhận, lá {document.leaf[:16]}…",
                ),
            )
        )
        if document.held_at is not None:
            moments.append(Moment(at=document.held_at, what=Words("held by an operator", "tạm giữ"), who=OPERATOR))
    moments += _dispatches(story.deliveries)
    moments += _statuses(story)
    moments += _overdue(story.deliveries)
    moments += _successions(story.deliveries)
    for change in story.changes:
        moments.append(
            Moment(
                at=change.asked_at,
                what=Words(f"{CHANGE[change.kind].en} asked", f"yêu cầu {CHANGE[change.kind].vi}"),
                who=_who([change.recipient]),
                signed=True,
                detail=Words(f"by document {change.asking_id}", f"bằng văn bản {change.asking_id}")
                if change.asking_id
                else NO_WORDS,
            )
        )
        if change.answered_at is not None:
            told = CHANGE_STATE[change.state]
            moments.append(
                Moment(
                    at=change.answered_at,
                    what=Words(f"{CHANGE[change.kind].en} {told.en}", f"{CHANGE[change.kind].vi}: {told.vi}"),
                    who=_who([change.recipient]),
                    signed=True,
                )
            )
    for refused in story.rejections:
        moments.append(
            Moment(
                at=refused.at,
                what=Words(f"message refused: {refused.code}", f"thông điệp bị từ chối: {refused.code}"),
                who=_who([refused.claimed_from or refused.amqp_user or "?"]),
                detail=_as_said(refused.detail.get("found")),
            )
        )
    return sorted(moments, key=lambda m: m.at)


def _dispatches(deliveries: tuple[DeliveryRecord, ...]) -> list[Moment]:
    by_publish: dict[tuple[datetime, str], list[DeliveryRecord]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.dispatched_at is not None:
            by_publish[delivery.dispatched_at, delivery.owner if delivery.owner != delivery.recipient else ""].append(
                delivery
            )
    moments = []
    for (at, hub), group in by_publish.items():
        place = Words("own mailbox" if len(group) == 1 else "own mailboxes", "hộp thư riêng")
        if hub:
            place = Words(f"mailbox of hub {hub}", f"hộp thư của đầu mối {hub}")
        moments.append(
            Moment(
                at=at,
                what=Words("handed over, confirmed by RabbitMQ", "đã chuyển, có xác nhận của RabbitMQ"),
                who=_who([d.recipient for d in group]),
                detail=place,
            )
        )
    return moments


def _statuses(story: Story) -> list[Moment]:
    grouped: dict[tuple[datetime, str, Words], tuple[datetime, list[str]]] = {}
    for status in story.statuses:
        notes = [_as_said(status.reason)] if status.reason else []
        if status.anomalous:
            notes.append(Words("anomalous", "bất thường"))
        if status.by != status.recipient:
            notes.append(Words(f"signed by {status.by}", f"ký bởi {status.by}"))
        if status.custody == "broker":
            notes.append(KEPT_KEY)
        key = status.at.replace(microsecond=0), status.code, _listed(notes)
        grouped.setdefault(key, (status.at, []))[1].append(status.recipient)
    return [
        Moment(at=at, what=STATUS[code], who=_who(codes), signed=True, detail=detail)
        for (_, code, detail), (at, codes) in grouped.items()
    ]


def _overdue(deliveries: tuple[DeliveryRecord, ...]) -> list[Moment]:
    grouped: dict[datetime, list[str]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.overdue_at is not None:
            grouped[delivery.overdue_at].append(delivery.recipient)
    return [Moment(at=at, what=Words("overdue", "quá hạn"), who=_who(codes)) for at, codes in grouped.items()]


def _successions(deliveries: tuple[DeliveryRecord, ...]) -> list[Moment]:
    moved: dict[tuple[datetime, str], list[str]] = defaultdict(list)
    stranded: dict[datetime, list[str]] = defaultdict(list)
    for delivery in deliveries:
        if delivery.moved_at is not None and delivery.moved_to is not None:
            moved[delivery.moved_at, delivery.moved_to].append(delivery.recipient)
        if delivery.stranded_at is not None:
            stranded[delivery.stranded_at].append(delivery.recipient)
    went = Words("closed: moved to its successor", "đã kết thúc: chuyển sang nơi kế thừa")
    choice = Words("closed: the sender has to choose", "đã kết thúc: nơi gửi cần chọn")
    return [
        *(Moment(at=at, what=went, who=_who(codes), detail=_as_said(heir)) for (at, heir), codes in moved.items()),
        *(Moment(at=at, what=choice, who=_who(codes)) for at, codes in stranded.items()),
    ]


def _who(codes: list[str]) -> Words:
    if len(codes) >= MANY:
        return Words(f"{len(codes)} agencies", f"{len(codes)} cơ quan")
    return _as_said(", ".join(codes))


def _listed(notes: list[Words]) -> Words:
    return Words(", ".join(note.en for note in notes), ", ".join(note.vi for note in notes))


def _as_said(text: object) -> Words:
    """What somebody said, or a code: the same in both languages."""
    return Words(str(text or ""), str(text or ""))

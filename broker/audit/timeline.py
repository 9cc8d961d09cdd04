"""A document's story as a timeline: pure, one `Moment` a line, in the order of time.

Facts that many recipients share at one moment (a telegram handed to 500 mailboxes) are told once, with their number.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from broker.audit.record import DeliveryRecord, Story
from broker.audit.words import CHANGE, CHANGE_STATE, STATUS, Words

MANY = 4
"""From so many recipients on, the same fact in the same second is told once for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One thing that happened."""

    at: datetime
    what: Words
    who: str
    """Agency codes, or a number of agencies."""
    signed: bool = False
    """Rests on an agency's signature; otherwise on the exchange's own record."""
    detail: str = ""


def timeline(story: Story) -> list[Moment]:
    """All moments of `story`, oldest first."""
    moments: list[Moment] = []
    document = story.document
    if document is not None:
        custody = ", key kept by the exchange" if document.custody == "broker" else ""
        moments.append(
            Moment(
                at=document.sent_at,
                what=Words("signed by the sender", "nơi gửi ký"),
                who=document.sender,
                signed=True,
                detail=f"signer {document.signer}{custody}, digest {document.digest[:16]}…",
            )
        )
        moments.append(
            Moment(
                at=document.accepted_at,
                what=Words("accepted by the exchange", "trục tiếp nhận"),
                who=document.submitter,
                detail=f"{document.recipients} recipient{'s' * (document.recipients != 1)}, leaf {document.leaf[:16]}…",
            )
        )
        if document.held_at is not None:
            moments.append(Moment(at=document.held_at, what=Words("held by an operator", "tạm giữ"), who="operator"))
    moments += _dispatches(story.deliveries)
    moments += _statuses(story)
    moments += _overdue(story.deliveries)
    moments += _successions(story.deliveries)
    for change in story.changes:
        moments.append(
            Moment(
                at=change.asked_at,
                what=Words(f"{CHANGE[change.kind].en} asked", f"yêu cầu {CHANGE[change.kind].vi}"),
                who=change.recipient,
                signed=True,
                detail=f"by document {change.asking_id}" if change.asking_id else "",
            )
        )
        if change.answered_at is not None:
            told = CHANGE_STATE[change.state]
            moments.append(
                Moment(
                    at=change.answered_at,
                    what=Words(f"{CHANGE[change.kind].en} {told.en}", f"{CHANGE[change.kind].vi}: {told.vi}"),
                    who=change.recipient,
                    signed=True,
                )
            )
    for refused in story.rejections:
        moments.append(
            Moment(
                at=refused.at,
                what=Words(f"message refused: {refused.code}", f"thông điệp bị từ chối: {refused.code}"),
                who=refused.claimed_from or refused.amqp_user or "?",
                detail=str(refused.detail.get("found") or ""),
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
        place = f"mailbox of hub {hub}" if hub else "own mailbox" if len(group) == 1 else "own mailboxes"
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
    grouped: dict[tuple[datetime, str, str], tuple[datetime, list[str]]] = {}
    for status in story.statuses:
        notes = [n for n in (status.reason, "anomalous" if status.anomalous else None) if n]
        if status.by != status.recipient:
            notes.append(f"signed by {status.by}")
        if status.custody == "broker":
            notes.append("key kept by the exchange")
        key = status.at.replace(microsecond=0), status.code, ", ".join(notes)
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
        *(Moment(at=at, what=went, who=_who(codes), detail=heir) for (at, heir), codes in moved.items()),
        *(Moment(at=at, what=choice, who=_who(codes)) for at, codes in stranded.items()),
    ]


def _who(codes: list[str]) -> str:
    return f"{len(codes)} agencies" if len(codes) >= MANY else ", ".join(codes)

"""The story that a bundle proves, as a timeline and as each delivery's state, in Vietnamese and English. Pure.

Told from checked events and messages only: names, numbers and subjects are what the sender signed; everything else is
codes, as the log has it. Facts that many recipients share in one second are told once, with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from broker.audit.words import CHANGE, PROCESSING, STATUS, Words
from broker.evidence.bundle.agreement import Agreement
from broker.evidence.bundle.facts import at_of
from broker.evidence.bundle.judging import Judged
from broker.evidence.bundle.lines import Bundle, EventLine
from schemas.manifest import DocumentManifest
from schemas.states import Fact, Processing, StatusCode, fold
from schemas.times import parse_rfc3339

MANY: Final = 4
"""From so many agencies on, their number stands for their codes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened."""

    at: datetime
    what: Words
    who: Words
    """Agency codes, or how many agencies."""
    signed: bool
    """Rests on an agency's signature; otherwise on the exchange's logged word."""
    entry: str
    """Which log entry tells it."""
    note: Words


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Where one delivery stands, computed from the facts of this bundle alone."""

    recipient: str
    owner: str
    state: str
    arrived_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One document's story."""

    sender: str
    id: str
    digest: str
    title: str
    """Type, number and notation, as signed; empty if the manifest is withheld."""
    subject: str
    action: str
    test: bool
    """A rehearsal (contract §2.1)."""
    accepted_at: datetime
    moments: tuple[Moment, ...]
    deliveries: tuple[Delivery, ...]


def story_of(bundle: Bundle, agreement: Agreement, judged: Sequence[Judged]) -> tuple[Told, ...]:
    """One story for every document of a bundle whose messages and events agree, in the order of their acceptance."""
    custody = {one.digest: one for one in judged}
    stories = []
    for digest, events in agreement.accepted.items():
        manifest = agreement.documents.get(digest)
        first = events[0].body
        title, subject = ("", "") if manifest is None else _title(manifest)
        stories.append(
            Told(
                sender=first["document"]["from"],
                id=first["document"]["id"],
                digest=digest,
                title=title,
                subject=subject,
                action=first["action"],
                test=first["test"],
                accepted_at=at_of(first),
                moments=tuple(sorted(_moments(agreement, digest, events, custody), key=lambda one: one.at)),
                deliveries=_deliveries(agreement, digest),
            )
        )
    return tuple(sorted(stories, key=lambda one: (one.accepted_at, one.id)))


def _title(manifest: DocumentManifest) -> tuple[str, str]:
    document = manifest.document
    return f"{document.type or ''} {document.number}/{document.notation}".strip(" /"), document.subject


def _moments(
    agreement: Agreement, digest: str, events: Sequence[EventLine], judged: Mapping[str, Judged]
) -> Iterator[Moment]:
    first = events[0].body
    yield Moment(
        at=parse_rfc3339(first["sent_at"]),
        what=Words("signed by the sender", "nơi gửi ký"),
        who=_who(first["document"]["from"]),
        signed=digest in judged,
        entry=_entry(events[0]),
        note=_custody(judged.get(digest)),
    )
    action = "" if first["action"] == "new" else f" ({CHANGE[first['action']].en})" if first["action"] in CHANGE else ""
    yield Moment(
        at=at_of(first),
        what=Words(f"accepted by the exchange{action}", "trục tiếp nhận"),
        who=_who(first["submitter"]),
        signed=False,
        entry=", ".join(_entry(event) for event in events),
        note=Words(f"{first['count']} recipients", f"{first['count']} nơi nhận"),
    )
    for event in agreement.dispatched.get(digest, []):
        body = event.body
        named = body.get("recipients")
        yield Moment(
            at=at_of(body),
            what=Words("handed over, confirmed by RabbitMQ", "đã chuyển, có xác nhận của RabbitMQ"),
            who=_who(*(named if named is not None else body["owners"])),
            signed=False,
            entry=_entry(event),
            note=Words("", "")
            if named is None
            else Words(f"mailbox of {', '.join(body['owners'])}", f"hộp thư của {', '.join(body['owners'])}"),
        )
    yield from _statuses(agreement, digest, judged)
    for event in agreement.events.get("overdue", []):
        if event.body["document"]["digest"] == digest:
            yield Moment(
                at=at_of(event.body),
                what=Words("overdue: no confirmation in time", "quá hạn: chưa có xác nhận"),
                who=_who(*event.body["recipients"]),
                signed=False,
                entry=_entry(event),
                note=Words(f"due {event.body['due']}", f"hạn {event.body['due']}"),
            )
    for event in agreement.events.get("rerouted", []):
        if event.body["document"]["digest"] == digest:
            for one in event.body["deliveries"]:
                heirs = ", ".join(one["successors"]) or "-"
                yield Moment(
                    at=at_of(event.body),
                    what=Words(
                        "the recipient has closed: moved to its successor",
                        "nơi nhận đã kết thúc: chuyển sang nơi kế thừa",
                    )
                    if one["moved"]
                    else Words("the recipient has closed: not moved", "nơi nhận đã kết thúc: không chuyển"),
                    who=_who(one["closed"]),
                    signed=False,
                    entry=_entry(event),
                    note=Words(f"successor {heirs}", f"kế thừa: {heirs}"),
                )
    for event in agreement.events.get("operator_action", []):
        if event.body["target"] in (first["document"]["id"], digest):
            yield Moment(
                at=at_of(event.body),
                what=Words(f"operator: {event.body['action']}", f"người vận hành: {event.body['action']}"),
                who=_who(event.body["actor"]),
                signed=False,
                entry=_entry(event),
                note=Words("", ""),
            )
    for other, changes in agreement.accepted.items():
        if any(one["digest"] == digest for event in changes for one in event.body.get("concerns", ())):
            kind = CHANGE.get(changes[0].body["action"], Words("change", "thay đổi"))
            yield Moment(
                at=at_of(changes[0].body),
                what=Words(f"{kind.en} asked", f"yêu cầu {kind.vi}"),
                who=_who(changes[0].body["document"]["from"]),
                signed=other in judged,
                entry=_entry(changes[0]),
                note=Words(f"by document {changes[0].body['document']['id']}", "")._replace(
                    vi=f"bằng văn bản {changes[0].body['document']['id']}"
                ),
            )


def _statuses(agreement: Agreement, digest: str, judged: Mapping[str, Judged]) -> Iterator[Moment]:
    groups: dict[tuple[str, str, str, str, bool], list[tuple[datetime, str, str]]] = {}
    for event, item in _items(agreement, digest):
        message = event.body["message"]
        at = parse_rfc3339(item["at"])
        key = (
            at.replace(microsecond=0).isoformat(),
            item["code"],
            message["digest"],
            item.get("error", ""),
            item.get("anomalous", False),
        )
        groups.setdefault(key, []).append((at, item["recipient"], _entry(event)))
    for (_, code, message_digest, error, anomalous), told in groups.items():
        known = STATUS.get(code, Words(code, code))
        notes = [_custody(judged.get(message_digest))]
        if error:
            notes.append(Words(f"not taken: {error}", f"không được ghi nhận: {error}"))
        if anomalous:
            notes.append(Words("contradicts what came before", "mâu thuẫn với trạng thái trước"))
        yield Moment(
            at=told[0][0],
            what=known,
            who=_who(*(one[1] for one in told)),
            signed=message_digest in judged,
            entry=", ".join(sorted({one[2] for one in told})),
            note=Words("; ".join(n.en for n in notes if n.en), "; ".join(n.vi for n in notes if n.vi)),
        )


def _deliveries(agreement: Agreement, digest: str) -> tuple[Delivery, ...]:
    owners = dict(agreement.owners.get(digest, {}))
    handed = {
        code
        for event in agreement.dispatched.get(digest, [])
        for code in (event.body.get("recipients") or event.body["owners"])
    }
    facts: dict[str, list[Fact]] = {}
    recalled: set[str] = set()
    for event, item in _items(agreement, digest):
        if "error" in item or item["code"] not in set(StatusCode):
            continue
        if item["code"] == StatusCode.CHANGE_AGREED and _answers_recall(agreement, event, item["item"]):
            recalled.add(item["recipient"])
        fact = Fact(
            code=StatusCode(item["code"]),
            at=parse_rfc3339(item["at"]),
            digest=bytes.fromhex(event.body["message"]["digest"]),
        )
        facts.setdefault(item["recipient"], []).append(fact)
    wanted = agreement.recipient
    rows = []
    for code in sorted({*owners, *facts}):
        if wanted is not None and code != wanted:
            continue
        start = Processing.DISPATCHED if code in handed else Processing.ACCEPTED
        folded = fold(start, facts.get(code, []))
        rows.append(
            Delivery(
                recipient=code,
                owner=owners.get(code, code),
                state="recalled" if code in recalled else folded.processing.value,
                arrived_at=folded.arrived_at,
            )
        )
    return tuple(rows)


def _answers_recall(agreement: Agreement, event: EventLine, number: int) -> bool:
    """Whether an item agrees to a recall, or to a 13, that is in the bundle."""
    manifest = agreement.statuses.get(event.body["message"]["digest"])
    answers = manifest.items[number].answers if manifest is not None else None
    if answers is None:
        return False
    asked = (answers.from_, str(answers.id))
    recalls = [one[0].body for one in agreement.accepted.values() if one[0].body["action"] == "recall"]
    if asked in [(one["document"]["from"], one["document"]["id"]) for one in recalls]:
        return True
    return any(
        (one.from_, str(one.id)) == asked and any(item.code is StatusCode.TAKE_BACK for item in one.items)
        for one in agreement.statuses.values()
    )


def _items(agreement: Agreement, digest: str) -> Iterator[tuple[EventLine, Mapping[str, Any]]]:
    wanted = agreement.recipient
    for event in agreement.events.get("status_recorded", []):
        for item in event.body["items"]:
            if item["document"]["digest"] == digest and (wanted is None or item["recipient"] == wanted):
                yield event, item


def state_words(state: str) -> Words:
    """A delivery's state in both languages."""
    return PROCESSING.get(state, Words(state, state))


def _custody(judged: Judged | None) -> Words:
    if judged is None:
        return Words("signature withheld", "chữ ký không kèm theo")
    if judged.custody == "broker":
        return Words(f"signed by {judged.signer}, key kept by the exchange", f"{judged.signer} ký, trục giữ khóa")
    if judged.signer != judged.speaker:
        return Words(f"signed by {judged.signer} for {judged.speaker}", f"{judged.signer} ký thay {judged.speaker}")
    return Words("", "")


def _entry(event: EventLine) -> str:
    return f"{event.log}:{event.index}"


def _who(*codes: str) -> Words:
    if len(codes) >= MANY:
        return Words(f"{len(codes)} agencies", f"{len(codes)} cơ quan")
    return Words(", ".join(codes), ", ".join(codes))

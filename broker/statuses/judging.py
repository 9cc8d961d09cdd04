"""May this item of a status message take effect? Decides for one item at a time (contract §2.4, §7).

Pure: everything that is known about documents, deliveries and asking messages is handed in as `Known`. May not read a
clock, a database or a queue, and does not compute states: it says which facts are to be recorded, and why the others
are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NewType, Protocol
from uuid import UUID

from broker.directory.records import Agency, AgencyId
from schemas.errors import Refusal
from schemas.manifest.common import Reference
from schemas.manifest.status import StatusItem
from schemas.states import Processing, StatusCode, may_ask_change, may_report

DocumentId = NewType("DocumentId", int)

ANSWERS_TO_A_CHANGE: Final = frozenset({StatusCode.CHANGE_AGREED, StatusCode.CHANGE_REFUSED})


class Standing(Protocol):
    """What the directory must be able to say; `broker.directory.snapshot.Directory` does."""

    def find(self, text: str) -> Agency | None: ...
    def may_sign_for(self, hub_id: AgencyId, agency_id: AgencyId) -> bool: ...
    def successors(self, agency_id: AgencyId) -> Sequence[Agency]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDocument:
    """An accepted document that an item could mean."""

    document_id: DocumentId
    sender_id: AgencyId
    digest: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDelivery:
    """A delivery as it is now, its row locked."""

    document_id: DocumentId
    recipient_id: AgencyId
    recipient_code: str
    #: Whose mailbox the document was handed to.
    owner_id: AgencyId
    processing: Processing
    recalled: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedChange:
    """A recall, update, replacement or take-back that was asked of one delivery."""

    #: Digest of the asking message.
    asked_by: bytes
    #: Who asked, and the id of its message.
    sender_code: str
    message_id: UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What the database knows of everything that a batch's items mention."""

    documents: Mapping[tuple[str, UUID], Sequence[KnownDocument]] = field(default_factory=dict)
    deliveries: Mapping[tuple[DocumentId, str], KnownDelivery] = field(default_factory=dict)
    changes: Mapping[tuple[DocumentId, AgencyId], Sequence[AskedChange]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A fact to be recorded about one delivery."""

    #: Position of the item in its message.
    item: int
    document_id: DocumentId
    recipient_id: AgencyId
    #: Who signed it.
    by_id: AgencyId
    code: StatusCode
    at: datetime
    reason: str | None = None
    staff: Mapping[str, object] | None = None
    #: Digest of the asking message, for 15 and 16.
    answers: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedItem:
    """An item that takes no effect, and why; goes into the `status-refused` notice."""

    item: int
    concerns: Reference
    refusal: Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What becomes of the items of one status message."""

    entries: tuple[Entry, ...]
    refused: tuple[RefusedItem, ...]


def judge(items: Iterable[StatusItem], *, speaker: Agency, known: Known, standing: Standing) -> Judgement:
    """Judge every item of a message signed for `speaker`, the agency in `from` (contract §2.4).

    Refused items carry a Refusal: LT-CONCERNS-UNKNOWN, LT-CONCERNS-DIGEST, LT-STATUS-NOT-ALLOWED,
    LT-RECIPIENT-UNKNOWN. The others take effect whatever becomes of their neighbours.
    """
    entries: list[Entry] = []
    refused: list[RefusedItem] = []
    for number, item in enumerate(items):
        try:
            entries.extend(_facts(number, item, speaker, known, standing))
        except Refusal as refusal:
            refused.append(RefusedItem(item=number, concerns=item.concerns, refusal=refusal))
    return Judgement(entries=tuple(entries), refused=tuple(refused))


def recipients_named(item: StatusItem, *, speaker_code: str, standing: Standing) -> tuple[str, ...]:
    """The codes whose deliveries an item is about: those in `to` for a 13, else `for`, else the speaker's own.

    Aliases in `to` are followed; what the directory does not know stays as written, for the refusal to name it.
    """
    if item.code is StatusCode.TAKE_BACK:
        found = ((standing.find(text), text) for text in item.to or ())
        return tuple(dict.fromkeys(agency.code if agency else text for agency, text in found))
    return (item.for_ or speaker_code,)


def _facts(number: int, item: StatusItem, speaker: Agency, known: Known, standing: Standing) -> list[Entry]:
    document = _document(number, item, known)
    named = recipients_named(item, speaker_code=speaker.code, standing=standing)
    if item.code is StatusCode.TAKE_BACK:
        deliveries = _asked_back(number, item, document, named, speaker, known, standing)
        answers = None
    else:
        delivery = _own_delivery(number, item, document, named[0], speaker, known, standing)
        deliveries = [delivery]
        answers = _asking_message(number, item, delivery, known)
    staff = item.staff.model_dump(exclude_none=True) if item.staff else None
    return [
        Entry(
            item=number,
            document_id=delivery.document_id,
            recipient_id=delivery.recipient_id,
            by_id=speaker.id,
            code=item.code,
            at=item.at,
            reason=item.reason,
            staff=staff,
            answers=answers,
        )
        for delivery in deliveries
    ]


def _document(number: int, item: StatusItem, known: Known) -> KnownDocument:
    candidates = known.documents.get((item.concerns.from_, item.concerns.id), ())
    if not candidates:
        raise Refusal(
            code="LT-CONCERNS-UNKNOWN",
            field=f"items.{number}.concerns",
            found=f"{item.concerns.from_} {item.concerns.id}",
            expected="a document that this exchange has accepted from that agency",
        )
    digest = bytes.fromhex(item.concerns.digest)
    for document in candidates:
        if document.digest == digest:
            return document
    raise Refusal(
        code="LT-CONCERNS-DIGEST",
        field=f"items.{number}.concerns.digest",
        found=item.concerns.digest,
        expected=candidates[0].digest.hex(),
    )


def _asked_back(
    number: int,
    item: StatusItem,
    document: KnownDocument,
    named: tuple[str, ...],
    speaker: Agency,
    known: Known,
    standing: Standing,
) -> list[KnownDelivery]:
    """The deliveries that a 13 asks back: only the document's sender, or its registered successor, may ask."""
    speaks_for_sender = (
        speaker.id == document.sender_id
        or standing.may_sign_for(speaker.id, document.sender_id)
        or _succeeds(speaker, document.sender_id, standing)
    )
    _allowed(number, item, speaker, is_sender=speaks_for_sender, is_recipient=False)
    deliveries = []
    for code in named:
        delivery = known.deliveries.get((document.document_id, code))
        if delivery is None:
            raise Refusal(
                code="LT-RECIPIENT-UNKNOWN",
                field=f"items.{number}.to",
                found=code,
                expected="recipients of this document only",
            )
        deliveries.append(delivery)
    askable = [d for d in deliveries if may_ask_change(d.processing, recalled=d.recalled)]
    if not askable:
        raise Refusal(
            code="LT-STATUS-NOT-ALLOWED",
            field=f"items.{number}.to",
            found=", ".join(f"{d.recipient_code}: {'recalled' if d.recalled else d.processing}" for d in deliveries),
            expected="at least one recipient that has the document and has not given it back",
        )
    return askable


def _own_delivery(
    number: int,
    item: StatusItem,
    document: KnownDocument,
    code: str,
    speaker: Agency,
    known: Known,
    standing: Standing,
) -> KnownDelivery:
    """The delivery on which the speaker reports: its own, or one it may answer for (hub, mailbox owner)."""
    delivery = known.deliveries.get((document.document_id, code))
    answers_for_it = delivery is not None and (
        speaker.id in (delivery.recipient_id, delivery.owner_id)
        or standing.may_sign_for(speaker.id, delivery.recipient_id)
        or _succeeds(speaker, delivery.recipient_id, standing)
    )
    _allowed(number, item, speaker, is_sender=speaker.id == document.sender_id, is_recipient=answers_for_it)
    if delivery is None:
        raise AssertionError(f"may_report let {speaker.code} report {item.code} on a delivery that does not exist")
    return delivery


def _allowed(number: int, item: StatusItem, speaker: Agency, *, is_sender: bool, is_recipient: bool) -> None:
    code = may_report(item.code, is_sender=is_sender, is_recipient=is_recipient)
    if code is not None:
        spoken_for = f" for {item.for_}" if item.for_ else ""
        asks_back = item.code is StatusCode.TAKE_BACK
        raise Refusal(
            code=code,
            field=f"items.{number}.code",
            found=f"{item.code} by {speaker.code}{spoken_for}",
            expected="the document's sender" if asks_back else "a recipient, its hub or its mailbox's owner",
        )


def _succeeds(speaker: Agency, closed_id: AgencyId, standing: Standing) -> bool:
    """Whether the speaker took over from an agency that has closed, whose documents are its own now."""
    return any(successor.id == speaker.id for successor in standing.successors(closed_id))


def _asking_message(number: int, item: StatusItem, delivery: KnownDelivery, known: Known) -> bytes | None:
    """Digest of the message that a 15 or 16 answers; None for the other codes."""
    if item.code not in ANSWERS_TO_A_CHANGE:
        return None
    asked = known.changes.get((delivery.document_id, delivery.recipient_id), ())
    answers = item.answers
    if answers is not None:
        digest = bytes.fromhex(answers.digest) if isinstance(answers, Reference) else None
        for change in asked:
            named = (change.sender_code, change.message_id) == (answers.from_, answers.id)
            if named and digest in (None, change.asked_by):
                return change.asked_by
    raise Refusal(
        code="LT-STATUS-NOT-ALLOWED",
        field=f"items.{number}.answers",
        found="nothing" if answers is None else f"{answers.from_} {answers.id}",
        expected="the recall, update, replacement or take-back that was asked of this recipient",
        candidates=tuple(str(change.message_id) for change in asked),
    )

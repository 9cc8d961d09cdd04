"""What the judged items of a batch change, delivery by delivery. Pure.

Takes the locked deliveries with their whole history, adds what is new, folds, and says which rows to write. A status
that says what the same agency has said before (same code, time and answered message) is no new fact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.statuses.history import Change, Projection, Recorded, Story, read, start_of
from broker.statuses.judging import Entry, Judgement
from broker.statuses.known import DeliveryFacts, Entered, Place
from schemas.states import ChangeState, Fact, StatusCode


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEntry:
    """A fact that nobody has recorded yet."""

    #: Position of its message in the batch.
    message: int
    entry: Entry
    fact: Recorded
    #: It contradicts what was signed for an earlier time.
    anomalous: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeBack:
    """A 13 at one of the recipients that it asks."""

    message: int
    place: Place
    asked_by: bytes
    #: The delivery was never handed over, so it is taken back without anybody being asked (contract §3.3).
    settled_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """All rows that a batch of status messages writes, apart from the messages themselves."""

    entries: tuple[NewEntry, ...]
    take_backs: tuple[TakeBack, ...]
    #: Only deliveries whose row changes.
    projections: Mapping[Place, Projection]
    #: Asking messages at the deliveries concerned, with how far they have come.
    changes: tuple[tuple[Place, bytes, ChangeState, datetime | None], ...]
    #: Entries recorded earlier whose mark turns, and how.
    remarked: tuple[tuple[Place, Entered, bool], ...]


def effects(
    messages: Sequence[tuple[bytes, Judgement]], deliveries: Mapping[Place, DeliveryFacts], *, now: datetime
) -> Effects:
    """The effects of `messages` (digest and judgement of each) on `deliveries`."""
    fresh: dict[Place, list[tuple[int, Entry, Recorded]]] = {}
    take_backs: list[TakeBack] = []
    for place, position, digest, entry in _said_for_the_first_time(messages, deliveries):
        fact = Recorded(code=entry.code, at=entry.at, digest=digest, answers=entry.answers)
        fresh.setdefault(place, []).append((position, entry, fact))
        if entry.code is StatusCode.TAKE_BACK:
            settled_at = now if deliveries[place].kept_back else None
            take_backs.append(TakeBack(message=position, place=place, asked_by=digest, settled_at=settled_at))
    asked: dict[Place, list[Change]] = {}
    for one in take_backs:
        state = ChangeState.ASKED if one.settled_at is None else ChangeState.AGREED
        change = Change(asked_by=one.asked_by, kind="take-back", state=state, answered_at=one.settled_at)
        asked.setdefault(one.place, []).append(change)
    stories = {
        place: _story(deliveries[place], [fact for _, _, fact in new], asked.get(place, ()))
        for place, new in fresh.items()
    }
    return Effects(
        entries=tuple(
            NewEntry(message=position, entry=entry, fact=fact, anomalous=_contradicts(fact, stories[place]))
            for place, new in fresh.items()
            for position, entry, fact in new
        ),
        take_backs=tuple(take_backs),
        projections={
            place: story.projection
            for place, story in stories.items()
            if story.projection != _as_recorded(deliveries[place])
        },
        changes=tuple(
            (place, asked_by, answer.state, answer.answered_at)
            for place, story in stories.items()
            for asked_by, answer in story.answers.items()
        ),
        remarked=tuple(
            (place, entered, not entered.anomalous)
            for place, story in stories.items()
            for entered in deliveries[place].entered
            if entered.anomalous != _contradicts(entered.fact, story)
        ),
    )


def _said_for_the_first_time(
    messages: Sequence[tuple[bytes, Judgement]], deliveries: Mapping[Place, DeliveryFacts]
) -> Iterable[tuple[Place, int, bytes, Entry]]:
    said = {
        (place, entered.fact.code, entered.fact.at, entered.by_id, entered.fact.answers)
        for place, delivery in deliveries.items()
        for entered in delivery.entered
    }
    for position, (digest, judgement) in enumerate(messages):
        for entry in judgement.entries:
            place = entry.document_id, entry.recipient_id
            saying = (place, entry.code, entry.at, int(entry.by_id), entry.answers)
            if saying not in said:
                said.add(saying)
                yield place, position, digest, entry


def _story(delivery: DeliveryFacts, fresh: Sequence[Recorded], asked: Iterable[Change]) -> Story:
    changes = {change.asked_by: change for change in (*delivery.changes, *asked)}
    return read(
        start_of(delivery.known.processing, dispatched=delivery.dispatched),
        [*(entered.fact for entered in delivery.entered), *fresh],
        changes.values(),
        closed_at=delivery.closed_at,
        moved_at=delivery.moved_at,
    )


def _as_recorded(delivery: DeliveryFacts) -> Projection:
    return Projection(
        processing=delivery.known.processing,
        recalled=delivery.known.recalled,
        anomalous=delivery.anomalous,
        arrived_at=delivery.arrived_at,
        closed_at=delivery.closed_at,
    )


def _contradicts(fact: Recorded, story: Story) -> bool:
    return Fact(code=fact.code, at=fact.at, digest=fact.digest) in story.folded.anomalous

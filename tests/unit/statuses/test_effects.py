"""What judged items change: each fact once, each delivery from its whole history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from broker.directory.records import AgencyId
from broker.statuses.effects import Effects, effects
from broker.statuses.history import Recorded
from broker.statuses.judging import DocumentId, Entry, Judgement, KnownDelivery
from broker.statuses.known import DeliveryFacts, Entered
from schemas.states import ChangeState, Processing, StatusCode

NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)
PLACE = DocumentId(7), AgencyId(2)
SENDER, RECIPIENT = AgencyId(1), AgencyId(2)


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def entry(code: str, minutes: int, *, by: AgencyId = RECIPIENT, item: int = 0) -> Entry:
    return Entry(
        item=item, document_id=PLACE[0], recipient_id=PLACE[1], by_id=by, code=StatusCode(code), at=at(minutes)
    )


def entered(code: str, minutes: int, *, anomalous: bool = False) -> Entered:
    fact = Recorded(code=StatusCode(code), at=at(minutes), digest=b"e" * 32)
    return Entered(fact=fact, by_id=RECIPIENT, status_message_id=3, item=0, anomalous=anomalous)


def a_delivery(*history: Entered, kept_back: bool = False) -> DeliveryFacts:
    known = KnownDelivery(
        document_id=PLACE[0],
        recipient_id=PLACE[1],
        recipient_code="H53",
        owner_id=PLACE[1],
        processing=Processing.ACCEPTED if kept_back else Processing.DISPATCHED,
        recalled=False,
    )
    return DeliveryFacts(
        known=known,
        anomalous=False,
        dispatched=not kept_back,
        kept_back=kept_back,
        arrived_at=None,
        closed_at=None,
        entered=list(history),
    )


def after(delivery: DeliveryFacts, *messages: list[Entry]) -> Effects:
    said = [
        (bytes([number]) * 32, Judgement(entries=tuple(entries), refused=())) for number, entries in enumerate(messages)
    ]
    return effects(said, {PLACE: delivery}, now=at(60))


def test_a_fact_said_twice_in_one_batch_is_recorded_with_the_first_that_says_it() -> None:
    changed = after(a_delivery(), [entry("01", 1)], [entry("01", 1), entry("03", 2, item=1)])
    assert [(new.message, new.entry.code) for new in changed.entries] == [(0, "01"), (1, "03")]


def test_what_was_said_before_changes_nothing() -> None:
    changed = after(a_delivery(entered("01", 1)), [entry("01", 1)])
    assert (changed.entries, changed.projections, changed.remarked) == ((), {}, ())


def test_a_delivery_is_folded_with_its_history() -> None:
    changed = after(a_delivery(entered("06", 9)), [entry("01", 1)])
    projection = changed.projections[PLACE]
    assert (projection.processing, projection.arrived_at) == (Processing.COMPLETED, at(1))
    assert projection.closed_at == at(9)


def test_an_earlier_entry_turns_out_to_contradict_when_more_is_known() -> None:
    changed = after(a_delivery(entered("02", 9)), [entry("06", 5)])
    assert [(place, one.fact.code, odd) for place, one, odd in changed.remarked] == [(PLACE, "02", True)]
    assert changed.projections[PLACE].processing is Processing.COMPLETED


def test_a_take_back_of_what_was_handed_over_is_asked() -> None:
    changed = after(a_delivery(), [entry("13", 1, by=SENDER)])
    assert [(one.place, one.settled_at) for one in changed.take_backs] == [(PLACE, None)]
    assert [state for _, _, state, _ in changed.changes] == [ChangeState.ASKED]
    assert not changed.projections


def test_a_take_back_of_what_an_operator_holds_is_done_at_once() -> None:
    changed = after(a_delivery(kept_back=True), [entry("13", 1, by=SENDER)])
    assert [one.settled_at for one in changed.take_backs] == [at(60)]
    assert changed.projections[PLACE].recalled
    assert changed.projections[PLACE].closed_at == at(60)

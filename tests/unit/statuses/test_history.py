"""The row of a delivery is a function of the set of what was signed about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broker.statuses.history import Change, Recorded, read, start_of
from schemas.states import ChangeState, Processing, StatusCode

NOON = datetime(2026, 3, 12, 12, tzinfo=UTC)
ASKED, ASKED_LATER = b"a" * 32, b"b" * 32
CHANGES = (Change(asked_by=ASKED, kind="recall"), Change(asked_by=ASKED_LATER, kind="update"))


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


def fact(code: str, minutes: int, *, answers: bytes | None = None, digest: bytes = b"d" * 32) -> Recorded:
    return Recorded(code=StatusCode(code), at=at(minutes), digest=digest, answers=answers)


facts = st.builds(
    fact,
    st.sampled_from(["01", "02", "03", "04", "05", "06"]),
    st.integers(0, 5),
    digest=st.binary(min_size=32, max_size=32),
)
answers_given = st.builds(
    fact, st.sampled_from(["15", "16"]), st.integers(0, 5), answers=st.sampled_from([ASKED, ASKED_LATER])
)


@given(
    st.lists(facts | answers_given, max_size=8).flatmap(lambda all_: st.tuples(st.just(all_), st.permutations(all_)))
)
def test_the_order_of_arrival_leaves_no_trace(orders: tuple[list[Recorded], list[Recorded]]) -> None:
    first, second = orders
    one = read(Processing.DISPATCHED, first, CHANGES, closed_at=None)
    other = read(Processing.DISPATCHED, second, CHANGES, closed_at=None)
    assert (one.projection, one.answers) == (other.projection, other.answers)


@given(st.lists(facts | answers_given, max_size=8))
def test_hearing_everything_twice_changes_nothing(heard: list[Recorded]) -> None:
    once = read(Processing.DISPATCHED, heard, CHANGES, closed_at=None)
    twice = read(Processing.DISPATCHED, heard + heard, CHANGES, closed_at=None)
    assert (once.projection, once.answers) == (twice.projection, twice.answers)


@given(st.lists(facts | answers_given, max_size=8), facts | answers_given)
def test_what_is_closed_or_recalled_stays_so(heard: list[Recorded], more: Recorded) -> None:
    before = read(Processing.DISPATCHED, heard, CHANGES, closed_at=None).projection
    after = read(Processing.DISPATCHED, [*heard, more], CHANGES, closed_at=before.closed_at).projection
    assert after.recalled >= before.recalled
    assert (after.closed_at is not None) >= (before.closed_at is not None)


def test_an_agreed_recall_closes_the_delivery_at_the_time_of_the_answer() -> None:
    story = read(Processing.DISPATCHED, [fact("01", 1), fact("15", 9, answers=ASKED)], CHANGES, closed_at=None)
    assert story.projection.recalled
    assert story.projection.closed_at == at(9)
    assert story.projection.processing is Processing.ARRIVED
    assert story.answers[ASKED].state is ChangeState.AGREED


def test_an_agreed_update_does_not_recall() -> None:
    story = read(Processing.DISPATCHED, [fact("15", 9, answers=ASKED_LATER)], CHANGES, closed_at=None)
    assert not story.projection.recalled
    assert story.projection.closed_at is None
    assert story.answers[ASKED_LATER].state is ChangeState.AGREED
    assert story.answers[ASKED].state is ChangeState.ASKED


def test_a_recall_refused_first_and_agreed_later_is_agreed() -> None:
    both = [fact("15", 9, answers=ASKED), fact("16", 3, answers=ASKED)]
    story = read(Processing.DISPATCHED, both, CHANGES, closed_at=None)
    assert story.answers[ASKED].state is ChangeState.AGREED
    assert story.answers[ASKED].answered_at == at(9)


def test_what_an_operator_cancelled_stays_cancelled_and_keeps_its_time() -> None:
    story = read(Processing.CANCELLED, [fact("01", 1)], (), closed_at=at(-5))
    assert (story.projection.processing, story.projection.closed_at) == (Processing.CANCELLED, at(-5))
    assert story.projection.anomalous


def test_a_status_that_overtakes_the_record_of_the_dispatch_counts() -> None:
    assert start_of(Processing.ACCEPTED, dispatched=False) is Processing.ACCEPTED
    assert read(Processing.ACCEPTED, [fact("01", 1)], (), closed_at=None).projection.processing is Processing.ARRIVED


def test_a_row_that_shows_a_status_starts_again_from_its_dispatch() -> None:
    assert start_of(Processing.COMPLETED, dispatched=True) is Processing.DISPATCHED
    assert start_of(Processing.HELD, dispatched=False) is Processing.HELD


def test_a_recall_carried_out_before_the_document_went_out_needs_no_answer() -> None:
    carried_out = Change(asked_by=ASKED, kind="recall", state=ChangeState.AGREED, answered_at=at(2))
    story = read(Processing.ACCEPTED, [], [carried_out], closed_at=at(2))
    assert (story.projection.recalled, story.projection.closed_at) == (True, at(2))
    refused_too_late = read(Processing.ACCEPTED, [fact("16", 7, answers=ASKED)], [carried_out], closed_at=at(2))
    assert refused_too_late.answers[ASKED] == story.answers[ASKED]

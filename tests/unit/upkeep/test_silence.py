"""When a silent recipient gets its document again, and when it is called overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from broker.upkeep.silence import Patience, Silent, Step, next_step

DUE = datetime(2026, 3, 12, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PATIENCE = Patience(max_attempts=3, pauses=(15 * MINUTE, 60 * MINUTE))


def silent(*, sends: int = 1, sent: timedelta = -120 * MINUTE, overdue: bool = False) -> Silent:
    return Silent(due_arrival=DUE, sends=sends, last_sent_at=DUE + sent if sends else None, overdue=overdue)


def step(delivery: Silent, mailbox_messages: int | None = 0, now: datetime = DUE) -> Step:
    return next_step(delivery, mailbox_messages=mailbox_messages, now=now, patience=PATIENCE)


silences = st.builds(
    Silent,
    due_arrival=st.just(DUE),
    sends=st.integers(0, 5),
    last_sent_at=st.none() | st.integers(-200, 200).map(lambda minutes: DUE + minutes * MINUTE),
    overdue=st.booleans(),
)
moments = st.integers(-300, 3000).map(lambda minutes: DUE + minutes * MINUTE)


def test_nothing_happens_before_the_deadline() -> None:
    assert step(silent(), now=DUE - MINUTE) is Step.WAIT


def test_a_document_in_an_empty_mailbox_is_sent_again() -> None:
    assert step(silent()) is Step.SEND_AGAIN


def test_a_document_that_may_still_wait_in_the_mailbox_is_called_overdue_and_not_sent_again() -> None:
    assert step(silent(), mailbox_messages=1) is Step.CALL_OVERDUE
    assert step(silent(overdue=True), mailbox_messages=1) is Step.WAIT


@given(silences, st.integers(1, 9), moments)
def test_at_most_one_copy_is_outstanding(delivery: Silent, messages: int, now: datetime) -> None:
    assert step(delivery, messages, now) is not Step.SEND_AGAIN


@given(silences, moments)
def test_a_mailbox_that_does_not_exist_is_left_to_whoever_makes_it_again(delivery: Silent, now: datetime) -> None:
    assert step(delivery, None, now) is Step.WAIT


@given(silences, st.integers(0, 1), moments)
def test_overdue_is_called_once(delivery: Silent, messages: int, now: datetime) -> None:
    if delivery.overdue:
        assert step(delivery, messages, now) is not Step.CALL_OVERDUE


@given(silences, moments)
def test_no_document_is_sent_more_often_than_allowed(delivery: Silent, now: datetime) -> None:
    if step(delivery, 0, now) is Step.SEND_AGAIN:
        assert delivery.sends < PATIENCE.max_attempts


def test_the_pauses_grow_and_the_last_one_repeats() -> None:
    assert [PATIENCE.pause_after(sends) for sends in (1, 2, 3)] == [15 * MINUTE, 60 * MINUTE, 60 * MINUTE]
    assert step(silent(sends=2, sent=-59 * MINUTE)) is Step.WAIT
    assert step(silent(sends=2, sent=-60 * MINUTE)) is Step.SEND_AGAIN


def test_after_the_last_attempt_and_its_pause_it_is_overdue() -> None:
    assert step(silent(sends=3, sent=-59 * MINUTE)) is Step.WAIT
    assert step(silent(sends=3, sent=-60 * MINUTE)) is Step.CALL_OVERDUE
    assert step(silent(sends=3, overdue=True)) is Step.WAIT


def test_what_never_left_is_overdue_but_not_sent_again_from_here() -> None:
    assert step(silent(sends=0)) is Step.CALL_OVERDUE

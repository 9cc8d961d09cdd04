"""The delivery states: what the tables promise about any set of facts, in any order."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.states import (
    ANSWERS,
    FINAL,
    MOVES,
    NAMED_BY,
    PROCESSING_CODES,
    RANK,
    TRANSITIONS,
    ChangeState,
    Fact,
    Mark,
    Move,
    Processing,
    StatusCode,
    answer_change,
    fold,
    may_ask_change,
    may_report,
    mermaid,
    move,
    recalls,
)

MORNING = datetime(2026, 3, 12, 1, 0, tzinfo=UTC)
BY_EXCHANGE = (Processing.ACCEPTED, Processing.DISPATCHED, Processing.HELD, Processing.CANCELLED)


def fact(code: str, minute: int, digest: bytes = b"d") -> Fact:
    return Fact(code=StatusCode(code), at=MORNING + timedelta(minutes=minute), digest=digest * 32)


# Few minutes and few digests, so that ties happen.
facts = st.builds(
    lambda code, minute, digest: fact(code, minute, digest),
    st.sampled_from(sorted(StatusCode)),
    st.integers(0, 5),
    st.sampled_from([b"a", b"b"]),
)
histories = st.lists(facts, max_size=12)
starts = st.sampled_from(BY_EXCHANGE)
without_refusals = histories.map(lambda all_: [f for f in all_ if f.code is not StatusCode.REFUSED])


@given(starts, histories, st.randoms(use_true_random=False))
def test_the_order_of_arrival_and_repetition_do_not_matter(
    start: Processing, history: list[Fact], random: Random
) -> None:
    shuffled = history + history[: len(history) // 2]
    random.shuffle(shuffled)
    assert fold(start, shuffled) == fold(start, history)


@given(starts, histories)
def test_folding_what_was_not_anomalous_again_changes_nothing(start: Processing, history: list[Fact]) -> None:
    once = fold(start, history)
    again = fold(start, [f for f in history if f not in once.anomalous])
    assert again.processing == once.processing
    assert again.evidence == once.evidence
    assert not again.anomalous


@given(without_refusals, facts)
def test_a_further_fact_never_turns_the_state_back(history: list[Fact], further: Fact) -> None:
    before = fold(Processing.DISPATCHED, history)
    after = fold(Processing.DISPATCHED, [*history, further])
    assert RANK[after.processing] >= RANK[before.processing]


@given(histories)
def test_the_state_is_refused_exactly_when_a_refusal_precedes_the_completion(history: list[Fact]) -> None:
    in_time = sorted(set(history), key=lambda f: (f.at, f.digest, f.code))
    decisive = [f.code for f in in_time if f.code in (StatusCode.REFUSED, StatusCode.COMPLETED)]
    refused = bool(decisive) and decisive[0] is StatusCode.REFUSED
    assert (fold(Processing.DISPATCHED, history).processing is Processing.REFUSED) is refused


@given(without_refusals)
def test_without_refusals_the_state_is_the_furthest_that_was_reported(history: list[Fact]) -> None:
    reported = [NAMED_BY[f.code] for f in history if f.code in NAMED_BY]
    furthest = max(reported, key=lambda state: RANK[state], default=Processing.DISPATCHED)
    assert fold(Processing.DISPATCHED, history).processing is furthest


@given(starts, histories)
def test_closed_means_that_no_status_leads_on(start: Processing, history: list[Fact]) -> None:
    folded = fold(start, history)
    assert folded.closed is (folded.processing in FINAL)
    if folded.closed:
        assert all(isinstance(step, Mark) for step in TRANSITIONS[folded.processing].values())


@given(starts, histories)
def test_every_state_that_was_reached_has_its_evidence(start: Processing, history: list[Fact]) -> None:
    folded = fold(start, history)
    if folded.processing not in BY_EXCHANGE:
        assert folded.processing in folded.evidence
    assert not folded.anomalous & set(folded.evidence.values())
    assert folded.anomalous <= set(history)


@given(histories)
def test_a_delivery_that_the_operator_keeps_back_or_ended_is_moved_by_no_status(history: list[Fact]) -> None:
    for start in (Processing.HELD, Processing.CANCELLED):
        folded = fold(start, history)
        assert folded.processing is start
        assert folded.anomalous == {f for f in history if f.code in NAMED_BY}


def test_a_status_may_skip_ahead_and_implies_what_it_skipped() -> None:
    only = fact("05", 3)
    folded = fold(Processing.DISPATCHED, [only])
    assert folded.processing is Processing.PROCESSING
    assert folded.evidence[Processing.RECEIVED] == only
    assert folded.evidence[Processing.ARRIVED] == only
    assert folded.arrived_at == only.at
    assert Processing.COMPLETED not in folded.evidence


def test_a_status_of_lower_rank_that_comes_late_is_harmless() -> None:
    folded = fold(Processing.DISPATCHED, [fact("05", 1), fact("03", 2)])
    assert folded.processing is Processing.PROCESSING
    assert not folded.anomalous
    assert folded.evidence[Processing.RECEIVED] == fact("03", 2), "what names a state is better evidence"


def test_refused_is_final_and_what_follows_it_is_anomalous() -> None:
    folded = fold(Processing.DISPATCHED, [fact("01", 0), fact("02", 1), fact("03", 2), fact("06", 3), fact("01", 4)])
    assert folded.processing is Processing.REFUSED
    assert folded.closed
    assert folded.anomalous == {fact("03", 2), fact("06", 3)}


def test_a_refusal_after_completion_is_anomalous() -> None:
    folded = fold(Processing.DISPATCHED, [fact("06", 1), fact("02", 2)])
    assert folded.processing is Processing.COMPLETED
    assert folded.anomalous == {fact("02", 2)}


def test_a_refusal_signed_for_an_earlier_time_precedes_the_completion_however_late_it_comes() -> None:
    folded = fold(Processing.DISPATCHED, [fact("06", 2), fact("02", 1)])
    assert folded.processing is Processing.REFUSED
    assert folded.anomalous == {fact("06", 2)}


def test_ties_go_by_signed_time_then_digest() -> None:
    refused_first = [fact("02", 1, b"a"), fact("06", 1, b"b")]
    completed_first = [fact("02", 1, b"b"), fact("06", 1, b"a")]
    assert fold(Processing.DISPATCHED, refused_first).processing is Processing.REFUSED
    assert fold(Processing.DISPATCHED, completed_first).processing is Processing.COMPLETED


def test_a_recipient_may_answer_before_the_dispatch_is_written_down() -> None:
    assert fold(Processing.ACCEPTED, [fact("01", 0)]).processing is Processing.ARRIVED


def test_a_refusal_alone_proves_no_arrival() -> None:
    folded = fold(Processing.DISPATCHED, [fact("02", 0)])
    assert folded.arrived_at is None
    assert folded.evidence == {Processing.REFUSED: fact("02", 0)}


def test_the_first_of_several_arrivals_is_the_one() -> None:
    assert fold(Processing.DISPATCHED, [fact("01", 4), fact("01", 2)]).arrived_at == fact("01", 2).at


def test_the_tables_have_a_cell_for_everything() -> None:
    assert set(TRANSITIONS) == set(Processing) == set(RANK)
    assert all(set(row) == set(PROCESSING_CODES) for row in TRANSITIONS.values())
    assert set(ANSWERS) == set(ChangeState)
    assert set(NAMED_BY) == set(PROCESSING_CODES)


def test_no_step_of_the_tables_lowers_the_rank_and_final_states_are_left_by_nothing() -> None:
    for state, row in TRANSITIONS.items():
        for code, step in row.items():
            if isinstance(step, Processing):
                assert RANK[step] > RANK[state]
                assert step is NAMED_BY[code]
    assert not FINAL & set(MOVES)


@pytest.mark.parametrize(
    ("state", "by", "after"),
    [
        (Processing.ACCEPTED, Move.DISPATCH, Processing.DISPATCHED),
        (Processing.ACCEPTED, Move.HOLD, Processing.HELD),
        (Processing.HELD, Move.RELEASE, Processing.ACCEPTED),
        (Processing.HELD, Move.CANCEL, Processing.CANCELLED),
        (Processing.HELD, Move.DISPATCH, None),
        (Processing.DISPATCHED, Move.CANCEL, None),
        (Processing.ARRIVED, Move.DISPATCH, None),
    ],
)
def test_the_operator_acts_before_dispatch_only(state: Processing, by: Move, after: Processing | None) -> None:
    assert move(state, by) is after


@given(st.lists(st.sampled_from([StatusCode.CHANGE_AGREED, StatusCode.CHANGE_REFUSED]), max_size=6))
def test_answers_to_a_change_need_no_order(answers: list[StatusCode]) -> None:
    state = ChangeState.ASKED
    for answer in answers:
        state = answer_change(state, answer)
    if StatusCode.CHANGE_AGREED in answers:
        assert state is ChangeState.AGREED
    else:
        assert state is (ChangeState.REFUSED_CHANGE if answers else ChangeState.ASKED)


def test_only_15_and_16_are_answers() -> None:
    with pytest.raises(KeyError):
        answer_change(ChangeState.ASKED, StatusCode.COMPLETED)


@pytest.mark.parametrize(
    ("kind", "final"), [("recall", True), ("take-back", True), ("update", False), ("replace", False)]
)
def test_an_agreed_recall_or_take_back_recalls_the_delivery(kind: str, final: bool) -> None:
    assert recalls(ChangeState.AGREED, kind) is final
    assert not recalls(ChangeState.ASKED, kind)
    assert not recalls(ChangeState.REFUSED_CHANGE, kind)


def test_a_change_may_be_asked_in_every_state_but_refused_cancelled_and_recalled() -> None:
    closed_to_changes = {Processing.REFUSED, Processing.CANCELLED}
    for state in Processing:
        assert may_ask_change(state, recalled=False) is (state not in closed_to_changes)
        assert not may_ask_change(state, recalled=True)


@pytest.mark.parametrize("code", sorted(StatusCode))
def test_13_is_the_senders_and_every_other_status_a_recipients(code: StatusCode) -> None:
    senders = code is StatusCode.TAKE_BACK
    assert may_report(code, is_sender=True, is_recipient=False) == (None if senders else "LT-STATUS-NOT-ALLOWED")
    assert may_report(code, is_sender=False, is_recipient=True) == ("LT-STATUS-NOT-ALLOWED" if senders else None)
    assert may_report(code, is_sender=True, is_recipient=True) is None


def test_the_diagram_draws_every_step_of_the_tables() -> None:
    drawn = mermaid()
    for state, row in TRANSITIONS.items():
        for code, step in row.items():
            if isinstance(step, Processing) and state is not Processing.ACCEPTED:
                assert f"    {state} --> {step}: {code}\n" in drawn
    for state, moves in MOVES.items():
        for by, after in moves.items():
            assert f"    {state} --> {after}: {by}\n" in drawn

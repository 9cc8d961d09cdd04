"""From everything that was ever signed about a delivery to what its row says (contract §7). Pure.

The row is a projection: it is computed anew from the whole set of facts each time, so that the order in which messages
arrived, and how often, leaves no trace in it. `schemas.states` holds the tables; this module only feeds them and picks
the dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from schemas.states import ChangeState, Fact, Folded, Processing, StatusCode, answer_change, fold, recalls

BEFORE_DISPATCH: Final = frozenset({Processing.HELD, Processing.CANCELLED})
"""States in which an operator has put a delivery; no status leads out of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One recorded status of a delivery, as far as states depend on it."""

    code: StatusCode
    #: Signed time of the fact.
    at: datetime
    #: Digest of the status message that carries it.
    digest: bytes
    #: Digest of the asking message, for 15 and 16.
    answers: bytes | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One asking message's row at a delivery.

    The state in the row is where its answers go on from: a recall of a document that never went out is agreed without
    anybody having been asked (contract §3.3).
    """

    asked_by: bytes
    #: recall, update, replace or take-back.
    kind: str
    state: ChangeState = ChangeState.ASKED
    answered_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How far an asking message has come, and when it was answered (signed time)."""

    state: ChangeState
    answered_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Projection:
    """What the row of a delivery says about its facts."""

    processing: Processing
    recalled: bool
    anomalous: bool
    arrived_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """The result of reading a delivery's whole history."""

    projection: Projection
    answers: Mapping[bytes, Answer]
    folded: Folded


def start_of(processing: Processing, *, dispatched: bool) -> Processing:
    """Where the exchange itself has brought a delivery whose row says `processing`; the facts fold on from there."""
    if processing in BEFORE_DISPATCH:
        return processing
    return Processing.DISPATCHED if dispatched else Processing.ACCEPTED


def read(
    start: Processing,
    recorded: Sequence[Recorded],
    changes: Iterable[Change],
    *,
    closed_at: datetime | None,
    moved_at: datetime | None = None,
) -> Story:
    """Fold the whole history of one delivery.

    `closed_at` is what the row says now; it is kept for what an operator closed and for nothing else, because every
    other closing has a signed time of its own. `moved_at` is when the document went to the recipient's successor: that
    closes the delivery as well, and a status that comes all the same, because the old office had taken its copy out of
    its mailbox, moves the state and does not open it again.
    """
    folded = fold(start, (Fact(code=r.code, at=r.at, digest=r.digest) for r in recorded))
    answers = {change.asked_by: _answer(change, recorded) for change in changes}
    kinds = {change.asked_by: change.kind for change in changes}
    given_back = [
        answer.answered_at
        for asked_by, answer in answers.items()
        if recalls(answer.state, kinds[asked_by]) and answer.answered_at is not None
    ]
    ended = [closed_at] if start is Processing.CANCELLED and closed_at else []
    if moved_at is not None:
        ended.append(moved_at)
    if folded.closed and folded.processing in folded.evidence:
        ended.append(folded.evidence[folded.processing].at)
    return Story(
        projection=Projection(
            processing=folded.processing,
            recalled=bool(given_back),
            anomalous=bool(folded.anomalous),
            arrived_at=folded.arrived_at,
            closed_at=min([*ended, *given_back], default=None),
        ),
        answers=answers,
        folded=folded,
    )


def _answer(change: Change, recorded: Iterable[Recorded]) -> Answer:
    """The state is independent of order (contract §7); its time is that of the earliest answer that says so."""
    state = change.state
    given = [r for r in recorded if r.answers == change.asked_by]
    for answer in given:
        state = answer_change(state, answer.code)
    decisive = [r.at for r in given if answer_change(ChangeState.ASKED, r.code) is state]
    return Answer(state=state, answered_at=min(decisive, default=change.answered_at))

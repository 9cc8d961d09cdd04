"""The delivery states of contract §7: everything that decides them is in this file.

Two rules. *Everything that affects a state lives here*; SQL columns are projections of what `fold` says. *This file
does not know who is asking*: whether an agency may speak for another is the directory's knowledge and comes in as two
booleans.

Theory of operation. A delivery, that is one document at one recipient, has two axes.

*Processing* is computed from the **set** of signed facts (statuses 01 to 06), never from the order in which they
arrived. The facts are put in order by their signed time, ties by the digest of the message that carried them, and
walked through the table `TRANSITIONS`. A fact may skip ahead (05 implies 03). A fact of lower rank than the state is
recorded and harmless. A fact that contradicts the state (02 after 06, 05 after 02) is recorded as anomalous and changes
nothing. Before the recipient has spoken, the exchange itself moves the delivery, by the table `MOVES`.

*Change* is one small state for every asking message (recall, update, replace, 13). Its answers form a ladder, asked
below refused below agreed, so that here too the order of arrival is of no account: a recipient that says it has
given the document back has done so, whatever else it said before or after.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Processing(StrEnum):
    """The processing axis of one delivery."""

    ACCEPTED = "accepted"
    """The exchange has stored the document; it has not left for this recipient yet."""
    HELD = "held"
    """An operator keeps it back before dispatch."""
    CANCELLED = "cancelled"
    """An operator has ended it before dispatch. Final."""
    DISPATCHED = "dispatched"
    """Handed to RabbitMQ with its confirm."""
    ARRIVED = "arrived"
    """01 đã đến: the recipient's system has stored the document and all its parts."""
    RECEIVED = "received"
    """03 đã tiếp nhận, vào sổ."""
    ASSIGNED = "assigned"
    """04 phân công."""
    PROCESSING = "processing"
    """05 đang xử lý."""
    COMPLETED = "completed"
    """06 hoàn thành. Final."""
    REFUSED = "refused"
    """02 từ chối tiếp nhận. Final."""


class StatusCode(StrEnum):
    """The nine status codes of contract §2.4; 07 to 12 and 14 are not known to anybody."""

    ARRIVED = "01"
    REFUSED = "02"
    RECEIVED = "03"
    ASSIGNED = "04"
    PROCESSING = "05"
    COMPLETED = "06"
    TAKE_BACK = "13"
    CHANGE_AGREED = "15"
    CHANGE_REFUSED = "16"


class Mark(StrEnum):
    """What a fact means that does not move the state."""

    LATE = "late"
    """Of the state's rank or lower: recorded, harmless."""
    ANOMALOUS = "anomalous"
    """Contradicts the state: recorded and shown, changes nothing."""


class Move(StrEnum):
    """What the exchange itself does to a delivery."""

    DISPATCH = "dispatch"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"


class ChangeState(StrEnum):
    """The change axis: how far one asking message has come at one recipient."""

    ASKED = "asked"
    AGREED = "agreed"
    REFUSED_CHANGE = "refused_change"


_LATE: Final = Mark.LATE
_ODD: Final = Mark.ANOMALOUS
_REFUSED: Final = Processing.REFUSED
_ARRIVED: Final = Processing.ARRIVED
_RECEIVED: Final = Processing.RECEIVED
_ASSIGNED: Final = Processing.ASSIGNED
_PROCESSING: Final = Processing.PROCESSING
_COMPLETED: Final = Processing.COMPLETED

PROCESSING_CODES: Final = (
    StatusCode.ARRIVED,
    StatusCode.REFUSED,
    StatusCode.RECEIVED,
    StatusCode.ASSIGNED,
    StatusCode.PROCESSING,
    StatusCode.COMPLETED,
)
"""The codes that are facts of the processing axis: the columns of the table below."""

# One row a state, one column a code. A cell is the next state, or the mark of a fact that does not move the state.
_ROWS: Final[Mapping[Processing, tuple[Processing | Mark, ...]]] = {
    #                      01 arrived  02 refused  03 received  04 assigned  05 processing  06 completed
    Processing.ACCEPTED:   (_ARRIVED,  _REFUSED,   _RECEIVED,   _ASSIGNED,   _PROCESSING,   _COMPLETED),
    Processing.DISPATCHED: (_ARRIVED,  _REFUSED,   _RECEIVED,   _ASSIGNED,   _PROCESSING,   _COMPLETED),
    Processing.ARRIVED:    (_LATE,     _REFUSED,   _RECEIVED,   _ASSIGNED,   _PROCESSING,   _COMPLETED),
    Processing.RECEIVED:   (_LATE,     _REFUSED,   _LATE,       _ASSIGNED,   _PROCESSING,   _COMPLETED),
    Processing.ASSIGNED:   (_LATE,     _REFUSED,   _LATE,       _LATE,       _PROCESSING,   _COMPLETED),
    Processing.PROCESSING: (_LATE,     _REFUSED,   _LATE,       _LATE,       _LATE,         _COMPLETED),
    Processing.COMPLETED:  (_LATE,     _ODD,       _LATE,       _LATE,       _LATE,         _LATE),
    Processing.REFUSED:    (_LATE,     _LATE,      _ODD,        _ODD,        _ODD,          _ODD),
    Processing.HELD:       (_ODD,      _ODD,       _ODD,        _ODD,        _ODD,          _ODD),
    Processing.CANCELLED:  (_ODD,      _ODD,       _ODD,        _ODD,        _ODD,          _ODD),
}  # fmt: skip

TRANSITIONS: Final[Mapping[Processing, Mapping[StatusCode, Processing | Mark]]] = MappingProxyType(
    {state: MappingProxyType(dict(zip(PROCESSING_CODES, cells, strict=True))) for state, cells in _ROWS.items()}
)
"""What a status does in a state: the next state, or why it does not move it."""

MOVES: Final[Mapping[Processing, Mapping[Move, Processing]]] = MappingProxyType(
    {
        Processing.ACCEPTED: MappingProxyType(
            {
                Move.DISPATCH: Processing.DISPATCHED,
                Move.HOLD: Processing.HELD,
                Move.CANCEL: Processing.CANCELLED,
            }
        ),
        Processing.HELD: MappingProxyType({Move.RELEASE: Processing.ACCEPTED, Move.CANCEL: Processing.CANCELLED}),
    }
)
"""What the exchange may do in a state. A missing cell: nothing, the move does not apply."""

RANK: Final[Mapping[Processing, int]] = MappingProxyType(
    {
        Processing.ACCEPTED: 0,
        Processing.HELD: 0,
        Processing.CANCELLED: 0,
        Processing.DISPATCHED: 1,
        Processing.ARRIVED: 2,
        Processing.RECEIVED: 3,
        Processing.ASSIGNED: 4,
        Processing.PROCESSING: 5,
        Processing.COMPLETED: 6,
        Processing.REFUSED: 6,
    }
)
"""How far a state is; a delivery's rank never falls as time goes by."""

FINAL: Final = frozenset({Processing.COMPLETED, Processing.REFUSED, Processing.CANCELLED})
"""States that no status and no move leaves."""

NAMED_BY: Final[Mapping[StatusCode, Processing]] = MappingProxyType(
    {
        StatusCode.ARRIVED: Processing.ARRIVED,
        StatusCode.REFUSED: Processing.REFUSED,
        StatusCode.RECEIVED: Processing.RECEIVED,
        StatusCode.ASSIGNED: Processing.ASSIGNED,
        StatusCode.PROCESSING: Processing.PROCESSING,
        StatusCode.COMPLETED: Processing.COMPLETED,
    }
)
"""The state that each fact names."""

_LADDER: Final = (_ARRIVED, _RECEIVED, _ASSIGNED, _PROCESSING, _COMPLETED)
"""The states that a later one of them implies."""

ANSWERS: Final[Mapping[ChangeState, Mapping[StatusCode, ChangeState]]] = MappingProxyType(
    {
        ChangeState.ASKED: MappingProxyType(
            {
                StatusCode.CHANGE_AGREED: ChangeState.AGREED,
                StatusCode.CHANGE_REFUSED: ChangeState.REFUSED_CHANGE,
            }
        ),
        ChangeState.REFUSED_CHANGE: MappingProxyType(
            {
                StatusCode.CHANGE_AGREED: ChangeState.AGREED,
                StatusCode.CHANGE_REFUSED: ChangeState.REFUSED_CHANGE,
            }
        ),
        ChangeState.AGREED: MappingProxyType(
            {
                StatusCode.CHANGE_AGREED: ChangeState.AGREED,
                StatusCode.CHANGE_REFUSED: ChangeState.AGREED,
            }
        ),
    }
)
"""What an answer does to an asking message."""

REPORTED_BY_SENDER: Final = frozenset({StatusCode.TAKE_BACK})
"""Codes that only the document's sender reports; every other code is a recipient's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One status about one delivery, as signed: code, time of the fact, digest of its message (32 bytes)."""

    code: StatusCode
    at: datetime
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """What a set of facts amounts to."""

    processing: Processing
    anomalous: frozenset[Fact]
    """Facts that contradict what was signed for an earlier time."""
    evidence: Mapping[Processing, Fact]
    """For each state that was reached: the earliest fact that names it, else the earliest that implies it."""
    arrived_at: datetime | None
    """Signed time of the fact that proves the arrival: the 01, or without one the first fact that implies it."""
    closed: bool
    """Nothing more is expected: completed, refused or cancelled (a recall closes on the other axis)."""


def fold(start: Processing, facts: Iterable[Fact]) -> Folded:
    """The processing axis, from what the exchange itself did (`start`) and what was signed about the delivery.

    A pure function of the *set* of facts: order and repetition do not matter. `start` is accepted, dispatched, held or
    cancelled; facts of 13, 15 and 16 belong to the change axis and are passed over.
    """
    state = start
    anomalous: set[Fact] = set()
    named: dict[Processing, Fact] = {}
    implied: dict[Processing, Fact] = {}
    for fact in sorted(set(facts), key=_in_time):
        if fact.code not in NAMED_BY:
            continue
        step = TRANSITIONS[state][fact.code]
        if step is Mark.ANOMALOUS:
            anomalous.add(fact)
            continue
        named.setdefault(NAMED_BY[fact.code], fact)
        if isinstance(step, Processing):
            state = step
            for lower in _LADDER:
                if RANK[lower] <= RANK[step] and step is not _REFUSED:
                    implied.setdefault(lower, fact)
    evidence = implied | named
    arrival = evidence.get(Processing.ARRIVED)
    return Folded(
        processing=state,
        anomalous=frozenset(anomalous),
        evidence=MappingProxyType(evidence),
        arrived_at=None if arrival is None else arrival.at,
        closed=state in FINAL,
    )


def move(state: Processing, by: Move) -> Processing | None:
    """The state after the exchange has acted, or None if the move does not apply in `state` (contract §7)."""
    return MOVES.get(state, {}).get(by)


def answer_change(state: ChangeState, code: StatusCode) -> ChangeState:
    """The change axis after an answer; the order in which answers are applied does not matter.

    Raises KeyError for a code that is no answer.
    """
    return ANSWERS[state][code]


def recalls(state: ChangeState, kind: str) -> bool:
    """Whether an answered asking message of this kind makes the delivery `recalled`, final (contract §7).

    `kind` is `recall`, `update`, `replace` or `take-back`.
    """
    return state is ChangeState.AGREED and kind in ("recall", "take-back")


def may_ask_change(processing: Processing, *, recalled: bool) -> bool:
    """Whether a change may still be asked: in any processing state except refused, cancelled, recalled."""
    return not recalled and processing not in (Processing.REFUSED, Processing.CANCELLED)


def may_report(code: StatusCode, *, is_sender: bool, is_recipient: bool) -> str | None:
    """None if this status may be reported, else the code of the error catalogue (contract §2.4, last column).

    `is_sender`: the speaker is the document's sender; `is_recipient`: it is a resolved recipient or answers for one.
    """
    allowed = is_sender if code in REPORTED_BY_SENDER else is_recipient
    return None if allowed else "LT-STATUS-NOT-ALLOWED"


def mermaid() -> str:
    """Both axes as mermaid state diagrams, drawn from the tables; for docs/reference/delivery-states.md."""
    return f"{_processing_diagram()}\n{_change_diagram()}"


def _processing_diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", f"    [*] --> {Processing.ACCEPTED}"]
    lines += [f"    {state} --> {after}: {by}" for state, row in MOVES.items() for by, after in row.items()]
    for state, row in TRANSITIONS.items():
        # Statuses that outrun the record of the dispatch do the same there; drawing them twice would hide the rest.
        if state is Processing.ACCEPTED:
            continue
        lines += [f"    {state} --> {step}: {code}" for code, step in row.items() if isinstance(step, Processing)]
    lines += [f"    {state} --> [*]" for state in Processing if state in FINAL]
    return "\n".join([*lines, "```", ""])


def _change_diagram() -> str:
    lines = ["```mermaid", "stateDiagram-v2", "    direction LR", f"    [*] --> {ChangeState.ASKED}"]
    lines += [
        f"    {state} --> {after}: {code}"
        for state, row in ANSWERS.items()
        for code, after in row.items()
        if after is not state
    ]
    return "\n".join([*lines, f"    {ChangeState.AGREED} --> [*]", "```", ""])


def _in_time(fact: Fact) -> tuple[datetime, bytes, StatusCode]:
    """Contract §7: ties go by signed time, then digest. One message may state two codes for one time: then by code."""
    return fact.at, fact.digest, fact.code

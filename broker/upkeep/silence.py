"""A recipient is silent: wait, send again, or call it overdue? (design §4). Pure.

The rule keeps at most one copy outstanding: a document is sent again only when the mailbox is known to be empty, so
that nothing of it can still be waiting there, and only after a pause that grows with the number of copies. Reading no
clock and no queue, it is told both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Step(StrEnum):
    """What the keeper does about one delivery without 01."""

    WAIT = "wait"
    SEND_AGAIN = "send again"
    CALL_OVERDUE = "call overdue"


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How often, and after what pauses, a document is sent again."""

    #: Copies handed over at most, the first included.
    max_attempts: int
    #: Pause after the first, second, … copy; the last one repeats.
    pauses: Sequence[timedelta]

    def pause_after(self, sends: int) -> timedelta:
        """How long to wait after that many copies (1 or more)."""
        return self.pauses[min(sends, len(self.pauses)) - 1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Silent:
    """A dispatched or undispatched delivery that has no 01 and is neither closed nor held."""

    due_arrival: datetime
    #: Copies handed over so far; 0 if none was confirmed yet.
    sends: int
    last_sent_at: datetime | None
    overdue: bool


def next_step(silent: Silent, *, mailbox_messages: int | None, now: datetime, patience: Patience) -> Step:
    """What to do about `silent`, whose mailbox holds that many messages.

    None: there is no such queue at present, or the server has not counted what is in it.
    """
    if now < silent.due_arrival or mailbox_messages is None:
        return Step.WAIT
    overdue = Step.WAIT if silent.overdue else Step.CALL_OVERDUE
    if silent.sends == 0 or silent.last_sent_at is None or mailbox_messages > 0:
        return overdue
    if now < silent.last_sent_at + patience.pause_after(silent.sends):
        return Step.WAIT
    return Step.SEND_AGAIN if silent.sends < patience.max_attempts else overdue

"""Where a message waits before it is tried again, and who had submitted it. Pure.

A worker that cannot finish a message now (its database is away, say) publishes it to a step of the retry ladder under
the broker's own user and acknowledges the original. The step's queue holds it for a fixed time and then dead-letters it
to `lt.submit` with the routing key it always had, so that it comes back to the intake queue it came from.

Attempts are counted here, in our own header: what the server counts has changed its meaning between versions
(field experience; contract §3 has the headers). Both headers are believed only on messages under the broker's user,
which the server has checked and no agency can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from broker.amqp.messages import HeaderValue, Incoming, OutgoingMessage
from schemas import wire

LT_MESSAGE_ID: Final = "lt-message-id"
"""The message_id under which the agency submitted; a notice about something unreadable names it (contract §2.5)."""
LT_REASON: Final = "lt-reason"
"""Why a message is in `lt.dead`: a code of the error catalogue and a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the ladder; its exchange and its queue have the same name."""

    name: str
    seconds: int

    @property
    def entity(self) -> str:
        return wire.RETRY_PREFIX + self.name


LADDER: Final = (Step(name="5s", seconds=5), Step(name="30s", seconds=30), Step(name="5m", seconds=300))
"""Waits after the first, the second, and every further failed attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who submitted a message, under which message_id, and how often the broker has tried since."""

    submitter: str | None
    """The AMQP user of the agency or hub; None if the message carried none and must be refused."""
    message_id: str | None
    attempts: int


def origin(incoming: Incoming, *, broker_user: str) -> Origin:
    """Where `incoming` really comes from; `lt-*` headers count only if the broker itself published it."""
    if incoming.user_id != broker_user:
        return Origin(submitter=incoming.user_id, message_id=incoming.message_id, attempts=0)
    submitter = incoming.headers.get(wire.LT_SUBMITTER)
    message_id = incoming.headers.get(LT_MESSAGE_ID)
    attempts = incoming.headers.get(wire.LT_ATTEMPT)
    return Origin(
        submitter=submitter if isinstance(submitter, str) else None,
        message_id=message_id if isinstance(message_id, str) else incoming.message_id,
        attempts=attempts if isinstance(attempts, int) and attempts > 0 else 0,
    )


def retry_message(incoming: Incoming, attempt: int, *, broker_user: str) -> OutgoingMessage:
    """What to publish so that `incoming` comes back later, after its `attempt`-th attempt (from 1) has failed."""
    step = LADDER[min(max(attempt, 1), len(LADDER)) - 1]
    return _republished(incoming, step.entity, _headers(incoming, attempt, broker_user))


def dead_message(incoming: Incoming, reason: str, *, broker_user: str) -> OutgoingMessage:
    """What to publish to `lt.dead` when `incoming` cannot be processed; `reason` is for the operator who finds it."""
    headers = _headers(incoming, origin(incoming, broker_user=broker_user).attempts, broker_user)
    return _republished(incoming, wire.DEAD, headers | {LT_REASON: reason})


def replay_message(incoming: Incoming, *, broker_user: str) -> OutgoingMessage:
    """What to publish so that a message out of `lt.dead` is processed afresh, its attempts counted from the start."""
    return _republished(incoming, wire.SUBMIT, _headers(incoming, 0, broker_user))


def _headers(incoming: Incoming, attempt: int, broker_user: str) -> dict[str, HeaderValue]:
    """Ours only: what an agency put there (CC, BCC and whatever else) does not travel on."""
    source = origin(incoming, broker_user=broker_user)
    headers: dict[str, HeaderValue] = {wire.LT_ATTEMPT: attempt}
    if source.submitter is not None:
        headers[wire.LT_SUBMITTER] = source.submitter
    if source.message_id is not None:
        headers[LT_MESSAGE_ID] = source.message_id
    return headers


def _republished(incoming: Incoming, exchange: str, headers: dict[str, HeaderValue]) -> OutgoingMessage:
    return OutgoingMessage(
        exchange=exchange,
        routing_key=incoming.routing_key,
        body=incoming.body,
        type=incoming.type or "",
        content_type=incoming.content_type or "",
        priority=incoming.priority,
        headers=headers,
    )

"""What an operator can do with dead letters: look at them, have them processed afresh, or discard them.

Each action is recorded with who did it and why, before the message leaves the queue: a crash in between leaves a
message that is replayed or discarded once more, never one that is gone without a record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from broker.amqp.browsing import browsing
from broker.amqp.connection import Link
from broker.amqp.messages import Incoming
from broker.amqp.publishing import Publisher
from broker.amqp.retry import LT_REASON, origin, replay_message
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.exchange_events import operator_action
from schemas.problem import UNREACHABLE, Problem
from schemas.wire import DEAD

SQL = load_queries("broker.dispatch", "dead_letters.sql")
SHORTEST_PREFIX = 6
"""Characters of a dead letter's id that a person must write at least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """One message in `lt.dead`, without its content."""

    id: str
    """The AMQP message id that it has here."""
    reason: str
    submitter: str | None
    """The AMQP user that submitted it; None if it carried none."""
    submitted_as: str | None
    """The AMQP message id under which it was submitted."""
    kind: str | None
    routing_key: str
    bytes: int


def dead_letter(incoming: Incoming, *, broker_user: str) -> DeadLetter:
    """What is shown of a dead letter."""
    source = origin(incoming, broker_user=broker_user)
    reason = incoming.headers.get(LT_REASON)
    return DeadLetter(
        id=incoming.message_id or "",
        reason=reason if isinstance(reason, str) else "given up by RabbitMQ after too many deliveries",
        submitter=source.submitter,
        submitted_as=source.message_id,
        kind=incoming.type,
        routing_key=incoming.routing_key,
        bytes=incoming.size,
    )


async def list_dead(link: Link, *, limit: int) -> list[DeadLetter]:
    """The oldest dead letters, at most `limit`."""
    async with browsing(link, DEAD, limit=limit) as browsed:
        return [dead_letter(one, broker_user=link.user) for one in browsed.messages]


async def show_dead(link: Link, text: str, *, limit: int) -> tuple[DeadLetter, bytes]:
    """One dead letter and its body. Raises Problem if `text` names none, or several."""
    async with browsing(link, DEAD, limit=limit) as browsed:
        found = _named(browsed.messages, text)
        return dead_letter(found, broker_user=link.user), found.body


async def replay_dead(
    link: Link, connection: Connection, text: str, *, actor: str, reason: str, limit: int
) -> DeadLetter:
    """Have one processed afresh, its attempts counted from the start. Raises Problem if it cannot be published."""
    async with browsing(link, DEAD, limit=limit) as browsed, Publisher(link) as publisher:
        found = _named(browsed.messages, text)
        await _record(connection, "dead.replay", found, actor=actor, reason=reason)
        outcome = await publisher.publish(replay_message(found, broker_user=link.user))
        if not outcome.confirmed:
            raise Problem(
                f"RabbitMQ did not take the message: {outcome.reason or outcome.fate}",
                "a confirmed publish to lt.submit",
                "Run `lienthong topology plan`, then try again; the message is still in lt.dead.",
                exit_code=UNREACHABLE,
            )
        await browsed.settle(found)
        return dead_letter(found, broker_user=link.user)


async def discard_dead(
    link: Link, connection: Connection, text: str, *, actor: str, reason: str, limit: int
) -> DeadLetter:
    """Take one out of the queue for good. Raises Problem if `text` names none, or several."""
    async with browsing(link, DEAD, limit=limit) as browsed:
        found = _named(browsed.messages, text)
        await _record(connection, "dead.discard", found, actor=actor, reason=reason)
        await browsed.settle(found)
        return dead_letter(found, broker_user=link.user)


def _named(messages: Sequence[Incoming], text: str) -> Incoming:
    wanted = text.strip()
    found = [m for m in messages if len(wanted) >= SHORTEST_PREFIX and (m.message_id or "").startswith(wanted)]
    if len(found) != 1:
        raise Problem(
            f"“{wanted}” names {len(found) or 'no'} dead letter{'s' if len(found) > 1 else ''}",
            f"the id of one dead letter, or its first characters ({SHORTEST_PREFIX} at least)",
            "See them with `lienthong dead list`.",
        )
    return found[0]


async def _record(connection: Connection, action: str, found: Incoming, *, actor: str, reason: str) -> None:
    """The action and its event, in one transaction. The event holds a pseudonym and digests, no names or reasons."""
    at = datetime.now(UTC)
    pseudonym = hashlib.sha256(actor.encode()).hexdigest()[:16]
    target = hashlib.sha256(found.body).hexdigest()
    events = operator_action(
        at=at, actor=pseudonym, action=action, target=target, reason_digest=hashlib.sha256(reason.encode()).digest()
    )
    async with connection.transaction():
        await connection.execute(SQL["write_action"], at, actor, action, target, reason)
        for event in events:
            await connection.execute(SQL["write_event"], event.at, event.kind, event.body, event.leaf)

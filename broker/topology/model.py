"""What there should be on the server: contract §3 as data. Pure, and the only place that says it.

Every queue has an explicit delivery limit where its type knows one (classic queues do not) and a dead-letter exchange.
Arguments are those that RabbitMQ 3.10 and 4.x both take; none is deprecated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from broker.amqp.retry import LADDER
from schemas import wire

DELIVERY_LIMIT: Final = 100
"""Deliveries of one message from a pipeline queue or a mailbox before the server gives it up to `lt.dead`.

A last resort: attempts are counted by the broker (contract §3). It is high because a lost connection counts as a
delivery for every message that was prefetched on it.
"""

DEAD_DELIVERY_LIMIT: Final = 1_000_000
"""For `lt.dead` itself, which an operator may look through any number of times."""

Arguments = Mapping[str, str | int]


class HasMailbox(Protocol):
    """What is asked of an agency here."""

    @property
    def code(self) -> str: ...
    @property
    def level(self) -> str: ...


class HasMailboxTypes(Protocol):
    """What is asked of the settings here: level → `quorum` or `classic`."""

    @property
    def mailbox_type_by_level(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    name: str
    type: str
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    name: str
    arguments: Arguments

    @property
    def type(self) -> str:
        return str(self.arguments.get("x-queue-type", "classic"))

    @property
    def is_mailbox(self) -> bool:
        return self.name.startswith(wire.MAILBOX_PREFIX)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Binding:
    exchange: str
    queue: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Exchanges and queues by name, and the bindings between them; all durable."""

    exchanges: Mapping[str, Exchange]
    queues: Mapping[str, Queue]
    bindings: frozenset[Binding]

    @property
    def mailbox_codes(self) -> list[str]:
        """The codes of the agencies whose mailboxes are here, sorted."""
        return sorted(name.removeprefix(wire.MAILBOX_PREFIX) for name, one in self.queues.items() if one.is_mailbox)


def desired(mailboxes: Iterable[HasMailbox], settings: HasMailboxTypes) -> Topology:
    """The topology for these agencies and hubs with a connection of their own.

    A level without a type in the settings gets a classic mailbox: the database holds the truth (design §4).
    """
    owners = [(owner.code, settings.mailbox_type_by_level.get(owner.level, "classic")) for owner in mailboxes]
    exchanges = [
        Exchange(name=wire.SUBMIT, type="topic"),
        Exchange(name=wire.DELIVER, type="direct"),
        Exchange(name=wire.DEAD, type="fanout"),
        *(Exchange(name=step.entity, type="fanout") for step in LADDER),
    ]
    queues = [
        *(_pipeline_queue(name) for name in (wire.INTAKE_URGENT, wire.INTAKE_NORMAL, wire.STATUS)),
        *(_retry_queue(step.entity, step.seconds) for step in LADDER),
        Queue(name=wire.DEAD, arguments=_quorum(DEAD_DELIVERY_LIMIT, wire.DEAD) | _AT_LEAST_ONCE),
        *(mailbox_queue(code, kind) for code, kind in owners),
    ]
    bindings = [
        *(Binding(exchange=wire.SUBMIT, queue=queue, key=key) for queue, key in wire.BINDINGS),
        Binding(exchange=wire.DEAD, queue=wire.DEAD, key=""),
        *(Binding(exchange=step.entity, queue=step.entity, key="") for step in LADDER),
        *(mailbox_binding(code) for code, _ in owners),
    ]
    return Topology(
        exchanges={one.name: one for one in exchanges},
        queues={one.name: one for one in queues},
        bindings=frozenset(bindings),
    )


def mailbox_queue(code: str, kind: str) -> Queue:
    """The mailbox of one agency; `kind` is `quorum` or `classic`.

    Dead-lettering from a mailbox is at-most-once: what is lost there is sent again from the database.
    """
    if kind == "quorum":
        return Queue(name=wire.mailbox(code), arguments=_quorum(DELIVERY_LIMIT, wire.DEAD))
    return Queue(name=wire.mailbox(code), arguments={"x-queue-type": "classic", "x-dead-letter-exchange": wire.DEAD})


def mailbox_binding(code: str) -> Binding:
    """How a mailbox hangs on `lt.deliver`: under its owner's code, nothing else."""
    return Binding(exchange=wire.DELIVER, queue=wire.mailbox(code), key=code)


def definitions(topology: Topology) -> dict[str, list[dict[str, Any]]]:
    """The topology in RabbitMQ's own form, as `definitions import` of one virtual host takes it."""
    return {
        "exchanges": [
            {
                "name": one.name,
                "type": one.type,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": dict(one.arguments),
            }
            for one in topology.exchanges.values()
        ],
        "queues": [
            {"name": one.name, "durable": True, "auto_delete": False, "arguments": dict(one.arguments)}
            for one in topology.queues.values()
        ],
        "bindings": [
            {
                "source": one.exchange,
                "destination": one.queue,
                "destination_type": "queue",
                "routing_key": one.key,
                "arguments": {},
            }
            for one in sorted(topology.bindings)
        ],
    }


_AT_LEAST_ONCE: Final[dict[str, str | int]] = {
    # Only together do these three make dead-lettering lose nothing; the third is the dead-letter exchange.
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def _quorum(limit: int, dead_letter_exchange: str) -> dict[str, str | int]:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": limit,
        "x-dead-letter-exchange": dead_letter_exchange,
    }


def _pipeline_queue(name: str) -> Queue:
    return Queue(name=name, arguments=_quorum(DELIVERY_LIMIT, wire.DEAD) | _AT_LEAST_ONCE)


def _retry_queue(name: str, seconds: int) -> Queue:
    """A step of the retry ladder. It has no reader: a message expires and goes back with the key it came with."""
    arguments = _quorum(DELIVERY_LIMIT, wire.SUBMIT) | _AT_LEAST_ONCE | {"x-message-ttl": seconds * 1000}
    return Queue(name=name, arguments=arguments)

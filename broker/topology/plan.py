"""What is missing, different or superfluous on the server, and what would be done about it. Pure.

The rules: what is missing is created. A queue or exchange that exists otherwise than it should is never destroyed, for
its messages: an operator has to decide. What is superfluous stays, unless pruning is asked for, and then a queue goes
only if it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from broker.topology.actual import Actual
from broker.topology.model import Arguments, Topology
from broker.topology.permissions import is_agency_pattern, rights_of
from schemas import wire


class Kind(StrEnum):
    EXCHANGE = "exchange"
    QUEUE = "queue"
    BINDING = "binding"
    RIGHTS = "rights"


class Difference(StrEnum):
    MISSING = "missing"
    DIFFERENT = "different"
    SUPERFLUOUS = "superfluous"


class Action(StrEnum):
    CREATE = "create"
    CORRECT = "correct"
    REMOVE = "remove"
    LEAVE = "leave"
    OPERATOR = "needs an operator"


DOES: Mapping[tuple[Kind, Difference], tuple[Action, Action]] = {
    # what was found: (action, action when pruning)
    (Kind.EXCHANGE, Difference.MISSING): (Action.CREATE, Action.CREATE),
    (Kind.EXCHANGE, Difference.DIFFERENT): (Action.OPERATOR, Action.OPERATOR),
    (Kind.EXCHANGE, Difference.SUPERFLUOUS): (Action.LEAVE, Action.REMOVE),
    (Kind.QUEUE, Difference.MISSING): (Action.CREATE, Action.CREATE),
    (Kind.QUEUE, Difference.DIFFERENT): (Action.OPERATOR, Action.OPERATOR),
    (Kind.QUEUE, Difference.SUPERFLUOUS): (Action.LEAVE, Action.REMOVE),
    (Kind.BINDING, Difference.MISSING): (Action.CREATE, Action.CREATE),
    (Kind.BINDING, Difference.DIFFERENT): (Action.OPERATOR, Action.OPERATOR),
    (Kind.BINDING, Difference.SUPERFLUOUS): (Action.LEAVE, Action.REMOVE),
    (Kind.RIGHTS, Difference.DIFFERENT): (Action.CORRECT, Action.CORRECT),
    (Kind.RIGHTS, Difference.SUPERFLUOUS): (Action.LEAVE, Action.REMOVE),
}
"""Rights are never missing: an agency gets its user together with its password, not from here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    kind: Kind
    name: str
    difference: Difference
    action: Action
    detail: str = ""
    exchange: str = ""
    """For a binding: where from; `name` is the queue."""
    key: str = ""
    """For a binding: its routing key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All findings, exchanges first, then queues, bindings and rights."""

    findings: tuple[Finding, ...]
    mailboxes: int
    """Mailboxes there should be."""
    without_user: tuple[str, ...]
    """Agencies with a mailbox and no AMQP user yet. No fault of the topology: they get one when they are set up."""

    @property
    def to_do(self) -> tuple[Finding, ...]:
        """What `apply` would do."""
        return tuple(one for one in self.findings if one.action in (Action.CREATE, Action.CORRECT, Action.REMOVE))

    @property
    def for_operator(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.action is Action.OPERATOR)

    @property
    def good(self) -> bool:
        """Nothing to do, for `apply` or for an operator."""
        return not self.to_do and not self.for_operator

    def missing(self, kind: Kind) -> list[str]:
        return [one.name for one in self.to_do if one.kind is kind and one.difference is Difference.MISSING]


def plan(desired: Topology, actual: Actual, *, prune: bool = False) -> Plan:
    """Compare what there should be with what there is."""
    codes = desired.mailbox_codes
    found = (
        *_exchanges(desired, actual),
        *_queues(desired, actual),
        *_bindings(desired, actual),
        *_rights(codes, actual),
    )
    findings = tuple(
        Finding(
            kind=one.kind,
            name=one.name,
            difference=one.difference,
            action=DOES[one.kind, one.difference][prune],
            detail=one.detail,
            exchange=one.exchange,
            key=one.key,
        )
        for one in found
    )
    without_user = tuple(code for code in codes if code not in actual.users)
    return Plan(findings=findings, mailboxes=len(codes), without_user=without_user)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    kind: Kind
    name: str
    difference: Difference
    detail: str = ""
    exchange: str = ""
    key: str = ""


def _exchanges(desired: Topology, actual: Actual) -> Iterable[_Found]:
    there = actual.topology.exchanges
    for name, wanted in desired.exchanges.items():
        found = there.get(name)
        if found is None:
            yield _Found(kind=Kind.EXCHANGE, name=name, difference=Difference.MISSING, detail=wanted.type)
        elif found != wanted:
            detail = _differences({"type": wanted.type, **wanted.arguments}, {"type": found.type, **found.arguments})
            yield _Found(kind=Kind.EXCHANGE, name=name, difference=Difference.DIFFERENT, detail=detail)
    for name in sorted(set(there) - set(desired.exchanges)):
        yield _Found(kind=Kind.EXCHANGE, name=name, difference=Difference.SUPERFLUOUS)


def _queues(desired: Topology, actual: Actual) -> Iterable[_Found]:
    there = actual.topology.queues
    for name, wanted in desired.queues.items():
        found = there.get(name)
        if found is None:
            yield _Found(kind=Kind.QUEUE, name=name, difference=Difference.MISSING, detail=wanted.type)
        elif dict(found.arguments) != dict(wanted.arguments):
            detail = _differences(wanted.arguments, found.arguments)
            yield _Found(kind=Kind.QUEUE, name=name, difference=Difference.DIFFERENT, detail=detail)
    for name in sorted(set(there) - set(desired.queues)):
        yield _Found(kind=Kind.QUEUE, name=name, difference=Difference.SUPERFLUOUS)


def _bindings(desired: Topology, actual: Actual) -> Iterable[_Found]:
    there = actual.topology.bindings
    for one in sorted(desired.bindings - there):
        yield _Found(
            kind=Kind.BINDING, name=one.queue, exchange=one.exchange, key=one.key, difference=Difference.MISSING
        )
    superfluous_queues = set(actual.topology.queues) - set(desired.queues)
    for one in sorted(there - desired.bindings):
        own_mailbox = one.exchange == wire.DELIVER and one.queue == wire.mailbox(one.key)
        if one.queue in superfluous_queues and own_mailbox:
            continue  # it goes with its queue
        yield _Found(
            kind=Kind.BINDING,
            name=one.queue,
            exchange=one.exchange,
            key=one.key,
            difference=Difference.SUPERFLUOUS,
            detail="copies what it matches into this queue",
        )
    for sentence in actual.odd_bindings:
        yield _Found(kind=Kind.BINDING, name=sentence, difference=Difference.DIFFERENT, detail="not one of ours")


def _rights(codes: Iterable[str], actual: Actual) -> Iterable[_Found]:
    owners = set(codes)
    for code in sorted(owners):
        user = actual.users.get(code)
        if user is None:
            continue
        wanted = rights_of(code)
        if user.rights != wanted or user.tags:
            detail = _differences(
                {name: getattr(wanted, name) for name in _PATTERNS} | {"tags": ""},
                {name: getattr(user.rights, name) for name in _PATTERNS} | {"tags": ",".join(user.tags)},
            )
            yield _Found(kind=Kind.RIGHTS, name=code, difference=Difference.DIFFERENT, detail=detail)
    for name, user in sorted(actual.users.items()):
        if name not in owners and is_agency_pattern(user.rights.read):
            detail = f"reads {user.rights.read} and has no mailbox"
            yield _Found(kind=Kind.RIGHTS, name=name, difference=Difference.SUPERFLUOUS, detail=detail)


_PATTERNS = ("configure", "write", "read", "topic_write", "topic_read")


def _differences(wanted: Arguments, found: Arguments) -> str:
    """`x-delivery-limit is 20, should be 100; …`"""
    names = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    return "; ".join(
        f"{name} is {found.get(name, 'not set')}, should be {wanted.get(name, 'not set')}" for name in names
    )

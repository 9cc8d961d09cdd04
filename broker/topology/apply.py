"""Do what a plan says: create by definitions import, correct rights, and prune if that was planned.

Never publishes, never deletes a queue that holds a message or has a reader, never touches what a plan leaves to an
operator. Thousands of queues are a matter of seconds, because the server declares them itself, many at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from broker.amqp.connection import Link
from broker.amqp.depth import depth
from broker.amqp.management import Management, ManagementError
from broker.store.pool import Connection
from broker.topology.actual import read_actual
from broker.topology.mailboxes import note_mailboxes_made, note_mailboxes_seen
from broker.topology.model import Binding, Topology, definitions
from broker.topology.permissions import permission_entries
from broker.topology.plan import Action, Finding, Kind, Plan, plan
from schemas import wire

Item = TypeVar("Item")

CHUNK = 250
"""Queues in one import: enough to keep the server busy, few enough to show progress."""

ON_ITS_WAY = 2.0
"""Seconds within which a message that was routed to a queue before it was cut off has surely arrived there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A superfluous queue that was not removed, and why."""

    queue: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What was done, and what is still not as it should be."""

    created: int
    corrected: int
    removed: int
    mailboxes_made: tuple[str, ...]
    """Codes of the agencies whose mailbox was created."""
    kept: tuple[Kept, ...]
    remaining: Plan


async def apply(
    desired: Topology,
    planned: Plan,
    management: Management,
    *,
    connection: Connection | None = None,
    link: Link | None = None,
    prune: bool = False,
    tell: Callable[[int], None] = lambda _: None,
) -> Applied:
    """Carry out `planned`, which must come from `desired`.

    With `connection`, mailboxes that are created are recorded in table `mailbox`, so that the keeper can send again
    what a lost one held. A plan that prunes needs `link`, to ask queues whether they are empty. `tell` is called with
    the number of findings done since the last call.
    Raises ManagementError if the server refuses something; what was done until then stays done.
    """
    made = tuple(
        name.removeprefix(wire.MAILBOX_PREFIX)
        for name in planned.missing(Kind.QUEUE)
        if name.startswith(wire.MAILBOX_PREFIX)
    )
    if connection is not None:
        await note_mailboxes_made(connection, made)
        await note_mailboxes_seen(connection, desired.mailbox_codes)
    creations = [one for one in planned.to_do if one.action is Action.CREATE]
    corrections = [one for one in planned.to_do if one.action is Action.CORRECT]
    removals = [one for one in planned.to_do if one.action is Action.REMOVE]
    for part in _parts(desired, creations):
        await management.import_definitions(definitions(part))
        tell(len(part.exchanges) + len(part.queues) + len(part.bindings))
    if corrections:
        await _correct(management, corrections)
        tell(len(corrections))
    kept: tuple[Kept, ...] = ()
    if removals:
        if link is None:
            raise ValueError("pruning needs a link, to ask queues whether they are empty")
        kept = await _remove(management, link, removals)
    tell(len(removals))
    return Applied(
        created=len(creations),
        corrected=len(corrections),
        removed=len(removals) - len(kept),
        mailboxes_made=made,
        kept=kept,
        remaining=plan(desired, await read_actual(management), prune=prune),
    )


def _parts(desired: Topology, creations: Sequence[Finding]) -> Iterable[Topology]:
    """What is to be created, in imports of a bearable size: exchanges, queues, and then bindings between them."""
    exchanges = {one.name: desired.exchanges[one.name] for one in creations if one.kind is Kind.EXCHANGE}
    if exchanges:
        yield Topology(exchanges=exchanges, queues={}, bindings=frozenset())
    queues = [desired.queues[one.name] for one in creations if one.kind is Kind.QUEUE]
    for some in _chunks(queues):
        yield Topology(exchanges={}, queues={one.name: one for one in some}, bindings=frozenset())
    bindings = [
        Binding(exchange=one.exchange, queue=one.name, key=one.key) for one in creations if one.kind is Kind.BINDING
    ]
    for few in _chunks(bindings):
        yield Topology(exchanges={}, queues={}, bindings=frozenset(few))


def _chunks(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


async def _correct(management: Management, corrections: Sequence[Finding]) -> None:
    """Give users exactly their rights; their passwords stay."""
    tags = {one["name"]: one for one in await management.users()}
    entries = [permission_entries(management.vhost, one.name) for one in corrections]
    users = [
        {
            "name": one.name,
            "password_hash": tags[one.name]["password_hash"],
            "hashing_algorithm": tags[one.name]["hashing_algorithm"],
            "tags": [],
        }
        for one in corrections
        if one.name in tags
    ]
    await management.import_users(
        {
            "users": users,
            "permissions": [permission for permission, _ in entries],
            "topic_permissions": [topic_permission for _, topic_permission in entries],
        }
    )


async def _remove(management: Management, link: Link, removals: Sequence[Finding]) -> tuple[Kept, ...]:
    """Remove bindings and rights, then queues that are empty, then exchanges."""
    for one in removals:
        if one.kind is Kind.BINDING:
            await management.unbind(one.exchange, one.name, one.key)
        elif one.kind is Kind.RIGHTS:
            await management.revoke_permissions(one.name)
    kept = await _remove_queues(management, link, [one.name for one in removals if one.kind is Kind.QUEUE])
    for one in removals:
        if one.kind is Kind.EXCHANGE:
            await management.delete_exchange(one.name)
    return kept


async def _remove_queues(management: Management, link: Link, names: Sequence[str]) -> tuple[Kept, ...]:
    """Remove those queues that are empty and unread.

    A queue that looks empty is cut off from `lt.deliver` first and looked at again when whatever was on its way has
    arrived; one that is not empty then is bound again.
    """
    kept: list[Kept] = []
    cut_off: list[str] = []
    for name in names:
        if why := await _in_use(management, link, name):
            kept.append(Kept(queue=name, why=why))
        else:
            await management.unbind(wire.DELIVER, name, name.removeprefix(wire.MAILBOX_PREFIX))
            cut_off.append(name)
    if cut_off:
        await asyncio.sleep(ON_ITS_WAY)
    for name in cut_off:
        why = await _in_use(management, link, name) or await _delete(management, name)
        if why:
            kept.append(Kept(queue=name, why=why))
            if name.startswith(wire.MAILBOX_PREFIX):
                key = name.removeprefix(wire.MAILBOX_PREFIX)
                bound = Binding(exchange=wire.DELIVER, queue=name, key=key)
                again = Topology(exchanges={}, queues={}, bindings=frozenset({bound}))
                await management.import_definitions(definitions(again))
    return tuple(kept)


async def _in_use(management: Management, link: Link, name: str) -> str:
    """Why a queue may not be deleted; empty if it may.

    The management API's statistics lag behind by more than any fixed time, so the queue itself is asked. It does not
    count what somebody has taken out without a consumer and not acknowledged, hence the look at who is connected.
    """
    found = await depth(link, name)
    if found is None:
        return ""
    if found.messages:
        return f"holds {found.messages} messages"
    if found.readers:
        return f"has {found.readers} readers"
    if name.removeprefix(wire.MAILBOX_PREFIX) in await management.connected_users():
        return "belongs to an agency that is connected"
    return ""


async def _delete(management: Management, name: str) -> str:
    """Delete a queue that was found empty; returns why not, if the server still refuses."""
    info = await management.queue(name)
    if info is not None:
        try:
            await management.delete_queue(name, only_if_unused_and_empty=info.type == "classic")
        except ManagementError as error:
            if error.status != 400:
                raise
            return f"is in use: {error.reason}"
    return ""

"""Sending documents again: from deliveries without 01 to new rows of `outgoing`, with the attempt counted up.

Used after a mailbox was made again, for silent recipients, and for a replay; which deliveries are due is decided
there. The rows are written under the keeper's epoch and commit before anything is published (design §4), so a copy
that a dying keeper owed is published by the next one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from asyncpg import Record

from broker.directory.records import AgencyId
from broker.directory.snapshot import Directory
from broker.dispatch.fanout import PlannedPublish, plan
from broker.intake.recipients import GROUP_PREFIX, Recipient
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.upkeep", "again.sql")


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenDelivery:
    """A delivery that was dispatched and has no 01; neither closed nor held."""

    document_id: int
    recipient_id: AgencyId
    owner_id: AgencyId
    addressed_as: str
    #: Copies handed over so far.
    sends: int
    #: Whether it took the place of a closed agency's: its copy names it, even if the sender had written a group.
    rerouted: bool = False

    @classmethod
    def of(cls, row: Record) -> OpenDelivery:
        return cls(
            document_id=row["document_id"],
            recipient_id=AgencyId(row["recipient_id"]),
            owner_id=AgencyId(row["owner_id"]),
            addressed_as=row["addressed_as"],
            sends=row["sends"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """One row of `outgoing` to be: a document for up to 500 mailboxes, or for up to 500 agencies of one."""

    document_id: int
    attempt: int
    owner_ids: tuple[int, ...]
    #: Named in the slip; None where the mailboxes' owners are meant.
    recipient_ids: tuple[int, ...] | None


def copies(deliveries: Iterable[OpenDelivery], directory: Directory) -> list[Copy]:
    """The publishes that carry these deliveries once more, document by document in the order given. Pure.

    Deliveries of one document with different numbers of copies go out separately, for the slip tells the attempt.
    """
    groups: dict[tuple[int, int], list[Recipient]] = defaultdict(list)
    for delivery in deliveries:
        groups[delivery.document_id, delivery.sends + 1].append(_recipient(delivery, directory))
    return [
        Copy(
            document_id=document_id,
            attempt=attempt,
            owner_ids=publish.owner_ids,
            recipient_ids=_named(publish),
        )
        for (document_id, attempt), recipients in groups.items()
        for publish in plan(recipients)
    ]


async def enqueue(connection: Connection, deliveries: Sequence[OpenDelivery], directory: Directory) -> list[int]:
    """Write the `outgoing` rows for `deliveries`; the caller's transaction is a fenced one. Returns their ids.

    A delivery that has got its 01, its end or another copy meanwhile is passed over, and so is one that somebody else
    is writing at this moment: the keeper never waits for a worker, it comes round again.
    """
    locked = await connection.fetch(
        SQL["lock_still_open"],
        [d.document_id for d in deliveries],
        [d.recipient_id for d in deliveries],
        [d.sends for d in deliveries],
    )
    still = {(row["document_id"], row["recipient_id"]) for row in locked}
    return await write_copies(
        connection, [d for d in deliveries if (d.document_id, d.recipient_id) in still], directory
    )


async def write_copies(connection: Connection, deliveries: Sequence[OpenDelivery], directory: Directory) -> list[int]:
    """Write the `outgoing` rows for deliveries that the caller has locked. Returns their ids."""
    planned = copies(deliveries, directory)
    if not planned:
        return []
    rows = await connection.fetch(
        SQL["insert_copies"],
        [copy.document_id for copy in planned],
        [copy.attempt for copy in planned],
        [_array(copy.owner_ids) for copy in planned],
        [_array(copy.recipient_ids) for copy in planned],
    )
    return [row["outgoing_id"] for row in rows]


def _recipient(delivery: OpenDelivery, directory: Directory) -> Recipient:
    agency = directory.by_id(delivery.recipient_id)
    return Recipient(
        agency=agency,
        owner=directory.by_id(delivery.owner_id),
        addressed_as=delivery.addressed_as,
        rerouted=delivery.rerouted
        or (not delivery.addressed_as.startswith(GROUP_PREFIX) and directory.find(delivery.addressed_as) != agency),
    )


def _named(publish: PlannedPublish) -> tuple[int, ...] | None:
    return tuple(recipient.agency.id for recipient in publish.recipients) if publish.named else None


def _array(ids: Sequence[int] | None) -> str | None:
    """An array as PostgreSQL writes it: arrays of arrays of different lengths cannot be parameters."""
    return None if ids is None else "{" + ",".join(map(str, ids)) + "}"

"""Which agencies have a mailbox, and which of those had to be made again: the database's side of the topology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.problem import Problem

QUERIES = load_queries("broker.topology", "topology.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxOwner:
    """An agency or hub with a queue of its own."""

    agency_id: int
    code: str
    level: str


async def load_mailbox_owners(connection: Connection) -> list[MailboxOwner]:
    """All owners of mailboxes that are not closed, by code. Raises Problem if the database has no directory yet."""
    try:
        rows = await connection.fetch(QUERIES["mailbox_owners"])
    except asyncpg.UndefinedTableError as error:
        raise Problem(
            found="the database has no directory of agencies",
            expected="the exchange's tables",
            remedy="run `lienthong db migrate`, then add agencies",
        ) from error
    return [MailboxOwner(agency_id=row["agency_id"], code=row["code"], level=row["level"]) for row in rows]


async def note_mailboxes_made(connection: Connection, codes: Sequence[str]) -> dict[int, int]:
    """Record that these queues are about to be made; returns generation by owner's agency_id.

    A generation above 1 means that the queue had existed and is gone with what it held: `reset_at` is set, and the
    keeper sends again what has no 01 (design §4). Called before the queues are made: if that then fails, the next
    attempt notes them once more, which costs a needless redelivery and loses nothing.
    """
    rows = await connection.fetch(QUERIES["mailboxes_made"], list(codes))
    return {row["owner_id"]: row["generation"] for row in rows}


async def note_mailboxes_seen(connection: Connection, codes: Sequence[str]) -> None:
    """Record queues that were found on the server; those that are known already stay as they are."""
    await connection.execute(QUERIES["mailboxes_seen"], list(codes))

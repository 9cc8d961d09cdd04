"""Refused messages by what people call them: number and notation, as the message said. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncpg import Record

from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.problem import Problem

SQL: Final = load_queries("broker.audit", "refused.sql")
NAMED: Final = 5
"""Messages that are named when several were meant."""


async def refused_under(
    connection: Connection, number: str, notation: str, *, sender: str | None, agencies: Sequence[int] | None
) -> list[Record]:
    """The refusals, oldest first, of the one message that said this number and notation; `sender` as it claimed.

    `agencies` are those whose submissions may be seen, None for all. Raises Problem if several messages said it.
    """
    rows = await connection.fetch(SQL["refused_under_number"], number, notation, sender, agencies)
    messages = list(dict.fromkeys((row["id"], row["claimed_from"]) for row in rows))
    if len(messages) > 1:
        listed = ", ".join(f"{id} of {claimed}" for id, claimed in messages[:NAMED])
        raise Problem(
            f"“{number}/{notation}” was said by {len(messages)} messages, all refused: {listed}"
            f"{', …' if len(messages) > NAMED else ''}",
            "exactly one message",
            "Give its id instead; they are listed by `lienthong audit search --refused`",
        )
    return rows[::-1]

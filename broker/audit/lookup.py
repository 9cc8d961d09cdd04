"""Which agencies a person means by a code, and which belong to a subtree. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.problem import Problem

if TYPE_CHECKING:
    from broker.directory.records import AgencyId  # with it come certificates, which nothing here needs

SQL = load_queries("broker.audit", "lookup.sql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """An agency that a code or an alias names."""

    agency_id: AgencyId
    code: str
    name: str
    level: str
    state: str


async def agencies_called(connection: Connection, text: str) -> tuple[Called, ...]:
    """Every agency that has or had the code or alias `text`; the one that exists today first.

    A code may mean several agencies, one after the other: a question about the past is asked of all of them.
    Raises Problem if there is none.
    """
    rows = await connection.fetch(SQL["agencies_called"], text.strip().upper())
    if not rows:
        raise Problem(
            f"No agency is or was known as “{text}”.",
            "an agency's code or one of its aliases.",
            "Look for it with `lienthong agency list`.",
        )
    return tuple(Called(**dict(row)) for row in rows)


async def agency_called(connection: Connection, text: str) -> Called:
    """The agency that `text` names today, or the last one that it named. Raises Problem if there is none."""
    return (await agencies_called(connection, text))[0]


async def subtree(connection: Connection, root: AgencyId) -> list[int]:
    """The agency `root` and everything below it in today's directory, closed agencies included."""
    return [row["agency_id"] for row in await connection.fetch(SQL["subtree"], root)]

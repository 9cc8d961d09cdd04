"""The keeper's duty towards auditors: it follows the log and keeps figures and search terms (design "Data").

Entry by entry in the log's order, it notes which documents something happened to, looks at each as it stands now, takes
off what it counted before and adds what it counts now. Position, figures and terms are committed together under the
lease: stopped at any moment, the next one continues there, and every document counts once. What an event told that is
not in the log yet may already be seen; it is looked at again when it is.

Workers wait for nothing here: this reads their tables and writes only its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Final

from asyncpg import Record

from broker.audit.figures import COLUMNS, Counted, Sums, by_month, changes
from broker.audit.read import as_array
from broker.audit.terms import Standing, any_of, terms_of
from broker.store.pool import Connection
from broker.store.queries import load_queries
from broker.upkeep.lease import Lease

SQL: Final = load_queries("broker.upkeep", "rollups.sql")

PERIOD: Final = 2.0
"""Seconds between two rounds: so old search and reports are, beside the log's own second."""
ENTRIES: Final = 3_000
"""Entries of the log in one transaction, at most."""
QUEUED: Final = 1_000
"""Documents to be looked at again in one transaction, at most."""
MOVED: Final = 500
"""Agencies whose documents are looked for together."""
ROUND_SECONDS: Final = 5.0
"""After so long a round ends even if more is left, so that the keeper shows that it lives."""
PLANNER: Final = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
"""Everything here is read by its key, whatever the planner thinks of tables that are still small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one transaction took over."""

    entries: int
    documents: int
    """Looked at; those that stood as before are among them."""
    more: bool
    """Whether more is waiting already."""


class FollowLog:
    """Keeps figures and search terms as the log grows."""

    name = "rollups"

    def __init__(self, *, period: float, entries: int = ENTRIES) -> None:
        self.period = period
        self._entries = entries
        self._above: Mapping[int, Sequence[int]] = {}
        self._revision: int | None = None

    async def run(self, lease: Lease) -> int:
        """Take over what the log has; returns how many documents were looked at."""
        until = monotonic() + ROUND_SECONDS
        documents = 0
        while True:
            async with lease.writing() as connection:
                taken = await self.step(connection)
            documents += taken.documents
            if not taken.more or monotonic() > until:
                return documents

    async def step(self, connection: Connection) -> Taken:
        """One bounded part, inside the caller's transaction."""
        await connection.execute(PLANNER)
        position = await connection.fetchrow(SQL["position"])
        assert position is not None
        await self._follow_directory(connection, position["revision"])
        entries = await connection.fetch(SQL["entries"], position["origin_id"], position["position"], self._entries)
        queued = {row["document_id"] for row in await connection.fetch(SQL["from_queue"], QUEUED)}
        touched = {row["document_id"] for row in entries if row["document_id"] is not None} | queued
        touched |= {row["document_id"] for row in await connection.fetch(SQL["related"], sorted(touched))}
        if touched:
            await self._count(connection, await connection.fetch(SQL["facts"], sorted(touched)), queued)
        if entries:
            last = entries[-1]
            await connection.execute(SQL["set_position"], last["origin_id"], last["position"], last["event_at"])
        more = len(entries) == self._entries or len(queued) == QUEUED
        return Taken(entries=len(entries), documents=len(touched), more=more)

    async def _count(self, connection: Connection, facts: Sequence[Record], queued: set[int]) -> None:
        before = [_before(row) for row in facts if row["old_day"] is not None]
        after = [_after(row) for row in facts]
        sums = changes(before, after)
        await _add(connection, SQL["add_to_days"], sums)
        await _add(connection, SQL["add_to_months"], by_month(sums))
        new = [row for row in facts if row["document_id"] in queued or _stands_otherwise(row)]
        await connection.execute(
            SQL["write_documents"],
            [row["document_id"] for row in new],
            [row["accepted_at"] for row in new],
            [row["day"] for row in new],
            [row["sender_id"] for row in new],
            [row["test"] for row in new],
            [as_array(row["recipient_ids"]) for row in new],
            [as_array(row["standings"]) for row in new],
            [terms_of(Standing.of(row), self._above) for row in new],
        )

    async def _follow_directory(self, connection: Connection, known: int) -> None:
        """Notice agencies that have moved in the directory: their documents are found under others from now on."""
        revision = await connection.fetchval(SQL["revision"])
        if revision is None or revision == self._revision == known:
            return
        now = {row["agency_id"]: row["above"] for row in await connection.fetch(SQL["above"])}
        if revision != known:
            before = {row["agency_id"]: row["above"] for row in await connection.fetch(SQL["above_before"])}
            moved = {agency: now.get(agency, []) for agency in before if before[agency] != now.get(agency, [])}
            changed = moved | {agency: above for agency, above in now.items() if agency not in before}
            await connection.execute(SQL["set_above"], list(changed), [as_array(above) for above in changed.values()])
            # An agency that had nothing above it is not in `before`, but may have documents.
            for some in batched(changed, MOVED):
                await connection.execute(SQL["queue_documents_of"], any_of("sr", some))
            await connection.execute(SQL["set_revision"], revision)
        self._above, self._revision = now, revision


async def throw_away(connection: Connection) -> None:
    """Forget everything that was taken over, inside the caller's transaction: the keeper begins the log again."""
    await connection.fetchrow(SQL["position"])
    await connection.execute(SQL["throw_away"])
    await connection.execute(SQL["forget_position"])


async def _add(connection: Connection, statement: str, sums: Sums) -> None:
    if sums:
        agencies, days = zip(*sums, strict=True)
        await connection.execute(
            statement, agencies, days, *([values[n] for values in sums.values()] for n in range(len(COLUMNS)))
        )


def _stands_otherwise(row: Record) -> bool:
    return bool(row["recipient_ids"] != row["old_recipient_ids"] or row["standings"] != row["old_standings"])


def _before(row: Record) -> Counted:
    return Counted(
        day=row["old_day"],
        sender_id=row["old_sender_id"],
        test=row["old_test"],
        recipient_ids=row["old_recipient_ids"],
        standings=row["old_standings"],
    )


def _after(row: Record) -> Counted:
    return Counted(
        day=row["day"],
        sender_id=row["sender_id"],
        test=row["test"],
        recipient_ids=row["recipient_ids"],
        standings=row["standings"],
    )


def batched(agencies: Iterable[int], size: int) -> Iterator[list[int]]:
    """`agencies` in lists of at most `size`."""
    left = iter(agencies)
    while some := list(islice(left, size)):
        yield some

"""What every change of the directory has in common: one transaction, one revision, one record of who and why.

A change holds the directory's advisory lock until its transaction ends, so revisions become visible in their order
(`live` relies on that); it leaves events for the log, which tell every row that it has written, and a row of what
operators did. Decides nothing itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from broker.directory.describing import TABLES
from broker.directory.live import VIETNAM, load_directory
from broker.directory.records import Agency, AgencyId
from broker.directory.suggestions import written
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.events import Event
from schemas.exchange_events import Facts, directory_changed, directory_described
from schemas.problem import Problem

SQL = load_queries("broker.directory", "changes.sql")
_DESCRIBED = load_queries("broker.directory", "described.sql")

#: Held by every change of the directory until its transaction ends; any fixed number that nothing else uses.
DIRECTORY_LOCK = 0x6C74_0002


@dataclass(frozen=True, kw_only=True, slots=True)
class Author:
    """Who changes something, and why. Kept in the database; the log has `pseudonym` and `reason_digest`."""

    actor: str
    reason: str = ""

    @property
    def pseudonym(self) -> str:
        """The same for the same person; says nothing about who that is."""
        return hashlib.sha256(self.actor.encode()).hexdigest()[:16]

    @property
    def reason_digest(self) -> bytes:
        """SHA-256 of the reason."""
        return hashlib.sha256(self.reason.encode()).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """One event of a change: a word for what changed, the codes that it is about, and what else it says."""

    change: str
    codes: Sequence[str]
    facts: Facts | None = None
    #: By whom the event is found; not part of it.
    agency_id: AgencyId | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A change that is under way."""

    connection: Connection
    author: Author
    revision: int
    #: When it is made; every event and row of this change carries this time.
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def today(self) -> date:
        """The day in Vietnamese time on which validity is judged."""
        return self.at.astimezone(VIETNAM).date()

    async def record(
        self,
        change: str,
        codes: Sequence[str],
        *,
        agency_id: AgencyId | None = None,
        facts: Facts | None = None,
        target: str | None = None,
    ) -> None:
        """Write the event and the operator's action. ``change`` is a word such as ``agency.added``."""
        telling = Telling(change=change, codes=codes, facts=facts, agency_id=agency_id)
        await self.record_all([telling], target=target or ", ".join(codes[:5]))

    async def record_all(self, told: Sequence[Telling], *, target: str) -> None:
        """Write several events of one change, in this order, and one operator's action for each word among them."""
        author = self.author
        events = [
            (event, telling.agency_id)
            for telling in told
            for event in directory_changed(
                at=self.at,
                revision=self.revision,
                change=telling.change,
                codes=telling.codes,
                facts=telling.facts,
                actor=author.pseudonym,
                reason_digest=author.reason_digest,
            )
        ]
        await self._write(events)
        for change in dict.fromkeys(telling.change for telling in told):
            await self.connection.execute(SQL["write_action"], self.at, author.actor, change, target, author.reason)

    async def describe(self, first: int, last: int) -> int:
        """Let the log tell every row of these revisions as it is now, column by column; returns how many they are.

        No operator's action is recorded for that: the change has one.
        """
        many = 0
        for table in TABLES:
            rows = await self.connection.fetch(_DESCRIBED[table.table], first, last)
            if not rows:
                continue
            many += len(rows)
            told = directory_described(
                at=self.at,
                revision=self.revision,
                table=table.table,
                columns=list(table.columns),
                rows=[table.told(row) for row in rows],
            )
            await self._write([(event, None) for event in told])
        return many

    async def _write(self, events: Sequence[tuple[Event, AgencyId | None]]) -> None:
        await self.connection.execute(
            SQL["write_events"],
            self.at,
            [event.kind for event, _ in events],
            [event.body for event, _ in events],
            [event.leaf for event, _ in events],
            [agency_id for _, agency_id in events],
        )


@asynccontextmanager
async def changing(connection: Connection, author: Author) -> AsyncIterator[Change]:
    """A transaction that may change the directory; nothing of it remains if the block raises.

    Whatever rows it has written, the log tells how they are now, after what the change itself told.
    """
    async with connection.transaction():
        await connection.execute(SQL["lock"], DIRECTORY_LOCK)
        revision: int = await connection.fetchval(SQL["next_revision"])
        change = Change(connection=connection, author=author, revision=revision)
        yield change
        await change.describe(revision, revision)


async def agency_named(connection: Connection, text: str, *, today: date | None = None) -> Agency:
    """The open agency that a person named by code or alias.

    Raises Problem if there is none, with the codes that may have been meant, or if an alias names several.
    """
    key = written(text)
    rows = await connection.fetch(SQL["agency_by_code"], key, today or datetime.now(VIETNAM).date())
    found = [Agency(**dict(row)) for row in rows]
    if found and (len(found) == 1 or found[0].code == key):
        return found[0]
    if found:
        raise Problem(
            found=f"“{text}”, an alias of several agencies, among them {found[0].code} and {found[1].code}",
            expected="a code or alias that names one agency",
            remedy="write the code itself",
        )
    directory = await load_directory(connection)
    meant = directory.suggestions(text)
    gone = directory.closed(text)
    if gone is not None:
        heirs = ", ".join(agency.code for agency in directory.successors(gone.id)) or "nobody recorded"
        raise Problem(
            found=f"{gone.code} {gone.name}, closed on {gone.valid_until}",
            expected="an agency that exists",
            remedy=f"name its successor: {heirs}",
        )
    raise Problem(
        found=f"no agency “{text}” in the directory",
        expected="the code or an alias of an agency",
        remedy=f"did you mean {', '.join(meant)}?" if meant else "look it up with `lienthong agency list`",
    )

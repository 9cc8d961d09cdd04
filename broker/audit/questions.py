"""Questions that auditors ask in these words: who has not received it, what did they do that day, what is overdue.

Read from the records themselves, as they stand at this moment. Reads only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

from broker.audit.finding import Spot, find, reading
from broker.audit.lookup import agency_called, subtree
from broker.audit.period import ALWAYS, Period
from broker.audit.scope import EVERYTHING, Scope, view_of, visible
from broker.audit.search import Found, cursor, read_cursor
from broker.directory.records import AgencyId
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL = load_queries("broker.audit", "questions.sql")

Trouble = Literal["overdue", "refused"]

ENDED: Final = ("completed", "refused", "cancelled", "recalled", "moved")
"""States in which nothing is waited for."""
FEW: Final = 500
"""So many agencies of a level are asked for one by one; of more it is likely enough to meet some."""
WIDER: Final = 8
"""If few of the documents looked at had a delivery that fits, so many times more are looked at next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryLine:
    """One delivery as a line of a list."""

    document_id: int
    id: UUID
    sender: str
    sender_name: str
    number: str
    notation: str
    subject: str
    priority: int
    accepted_at: datetime
    test: bool
    recipient_id: AgencyId
    recipient: str
    recipient_name: str
    level: str
    owner: str
    """Whose mailbox it went to: the recipient itself, or its hub."""
    state: str
    """A processing state, or `recalled`."""
    due_arrival: datetime
    overdue_at: datetime | None
    dispatched_at: datetime | None
    arrived_at: datetime | None
    reason: str | None
    """The recipient's, of a refusal."""

    @property
    def overdue(self) -> bool:
        """Past its deadline, not arrived, and not ended in another way."""
        return self.overdue_at is not None and self.arrived_at is None and self.state not in ENDED


@dataclass(frozen=True, kw_only=True, slots=True)
class Deliveries:
    """Deliveries of a list, newest document first."""

    lines: tuple[DeliveryLine, ...]
    after: str | None
    """For the next page; None if this one is the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """Who has not confirmed one document."""

    document_id: int
    lines: tuple[DeliveryLine, ...]
    """Deliveries without the recipient's signed 01, by the recipient's code; refused, cancelled, recalled and
    moved ones among them."""
    of: int
    """So many deliveries were asked about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusLine:
    """A status that an agency reported, or that its hub reported for it."""

    at: datetime
    code: str
    by: str
    document_id: int
    id: UUID
    sender: str
    recipient: str
    number: str
    notation: str
    reason: str | None
    anomalous: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class AgencyDay:
    """What an agency did, and what was done for it, on one day of Viet Nam."""

    agency_id: AgencyId
    code: str
    name: str
    day: date
    sent: tuple[Found, ...]
    """Documents of it that the exchange accepted on that day, in that order."""
    received: tuple[DeliveryLine, ...]
    """Deliveries to it of documents accepted on that day."""
    statuses: tuple[StatusLine, ...]
    """Signed statuses about deliveries to it that the exchange recorded on that day."""
    more: bool
    """One of the lists was cut at its limit."""


async def missing(
    connection: Connection,
    document_id: int,
    *,
    level: str | None = None,
    under: str | None = None,
    scope: Scope = EVERYTHING,
) -> Missing:
    """The recipients of a document that have not confirmed it with a signed 01, those of `level`, at or below `under`.

    Raises Problem if no agency is called `under`.
    """
    async with reading(connection):
        below = None if under is None else await subtree(connection, (await agency_called(connection, under)).agency_id)
        agencies = await visible(connection, scope)
        rows = await connection.fetch(SQL["missing"], document_id, level, below, agencies)
        of = await connection.fetchval(SQL["asked_about"], document_id, level, below, agencies)
    return Missing(document_id=document_id, lines=tuple(DeliveryLine(**dict(row)) for row in rows), of=of)


async def agency_day(
    connection: Connection, agency_id: AgencyId, day: date, *, limit: int = 500, scope: Scope = EVERYTHING
) -> AgencyDay | None:
    """What the agency sent, received and reported on `day`, each at most `limit` lines; None if out of scope."""
    period = Period(first=day, last=day)
    async with reading(connection):
        agency = await connection.fetchrow(SQL["agency"], agency_id, await visible(connection, scope))
        if agency is None:
            return None
        sent = await connection.fetch(SQL["sent_on"], agency_id, period.begin, period.end, limit + 1)
        got = await connection.fetch(SQL["received_on"], agency_id, period.begin, period.end, limit + 1)
        told = await connection.fetch(SQL["reported_on"], agency_id, period.begin, period.end, limit + 1)
    return AgencyDay(
        agency_id=agency_id,
        code=agency["code"],
        name=agency["name"],
        day=day,
        sent=tuple(Found(**dict(row)) for row in sent[:limit]),
        received=tuple(DeliveryLine(**dict(row)) for row in got[:limit]),
        statuses=tuple(StatusLine(**dict(row)) for row in told[:limit]),
        more=max(len(sent), len(got), len(told)) > limit,
    )


async def troubled(
    connection: Connection,
    trouble: Trouble,
    *,
    under: str | None = None,
    level: str | None = None,
    period: Period = ALWAYS,
    limit: int = 100,
    after: str | None = None,
    scope: Scope = EVERYTHING,
) -> Deliveries:
    """Deliveries that are overdue (past their deadline, not arrived) or that their recipients refused.

    Of documents accepted in `period`, to agencies of `level`, at or below `under`; newest document first.
    Raises Problem if no agency is called `under`, and for an `after` that is not from a page.
    """
    mark = read_cursor(after, 2) if after is not None else None
    async with reading(connection):
        view = await view_of(connection, scope)
        below, conditions = None, view.documents()
        if under is not None:
            top = (await agency_called(connection, under)).agency_id
            below = await subtree(connection, top)
        of_level = None if level is None else await connection.fetch(SQL["of_level"], level, below)
        if of_level is not None and len(of_level) <= FEW:
            if not of_level:
                return Deliveries(lines=(), after=None)
            conditions.append(view.delivered([row["agency_id"] for row in of_level], state=trouble))
        elif below is not None:
            conditions.append(view.delivered_under(top, frozenset(below), state=trouble))
        else:
            conditions.append(view.in_state(trouble))
        agencies = None if view.root is None else sorted(view.inside)
        lines: list[DeliveryLine] = []
        # The document in which the last page ended has perhaps more lines.
        before = None if mark is None else Spot(mark[0], mark[1] + 1)
        looked_at = limit + 1
        while len(lines) <= limit:
            hits = await find(
                connection, conditions, limit=looked_at, since=period.begin, until=period.end, before=before
            )
            documents = [spot.document_id for spot in hits.spots]
            cut = (mark[1], mark[2]) if mark is not None else (None, None)
            rows = await connection.fetch(
                SQL["troubled"], documents, below, level, agencies, trouble, limit + 1 - len(lines), *cut
            )
            lines += [DeliveryLine(**dict(row)) for row in rows]
            if len(hits.spots) < looked_at:
                break
            before, looked_at = hits.spots[-1], looked_at * WIDER
    last = lines[limit - 1] if len(lines) > limit else None
    end = None if last is None else cursor(last.accepted_at, last.document_id, last.recipient_id)
    return Deliveries(lines=tuple(lines[:limit]), after=end)

"""Finding documents and refusals by what people remember of them. Reads only.

Words are found with and without Vietnamese diacritics; all of them must be there. Newest first; a page is continued
where the last one ended (`after`), so that documents which arrive meanwhile move nothing.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from broker.audit.completeness import Completeness
from broker.audit.conditions import View
from broker.audit.finding import SQL, Spot, completeness, find, reading
from broker.audit.lookup import agencies_called, agency_called, subtree
from broker.audit.read import SQL as RECORDS
from broker.audit.read import as_array, rejection
from broker.audit.record import RejectionRecord
from broker.audit.scope import EVERYTHING, Scope, view_of, visible
from broker.audit.terms import notation_condition, number_condition, word_conditions
from broker.store.pool import Connection
from schemas.problem import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is remembered. Every field left `None` matches everything; all others must match."""

    number: str | None = None
    notation: str | None = None
    subject: str | None = None
    """Words of the subject in any order. A word written with diacritics is found only so; one without finds both."""
    phrase: bool = False
    """The words stand in this order, side by side."""
    sender: str | None = None
    """Code or alias of the sender."""
    recipient: str | None = None
    """Code or alias of a recipient; `state` and `overdue` are then about the delivery to it."""
    under: str | None = None
    """Code of an agency: it, or one below it, sent the document or was to receive it."""
    state: str | None = None
    """A processing state of some delivery, or `recalled` or `moved`: with `recipient` of the delivery to it, else with
    `under` of one to an agency there."""
    overdue: bool = False
    """Some delivery missed its deadline and is open and has not arrived to this day."""
    since: datetime | None = None
    """Accepted by the exchange at this moment or later."""
    until: datetime | None = None
    """The first moment that is too late."""
    limit: int = 50
    after: str | None = None
    """`Page.after` of the page before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One document as a line of a list."""

    document_id: int
    id: UUID
    sender: str
    sender_name: str
    number: str
    notation: str
    issued_on: date | None
    type: str
    subject: str
    action: str
    priority: int
    accepted_at: datetime
    recipients: int
    test: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Documents, newest first."""

    documents: tuple[Found, ...]
    after: str | None
    """For `Wanted.after`; None if this page is the last."""
    estimate: int
    """About how many documents fit altogether."""
    exact: bool
    """Whether `estimate` is their number."""
    complete: Completeness


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectionPage:
    """Refused messages, newest first."""

    rejections: tuple[RejectionRecord, ...]
    after: str | None


async def search_documents(connection: Connection, wanted: Wanted, *, scope: Scope = EVERYTHING) -> Page:
    """Accepted documents that fit `wanted` and that `scope` may see, newest first, at most `wanted.limit`.

    Raises Problem for a code that no agency has or had, and for an `after` that is not from a page.
    """
    before = Spot(*read_cursor(wanted.after)) if wanted.after else None
    async with reading(connection):
        view = await view_of(connection, scope)
        hits = await find(
            connection,
            await conditions_of(connection, wanted, view),
            limit=wanted.limit + 1,
            since=wanted.since,
            until=wanted.until,
            before=before,
        )
        shown = hits.spots[: wanted.limit]
        agencies = None if view.root is None else sorted(view.inside)
        rows = await connection.fetch(SQL["documents"], [spot.document_id for spot in shown], agencies)
        complete = await completeness(connection)
    return Page(
        documents=tuple(Found(**dict(row)) for row in rows),
        after=cursor(*shown[-1]) if len(hits.spots) > wanted.limit else None,
        estimate=hits.number,
        exact=hits.exact,
        complete=complete,
    )


async def conditions_of(connection: Connection, wanted: Wanted, view: View) -> list[str]:
    """What `wanted` asks, as conditions over terms. Raises Problem for a code that no agency has or had."""
    conditions = view.documents()
    number, notation = wanted.number, wanted.notation
    if number is not None and notation is None and "/" in number:
        number, _, notation = number.partition("/")
    if number:
        conditions.append(number_condition(number))
    if notation:
        conditions.append(notation_condition(notation))
    if wanted.subject is not None:
        conditions += word_conditions(wanted.subject, phrase=wanted.phrase)
    if wanted.sender is not None:
        conditions.append(view.sent(await _ids(connection, wanted.sender)))
    states = [state for state in (wanted.state, "overdue" if wanted.overdue else None) if state is not None]
    if wanted.recipient is not None:
        recipients = await _ids(connection, wanted.recipient)
        conditions += [view.delivered(recipients, state=state) for state in states or (None,)]
    if wanted.under is not None:
        top = (await agency_called(connection, wanted.under)).agency_id
        below = frozenset(await subtree(connection, top))
        about: list[str | None] = [None] if wanted.recipient is not None or not states else [*states]
        conditions += [view.under(top, below, state=state) for state in about]
    elif wanted.recipient is None:
        conditions += [view.in_state(state) for state in states]
    return conditions


async def _ids(connection: Connection, code: str) -> list[int]:
    return [called.agency_id for called in await agencies_called(connection, code)]


async def search_rejections(
    connection: Connection, wanted: Wanted, *, code: str | None = None, scope: Scope = EVERYTHING
) -> RejectionPage:
    """Refused messages that fit `wanted` (claimed sender, period, `limit`, `after`), newest first.

    The auditor of a subtree sees those that came over a connection of the subtree: what a message claims about its
    sender is not known to be true when it is refused.
    """
    before_at, before_id = read_cursor(wanted.after) if wanted.after else (None, None)
    rows = await connection.fetch(
        RECORDS["search_rejections"],
        wanted.sender,
        wanted.since,
        wanted.until,
        code,
        wanted.limit + 1,
        as_array(await visible(connection, scope)),
        before_at,
        before_id,
    )
    more = len(rows) > wanted.limit
    shown = rows[: wanted.limit]
    after = cursor(shown[-1]["at"], shown[-1]["rejection_id"]) if more else None
    return RejectionPage(rejections=tuple(rejection(row) for row in shown), after=after)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cursor(at: datetime, *numbers: int) -> str:
    """Where a page ended, as one opaque word."""
    packed = struct.pack(f">{len(numbers) + 1}q", (at - _EPOCH) // timedelta(microseconds=1), *numbers)
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def read_cursor(text: str, count: int = 1) -> tuple[Any, ...]:
    """The time and the `count` numbers of a `cursor`. Raises Problem for anything else."""
    try:
        packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        microseconds, *numbers = struct.unpack(f">{count + 1}q", packed)
        return (_EPOCH + timedelta(microseconds=microseconds), *numbers)
    except (ValueError, struct.error, OverflowError):
        raise Problem(
            f"the page mark “{text[:40]}”", "the mark that the page before ended with", "Begin at the first page."
        ) from None

"""Hold, release, cancel and resend a document.

A hold keeps back what has not been handed to RabbitMQ; a copy that a worker is publishing at that very moment still
goes, and is then recorded as dispatched. Because of that a document is cancelled only after it has been held for the
grace period: by then nobody has a copy of it in hand. What was handed over can only be asked back, by its sender.
Nothing is published here: rows of `outgoing` are, and the keeper sends them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
from asyncpg import Record

from broker.audit.read import document_meant
from broker.directory.changing import Author
from broker.directory.live import load_directory
from broker.directory.records import AgencyId
from broker.interventions.record import SQL, operator, write_down
from broker.store.pool import Connection
from broker.upkeep.again import OpenDelivery, write_copies
from schemas.problem import Problem

CLOSED: Final = frozenset({"refused", "cancelled", "completed"})
"""No copy goes to a recipient whose delivery stands here."""


_Act: TypeAlias = Callable[[Connection, Record, Sequence[Record], datetime], Awaitable[list[str]]]
"""What happens inside the transaction: with the document's row and its deliveries locked; codes affected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Intervention:
    """What an operator's command did to one document."""

    action: str
    document: UUID
    sender: str
    at: datetime
    recipients: tuple[str, ...]
    """At whom it has effect."""
    untouched: int
    """Deliveries that it could not change any more, or did not need to."""


async def hold(pool: asyncpg.Pool[Record], author: Author, document: str, *, sender: str | None = None) -> Intervention:
    """Let nothing of a document go out until it is released or cancelled.

    `document` is an id, a digest or number/notation, `sender` a code where that is not enough. Raises Problem if
    there is no such document, if it is held already, or if it has been handed to all its recipients.
    """
    return await _intervene(pool, author, "document.hold", document, sender, _hold)


async def release(
    pool: asyncpg.Pool[Record], author: Author, document: str, *, sender: str | None = None
) -> Intervention:
    """Let a held document go out; the keeper publishes it within its period. Raises Problem if it is not held."""
    return await _intervene(pool, author, "document.release", document, sender, _release)


async def cancel(
    pool: asyncpg.Pool[Record],
    author: Author,
    document: str,
    *,
    sender: str | None = None,
    grace: timedelta,
) -> Intervention:
    """End the deliveries of a held document that never went out.

    `grace` is how long it must have been held. Raises Problem if it is not held, or not long enough.
    """

    async def act(connection: Connection, held: Record, deliveries: Sequence[Record], at: datetime) -> list[str]:
        return await _cancel(connection, held, deliveries, at, grace)

    return await _intervene(pool, author, "document.cancel", document, sender, act)


async def resend(
    pool: asyncpg.Pool[Record],
    author: Author,
    document: str,
    *,
    sender: str | None = None,
    recipients: Collection[str] = (),
) -> Intervention:
    """Hand a document over once more: to everybody without 01, or to the `recipients` named, with 01 or without.

    Whoever has it drops the double and answers 01 again (contract §10). Raises Problem if a code is no recipient of
    it or its delivery is closed, if the document is held, or if nobody is left to send it to.
    """

    async def act(connection: Connection, held: Record, deliveries: Sequence[Record], at: datetime) -> list[str]:
        return await _resend(connection, held, deliveries, recipients)

    return await _intervene(pool, author, "document.resend", document, sender, act)


async def _intervene(
    pool: asyncpg.Pool[Record],
    author: Author,
    action: str,
    document: str,
    sender: str | None,
    act: _Act,
) -> Intervention:
    who = operator(author)
    async with pool.acquire() as connection:
        meant = await document_meant(connection, document, sender=sender)
        async with connection.transaction():
            at = datetime.now(UTC)
            row = await connection.fetchrow(SQL["lock_document"], meant.document_id)
            assert row is not None  # documents are never removed
            deliveries = await connection.fetch(SQL["lock_deliveries"], meant.document_id)
            codes = await act(connection, row, deliveries, at)
            await write_down(
                connection,
                who,
                action,
                str(meant.id),
                at=at,
                document_id=meant.document_id,
                recipients=codes,
            )
    return Intervention(
        action=action,
        document=meant.id,
        sender=meant.sender,
        at=at,
        recipients=tuple(codes),
        untouched=len(deliveries) - len(codes),
    )


async def _hold(connection: Connection, document: Record, deliveries: Sequence[Record], at: datetime) -> list[str]:
    if document["held_at"] is not None:
        raise Problem(
            found=f"a document that has been held since {document['held_at']:%Y-%m-%d %H:%M} UTC",
            expected="one that is not held",
            remedy="release it, or cancel it",
        )
    waiting = [row for row in deliveries if row["processing"] == "accepted" and _never_sent(row)]
    if not waiting:
        raise Problem(
            found=f"a document whose {len(deliveries)} deliveries have all been handed over, or ended",
            expected="at least one delivery that has not gone out",
            remedy="have its sender recall it, or ask for it back with a status 13",
        )
    await connection.execute(SQL["set_hold"], document["document_id"], at)
    return await _turn(connection, waiting, "held", None)


async def _release(connection: Connection, document: Record, deliveries: Sequence[Record], at: datetime) -> list[str]:
    _demand_hold(document)
    await connection.execute(SQL["set_hold"], document["document_id"], None)
    return await _turn(connection, [row for row in deliveries if row["processing"] == "held"], "accepted", None)


async def _cancel(
    connection: Connection, document: Record, deliveries: Sequence[Record], at: datetime, grace: timedelta
) -> list[str]:
    _demand_hold(document)
    if at - document["held_at"] < grace:
        wait = (document["held_at"] + grace - at).total_seconds()
        raise Problem(
            found=f"a document held for {(at - document['held_at']).total_seconds():.0f} seconds",
            expected=f"one held for {grace.total_seconds():.0f} seconds, so that no worker has a copy in hand",
            remedy=f"try again in {wait + 1:.0f} seconds",
        )
    codes = await _turn(connection, [row for row in deliveries if row["processing"] == "held"], "cancelled", at)
    await connection.execute(SQL["set_hold"], document["document_id"], None)
    return codes


async def _resend(
    connection: Connection, document: Record, deliveries: Sequence[Record], recipients: Collection[str]
) -> list[str]:
    if document["held_at"] is not None:
        raise Problem(
            found="a document that is held", expected="one that may go out", remedy="release it; then it goes out"
        )
    on_their_way = await _on_their_way(connection, document["document_id"])
    chosen = _named(deliveries, recipients) if recipients else [row for row in deliveries if _wants_a_copy(row)]
    chosen = [row for row in chosen if row["recipient_id"] not in on_their_way]
    if not chosen:
        raise Problem(
            found=f"{len(deliveries)} deliveries, none of which needs a further copy"
            + (f"; {len(on_their_way)} copies are on their way" if on_their_way else ""),
            expected="at least one recipient without 01, or one that is named",
            remedy="name the recipients that need it again",
        )
    directory = await load_directory(connection)
    await write_copies(connection, [_as_open(row) for row in chosen], directory)
    return [row["code"] for row in chosen]


async def _on_their_way(connection: Connection, document_id: int) -> set[int]:
    """Recipients for whom a publish is decided and not confirmed: it will be completed by itself."""
    rows = await connection.fetch(SQL["on_their_way"], document_id)
    return {agency_id for row in rows for agency_id in (row["recipient_ids"] or row["owner_ids"])}


def _named(deliveries: Sequence[Record], recipients: Iterable[str]) -> list[Record]:
    by_code = {row["code"]: row for row in deliveries}
    chosen = []
    for code in dict.fromkeys(recipients):
        row = by_code.get(code)
        if row is None or row["recalled"] or row["processing"] in CLOSED:
            state = "no recipient of it" if row is None else "recalled" if row["recalled"] else row["processing"]
            raise Problem(
                found=f"{code}: {state}",
                expected="codes of recipients whose delivery is open",
                remedy="leave it out; `lienthong document trace` lists them all",
            )
        chosen.append(row)
    return chosen


async def _turn(connection: Connection, rows: Sequence[Record], state: str, closed_at: datetime | None) -> list[str]:
    if rows:
        ids = [row["recipient_id"] for row in rows]
        await connection.execute(SQL["turn"], rows[0]["document_id"], ids, state, closed_at)
    return [row["code"] for row in rows]


def _demand_hold(document: Record) -> None:
    if document["held_at"] is None:
        raise Problem(
            found="a document that is not held", expected="one that is held", remedy="hold it first: `document hold`"
        )


def _never_sent(row: Record) -> bool:
    return row["dispatched_at"] is None and row["closed_at"] is None and not row["recalled"]


def _wants_a_copy(row: Record) -> bool:
    return row["processing"] in ("accepted", "dispatched") and row["closed_at"] is None and not row["recalled"]


def _as_open(row: Record) -> OpenDelivery:
    return OpenDelivery(
        document_id=row["document_id"],
        recipient_id=AgencyId(row["recipient_id"]),
        owner_id=AgencyId(row["owner_id"]),
        addressed_as=row["addressed_as"],
        sends=row["sends"],
    )

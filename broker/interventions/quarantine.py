"""Quarantined messages: look at them, and write down what was decided.

A message is quarantined when it contradicts one that was accepted, or when processing it failed in every attempt
(contract §5). The first stays in force and nothing here can change that; an operator finds out what happened, tells the
agency, and settles the case. The message's bytes stay, as evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from asyncpg import Record

from broker.audit.read import as_json
from broker.directory.changing import Author
from broker.interventions.record import SQL, operator, write_down
from broker.store.pool import Connection
from schemas.problem import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """One message in quarantine, without its bytes."""

    number: int
    at: datetime
    submitter: str | None
    kind: str | None
    claimed_from: str | None
    id: str | None
    digest: str | None
    message_id: str | None
    code: str
    """Of the error catalogue."""
    detail: dict[str, object]
    settled_at: datetime | None
    bytes: int


async def list_quarantine(connection: Connection, *, limit: int, settled: bool = False) -> list[Quarantined]:
    """Those that wait for a decision, newest first; with `settled` also the others, behind them. At most `limit`."""
    return [_record(row) for row in await connection.fetch(SQL["quarantine"], limit, settled)]


async def show_quarantined(connection: Connection, number: int) -> tuple[Quarantined, bytes]:
    """One of them with the message as it was submitted. Raises Problem if there is none with this number."""
    row = await connection.fetchrow(SQL["quarantined"], number)
    if row is None:
        raise Problem(
            found=f"no quarantined message {number}",
            expected="the number of one",
            remedy="see them with `lienthong quarantine list --settled`",
        )
    return _record(row), row["body"] or b""


async def settle(pool: asyncpg.Pool[Record], author: Author, number: int) -> Quarantined:
    """Write down that the case is decided, and why. Raises Problem if it is not there, or was settled before."""
    who = operator(author)
    async with pool.acquire() as connection, connection.transaction():
        found, _ = await show_quarantined(connection, number)
        at = datetime.now(UTC)
        if await connection.fetchval(SQL["settle"], number, at) is None:
            raise Problem(
                found=f"quarantined message {number}, settled on {found.settled_at:%Y-%m-%d %H:%M} UTC",
                expected="one that waits for a decision",
                remedy="see those with `lienthong quarantine list`",
            )
        await write_down(connection, who, "quarantine.settle", found.digest or str(number), at=at)
    return found


def _record(row: Record) -> Quarantined:
    values: dict[str, Any] = dict(row)
    values.pop("body", None)
    values["number"] = values.pop("rejection_id")
    values["submitter"] = values.pop("amqp_user")
    values["digest"] = values["digest"].hex() if values["digest"] is not None else None
    values["detail"] = as_json(values["detail"])
    values["bytes"] = values["bytes"] or 0
    return Quarantined(**values)

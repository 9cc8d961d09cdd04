"""Finding documents and refusals by what people remember of them. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from broker.audit.read import SQL, rejection
from broker.audit.record import RejectionRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is remembered. Every field left `None` matches everything."""

    number: str | None = None
    notation: str | None = None
    subject: str | None = None
    """Words of the subject, in their order; any case."""
    sender: str | None = None
    recipient: str | None = None
    state: str | None = None
    """A processing state, or `recalled`."""
    overdue: bool = False
    since: datetime | None = None
    until: datetime | None = None
    """The first moment that is too late."""
    limit: int = 50


async def search_documents(connection: asyncpg.Connection[Any], wanted: Wanted) -> list[Mapping[str, Any]]:
    """Accepted documents that fit `wanted`, newest first, at most `wanted.limit`."""
    pattern = None
    if wanted.subject is not None:
        escaped = (word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") for word in wanted.subject.split())
        pattern = "%" + "%".join(escaped) + "%"
    rows = await connection.fetch(
        SQL["search"],
        wanted.number,
        wanted.notation,
        pattern,
        wanted.sender,
        wanted.since,
        wanted.until,
        wanted.recipient,
        wanted.state,
        wanted.overdue,
        wanted.limit,
    )
    return [dict(row) for row in rows]


async def search_rejections(
    connection: asyncpg.Connection[Any], wanted: Wanted, *, code: str | None = None
) -> list[RejectionRecord]:
    """Refused messages that fit `wanted` (sender, period), newest first."""
    rows = await connection.fetch(
        SQL["search_rejections"], wanted.sender, wanted.since, wanted.until, code, wanted.limit
    )
    return [rejection(row) for row in rows]

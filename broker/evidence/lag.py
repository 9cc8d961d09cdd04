"""How far the log is behind the events, and who keeps it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from broker.evidence.tree_rows import SQL
from broker.store.pool import Connection

COUNTED: Final = 1_000_000
"""Events that are counted as waiting, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """The state of the log."""

    origin: str | None
    """Of the open log; None before the keeper has opened one."""
    size: int
    """Entries in it."""
    checkpoint_size: int | None
    """Entries under its newest checkpoint; None if there is none."""
    checkpoint_at: datetime | None
    """When that was signed."""
    lag_seconds: float
    """Age of the oldest event that no checkpoint covers; 0 if all are covered."""
    unsequenced: int
    """Events that have no position yet, as far as they were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A transaction that nothing later may be logged before."""

    who: str
    """Its server process, or the name of a prepared transaction."""
    database: str
    application: str
    since: datetime


async def log_status(connection: Connection, *, counted: int = COUNTED) -> LogStatus:
    """The open log's state: a few index probes, unless much is waiting, of which at most `counted` is looked at."""
    heads = await connection.fetch(SQL["heads"])
    cursor = await connection.fetchrow(SQL["cursor"])
    waiting = await connection.fetchrow(SQL["unsequenced"], *cursor, counted) if cursor else None
    now = await connection.fetchval("SELECT clock_timestamp()")
    oldest: datetime | None = waiting["oldest"] if waiting else None
    if not heads:
        count, oldest = await connection.fetchrow(  # type: ignore[misc]
            "SELECT count(*), min(at) FROM (SELECT at FROM event LIMIT $1) e", counted
        )
        return LogStatus(
            origin=None,
            size=0,
            checkpoint_size=None,
            checkpoint_at=None,
            lag_seconds=_age(now, oldest),
            unsequenced=count,
        )
    for head in heads:
        if (head["signed_size"] or 0) < head["size"]:
            unsigned = await connection.fetchval(SQL["unsigned"], head["origin_id"], head["signed_size"] or 0, counted)
            oldest = min((at for at in (oldest, unsigned) if at is not None), default=None)
    newest = heads[-1]
    return LogStatus(
        origin=newest["origin"],
        size=newest["size"],
        checkpoint_size=newest["signed_size"],
        checkpoint_at=newest["signed_at"],
        lag_seconds=_age(now, oldest),
        unsequenced=waiting["unsequenced"] if waiting else 0,
    )


async def oldest_writer(connection: Connection) -> Holder | None:
    """The writing transaction that began first: its changes and all later ones must wait (design §6)."""
    row = await connection.fetchrow(SQL["oldest_writer"])
    if row is None or row["since"] is None:
        return None
    return Holder(who=row["who"], database=row["datname"], application=row["application_name"], since=row["since"])


def _age(now: datetime, oldest: datetime | None) -> float:
    return max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0

"""Give every event its position: in the safe order, in one transaction with size and root, under the keeper's lease.

The order is epoch, xid, event id, of those events only whose xid is below every transaction still in progress; whatever
commits later comes later (design §6). Positions, nodes, size, root and cursor commit together and only while the lease
is ours, so that a keeper that was stopped and wakes up adds nothing. Signs nothing and writes no file.

What the database says about itself is checked before anything is added: rows that do not add up to the recorded root,
or a server in which transaction ids count anew (a restore), stop the log with a `Problem`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import structlog

from broker.evidence.growth import FullTile, Growth
from broker.evidence.merkle import EMPTY_ROOT, EvidenceFault, leaf_hash
from broker.evidence.tree_rows import growth_at
from broker.store.pool import Connection
from broker.store.queries import load_queries
from broker.upkeep.lease import Lease
from schemas.events import Event
from schemas.exchange_events import log_opened
from schemas.problem import Problem

SQL: Final = load_queries("broker.evidence", "log.sql")

EVENTS_AT_ONCE: Final = 4096
"""Events in one transaction, at most: it holds the lease's row, which the keeper must renew meanwhile."""

BYTES_AT_ONCE: Final = 16 * 1024 * 1024
"""Bytes of bodies in one transaction, at most (one more event may be in it)."""

VIETNAM: Final = timezone(timedelta(hours=7))
"""A log's year is that of the offices' calendars."""

log = structlog.get_logger(__name__)


def utc_now() -> datetime:
    """The time, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequenced:
    """What one transaction added."""

    origin_id: int
    count: int
    """Positions that were given."""
    more: bool
    """Whether more events may be waiting that could have been added."""


class Sequencer:
    """Adds events to the open origin, opening the year's one when there is none."""

    def __init__(self, log_origin: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        """`log_origin` is the log's name without the year."""
        self._name = log_origin
        self._clock = clock
        self._known: tuple[int, bytes, Growth] | None = None
        self._told_of_the_clock = False

    @property
    def head(self) -> tuple[int, int, bytes] | None:
        """Origin id, size and root as computed from what is committed; None before the first `add`."""
        if self._known is None:
            return None
        origin_id, root, growth = self._known
        return origin_id, growth.size, root

    async def add(self, lease: Lease) -> Sequenced:
        """Add what may be added now, at most `EVENTS_AT_ONCE`.

        Raises LeaseLost if the lease is not ours, Problem if the database does not agree with itself or was restored.
        """
        async with lease.writing() as connection:
            now = self._clock()
            state = await connection.fetchrow(SQL["state"])
            year = now.astimezone(VIETNAM).year
            if state is None or state["year"] < year:
                state = await self._turn_of_the_year(connection, lease, state, now)
            elif state["year"] > year and not self._told_of_the_clock:
                # A clock that ran ahead has opened it, or ours is behind: the log keeps its promises in the open one.
                self._told_of_the_clock = True
                log.warning("log.clock_is_behind", origin=state["origin"], clock=f"{now:%Y-%m-%d}")
            check_same_server(state)
            growth = (await self._growth(connection, state)).copy()
            events = await _next_events(connection, state)
            if events:
                leaves = [leaf_hash(event["body"]) for event in events]
                filled = growth.extend(leaves)
                await _write(connection, lease, state, growth, filled, events, leaves, now)
        # Only what is committed is remembered; a failure above leaves the old state, which is checked next time.
        self._known = (state["origin_id"], growth.root() if events else state["root"], growth)
        full = len(events) == EVENTS_AT_ONCE or sum(len(event["body"]) for event in events) >= BYTES_AT_ONCE
        return Sequenced(origin_id=state["origin_id"], count=len(events), more=full)

    async def _growth(self, connection: Connection, state: Any) -> Growth:
        """The tree as it is committed: as remembered if nobody changed it since, else read again and checked."""
        if self._known is not None:
            origin_id, root, growth = self._known
            if (origin_id, growth.size, root) == (state["origin_id"], state["size"], state["root"]):
                return growth
        return await checked_growth(connection, state["origin_id"], state["origin"], state["size"], state["root"])

    async def _turn_of_the_year(self, connection: Connection, lease: Lease, old: Any, now: datetime) -> Any:
        """Close last year's log where it stands, and open this year's with an entry that names its final tree."""
        year = now.astimezone(VIETNAM).year
        if old is not None:
            await checked_growth(connection, old["origin_id"], old["origin"], old["size"], old["root"])
        await begin_origin(connection, lease, f"{self._name}/{year}", year, now, previous=old)
        opened = await connection.fetchrow(SQL["state"])
        if opened is None:
            raise AssertionError("an origin that was just opened is open")
        log.info("log.origin_opened", origin=opened["origin"], previous=old["origin"] if old else None)
        return opened


async def begin_origin(
    connection: Connection, lease: Lease, origin: str, year: int, now: datetime, *, previous: Any
) -> None:
    """Open an origin, closing `previous` (a row of `state`); its first entry then names the tree that it follows.

    Part of the caller's transaction under the lease.
    """
    await connection.execute(SQL["begin_cursor"])
    if previous is not None:
        await connection.execute(SQL["close_origin"], previous["origin_id"], now)
    origin_id = await connection.fetchval(SQL["open_origin"], origin, year, now)
    await connection.execute(SQL["begin_head"], origin_id, EMPTY_ROOT, now, lease.epoch)
    if previous is not None:
        event = log_opened(at=now, origin=origin, previous=(previous["origin"], previous["size"], previous["root"]))
        await _append_own(connection, lease, origin_id, event, now)


async def _append_own(connection: Connection, lease: Lease, origin_id: int, event: Event, now: datetime) -> None:
    """Write an event of the log's own and give it the first position of a new origin."""
    event_id = await connection.fetchval(SQL["insert_event"], event.at, event.kind, event.body, event.leaf)
    growth = Growth()
    growth.extend([event.leaf])
    await connection.copy_records_to_table(
        "log_entry",
        records=[(origin_id, 0, event.at, event_id, event.leaf)],
        columns=["origin_id", "position", "event_at", "event_id", "leaf"],
    )
    await connection.fetchval(SQL["move_head"], origin_id, 0, growth.size, growth.root(), now, lease.epoch)


async def checked_growth(connection: Connection, origin_id: int, origin: str, size: int, root: bytes) -> Growth:
    """The tree of an origin out of its rows. Raises Problem if they do not add up to its size and root."""
    try:
        growth = await growth_at(connection, origin_id, size)
        found = growth.root()
        if found != root:
            raise EvidenceFault(f"root of {origin} at {size}", found=found.hex(), expected=root.hex())
    except EvidenceFault as fault:
        raise Problem(
            f"the rows of the log {origin} do not add up to its recorded tree: {fault}",
            "log_entry and log_node as the keeper wrote them",
            "Nothing more is signed. Look with `lienthong audit verify` which rows were changed, and bring them back.",
        ) from None
    return growth


def check_same_server(state: Any) -> None:
    """Whether transaction ids still count as they did at the cursor. Raises Problem after a restore elsewhere."""
    moved = state["cluster"] != state["this_cluster"]
    behind = state["epoch"] == state["exchange_epoch"] and int(state["next_xid"]) <= int(state["xid"])
    if state["epoch"] > state["exchange_epoch"] or ((moved or behind) and state["epoch"] == state["exchange_epoch"]):
        raise Problem(
            "this database was restored into another server: its transaction ids count anew",
            "the server in which the log was written so far, or a new epoch",
            "Nothing is added to the log. Stop workers and keepers, run `lienthong db restored`, and start them again.",
        )


async def _next_events(connection: Connection, state: Any) -> list[Any]:
    """The next events in their order, bounded in number and bytes."""
    events: list[Any] = []
    room = BYTES_AT_ONCE
    query = SQL["next_events"]
    async for event in connection.cursor(
        query, state["epoch"], state["xid"], state["event_id"], EVENTS_AT_ONCE, prefetch=512
    ):
        events.append(event)
        room -= len(event["body"])
        if room <= 0:
            break
    return events


async def _write(
    connection: Connection,
    lease: Lease,
    state: Any,
    growth: Growth,
    filled: list[FullTile],
    events: list[Any],
    leaves: list[bytes],
    now: datetime,
) -> None:
    origin_id, first = state["origin_id"], state["size"]
    await connection.copy_records_to_table(
        "log_entry",
        records=[
            (origin_id, first + at, event["at"], event["event_id"], leaf)
            for at, (event, leaf) in enumerate(zip(events, leaves, strict=True))
        ],
        columns=["origin_id", "position", "event_at", "event_id", "leaf"],
    )
    await connection.copy_records_to_table(
        "log_node",
        records=[(origin_id, tile.level, tile.number, tile.hash) for tile in filled],
        columns=["origin_id", "level", "number", "hash"],
    )
    last = events[-1]
    await connection.execute(SQL["move_cursor"], last["epoch"], last["xid"], last["event_id"])
    moved = await connection.fetchval(SQL["move_head"], origin_id, first, growth.size, growth.root(), now, lease.epoch)
    if moved is None:
        raise AssertionError(f"the head of {state['origin']} moved while this transaction held it")

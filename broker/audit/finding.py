"""Finds the newest documents that fit conditions over their terms, whatever these are. Reads only.

Two ways lead there. *Walking* back from the newest document finds common things at once and rare things late;
*gathering* everything that the index of terms has finds rare things at once and common things slowly. The rarest
condition's frequency, which the planner knows, says which way to begin; a walk ends after a bounded number of
documents, and what it has not seen is gathered. So neither a frequent word nor an empty intersection of two frequent
things takes long.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from asyncpg import Record

from broker.audit.completeness import Completeness
from broker.audit.conditions import by_cost
from broker.audit.period import BEGINNING, END
from broker.audit.terms import all_of, in_words
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.audit", "finding.sql")

STEPS: Final = 20_000
"""Documents that a walk looks at before it gives up: some hundredths of a second …"""
STEPS_FOR_EACH: Final = 40
"""… or, where very many are asked for, so many for each of them."""
COUNTED: Final = 10_000
"""Entries and events that are counted as missing, at most."""

PLANNER: Final = """
SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)
"""
"""Every answer comes from an index, each is planned for what is asked, and none is so long that helpers would pay."""


class Spot(NamedTuple):
    """A place in the order of documents, newest first; what lies before it is older."""

    at: datetime
    document_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """Documents that fit, newest first."""

    spots: tuple[Spot, ...]
    number: int
    """How many the period has altogether …"""
    exact: bool
    """… counted, or about."""


@asynccontextmanager
async def reading(connection: Connection) -> AsyncIterator[None]:
    """One question: a transaction that reads from one moment's state and only by index."""
    if connection.is_in_transaction():
        await connection.execute(PLANNER)
        yield
        return
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(PLANNER)
        yield


async def find(
    connection: Connection,
    conditions: Sequence[str],
    *,
    limit: int,
    since: datetime | None = None,
    until: datetime | None = None,
    before: Spot | None = None,
) -> Hits:
    """The newest `limit` documents that meet every condition, accepted from `since` to before `until`, after `before`.

    To be called inside `reading`.
    """
    begin, end = since or BEGINNING, until or END
    newest = Spot(end, 0)
    start = newest if before is None else min(before, newest)
    whole = start == newest
    if not conditions:
        rows = await connection.fetch(SQL["newest"], begin, *start, limit)
        return await _hits(connection, _spots(rows), None, begin, end, exact=whole and len(rows) < limit)
    terms, steps = all_of(conditions), max(STEPS, limit * STEPS_FOR_EACH)
    apart = {word for condition in conditions for word in in_words(condition)}
    counts = {word: await _likely(connection, word, BEGINNING, END) for word in apart}
    spots: list[Spot] = []
    if await _is_common(connection, min(counts.values()), limit, steps):
        spots = _spots(await connection.fetch(SQL["walk"], begin, *start, steps, terms, limit))
        if len(spots) == limit:
            return await _hits(connection, spots, terms, begin, end, exact=False)
        walked = await connection.fetchrow(SQL["walked"], begin, *start, steps)
        if walked is None:
            return await _hits(connection, spots, terms, begin, end, exact=whole)
        start = Spot(walked["accepted_at"], walked["document_id"])
    looked_up, checked = by_cost(conditions, counts)
    rows = await connection.fetch(SQL["gather"], looked_up, begin, end, *start, limit - len(spots), checked)
    return Hits(spots=(*spots, *_spots(rows)), number=rows[0]["number"], exact=True)


async def completeness(connection: Connection) -> Completeness:
    """Up to which entry of the log search and reports are complete."""
    row = await connection.fetchrow(SQL["taken_over"], COUNTED)
    assert row is not None
    return Completeness(**dict(row))


async def _is_common(connection: Connection, rarest: int, limit: int, steps: int) -> bool:
    """Whether a walk may find enough, as far as the rarest condition allows.

    Words that stand side by side are no rarer together than the rarest of them: the planner, which thinks that words
    have nothing to do with each other, would take a common phrase for a rare one.
    """
    return rarest * steps >= limit * await _likely(connection, None, BEGINNING, END)


async def _hits(
    connection: Connection, spots: list[Spot], terms: str | None, begin: datetime, end: datetime, *, exact: bool
) -> Hits:
    number = len(spots) if exact else max(len(spots), await _likely(connection, terms, begin, end))
    return Hits(spots=tuple(spots), number=number, exact=exact)


async def _likely(connection: Connection, terms: str | None, begin: datetime, end: datetime) -> int:
    """About how many documents of a period have these terms, as the planner thinks."""
    if terms is None:
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {SQL['likely_any']}", begin, end)
    else:
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {SQL['likely']}", terms, begin, end)
    rows: int = json.loads(plan)[0]["Plan"]["Plan Rows"]
    return rows


def _spots(rows: Sequence[Record]) -> list[Spot]:
    return [Spot(row["accepted_at"], row["document_id"]) for row in rows if row["document_id"] is not None]

"""Counts every document anew and compares with what the keeper has counted: the proof that reports tell the truth.

Everything is read from one moment's state, while traffic goes on. A document with events that are not taken over yet
may rightly differ and is passed over, but counted. Reads only; slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from asyncpg import Record

from broker.audit.figures import COLUMNS
from broker.audit.terms import Standing, terms_of
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.audit", "recounting.sql")

PAGE: Final = 2_000
"""Documents compared at once."""
LISTED: Final = 1_000
"""Differences of one kind that are listed, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that was counted otherwise than it is."""

    what: str
    counted: str
    found: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome."""

    documents: int
    """Compared."""
    in_flight: int
    """Passed over, because something is happening to them."""
    differences: tuple[Difference, ...]


async def check(connection: Connection, advance: Callable[[int], None] = lambda count: None) -> Checked:
    """Compare documents with how they were counted, sums with the documents, and months with days.

    `advance` is told of every document looked at. To be called outside a transaction.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        in_flight = {row["document_id"] for row in await connection.fetch(SQL["in_flight"])}
        above = {row["agency_id"]: row["above"] for row in await connection.fetch(SQL["above"])}
        differences: list[Difference] = []
        compared = after = 0
        while rows := await connection.fetch(SQL["documents"], after, PAGE):
            after = rows[-1]["document_id"]
            settled = [row for row in rows if row["document_id"] not in in_flight]
            terms = [terms_of(Standing.of(row), above) for row in settled]
            other = await connection.fetch(SQL["other_terms"], [row["document_id"] for row in settled], terms)
            differences += _of_documents(settled, {row["document_id"] for row in other})
            compared += len(settled)
            advance(len(rows))
        for row in await connection.fetch(SQL["invented"], LISTED):
            differences.append(
                Difference(what=f"document {row['document_id']}", counted="counted", found="no document")
            )
        for row in await connection.fetch(SQL["other_above"], LISTED):
            what = f"agencies above agency {row['agency_id']}"
            differences.append(Difference(what=what, counted=str(row["counted"]), found=str(row["found"])))
        for name, unit in (("other_days", "day"), ("other_months", "month")):
            for row in await connection.fetch(SQL[name], LISTED):
                differences += _of_figures(row, unit)
    return Checked(documents=compared, in_flight=len(in_flight), differences=tuple(differences[:LISTED]))


def _of_documents(rows: Sequence[Record], other_terms: set[int]) -> list[Difference]:
    told = []
    for row in rows:
        if row["difference"] is not None:
            missing = row["difference"] == "missing"
            counted = "not counted" if missing else f"other {row['difference']}"
            told.append(Difference(what=f"document {row['id']}", counted=counted, found="as recorded"))
        elif row["document_id"] in other_terms:
            told.append(Difference(what=f"document {row['id']}", counted="found by other terms", found="as recorded"))
    return told


def _of_figures(row: Record, unit: str) -> list[Difference]:
    zeros = [0] * len(COLUMNS)
    pairs = zip(COLUMNS, row["counted"] or zeros, row["found"] or zeros, strict=True)
    whose = f"agency {row['agency_id']}" if row["agency_id"] else "all agencies"
    return [
        Difference(what=f"{unit} {row['day']}, {whose}: {name}", counted=str(counted), found=str(int(found)))
        for name, counted, found in pairs
        if counted != found
    ]

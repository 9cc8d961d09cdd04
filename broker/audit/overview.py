"""The country at a glance: deliveries by state, sent and overdue, for each province, or each commune of one.

For a period, or for one document. Reads only. An agency belongs to the province at or above it in today's directory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from asyncpg import Record

from broker.audit.completeness import NOTHING_BEHIND, Completeness
from broker.audit.period import ALWAYS, Period
from broker.audit.scope import EVERYTHING, Scope, visible
from broker.directory.records import AgencyId
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL = load_queries("broker.audit", "overview.sql")

STATES: Final = (
    "accepted",
    "dispatched",
    "arrived",
    "received",
    "assigned",
    "processing",
    "completed",
    "refused",
    "held",
    "cancelled",
    "recalled",
)
"""Every state of a delivery as reports tell it: its processing state, or `recalled`, which is final."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A province with all its agencies, or one agency, and its traffic."""

    agency_id: AgencyId
    code: str
    name: str
    level: str
    nso_code: str | None
    """Names it in the statistics office's list, to which coordinates are tied."""
    sent: int
    """Documents sent from here."""
    deliveries: int
    """Deliveries to here, whatever their state."""
    arrived: int
    """Of them, with the recipient's signed 01."""
    overdue: int
    """Of them, past their deadline and not arrived."""
    states: Mapping[str, int]
    """Deliveries by state; every one of `STATES` is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """Places in the order of their codes; those without any traffic included."""

    places: tuple[Place, ...]
    complete: Completeness


async def by_province(connection: Connection, *, period: Period = ALWAYS, scope: Scope = EVERYTHING) -> Overview:
    """Traffic of `period` for each province with everything below it.

    Provinces that exist or had traffic then. The auditor of a subtree sees only the province of the subtree, with the
    subtree's figures.
    """
    agencies = await visible(connection, scope)
    places = await connection.fetch(SQL["provinces"], agencies)
    return await _of_period(connection, places, period)


async def by_commune(
    connection: Connection, province: AgencyId, *, period: Period = ALWAYS, scope: Scope = EVERYTHING
) -> Overview:
    """Traffic of `period` for each agency at or below `province`: itself, departments, districts and communes."""
    agencies = await visible(connection, scope)
    places = await connection.fetch(SQL["agencies_below"], agencies, province)
    return await _of_period(connection, places, period)


async def document_by_province(connection: Connection, document_id: int, *, scope: Scope = EVERYTHING) -> Overview:
    """Deliveries of one document, counted for each province that has any.

    The auditor of a subtree sees those to the subtree, or all of them where the sender belongs to it.
    """
    places = await connection.fetch(SQL["provinces"], None)
    return await _of_document(connection, places, document_id, scope)


async def document_by_commune(
    connection: Connection, document_id: int, province: AgencyId, *, scope: Scope = EVERYTHING
) -> Overview:
    """Deliveries of one document to each agency at or below `province` that was to receive it, scoped likewise."""
    places = await connection.fetch(SQL["agencies_below"], None, province)
    return await _of_document(connection, places, document_id, scope)


async def _of_period(connection: Connection, places: Sequence[Record], period: Period) -> Overview:
    sent = await connection.fetch(SQL["sent_by_agency"], period.begin, period.end)
    got = await connection.fetch(SQL["deliveries_by_agency"], period.begin, period.end)
    counted = _counted(places, {row["agency_id"]: row["sent"] for row in sent}, got)
    shown = tuple(
        p for row, p in zip(places, counted, strict=True) if row["state"] != "closed" or p.deliveries + p.sent
    )
    return Overview(places=shown, complete=NOTHING_BEHIND)


async def _of_document(connection: Connection, places: Sequence[Record], document_id: int, scope: Scope) -> Overview:
    got = await connection.fetch(SQL["document_by_agency"], document_id, await visible(connection, scope))
    return Overview(places=tuple(p for p in _counted(places, {}, got) if p.deliveries), complete=NOTHING_BEHIND)


def _counted(places: Sequence[Record], sent: Mapping[int, int], got: Sequence[Record]) -> list[Place]:
    """The figures of `got` (by agency and state) gathered for each place."""
    by_agency: dict[int, list[Record]] = defaultdict(list)
    for row in got:
        by_agency[row["agency_id"]].append(row)
    counted = []
    for place in places:
        rows = [row for agency in place["agencies"] for row in by_agency.get(agency, ())]
        states = dict.fromkeys(STATES, 0)
        for row in rows:
            states[row["state"]] += row["deliveries"]
        counted.append(
            Place(
                agency_id=AgencyId(place["place_id"]),
                code=place["code"],
                name=place["name"],
                level=place["level"],
                nso_code=place["nso_code"],
                sent=sum(sent.get(agency, 0) for agency in place["agencies"]),
                deliveries=sum(row["deliveries"] for row in rows),
                arrived=sum(row["arrived"] for row in rows),
                overdue=sum(row["overdue"] for row in rows),
                states=states,
            )
        )
    return counted

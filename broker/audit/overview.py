"""The country at a glance: deliveries by state, sent and overdue, for each province, or each commune of one.

For a period, or for one document. Reads only. An agency belongs to the province at or above it in today's directory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asyncpg import Record

from broker.audit.completeness import NOTHING_BEHIND, Completeness
from broker.audit.figures import COLUMNS, of_standing
from broker.audit.finding import completeness, reading
from broker.audit.period import ALWAYS, Period
from broker.audit.report import figures_of
from broker.audit.scope import EVERYTHING, Scope, visible
from broker.audit.terms import STATES
from broker.directory.records import AgencyId
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL = load_queries("broker.audit", "overview.sql")


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
    """Deliveries by state; every one of `broker.audit.terms.STATES` is there."""


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
    async with reading(connection):
        agencies = await visible(connection, scope)
        rows = await connection.fetch(SQL["provinces_traffic"], agencies, *period.months_and_days())
        complete = await completeness(connection)
    return Overview(places=_existing((row, _place(row, row)) for row in rows), complete=complete)


async def by_commune(
    connection: Connection, province: AgencyId, *, period: Period = ALWAYS, scope: Scope = EVERYTHING
) -> Overview:
    """Traffic of `period` for each agency at or below `province`: itself, departments, districts and communes."""
    async with reading(connection):
        places = await connection.fetch(SQL["agencies_below"], await visible(connection, scope), province)
        agencies = [place["place_id"] for place in places]
        figures = await figures_of(connection, "agency", period, agencies)
        complete = await completeness(connection)
    counted = _counted(places, {row["agency_id"]: row for row in figures})
    return Overview(places=_existing(zip(places, counted, strict=True)), complete=complete)


async def document_by_province(connection: Connection, document_id: int, *, scope: Scope = EVERYTHING) -> Overview:
    """Deliveries of one document, counted for each province that has any.

    The auditor of a subtree sees those to the subtree, or all of them where the sender belongs to it.
    """
    rows = await connection.fetch(SQL["document_by_province"], document_id, await visible(connection, scope))
    sums: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for row in rows:
        province = sums[row["place_id"]]
        for name, value in zip(COLUMNS, of_standing(row["standing"]), strict=True):
            province[name] += value * row["deliveries"]
    provinces = {row["place_id"]: row for row in rows}
    return Overview(places=tuple(_place(row, sums[key]) for key, row in provinces.items()), complete=NOTHING_BEHIND)


async def document_by_commune(
    connection: Connection, document_id: int, province: AgencyId, *, scope: Scope = EVERYTHING
) -> Overview:
    """Deliveries of one document to each agency at or below `province` that was to receive it, scoped likewise."""
    places = await connection.fetch(SQL["agencies_below"], None, province)
    return await _of_document(connection, places, document_id, scope)


async def _of_document(connection: Connection, places: Sequence[Record], document_id: int, scope: Scope) -> Overview:
    rows = await connection.fetch(SQL["document_by_agency"], document_id, await visible(connection, scope))
    standings = {row["agency_id"]: row["standing"] for row in rows}
    figures = {agency: dict(zip(COLUMNS, of_standing(standing), strict=True)) for agency, standing in standings.items()}
    counted = _counted(places, figures)
    return Overview(places=tuple(place for place in counted if place.deliveries), complete=NOTHING_BEHIND)


def _existing(places: Iterable[tuple[Record, Place]]) -> tuple[Place, ...]:
    """Places that exist or had traffic."""
    return tuple(place for row, place in places if row["state"] != "closed" or place.deliveries + place.sent)


def _counted(places: Sequence[Record], figures: Mapping[int, Mapping[str, int] | Record]) -> list[Place]:
    """Each agency as a place with its own figures."""
    nothing = dict.fromkeys(COLUMNS, 0)
    return [_place(place, figures.get(place["place_id"], nothing)) for place in places]


def _place(place: Record, sums: Mapping[str, int] | Record) -> Place:
    return Place(
        agency_id=AgencyId(place["place_id"]),
        code=place["code"],
        name=place["name"],
        level=place["level"],
        nso_code=place["nso_code"],
        sent=sums["sent"],
        deliveries=sums["deliveries"],
        arrived=sums["confirmed"],
        overdue=sums["overdue"],
        states={state: sums[state] for state in STATES},
    )

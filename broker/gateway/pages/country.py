"""The country on a sheet: provinces coloured by how deliveries stand, and a province's communes.

Colours are steps of one scale that also differ in lightness, every region carries its figure as text, and the same
figures stand in a table below.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

from starlette.responses import Response

from broker.audit.overview import Place, by_commune, by_province
from broker.audit.period import day_of
from broker.audit.record import DeliveryRecord
from broker.audit.scope import Scope, visible
from broker.directory.records import AgencyId
from broker.gateway.pages.cells import ProvinceSheet, province_sheet
from broker.gateway.pages.days import last_days, read_period, write_day
from broker.gateway.pages.geography import SHEET, geography
from broker.gateway.pages.guard import Denied, Page, Visit, page
from broker.gateway.pages.hexes import country
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")
Measure = Literal["arrived", "overdue", "volume"]
MEASURES: Final[tuple[Measure, ...]] = ("arrived", "overdue", "volume")
SHARES: Final = (0.5, 0.8, 0.95, 1.0)
"""Limits of the five steps of a share: under half, …, all of it."""
DEFAULT_DAYS: Final = 30
ORDERS: Final = ("sent", "deliveries", "arrived", "share", "overdue")
"""The figures that the tables of places can be ordered by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One region as drawn: a province of the country, or a commune of a province."""

    code: str
    name: str
    path: str
    x: float
    y: float
    step: str
    """`q0` to `q4`, of a volume `v1` to `v4`, or `none` where nothing was to be delivered."""
    figure: str
    """What stands on it: a share or a number, as the measure demands; empty where there is nothing."""
    place: Place | None
    href: str
    """Empty where the visitor may not look."""
    size: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A map ready to be drawn."""

    width: float
    height: float
    regions: tuple[Region, ...]
    dots: tuple[tuple[str, str], ...] = ()
    """Points of single recipients: a tone and path data, one for each tone."""
    apart: tuple[Region, ...] = ()
    """Islands too far away to be on the sheet."""


def step_of(place: Place | None, measure: Measure, greatest: int) -> str:
    """Which step a place has: of five from bad to good, or of four of a volume; `none` if it had no deliveries."""
    if place is None or place.deliveries == 0:
        return "none"
    if measure == "arrived":
        return _share_step(place.arrived / place.deliveries)
    value = place.overdue if measure == "overdue" else place.deliveries
    if measure == "overdue" and value == 0:
        return "q4"
    part = value / max(greatest, 1)
    number = sum(part > limit for limit in (0.1, 0.3, 0.6))
    return f"q{3 - number}" if measure == "overdue" else f"v{number + 1}"


def _share_step(share: float) -> str:
    return f"q{sum(share >= limit for limit in SHARES)}"


def figure_of(place: Place | None, measure: Measure) -> str:
    """The figure that stands on a region, short enough for it."""
    if place is None or place.deliveries == 0:
        return ""
    if measure == "arrived":
        percent = place.arrived * 100 / place.deliveries
        # Never 100 while one is missing.
        return f"{int(percent)}%"
    return compact(place.overdue if measure == "overdue" else place.deliveries)


def compact(value: int) -> str:
    """A number in a few characters: 950, 12k, 3M."""
    for size, letter in ((1_000_000, "M"), (10_000, "k")):
        if value >= size:
            return f"{value // (1_000 if letter == 'k' else size)}{letter}"
    return str(value)


def country_sheet(
    places: Iterable[Place], measure: Measure = "arrived", period: str = "", *, linked: Container[str] | None = None
) -> Sheet:
    """The whole country, each province leading to its communes; with `linked` only those that the visitor may open."""
    by_code = {place.code: place for place in places}
    greatest = _greatest(by_code.values(), measure)
    regions = tuple(
        Region(
            code=region.code,
            name=region.name,
            path=region.path,
            x=region.label_x,
            y=region.label_y,
            step=step_of(by_code.get(region.code), measure, greatest),
            figure=figure_of(by_code.get(region.code), measure),
            place=by_code.get(region.code),
            href=f"/map/{quote(region.code, safe='')}{period}" if linked is None or region.code in linked else "",
        )
        for region in country()
    )
    return Sheet(width=round(SHEET[0]), height=round(SHEET[1]), regions=regions)


def linked_provinces(places: Iterable[Place], scope: Scope) -> Container[str] | None:
    """Which provinces lead somewhere for this visitor: all, or those of a subtree's own figures."""
    return None if scope.root is None else {place.code for place in places}


def document_sheet(
    places: Iterable[Place], deliveries: Sequence[DeliveryRecord], *, linked: Container[str] | None = None
) -> Sheet | None:
    """Where one document went: provinces by the share that has it, and a dot for each commune. None if it went to no
    place that is on the map."""
    sheet = country_sheet(places, linked=linked)
    spots = geography().communes
    dots: dict[str, list[str]] = defaultdict(list)
    for delivery in deliveries:
        spot = spots.get(delivery.recipient)
        if spot is not None:
            dots[_tone(delivery)].append(f"M{spot.x:.0f} {spot.y:.0f}h0")
    if not dots and all(region.place is None or not region.place.deliveries for region in sheet.regions):
        return None
    order = ("good", "waiting", "still", "bad", "late")
    return Sheet(
        width=sheet.width,
        height=sheet.height,
        regions=sheet.regions,
        dots=tuple((tone, "".join(dots[tone])) for tone in order if dots[tone]),
    )


def _tone(delivery: DeliveryRecord) -> str:
    if delivery.state in ("recalled", "moved", "held", "cancelled"):
        return "still"
    if delivery.processing == "refused":
        return "bad"
    if delivery.arrived_at is not None:
        return "good"
    return "late" if delivery.overdue_at is not None else "waiting"


def communes_sheet(
    province: str, places: Iterable[Place], measure: Measure, *, may_open: Callable[[str], bool]
) -> Sheet | None:
    """A province's communes as cells. None for a province that is not in the directory's data."""
    spots = geography().communes_of.get(province)
    if not spots:
        return None
    drawn: ProvinceSheet = province_sheet(spots)
    by_code = {place.code: place for place in places}
    greatest = _greatest((by_code[s.code] for s in spots if s.code in by_code), measure)

    def region(code: str, name: str, path: str, x: float, y: float, size: float) -> Region:
        place = by_code.get(code)
        return Region(
            code=code,
            name=name,
            path=path,
            x=x,
            y=y,
            size=size,
            step=step_of(place, measure, greatest),
            figure=figure_of(place, measure),
            place=place,
            href=f"/agencies/{quote(code, safe='')}" if may_open(code) else "",
        )

    return Sheet(
        width=drawn.width,
        height=drawn.height,
        regions=tuple(region(c.code, c.name, c.path, c.x, c.y, c.size) for c in drawn.cells),
        apart=tuple(region(s.code, s.name, "", 0, 0, 0) for s in drawn.apart),
    )


def ordered(places: Sequence[Place], order: str | None) -> tuple[Place, ...]:
    """Places with the greatest figure first, or the smallest share; in the order of their codes otherwise."""
    if order == "share":
        return tuple(sorted(places, key=lambda p: p.arrived / p.deliveries if p.deliveries else 2.0))
    if order not in ORDERS:
        return tuple(places)
    return tuple(sorted(places, key=lambda p: -int(getattr(p, order))))


def _greatest(places: Iterable[Place], measure: Measure) -> int:
    return max((place.overdue if measure == "overdue" else place.deliveries for place in places), default=0)


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def show_country(visit: Visit) -> Response:
    """Every province, for a period."""
    chosen = _chosen(visit)
    async with visit.reading() as connection:
        overview = await by_province(connection, period=chosen["period"], scope=visit.scope)
    places = overview.places
    link = urlencode({k: chosen[k] for k in ("first", "last", "measure") if chosen[k]})
    return visit.show(
        "country.html",
        sheet=country_sheet(
            places, chosen["measure"], f"?{link}" if link else "", linked=linked_provinces(places, visit.scope)
        ),
        places=ordered(places, chosen["order"]),
        complete=overview.complete,
        **chosen,
    )


async def show_province(visit: Visit) -> Response:
    """One province's agencies: its communes on a map, all of them in a table."""
    chosen = _chosen(visit)
    async with visit.reading() as connection:
        agencies = await visible(connection, visit.scope)
        row = await connection.fetchrow(SQL["agency"], visit.path("province"), agencies)
        if row is None or row["level"] != "province":
            # The auditor of a commune sees its province's sheet with the commune's figures, never the province's own.
            row = await connection.fetchrow(SQL["province_above"], visit.path("province"), visit.scope.root)
            if row is None:
                raise Denied(status=404)
        overview = await by_commune(connection, AgencyId(row["agency_id"]), period=chosen["period"], scope=visit.scope)
    return visit.show(
        "province.html",
        province=row,
        sheet=communes_sheet(row["code"], overview.places, chosen["measure"], may_open=visit.may_open),
        places=ordered(overview.places, chosen["order"]),
        complete=overview.complete,
        **chosen,
    )


def _chosen(visit: Visit) -> dict[str, Any]:
    period = read_period(visit.query("first"), visit.query("last"))
    if period.first is None and period.last is None and not visit.query("always"):
        period = last_days(DEFAULT_DAYS, day_of(datetime.now(UTC)))
    measure = visit.query("measure")
    return {
        "period": period,
        "first": write_day(period.first),
        "last": write_day(period.last),
        "measure": measure if measure in MEASURES else "arrived",
        "measures": MEASURES,
        "order": visit.query("order"),
    }


PAGES: tuple[Page, ...] = (page("/map", show_country), page("/map/{province}", show_province))

"""An agency's page: who it is, and what it sent, received and reported on one day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from starlette.responses import Response

from broker.audit.period import day_of
from broker.audit.questions import agency_day
from broker.audit.scope import visible
from broker.directory.records import AgencyId
from broker.gateway.pages.days import read_day, write_day
from broker.gateway.pages.guard import Denied, Page, Visit, page
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")


async def show(visit: Visit) -> Response:
    """One agency on one day, today unless another is asked for."""
    today = day_of(datetime.now(UTC))
    day = read_day(visit.query("day")) or today
    async with visit.reading() as connection:
        agencies = await visible(connection, visit.scope)
        row = await connection.fetchrow(SQL["agency"], visit.path("code"), agencies)
        if row is None:
            raise Denied(status=404)
        agency_id = AgencyId(row["agency_id"])
        done = await agency_day(connection, agency_id, day, scope=visit.scope)
        children = await connection.fetch(SQL["children"], agency_id, agencies)
        hub = await connection.fetchrow(SQL["hub_of"], agency_id)
    if done is None:
        raise Denied(status=404)
    return visit.show(
        "agency.html",
        agency=row,
        done=done,
        children=children,
        hub=hub,
        day=day,
        shown_day=write_day(day),
        before=write_day(day - timedelta(days=1)),
        after=write_day(day + timedelta(days=1)) if day < today else None,
    )


PAGES: tuple[Page, ...] = (page("/agencies/{code}", show),)

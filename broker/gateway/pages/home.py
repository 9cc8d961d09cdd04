"""The first page: what needs attention, today's figures, the last two weeks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from starlette.responses import Response

from broker.audit.period import day_of
from broker.audit.questions import troubled
from broker.audit.scope import visible
from broker.gateway.pages.charts import BarChart, bar_chart
from broker.gateway.pages.country import country_sheet, linked_provinces
from broker.gateway.pages.days import last_days
from broker.gateway.pages.guard import Page, Visit, page
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")
ATTENTION: Final = 6
"""So many lines of each trouble are named on the first page."""
DAYS: Final = 14


async def show(visit: Visit) -> Response:
    """The first page."""
    today = day_of(datetime.now(UTC))
    fortnight = last_days(DAYS, today)
    async with visit.reading() as connection:
        agencies = await visible(connection, visit.scope)
        figures = await visit.site.figures.today(connection, visit.scope)
        overdue = await troubled(connection, "overdue", limit=ATTENTION, scope=visit.scope)
        refused = await troubled(connection, "refused", limit=ATTENTION, scope=visit.scope, period=fortnight)
        held = await connection.fetch(SQL["held"], agencies)
        days = await visit.site.figures.days(connection, fortnight, visit.scope)
        places = (await visit.site.figures.provinces(connection, fortnight, visit.scope)).places
        waiting = await connection.fetchval(SQL["quarantine_count"]) if visit.account.operates else 0
        status = await visit.site.figures.log(connection)
    return visit.show(
        "home.html",
        figures=figures,
        overdue=overdue,
        refused=refused,
        held=held,
        quarantined=waiting,
        chart=_days_chart(visit, {row.key: (row.sent, row.received) for row in days.rows}, fortnight.first, today),
        sheet=country_sheet(places, linked=linked_provinces(places, visit.scope)),
        log=status,
        fortnight=fortnight,
        today=today,
    )


def _days_chart(visit: Visit, counted: dict[str, tuple[int, int]], first: date | None, last: date) -> BarChart:
    assert first is not None
    days = [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]
    rows = [(f"{day:%d/%m}", counted.get(day.isoformat(), (0, 0))) for day in days]
    return bar_chart((visit.say("figure.sent"), visit.say("figure.received")), rows, width=600, height=260)


PAGES: tuple[Page, ...] = (page("/", show),)

"""Reports of a period, as a chart and its table, or as a file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

from starlette.responses import Response

from broker.audit.period import Period, day_of
from broker.audit.report import COUNTS, DIMENSIONS, Dimension, Report, ReportRow, report
from broker.audit.words import LEVELS, TIERS
from broker.gateway.pages.charts import bar_chart
from broker.gateway.pages.days import read_period, write_day
from broker.gateway.pages.guard import Page, Visit, page
from broker.gateway.pages.tables import Form, download

CHARTED: Final = 400
"""So many rows still make a chart that can be read."""
SHOWN: Final = 500
AGENCIES_SHOWN: Final = 200
"""Rows of a table on the page, and of one of agencies, the busiest first; the file has them all."""


def chosen_of(visit: Visit) -> tuple[Dimension, Period]:
    """What the address asks for: by tier, and this year, unless it says otherwise."""
    by: Dimension = next((d for d in DIMENSIONS if d == visit.query("by")), "tier")
    period = read_period(visit.query("first"), visit.query("last"))
    if period.first is None and period.last is None and not visit.query("always"):
        today = day_of(datetime.now(UTC))
        period = Period(first=date(today.year, 1, 1), last=today)
    return by, period


async def show(visit: Visit) -> Response:
    """The report."""
    by, period = chosen_of(visit)
    async with visit.reading() as connection:
        found = await report(connection, by=by, period=period, scope=visit.scope)
    order = visit.query("order") if visit.query("order") in COUNTS else None
    rows = found.rows if by != "agency" else _busiest_first(found.rows, order)
    series = (visit.say("figure.sent"), visit.say("figure.received"))
    shown = AGENCIES_SHOWN if by == "agency" else SHOWN
    charted = rows[:20] if by == "agency" else rows[-CHARTED:]
    return visit.show(
        "report.html",
        report=found,
        rows=rows[:shown],
        left_out=max(0, len(rows) - shown),
        total=found.total(),
        counts=COUNTS,
        order=order,
        by=by,
        dimensions=DIMENSIONS,
        first=write_day(period.first),
        last=write_day(period.last),
        title_of=lambda row: title_of(visit, found, row),
        chart=bar_chart(series, [(_short(visit, found, row), (row.sent, row.received)) for row in charted]),
        presets=_presets(day_of(datetime.now(UTC))),
    )


def _busiest_first(rows: Sequence[ReportRow], order: str | None) -> tuple[ReportRow, ...]:
    """By one of the counts, else by all traffic."""
    return tuple(sorted(rows, key=lambda r: (-(getattr(r, order) if order else r.sent + r.deliveries), r.key)))


def title_of(visit: Visit, found: Report, row: ReportRow) -> str:
    """What a row is called in the visitor's language."""
    words = {"tier": TIERS, "level": LEVELS}.get(found.by, {}).get(row.key)
    if words is not None:
        name = visit.site.renderer.word(words, visit.language)
        return name[:1].upper() + name[1:]
    if found.by == "day":
        return write_day(date.fromisoformat(row.key))
    if found.by == "month":
        return f"{row.key[5:]}/{row.key[:4]}"
    return row.title


def _short(visit: Visit, found: Report, row: ReportRow) -> str:
    if found.by in ("tier", "agency"):
        return row.key if found.by == "agency" else visit.say("report.tier", tier=row.key)
    title = title_of(visit, found, row)
    return title[:5] if found.by == "day" else title


def _presets(today: date) -> tuple[tuple[str, str, str], ...]:
    begin = today.replace(day=1)
    return (
        ("today", write_day(today), write_day(today)),
        ("month", write_day(begin), write_day(today)),
        ("year", write_day(date(today.year, 1, 1)), write_day(today)),
        ("last_year", write_day(date(today.year - 1, 1, 1)), write_day(date(today.year - 1, 12, 31))),
    )


async def as_file(visit: Visit) -> Response:
    """The whole report as a file, its total last."""
    form: Form = "xlsx" if visit.path("form") == "xlsx" else "csv"
    by, period = chosen_of(visit)
    async with visit.reading() as connection:
        found = await report(connection, by=by, period=period, scope=visit.scope)
    heads = [visit.say(f"report.by.{by}"), "", *(visit.say(f"figure.{name}") for name in COUNTS)]
    rows = [[row.key, title_of(visit, found, row), *(getattr(row, name) for name in COUNTS)] for row in found.rows]
    total = found.total()
    rows.append(["", visit.say("report.total"), *(getattr(total, name) for name in COUNTS)])
    return await download(form, f"report-{by}", heads, rows)


PAGES: tuple[Page, ...] = (page("/reports", show), page("/reports.{form}", as_file))

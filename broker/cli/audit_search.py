"""`lienthong audit search|report`: find documents and refusals, count what was sent and received."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from broker.audit.report import DIMENSIONS, Dimension, Report, recount, report
from broker.audit.search import Page, RejectionPage, Wanted, search_documents, search_rejections
from broker.audit.tables import documents_sheet, rejections_sheet, report_sheet
from broker.audit.words import PROCESSING
from broker.cli.audit_options import period_of, span
from broker.cli.output import run
from broker.cli.showing import Form, in_any_form, show, table_of
from broker.settings import load_settings
from broker.store.pool import connect
from schemas.errors import CATALOGUE
from schemas.languages import LanguageOrBoth
from schemas.problem import Problem

SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="From this day (2026-11-20) or time, included.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="Up to this day, included, or to this time.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines.")]


@in_any_form
def search_command(
    number: Annotated[str | None, typer.Option(help="The document's number, or number/notation.")] = None,
    notation: Annotated[str | None, typer.Option(help="The document's notation.")] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Words of the subject. Without diacritics they fit any; the last may be a beginning."),
    ] = None,
    phrase: Annotated[bool, typer.Option("--phrase", help="The words stand side by side, in this order.")] = False,
    sender: Annotated[str | None, typer.Option("--from", metavar="CODE", help="The sender.")] = None,
    recipient: Annotated[str | None, typer.Option("--to", metavar="CODE", help="A recipient.")] = None,
    under: Annotated[
        str | None, typer.Option("--under", metavar="CODE", help="Sent by or to this agency or one below it.")
    ] = None,
    state: Annotated[str | None, typer.Option(help=f"A delivery's state: {', '.join(PROCESSING)}.")] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only documents with a delivery that is late and has not arrived.")
    ] = False,
    refused: Annotated[
        bool, typer.Option("--refused", help="Messages that the exchange refused, instead of documents.")
    ] = False,
    code: Annotated[str | None, typer.Option(help="With --refused: only this error code.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    after: Annotated[str | None, typer.Option("--after", help="The mark that the page before ended with.")] = None,
    *,
    form: Form,
) -> None:
    """Find documents, or refused messages, newest first."""
    if state is not None and state not in PROCESSING:
        raise Problem(f"--state is “{state}”.", f"one of {', '.join(PROCESSING)}.", "Choose one of them.")
    if code is not None and code not in CATALOGUE:
        raise Problem(f"--code is “{code}”.", f"one of {', '.join(CATALOGUE)}.", "Choose one of them.")
    if code is not None and not refused:
        raise Problem("--code without --refused.", "an error code goes with refused messages.", "Add --refused.")
    begin, end = span(since, until)
    wanted = Wanted(
        number=number,
        notation=notation,
        subject=subject,
        phrase=phrase,
        sender=sender,
        recipient=recipient,
        under=under,
        state=state,
        overdue=overdue,
        since=begin,
        until=end,
        limit=limit,
        after=after,
    )
    if refused:
        found = run(_refused(wanted, code))
        show(found, [rejections_sheet(found.rejections, found.after)], form)
    else:
        page = run(_search(wanted))
        show(page, [documents_sheet(page)], form)


@in_any_form
def report_command(
    by: Annotated[str, typer.Option(help=f"One line for each: {', '.join(DIMENSIONS)}.")] = "tier",
    since: SinceOption = None,
    until: UntilOption = None,
    anew: Annotated[
        bool, typer.Option("--recount", help="Count every document anew instead of reading the figures. Slow.")
    ] = False,
    *,
    form: Form,
) -> None:
    """Count what was sent and received in a period; by tier it is the national table. Rehearsals are left out."""
    dimension = next((d for d in DIMENSIONS if d == by), None)
    if dimension is None:
        raise Problem(f"--by is “{by}”.", f"one of {', '.join(DIMENSIONS)}.", "Choose one of them.")
    found = run(_report(dimension, since, until, anew))
    show(found.as_dict(), [report_sheet(found)], form)


def report_table(found: Report, language: LanguageOrBoth) -> Table:
    """The report for a terminal, its total last."""
    return table_of(report_sheet(found), language)


async def _search(wanted: Wanted) -> Page:
    async with connect(load_settings().database_url) as connection:
        return await search_documents(connection, wanted)


async def _refused(wanted: Wanted, code: str | None) -> RejectionPage:
    async with connect(load_settings().database_url) as connection:
        return await search_rejections(connection, wanted, code=code)


async def _report(by: Dimension, since: str | None, until: str | None, anew: bool) -> Report:
    if anew:
        begin, end = span(since, until)
        async with connect(load_settings().database_url) as connection:
            return await recount(connection, by=by, since=begin, until=end)
    period = period_of(since, until)
    async with connect(load_settings().database_url) as connection:
        return await report(connection, by=by, period=period)

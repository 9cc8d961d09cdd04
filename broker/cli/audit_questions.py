"""`lienthong audit missing|agency|overdue|refused|overview|recount`: questions of auditors in their own words."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, get_args

import typer

from broker.audit.lookup import agency_called
from broker.audit.overview import Overview, by_commune, by_province, document_by_commune, document_by_province
from broker.audit.period import Period, day_of
from broker.audit.questions import Trouble, agency_day, missing, troubled
from broker.audit.read import document_meant
from broker.audit.recounting import check
from broker.audit.sheets import Sheet
from broker.audit.tables import day_sheets, deliveries_sheet, missing_sheet, overview_sheet
from broker.audit.words import Words
from broker.cli.document import DocumentArgument, SenderOption
from broker.cli.output import JsonOption, progress, run, say
from broker.cli.showing import BomOption, CsvOption, Form, XlsxOption, show
from broker.directory.records import LEVELS
from broker.settings import load_settings
from broker.store.pool import connect
from broker.upkeep.rollups import throw_away
from schemas.problem import NOT_GOOD, Problem

LevelOption = Annotated[
    str | None, typer.Option("--level", help=f"Only recipients of this level: {', '.join(LEVELS)}.")
]
UnderOption = Annotated[
    str | None, typer.Option("--under", metavar="CODE", help="Only this agency and those below it.")
]
FirstOption = Annotated[
    str | None, typer.Option("--since", metavar="DAY", help="From this day (2026-11-20), included.")
]
LastOption = Annotated[str | None, typer.Option("--until", metavar="DAY", help="Up to this day, included.")]


def day_option(text: str | None, *, option: str) -> date | None:
    """A day that a person wrote. Raises Problem for anything else."""
    if text is None:
        return None
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise Problem(f"{option} is “{text}”.", "a day, such as 2026-11-20.", "Figures count whole days.") from None


def period_of(first: str | None, last: str | None) -> Period:
    """A period of whole days. Raises Problem for anything that is no day."""
    return Period(first=day_option(first, option="--since"), last=day_option(last, option="--until"))


def _level(level: str | None) -> str | None:
    if level is not None and level not in LEVELS:
        raise Problem(f"--level is “{level}”.", f"one of {', '.join(LEVELS)}.", "Choose one of them.")
    return level


def missing_command(
    document: DocumentArgument,
    sender: SenderOption = None,
    level: LevelOption = None,
    under: UnderOption = None,
    as_json: JsonOption = False,
    csv: CsvOption = False,
    bom: BomOption = False,
    xlsx: XlsxOption = None,
) -> None:
    """Say which recipients of a document have not confirmed it with a signed status."""

    async def ask() -> Any:
        async with connect(load_settings().database_url) as connection:
            meant = await document_meant(connection, document, sender=sender)
            return await missing(connection, meant.document_id, level=_level(level), under=under)

    found = run(ask())
    show(found, [missing_sheet(found)], Form(as_json=as_json, as_csv=csv, bom=bom, xlsx=xlsx))


def agency_command(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The agency's code, or an alias.")],
    day: Annotated[str | None, typer.Option("--day", metavar="DAY", help="The day; by default today.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines of each list.")] = 500,
    as_json: JsonOption = False,
    csv: CsvOption = False,
    bom: BomOption = False,
    xlsx: XlsxOption = None,
) -> None:
    """Say what an agency sent, received and reported on one day."""
    asked = day_option(day, option="--day") or day_of(datetime.now(UTC))

    async def ask() -> Any:
        async with connect(load_settings().database_url) as connection:
            return await agency_day(connection, (await agency_called(connection, code)).agency_id, asked, limit=limit)

    found = run(ask())
    show(found, day_sheets(found), Form(as_json=as_json, as_csv=csv, bom=bom, xlsx=xlsx))


def overdue_command(
    under: UnderOption = None,
    level: LevelOption = None,
    since: FirstOption = None,
    until: LastOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines.")] = 100,
    after: Annotated[str | None, typer.Option("--after", help="The mark that the page before ended with.")] = None,
    as_json: JsonOption = False,
    csv: CsvOption = False,
    bom: BomOption = False,
    xlsx: XlsxOption = None,
) -> None:
    """List deliveries that missed their deadline and have not arrived to this day."""
    form = Form(as_json=as_json, as_csv=csv, bom=bom, xlsx=xlsx)
    _troubled("overdue", under, level, period_of(since, until), limit, after, form)


def refused_command(
    under: UnderOption = None,
    level: LevelOption = None,
    since: FirstOption = None,
    until: LastOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines.")] = 100,
    after: Annotated[str | None, typer.Option("--after", help="The mark that the page before ended with.")] = None,
    as_json: JsonOption = False,
    csv: CsvOption = False,
    bom: BomOption = False,
    xlsx: XlsxOption = None,
) -> None:
    """List deliveries that their recipients refused, with the reasons. What the exchange refused: search --refused."""
    form = Form(as_json=as_json, as_csv=csv, bom=bom, xlsx=xlsx)
    _troubled("refused", under, level, period_of(since, until), limit, after, form)


def _troubled(
    trouble: Trouble,
    under: str | None,
    level: str | None,
    period: Period,
    limit: int,
    after: str | None,
    form: Form,
) -> None:
    assert trouble in get_args(Trouble)

    async def ask() -> Any:
        async with connect(load_settings().database_url) as connection:
            return await troubled(
                connection, trouble, under=under, level=_level(level), period=period, limit=limit, after=after
            )

    found = run(ask())
    title = {"overdue": Words("overdue", "quá hạn"), "refused": Words("refused", "bị từ chối")}[trouble]
    notes = (Words(f"next page: --after {found.after}", f"trang sau: --after {found.after}"),) if found.after else ()
    show(found, [deliveries_sheet(found.lines, title=title, notes=notes)], form)


def overview_command(
    province: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A province: its agencies one by one; else all provinces.")
    ] = None,
    document: Annotated[str | None, typer.Option("--document", help="Only the deliveries of this document.")] = None,
    sender: SenderOption = None,
    since: FirstOption = None,
    until: LastOption = None,
    as_json: JsonOption = False,
    csv: CsvOption = False,
    bom: BomOption = False,
    xlsx: XlsxOption = None,
) -> None:
    """Show the country by province, or a province by agency: sent, delivered, arrived, overdue, by state."""
    period = period_of(since, until)

    async def ask() -> Overview:
        async with connect(load_settings().database_url) as connection:
            place = None if province is None else (await agency_called(connection, province)).agency_id
            if document is not None:
                meant = await document_meant(connection, document, sender=sender)
                if place is None:
                    return await document_by_province(connection, meant.document_id)
                return await document_by_commune(connection, meant.document_id, place)
            if place is None:
                return await by_province(connection, period=period)
            return await by_commune(connection, place, period=period)

    found = run(ask())
    show(found, [overview_sheet(found)], Form(as_json=as_json, as_csv=csv, bom=bom, xlsx=xlsx))


def recount_command(
    again: Annotated[
        bool, typer.Option("--again", help="Throw all figures and search terms away: the keeper makes them again.")
    ] = False,
    as_json: JsonOption = False,
    csv: CsvOption = False,
    bom: BomOption = False,
    xlsx: XlsxOption = None,
) -> None:
    """Count every document anew and compare with the figures that reports are read from. Exit code 1 if they differ."""
    form = Form(as_json=as_json, as_csv=csv, bom=bom, xlsx=xlsx)
    form.check()

    async def ask() -> Any:
        async with connect(load_settings().database_url) as connection:
            if again:
                async with connection.transaction():
                    await throw_away(connection)
                say("Thrown away. The keeper takes the log over again from its beginning.")
                return None
            documents = await connection.fetchval("SELECT count(*) FROM document")
            with progress("Documents", total=documents) as advance:
                return await check(connection, advance)

    found = run(ask())
    if found is None:
        return
    difference = Sheet(
        title=Words("differences", "khác biệt"),
        headings=(Words("what", "nội dung"), Words("counted", "đã tính"), Words("found", "thực tế")),
        rows=tuple((one.what, one.counted, one.found) for one in found.differences),
        notes=(
            Words(
                f"{found.documents} documents compared; {found.in_flight} have events that are not counted yet",
                f"đã đối chiếu {found.documents} văn bản; {found.in_flight} văn bản còn sự kiện chưa tính",
            ),
        ),
    )
    show(found, [difference], form)
    if found.differences:
        raise typer.Exit(NOT_GOOD)

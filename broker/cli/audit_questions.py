"""`lienthong audit missing|agency|overdue|refused|overview|recount`: questions of auditors in their own words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from broker.audit.lookup import agency_called
from broker.audit.overview import Overview, by_commune, by_province, document_by_commune, document_by_province
from broker.audit.period import day_of
from broker.audit.questions import Trouble, agency_day, missing, troubled
from broker.audit.read import document_meant
from broker.audit.recounting import check
from broker.audit.sheets import Sheet
from broker.audit.tables import day_sheets, deliveries_sheet, missing_sheet, overview_sheet
from broker.audit.words import Words
from broker.cli.audit_options import (
    FirstOption,
    LastOption,
    LevelOption,
    UnderOption,
    day_option,
    level_asked,
    period_of,
)
from broker.cli.output import progress, run, say
from broker.cli.showing import Form, in_any_form, show
from broker.cli.story import DocumentArgument, SenderOption
from broker.settings import load_settings
from broker.store.pool import connect
from broker.upkeep.rollups import throw_away
from schemas.problem import NOT_GOOD


@in_any_form
def missing_command(
    document: DocumentArgument,
    sender: SenderOption = None,
    level: LevelOption = None,
    under: UnderOption = None,
    *,
    form: Form,
) -> None:
    """Say which recipients of a document have not confirmed it with a signed status."""

    async def ask() -> Any:
        async with connect(load_settings().database_url) as connection:
            meant = await document_meant(connection, document, sender=sender)
            return await missing(connection, meant.document_id, level=level_asked(level), under=under)

    found = run(ask())
    show(found, [missing_sheet(found)], form)


@in_any_form
def agency_command(
    code: Annotated[str, typer.Argument(metavar="CODE", help="The agency's code, or an alias.")],
    day: Annotated[str | None, typer.Option("--day", metavar="DAY", help="The day; by default today.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines of each list.")] = 500,
    *,
    form: Form,
) -> None:
    """Say what an agency sent, received and reported on one day."""
    asked = day_option(day, option="--day") or day_of(datetime.now(UTC))

    async def ask() -> Any:
        async with connect(load_settings().database_url) as connection:
            return await agency_day(connection, (await agency_called(connection, code)).agency_id, asked, limit=limit)

    found = run(ask())
    show(found, day_sheets(found), form)


def _list_of(trouble: Trouble, *, title: Words, nothing: Words, explanation: str) -> Callable[..., None]:
    """The command that lists deliveries with this trouble, or says `nothing`; `explanation` is its help."""

    def command(
        under: UnderOption = None,
        level: LevelOption = None,
        since: FirstOption = None,
        until: LastOption = None,
        limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines.")] = 100,
        after: Annotated[str | None, typer.Option("--after", help="The mark that the page before ended with.")] = None,
        *,
        form: Form,
    ) -> None:
        period, of_level = period_of(since, until), level_asked(level)

        async def ask() -> Any:
            async with connect(load_settings().database_url) as connection:
                return await troubled(
                    connection, trouble, under=under, level=of_level, period=period, limit=limit, after=after
                )

        found = run(ask())
        notes = (
            (Words(f"next page: --after {found.after}", f"trang sau: --after {found.after}"),) if found.after else ()
        )
        show(found, [deliveries_sheet(found.lines, title=title, nothing=nothing, notes=notes)], form)

    command.__doc__ = explanation
    return in_any_form(command)


overdue_command = _list_of(
    "overdue",
    title=Words("overdue", "quá hạn"),
    nothing=Words("Nothing is overdue.", "Không có văn bản nào quá hạn."),
    explanation="List deliveries that missed their deadline and have not arrived to this day.",
)
refused_command = _list_of(
    "refused",
    title=Words("refused", "bị từ chối"),
    nothing=Words("No recipient refused anything.", "Không có nơi nhận nào từ chối."),
    explanation="List deliveries that their recipients refused, with the reasons."
    " What the exchange refused: search --refused.",
)


@in_any_form
def overview_command(
    province: Annotated[
        str | None, typer.Argument(metavar="CODE", help="A province: its agencies one by one; else all provinces.")
    ] = None,
    document: Annotated[str | None, typer.Option("--document", help="Only the deliveries of this document.")] = None,
    sender: SenderOption = None,
    since: FirstOption = None,
    until: LastOption = None,
    *,
    form: Form,
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
    show(found, [overview_sheet(found)], form)


THROWN_AWAY: Final = Words(
    "Thrown away. The keeper takes the log over again from its beginning.",
    "Đã bỏ. Tiến trình giám sát sẽ tính lại nhật ký từ đầu.",
)
COUNTING: Final = Words("Documents", "Văn bản")


@in_any_form
def recount_command(
    again: Annotated[
        bool, typer.Option("--again", help="Throw all figures and search terms away: the keeper makes them again.")
    ] = False,
    *,
    form: Form,
) -> None:
    """Count every document anew and compare with the figures that reports are read from. Exit code 1 if they differ."""

    async def ask() -> Any:
        async with connect(load_settings().database_url) as connection:
            if again:
                async with connection.transaction():
                    await throw_away(connection)
                say(THROWN_AWAY.told(form.language))
                return None
            documents = await connection.fetchval("SELECT count(*) FROM document")
            with progress(
                COUNTING.told(form.language), total=documents, language="vi" if form.language == "vi" else "en"
            ) as advance:
                return await check(connection, advance)

    found = run(ask())
    if found is None:
        return
    difference = Sheet(
        title=Words("differences", "khác biệt"),
        headings=(Words("what", "nội dung"), Words("counted", "đã tính"), Words("found", "thực tế")),
        nothing=Words("No figure differs.", "Không có khác biệt."),
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

"""Lists of what did not go well: overdue deliveries, refusals, and who has not received a document."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from broker.audit.questions import DeliveryLine, Trouble, missing, troubled
from broker.audit.scope import visible
from broker.audit.search import Wanted, search_documents, search_rejections
from broker.audit.words import LEVELS, PROCESSING
from broker.gateway.pages.days import read_period, write_day
from broker.gateway.pages.documents import seen_document
from broker.gateway.pages.guard import Page, Visit, page
from broker.gateway.pages.naming import asked
from broker.gateway.pages.tables import Cell, Form, download

SHOWN: Final = 100
IN_A_FILE: Final = 10_000


def _level(visit: Visit) -> str | None:
    level = visit.query("level")
    return level if level in LEVELS else None


async def _troubled(visit: Visit, trouble: Trouble) -> Response:
    period, below = read_period(visit.query("first"), visit.query("last")), asked(visit, "under")
    async with visit.reading() as connection:
        found = await troubled(
            connection,
            trouble,
            under=below.code,
            level=_level(visit),
            period=period,
            limit=SHOWN,
            after=visit.query("after"),
            scope=visit.scope,
        )
        refusals = None
        if trouble == "refused" and visit.query("after") is None:
            wanted = Wanted(since=period.begin, until=period.end, limit=20)
            refusals = await search_rejections(connection, wanted, scope=visit.scope)
    return visit.show(
        "troubled.html",
        trouble=trouble,
        found=found,
        refusals=refusals,
        first=write_day(period.first),
        last=write_day(period.last),
        under=visit.query("under") or "",
        below=below,
        level=_level(visit) or "",
        levels=LEVELS,
        first_page=visit.query("after") is None,
    )


async def overdue(visit: Visit) -> Response:
    """Deliveries past their deadline without the recipient's 01."""
    return await _troubled(visit, "overdue")


async def refused(visit: Visit) -> Response:
    """Deliveries that recipients refused, with their reasons; and messages that the exchange itself refused."""
    return await _troubled(visit, "refused")


async def troubled_file(visit: Visit) -> Response:
    """The list as a file."""
    trouble: Trouble = "overdue" if visit.path("trouble") == "overdue" else "refused"
    form: Form = "xlsx" if visit.path("form") == "xlsx" else "csv"
    period = read_period(visit.query("first"), visit.query("last"))
    wanted: dict[str, Any] = {"under": asked(visit, "under").code, "level": _level(visit), "period": period}
    async with visit.reading() as connection:
        found = await troubled(connection, trouble, **wanted, limit=IN_A_FILE, scope=visit.scope)
    return await download(form, trouble, *lines_table(visit, found.lines))


def lines_table(visit: Visit, lines: tuple[DeliveryLine, ...]) -> tuple[list[str], list[list[Cell]]]:
    """Deliveries as a table for a file."""
    heads = ("accepted", "code", "sender", "number", "notation", "subject", "recipient_code", "recipient", "state")
    titles = [visit.say(f"column.{head}") for head in (*heads, "mailbox", "due", "arrived", "reason", "id")]
    rows: list[list[Cell]] = [
        [
            line.accepted_at,
            line.sender,
            line.sender_name,
            line.number,
            line.notation,
            line.subject,
            line.recipient,
            line.recipient_name,
            visit.site.renderer.word(PROCESSING[line.state], visit.language),
            line.owner,
            line.due_arrival,
            line.arrived_at,
            line.reason,
            str(line.id),
        ]
        for line in lines
    ]
    return titles, rows


async def ask_missing(visit: Visit) -> Response:
    """The question “who has not received it”: first the document is chosen."""
    found = None
    if words := visit.query("q"):
        number, slash, notation = words.partition("/")
        wanted = Wanted(number=number, notation=notation, limit=20) if slash else Wanted(subject=words, limit=20)
        async with visit.reading() as connection:
            found = await search_documents(connection, wanted, scope=visit.scope)
    return visit.show("missing_ask.html", found=found, q=visit.query("q") or "")


async def show_missing(visit: Visit) -> Response:
    """Which recipients of a document have not confirmed it: all, or communes, or those below an agency."""
    level, below = visit.query("level"), asked(visit, "under")
    form = visit.query("form")
    async with visit.reading() as connection:
        seen = await seen_document(visit, connection)
        await visible(connection, visit.scope)
        found = await missing(
            connection, seen.document_id, level=level if level in LEVELS else None, under=below.code, scope=visit.scope
        )
    if form in ("csv", "xlsx"):
        return await download("xlsx" if form == "xlsx" else "csv", "missing", *lines_table(visit, found.lines))
    return visit.show(
        "missing.html",
        d=seen.document,
        found=found,
        level=level or "",
        under=visit.query("under") or "",
        below=below,
        levels=LEVELS,
    )


PAGES: tuple[Page, ...] = (
    page("/overdue", overdue),
    page("/refused", refused),
    page("/lists/{trouble}.{form}", troubled_file),
    page("/missing", ask_missing),
    page("/documents/{sender}/{id}/missing", show_missing),
)

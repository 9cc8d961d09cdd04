"""Finding documents by what people remember of them, page by page or as a file."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from starlette.responses import Response

from broker.audit.scope import visible
from broker.audit.search import Found, Wanted, search_documents
from broker.audit.words import PRIORITY, PROCESSING
from broker.directory.records import Agency
from broker.gateway.pages.days import read_period, write_day
from broker.gateway.pages.guard import Page, Visit, page
from broker.gateway.pages.naming import Asked, asked, fitting
from broker.gateway.pages.tables import Form, download

SHOWN: Final = 50
AGENCIES_SHOWN: Final = 6
"""Agencies whose names have the words, beside the documents whose subjects have them."""
IN_A_FILE: Final = 10_000
"""Documents that are written into one file at most; more are told to narrow the search."""
_IDENTIFIER: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{64}")
_NUMBER: Final = re.compile(r"(?P<number>\d[^/\s]*)/(?P<notation>\S+)")
FIELDS: Final = ("q", "number", "notation", "sender", "recipient", "under", "state", "overdue", "first", "last")


def agencies_of(visit: Visit) -> dict[str, Asked]:
    """The agencies that the form names, by its fields."""
    return {field: asked(visit, field) for field in ("sender", "recipient", "under")}


def wanted_of(visit: Visit) -> Wanted:
    """What the address asks for. `q` is one field for everything: number/notation, or words of the subject."""
    period = read_period(visit.query("first"), visit.query("last"))
    words, number, notation = visit.query("q"), visit.query("number"), visit.query("notation")
    named = agencies_of(visit)
    if words and (match := _NUMBER.fullmatch(words)) and not number and not notation:
        words, number, notation = None, match["number"], match["notation"]
    state = visit.query("state")
    return Wanted(
        number=number,
        notation=notation,
        subject=words,
        sender=named["sender"].code,
        recipient=named["recipient"].code,
        under=named["under"].code,
        state=state if state in PROCESSING else None,
        overdue=visit.query("overdue") is not None,
        since=period.begin,
        until=period.end,
        limit=SHOWN,
        after=visit.query("after"),
    )


async def show(visit: Visit) -> Response:
    """The search form, and what was found."""
    words = visit.query("q")
    if words and _IDENTIFIER.fullmatch(words):
        return visit.redirect(f"/documents/{words}")
    wanted = wanted_of(visit)
    async with visit.reading() as connection:
        # Even what a code does not name is only told after the scope is known to hold.
        await visible(connection, visit.scope)
        found = await search_documents(connection, wanted, scope=visit.scope)
    values = {name: visit.query(name) or "" for name in FIELDS}
    period = read_period(visit.query("first"), visit.query("last"))
    values |= {"first": write_day(period.first), "last": write_day(period.last)}
    first = wanted.after is None
    agencies: tuple[Agency, ...] = ()
    if wanted.subject and first:
        agencies = fitting(visit.site.gateway.directory.current, wanted.subject, visit.codes, AGENCIES_SHOWN)
    return visit.show(
        "search.html",
        found=found,
        asked=any(values.values()),
        first_page=first,
        limit=IN_A_FILE,
        asked_for=values,
        named=agencies_of(visit),
        agencies=agencies,
    )


async def as_file(visit: Visit) -> Response:
    """Everything that was found, as a file."""
    form: Form = "xlsx" if visit.path("form") == "xlsx" else "csv"
    wanted = replace(wanted_of(visit), limit=IN_A_FILE, after=None)
    async with visit.reading() as connection:
        found = await search_documents(connection, wanted, scope=visit.scope)
    heads = [visit.say(f"column.{head}") for head in _HEADS]
    rows = [_line(visit, d) for d in found.documents]
    return await download(form, f"documents-{datetime.now(UTC):%Y%m%d-%H%M}", heads, rows)


_HEADS: Final = (
    "accepted", "code", "sender", "type", "number", "notation", "issued", "subject", "urgency", "recipients", "id",
)  # fmt: skip


def _line(visit: Visit, d: Found) -> list[Any]:
    urgency = visit.site.renderer.word(PRIORITY[d.priority], visit.language)
    named = (d.accepted_at, d.sender, d.sender_name, d.type, d.number, d.notation, d.issued_on, d.subject)
    return [*named, urgency, d.recipients if visit.account.root_id is None else None, str(d.id)]


PAGES: tuple[Page, ...] = (page("/search", show), page("/search.{form}", as_file))

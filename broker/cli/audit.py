"""`lienthong audit`: find documents and refusals, and count what was sent and received."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from broker.audit.explain import VIETNAM, local
from broker.audit.report import DIMENSIONS, Dimension, Report, recount
from broker.audit.search import Wanted, search_documents, search_rejections
from broker.audit.words import PROCESSING
from broker.cli.audit_bundle import check_command, prove_command
from broker.cli.audit_log import checkpoint_command, verify_command
from broker.cli.output import JsonOption, emit, run
from broker.settings import load_settings
from broker.store.pool import connect
from schemas.errors import CATALOGUE
from schemas.problem import Problem

app = typer.Typer(no_args_is_help=True)
app.command("prove")(prove_command)
app.command("check")(check_command)
app.command("verify")(verify_command)
app.command("checkpoint")(checkpoint_command)

SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="From this day (2026-11-20) or time, included.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="Up to this day, included, or to this time.")
]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many lines.")]

_AGO = re.compile(r"(\d+)\s*(m|h|d)")


def moment(text: str | None, *, option: str, end: bool) -> datetime | None:
    """A point in time that a person wrote: a day, a time, or `30m`, `12h`, `7d` ago. Days are those of Viet Nam.

    With `end`, a day means the first moment after it. Raises `Problem` for anything else.
    """
    if text is None:
        return None
    if (ago := _AGO.fullmatch(text.strip())) is not None:
        unit = {"m": "minutes", "h": "hours", "d": "days"}[ago[2]]
        return datetime.now(UTC) - timedelta(**{unit: int(ago[1])})
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Problem(
            f"{option} is “{text}”.",
            "a day (2026-11-20), a time (2026-11-20T08:00:00+07:00), or a time ago (30m, 12h, 7d).",
            "Write it in one of these ways.",
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=VIETNAM)
    return found + timedelta(days=1) if end and len(text.strip()) == len("2026-11-20") else found


@app.command("search")
def search_command(
    number: Annotated[str | None, typer.Option(help="The document's number.")] = None,
    notation: Annotated[str | None, typer.Option(help="The document's notation.")] = None,
    subject: Annotated[str | None, typer.Option(help="Words of the subject, in their order.")] = None,
    sender: Annotated[str | None, typer.Option("--from", metavar="CODE", help="The sender.")] = None,
    recipient: Annotated[str | None, typer.Option("--to", metavar="CODE", help="A recipient.")] = None,
    state: Annotated[str | None, typer.Option(help=f"A delivery's state: {', '.join(PROCESSING)}.")] = None,
    overdue: Annotated[
        bool, typer.Option("--overdue", help="Only documents that some recipient never confirmed.")
    ] = False,
    refused: Annotated[
        bool, typer.Option("--refused", help="Messages that the exchange refused, instead of documents.")
    ] = False,
    code: Annotated[str | None, typer.Option(help="With --refused: only this error code.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """Find documents, or refused messages, newest first."""
    if state is not None and state not in PROCESSING:
        raise Problem(f"--state is “{state}”.", f"one of {', '.join(PROCESSING)}.", "Choose one of them.")
    if code is not None and code not in CATALOGUE:
        raise Problem(f"--code is “{code}”.", f"one of {', '.join(CATALOGUE)}.", "Choose one of them.")
    if code is not None and not refused:
        raise Problem("--code without --refused.", "an error code goes with refused messages.", "Add --refused.")
    wanted = Wanted(
        number=number,
        notation=notation,
        subject=subject,
        sender=sender,
        recipient=recipient,
        state=state,
        overdue=overdue,
        since=moment(since, option="--since", end=False),
        until=moment(until, option="--until", end=True),
        limit=limit,
    )
    emit(run(_search(wanted, refused, code)), as_json=as_json, render=_rejections if refused else _documents)


@app.command("report")
def report_command(
    by: Annotated[str, typer.Option(help=f"One line for each: {', '.join(DIMENSIONS)}.")] = "tier",
    since: SinceOption = None,
    until: UntilOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what was sent and received in a period; by tier it is the national table."""
    dimension = next((d for d in DIMENSIONS if d == by), None)
    if dimension is None:
        raise Problem(f"--by is “{by}”.", f"one of {', '.join(DIMENSIONS)}.", "Choose one of them.")
    begin, end = moment(since, option="--since", end=False), moment(until, option="--until", end=True)
    found = run(_report(dimension, begin, end))
    emit(found.as_dict(), as_json=as_json, render=lambda _: report_table(found))


def report_table(found: Report) -> Table:
    """The report for a terminal, its total last."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_footer=True)
    total = found.total()
    table.add_column(found.by, footer="total")
    if found.by == "tier":
        table.add_column("cấp (tier)")
    for name in ("sent", "deliveries", "received", "refused", "completed", "overdue"):
        table.add_column(name, justify="right", footer=f"{getattr(total, name):,}")
    for row in found.rows:
        titles = [row.key, row.title] if found.by == "tier" else [row.key]
        numbers = (row.sent, row.deliveries, row.received, row.refused, row.completed, row.overdue)
        table.add_row(*titles, *(f"{number:,}" for number in numbers))
    return table


def _documents(rows: Any) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, caption=f"{len(rows)} documents")
    for column in ("accepted (ICT)", "number/notation", "from", "subject", "recipients", "id"):
        table.add_column(column)
    for row in rows:
        name = f"{row.number}/{row.notation}"
        table.add_row(local(row.accepted_at), name, row.sender, row.subject, str(row.recipients), str(row.id))
    return table


def _rejections(rows: Any) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, caption=f"{len(rows)} refused messages")
    for column in ("refused (ICT)", "code", "claimed from", "connection", "field", "found", "expected", "id"):
        table.add_column(column)
    for row in rows:
        detail = [str(row.detail.get(name) or "") for name in ("field", "found", "expected")]
        table.add_row(local(row.at), row.code, row.claimed_from or "?", row.amqp_user or "?", *detail, row.id or "?")
    return table


async def _search(wanted: Wanted, refused: bool, code: str | None) -> Any:
    async with connect(load_settings().database_url) as connection:
        if refused:
            return (await search_rejections(connection, wanted, code=code)).rejections
        return (await search_documents(connection, wanted)).documents


async def _report(by: Dimension, since: datetime | None, until: datetime | None) -> Report:
    async with connect(load_settings().database_url) as connection:
        return await recount(connection, by=by, since=since, until=until)

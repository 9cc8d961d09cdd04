"""`lienthong agency`: agencies, their codes, connections, hubs and groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from broker.cli import system
from broker.cli.agency_tables import (
    agencies_table,
    groups_table,
    merger_text,
    particulars_table,
    report_text,
    served_table,
)
from broker.cli.author import ReasonOption, author_of
from broker.cli.output import JsonOption, emit, progress, run, say
from broker.cli.papers import OutputOption, agency_papers, hand_over, place_for
from broker.directory import changes, merging, national
from broker.directory.connecting import Papers, give_connection, papers_without_connection
from broker.directory.exchange import ensure_exchange
from broker.directory.importing import ImportReport
from broker.directory.listing import list_agencies, list_groups, list_served, show_agency
from broker.directory.live import today_in_vietnam
from broker.directory.planning import Defaults
from broker.directory.records import LEVELS, AliasKind, Extent, Level
from broker.settings import load_settings
from broker.store.pool import Connection, connect
from schemas.problem import NOT_GOOD, Problem

app = typer.Typer(no_args_is_help=True, help="Agencies, their codes, hubs and groups.")
app.add_typer(system.app, name="system")
T = TypeVar("T")

CodeArgument = Annotated[str, typer.Argument(help="Code or alias of the agency.")]
#: So many lines are shown to a person who did not ask for another number.
SHOWN = 100


@app.command("add")
def add_command(
    code: Annotated[str, typer.Argument(help="Its canonical code, such as H53 or H53.25459.")],
    name: Annotated[str, typer.Option("--name", help="Its name as it signs.")],
    level: Annotated[str, typer.Option("--level", help=f"One of {', '.join(LEVELS)}.")],
    mailbox: Annotated[bool, typer.Option("--mailbox/--no-mailbox", help="A connection of its own.")] = True,
    hub: Annotated[str | None, typer.Option("--hub", help="The hub that receives and signs for it.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Its superior.")] = None,
    tier: Annotated[int | None, typer.Option("--tier", min=1, max=3, help="By default the tier of its level.")] = None,
    derived: Annotated[bool, typer.Option("--derived", help="The code is derived, not official.")] = False,
    output: OutputOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Add an agency, connect it, and print what it needs to take part. The password is shown this once."""
    new = changes.NewAgency(
        code=code,
        name=name,
        level=_level(level),
        tier=tier,
        parent=parent,
        has_mailbox=mailbox,
        hub=hub,
        derived=derived,
    )
    settings = load_settings()

    async def add(connection: Connection) -> Papers:
        await ensure_exchange(connection, settings, author=author_of("the exchange's own entry"))
        agency = await changes.add_agency(connection, new, author=author_of(reason))
        if not mailbox:
            return papers_without_connection(agency, settings)
        try:
            return await give_connection(connection, agency, settings)
        except Problem:
            say(f"{agency.code} is in the directory; `lienthong agency connect {agency.code}` gives it its connection.")
            raise

    with place_for(output) as write:
        papers = asdict(_with_database(add))
        write(papers)
    hand_over(papers, output, as_json=as_json, text=partial(agency_papers, hub=hub))


@app.command("connect")
def connect_command(
    code: CodeArgument, output: OutputOption = None, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Give an agency a connection of its own, or a new password for it. The password is shown this once."""
    settings = load_settings()

    async def give(connection: Connection) -> Papers:
        agency = await changes.set_mailbox(connection, code, has_mailbox=True, author=author_of(reason))
        return await give_connection(connection, agency, settings)

    with place_for(output) as write:
        papers = asdict(_with_database(give))
        write(papers)
    hand_over(papers, output, as_json=as_json, text=agency_papers)


@app.command("import")
def import_command(
    file: Annotated[Path | None, typer.Argument(help="CSV with the columns code,name,… or code_qcvn102,name.")] = None,
    of_the_nation: Annotated[bool, typer.Option("--national", help="The national directory, not a file.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Let rows that differ change the directory.")] = False,
    level: Annotated[str | None, typer.Option("--level", help="Level of rows that do not say one.")] = None,
    hub: Annotated[str | None, typer.Option("--hub", help="Hub of those without a mailbox of their own.")] = None,
    derived: Annotated[bool, typer.Option("--derived", help="The codes are derived, not official.")] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Import agencies. Bad rows are rejected with their reasons, the others are taken; then the exit code is 1."""
    if (file is None) != of_the_nation:
        raise Problem("both or neither of a file and --national", "one of them", "name a CSV file, or say --national")
    defaults = Defaults(level=_level(level) if level else None, hub=hub, derived=derived or None)
    data = file.read_bytes() if file is not None else b""

    async def load(connection: Connection) -> ImportReport:
        with progress("Importing agencies") as advance:
            if file is None:
                return await national.load(connection, author=author_of(reason), update=update, on_progress=advance)
            return await changes.import_csv(
                connection,
                data,
                what=str(file),
                author=author_of(reason),
                defaults=defaults,
                update=update,
                on_progress=advance,
            )

    report = _with_database(load)
    emit(report, as_json=as_json, render=report_text)
    if report.added or report.updated:
        say("Make the mailboxes of those that have one with `lienthong topology apply`.")
    if report.rejected:
        raise typer.Exit(NOT_GOOD)


@app.command("list")
def list_command(
    text: Annotated[str | None, typer.Argument(help="How the code begins, or a part of the name.")] = None,
    level: Annotated[str | None, typer.Option("--level", help=f"One of {', '.join(LEVELS)}.")] = None,
    parent: Annotated[str | None, typer.Option("--parent", help="Only those directly below this agency.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="active, suspended or closed.")] = None,
    mailbox: Annotated[
        bool | None, typer.Option("--mailbox/--no-mailbox", help="With a connection of its own.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help=f"By default {SHOWN}; with --json all.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List agencies; without --state those that exist."""
    if state not in (None, "active", "suspended", "closed"):
        raise Problem(f"the state {state}", "active, suspended or closed", "choose one of them")
    shown = limit or (None if as_json else SHOWN)

    async def read(connection: Connection) -> list[dict[str, Any]]:
        return await list_agencies(
            connection,
            level=_level(level) if level else None,
            parent=parent,
            state=state,
            has_mailbox=mailbox,
            text=text,
            limit=shown + 1 if shown else None,
        )

    rows = _with_database(read)
    emit(rows[:shown], as_json=as_json, render=agencies_table)
    if shown is not None and len(rows) > shown:
        say(f"Only the first {shown} are shown; narrow it down, or give a higher --limit.")


@app.command("show")
def show_command(code: CodeArgument, as_json: JsonOption = False) -> None:
    """Show everything that the directory knows of one agency."""
    emit(_with_database(lambda connection: show_agency(connection, code)), as_json=as_json, render=particulars_table)


@app.command("suspend")
def suspend_command(code: CodeArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Keep an agency from sending and receiving until it is resumed."""
    agency = _with_database(lambda connection: changes.suspend(connection, code, author=author_of(reason)))
    emit({"code": agency.code, "state": "suspended"}, as_json=as_json, render=lambda _: f"{agency.code} is suspended.")


@app.command("resume")
def resume_command(code: CodeArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let a suspended agency take part again."""
    agency = _with_database(lambda connection: changes.resume(connection, code, author=author_of(reason)))
    emit({"code": agency.code, "state": "active"}, as_json=as_json, render=lambda _: f"{agency.code} takes part again.")


@app.command("close")
def close_command(
    code: CodeArgument,
    on: Annotated[str | None, typer.Option("--on", metavar="DAY", help="First day it is gone; today.")] = None,
    successor: Annotated[
        list[str] | None,
        typer.Option("--successor", metavar="CODE[=EXTENT]", help="Who takes over: =whole, =main part or =part."),
    ] = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Close an agency. Documents to it go to its successor, or are refused with the successors named."""
    day = _day(on) if on else today_in_vietnam()
    heirs = [_successor(text, alone=len(successor or []) == 1) for text in successor or []]

    async def end(connection: Connection) -> changes.Closed:
        return await changes.close(connection, code, on=day, successors=heirs, author=author_of(reason))

    closed = _with_database(end)
    value = {
        "code": closed.agency.code,
        "closed_on": day,
        "successors": [heir.code for heir in closed.successors],
        "left_without_hub": closed.left_without_hub,
    }
    emit(value, as_json=as_json, render=lambda _: f"{closed.agency.code} {closed.agency.name} is closed from {day}.")
    if closed.left_without_hub:
        say(f"{closed.left_without_hub} agencies received through it; `lienthong agency hub` gives them another hub.")


@app.command("merge")
def merge_command(
    old: Annotated[list[str], typer.Argument(metavar="OLD...", help="Codes or aliases of those that go into it.")],
    into: Annotated[str, typer.Option("--into", metavar="NEW", help="The agency that takes over from all of them.")],
    on: Annotated[str | None, typer.Option("--on", metavar="DAY", help="First day they are gone; today.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Merge agencies into one: their codes lead to it, what they have not taken goes to it, it serves theirs."""
    day = _day(on) if on else today_in_vietnam()

    async def end(connection: Connection) -> merging.Merger:
        return await merging.merge(connection, old, into=into, on=day, author=author_of(reason), dry_run=dry_run)

    merger = _with_database(end)
    emit(asdict(merger) | {"into": merger.into.code}, as_json=as_json, render=lambda _: merger_text(merger))
    if merger.done:
        say("Bring the mailboxes up to date with `lienthong topology apply` when the day has come.")


@app.command("alias")
def alias_command(
    code: CodeArgument,
    alias: Annotated[str, typer.Argument(help="Another way in which senders write its code.")],
    kind: Annotated[str, typer.Option("--kind", help="local, former or qcvn102.")] = "local",
    end: Annotated[bool, typer.Option("--end", help="It names the agency no longer.")] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let another text name an agency, or end that."""
    kinds: dict[str, AliasKind] = {"local": "local", "former": "former", "qcvn102": "qcvn102"}
    if kind not in kinds:
        raise Problem(f"the kind of alias {kind}", "local, former or qcvn102", "choose one of them")

    async def write(connection: Connection) -> str:
        if end:
            return (await changes.end_alias(connection, code, alias, author=author_of(reason))).code
        return (await changes.add_alias(connection, code, alias, kind=kinds[kind], author=author_of(reason))).code

    named = _with_database(write)
    sentence = f"{alias} names {named} no longer." if end else f"{alias} names {named}."
    emit({"code": named, "alias": alias, "ended": end}, as_json=as_json, render=lambda _: sentence)


@app.command("hub")
def hub_command(
    hub: Annotated[str, typer.Argument(help="Code or alias of the hub.")],
    code: Annotated[str | None, typer.Argument(help="The agency to be served; without it: list those served.")] = None,
    receive: Annotated[bool, typer.Option("--receive/--no-receive", help="It may receive for the agency.")] = True,
    sign: Annotated[bool, typer.Option("--sign/--no-sign", help="It may sign for the agency.")] = True,
    end: Annotated[bool, typer.Option("--end", help="It serves the agency no longer.")] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let a hub receive or sign for an agency, end that, or list the agencies that it serves."""
    if code is None:
        emit(_with_database(lambda connection: list_served(connection, hub)), as_json=as_json, render=served_table)
        return

    async def write(connection: Connection) -> tuple[str, str]:
        if end:
            pair = await changes.end_mandate(connection, hub, code, author=author_of(reason))
        else:
            pair = await changes.add_mandate(
                connection, hub, code, may_receive=receive, may_sign=sign, author=author_of(reason)
            )
        return pair[0].code, pair[1].code

    by, served = _with_database(write)
    rights = " and ".join(word for word, given in (("receive", receive), ("sign", sign)) if given)
    sentence = f"{by} serves {served} no longer." if end else f"{by} may {rights} for {served}."
    value = {"hub": by, "agency": served, "receive": receive and not end, "sign": sign and not end}
    emit(value, as_json=as_json, render=lambda _: sentence)


@app.command("group")
def group_command(
    name: Annotated[str | None, typer.Argument(help="The group, such as group:disaster-committee.")] = None,
    members: Annotated[list[str] | None, typer.Argument(help="All its members' codes; without them: show it.")] = None,
    title: Annotated[str, typer.Option("--title", help="What it is called.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Abolish it.")] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Define a group of recipients, show it, abolish it, or list all."""

    async def write(connection: Connection) -> list[dict[str, Any]]:
        if name is None:
            return await list_groups(connection)
        key = changes.group_name(name)
        if remove:
            await changes.remove_group(connection, key, author=author_of(reason))
            return []
        if members:
            await changes.define_group(connection, key, title=title, members=members, author=author_of(reason))
        return await list_groups(connection, key)

    emit(_with_database(write), as_json=as_json, render=groups_table)


@app.command("describe")
def describe_command(reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let the log tell every row of the directory as it is now: once, after a version that told less."""
    many = _with_database(lambda connection: changes.describe(connection, author=author_of(reason)))
    emit({"rows": many}, as_json=as_json, render=lambda told: f"{told['rows']:,} rows are told.")


def _with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with connect(load_settings().database_url) as connection:
            return await work(connection)

    return run(connected())


def _level(text: str) -> Level:
    found = next((level for level in LEVELS if level == text), None)
    if found is None:
        raise Problem(f"the level {text}", ", ".join(LEVELS), "choose one of them")
    return found


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Problem(f"the day {text}", "a day such as 2025-07-01", "write it in this way") from error


def _successor(text: str, *, alone: bool) -> tuple[str, Extent]:
    code, _, extent = text.partition("=")
    extents: dict[str, Extent] = {"whole": "whole", "main part": "main part", "part": "part"}
    wanted = extent or ("whole" if alone else "part")
    if wanted not in extents:
        raise Problem(f"the successor {text}", "CODE, CODE=whole, CODE=main part or CODE=part", "write it in this way")
    return code, extents[wanted]

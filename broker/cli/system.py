"""`lienthong agency system`: existing office software that connects by the REST protocol, with its id and secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.table import Table

from broker.amqp.management import Management, virtual_host_of
from broker.cli.author import ReasonOption, author_of
from broker.cli.output import JsonOption, emit, run, say
from broker.cli.papers import OutputOption, hand_over, place_for
from broker.directory import changes
from broker.directory.exchange import ensure_exchange
from broker.directory.listing import show_agency
from broker.gateway.vxp import agencies, systems
from broker.settings import Settings, load_settings
from broker.store.pool import Connection, connect
from broker.store.queries import load_queries
from broker.topology.actual import read_actual
from broker.topology.apply import apply
from broker.topology.model import desired
from broker.topology.plan import plan
from schemas.problem import Problem

app = typer.Typer(no_args_is_help=True, help="Software that connects by the REST protocol, with its id and secret.")
PACKETS = load_queries("broker.gateway.vxp", "packets.sql")
T = TypeVar("T")

NameArgument = Annotated[str, typer.Argument(help="The system id, as the software's configuration has it.")]
SHOWN = 200
"""Packets that are listed at most."""


@app.command("add", epilog="Example: lienthong agency system add H53.W00 --address 10.1.0.0/16 -o secret.json")
def add_command(
    hub: Annotated[str, typer.Argument(help="Code or alias of the agency whose software it is, often a hub.")],
    name: Annotated[str | None, typer.Option("--id", help="The system id; by default the agency's code.")] = None,
    address: Annotated[
        list[str] | None,
        typer.Option("--address", help="From where it may ask (CIDR), repeatable; else from anywhere."),
    ] = None,
    register: Annotated[
        str, typer.Option("--register", help="Agencies it asks to be added: refuse, pending (you decide), or open.")
    ] = "pending",
    sign_all: Annotated[bool, typer.Option("--sign-all", help="It has to sign every parameter it sends.")] = False,
    fresh_for: Annotated[
        int | None, typer.Option("--fresh-for", min=1, metavar="SECONDS", help="How old its timestamps may be.")
    ] = None,
    output: OutputOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Connect a system: an id, a secret (shown this once), and a key that the exchange keeps for the office."""
    settings = load_settings()
    author = author_of(reason)
    moved: list[str] = []

    async def work(connection: Connection) -> systems.MadeSystem:
        await ensure_exchange(connection, settings, author=author_of("the exchange's own entry"))
        owner = (await show_agency(connection, hub))["mailbox_owner"]
        agency = await changes.set_mailbox(connection, hub, has_mailbox=True, author=author)
        made = await systems.add(
            connection,
            systems.NewSystem(
                name=name or agency.code,
                hub=agency.code,
                addresses=tuple(address or ()),
                fresh_seconds=fresh_for,
                sign_all=sign_all,
                registration=_registration(register),
            ),
            settings=settings,
            author=author,
        )
        wanted = desired([agency], settings)
        async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
            await apply(wanted, plan(wanted, await read_actual(management)), management, connection=connection)
        if owner is not None and owner["code"] != agency.code:
            moved.append(
                f"What comes for {agency.code} went to {owner['code']} until now; from now on it waits for this system."
            )
        return made

    with place_for(output) as write:
        told = _told(_with_database(work), settings)
        write(told)
    hand_over(told, output, as_json=as_json, text=_papers)
    for remark in moved:
        say(remark)


@app.command("rotate")
def rotate_command(
    name: NameArgument,
    overlap: Annotated[
        int,
        typer.Option("--overlap", min=0, metavar="HOURS", help="How long the old secret is good beside the new one."),
    ] = 24,
    key: Annotated[bool, typer.Option("--key", help="Make a new key for the office instead of a new secret.")] = False,
    output: OutputOption = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give a system a new secret, shown this once; the old one is good for a while yet."""
    settings = load_settings()
    author = author_of(reason)
    if key:
        if output is not None:
            raise Problem("--key and --output", "one of them: a key makes no secret to write", "leave --output out")
        made_key = _with_database(lambda c: systems.rotate_key(c, name, settings=settings, author=author))
        emit(
            {"system": name, "thumbprint": made_key}, as_json=as_json, render=lambda _: f"{name} signs with {made_key}."
        )
        return
    hours = timedelta(hours=overlap)
    with place_for(output) as write:
        made = _with_database(lambda c: systems.rotate(c, name, overlap=hours, settings=settings, author=author))
        told = _told(made, settings)
        write(told)
    hand_over(told, output, as_json=as_json, text=_papers)


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """List the connected systems, what waits for them, and what they could not take."""
    emit(_with_database(systems.listing), as_json=as_json, render=_systems)


@app.command("disable")
def disable_command(name: NameArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Keep a system out from now on; what comes for it waits in its mailbox."""
    _set_state(name, "disabled", reason, as_json)


@app.command("enable")
def enable_command(name: NameArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let a disabled system in again."""
    _set_state(name, "active", reason, as_json)


@app.command("packets")
def packets_command(
    name: NameArgument,
    only_failed: Annotated[bool, typer.Option("--failed", help="Only those that it could not take.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List what a system has not fetched, with its failures and their reasons."""

    async def read(connection: Connection) -> list[dict[str, Any]]:
        await systems.named(connection, name)
        return [dict(row) for row in await connection.fetch(PACKETS["list_packets"], name, only_failed, SHOWN)]

    emit(_with_database(read), as_json=as_json, render=_packets)


@app.command("release")
def release_command(
    name: NameArgument,
    doc_id: Annotated[str | None, typer.Argument(help="One packet; without it all that have failed.")] = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hand packets out again that a system has failed to take too many times."""
    try:
        one = UUID(doc_id) if doc_id else None
    except ValueError as error:
        raise Problem(f"the packet {doc_id}", "a docId", "see `lienthong agency system packets`") from error
    author = author_of(reason)

    async def work(connection: Connection) -> list[str]:
        hub = (await systems.named(connection, name))["hub"]
        async with connection.transaction():
            rows = await connection.fetch(PACKETS["release"], name, one)
            await systems.note_action(connection, "system.released", hub, author=author)
        return [str(row["doc_id"]) for row in rows]

    released = _with_database(work)
    emit(
        {"system": name, "released": released},
        as_json=as_json,
        render=lambda _: f"{len(released)} packets are handed out again.",
    )


@app.command("wishes")
def wishes_command(as_json: JsonOption = False) -> None:
    """List the agencies that systems have asked to be added or removed."""
    emit(_with_database(agencies.wishes), as_json=as_json, render=_wishes)


@app.command("approve")
def approve_command(
    name: NameArgument,
    code: Annotated[str, typer.Argument(help="The agency that it asked about.")],
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Do what a system has asked for: add an agency under its hub, or end that."""
    wish = _with_database(lambda c: agencies.approve(c, name, code, author=author_of(reason)))
    value = {"system": name, "code": code, "wish": wish}
    emit(value, as_json=as_json, render=lambda _: f"Done: {wish} {code} for {name}.")


def _set_state(name: str, state: Any, reason: str, as_json: bool) -> None:
    hub = _with_database(lambda c: systems.set_state(c, name, state, author=author_of(reason)))
    value = {"system": name, "hub": hub, "state": state}
    emit(value, as_json=as_json, render=lambda _: f"{name} of {hub} is {state}.")


def _with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    async def connected() -> T:
        async with connect(load_settings().database_url) as connection:
            return await work(connection)

    return run(connected())


def _registration(text: str) -> systems.Registration:
    found = next((one for one in systems.REGISTRATIONS if one == text), None)
    if found is None:
        raise Problem(f"--register {text}", ", ".join(systems.REGISTRATIONS), "choose one of them")
    return found


def _told(made: systems.MadeSystem, settings: Settings) -> dict[str, Any]:
    return asdict(made) | {"endpoint": settings.gateway_url}


def _papers(told: dict[str, Any]) -> str:
    lines = [
        f"service.endpoint  {told['endpoint']}",
        f"systemid          {told['system']}",
        f"secret            {told['secret']}    (shown this once)",
    ]
    if told["thumbprint"]:
        lines.append(f"It signs for {told['hub']} with a key that the exchange keeps: {told['thumbprint']}")
    return "\n".join(lines)


def _systems(rows: list[dict[str, Any]]) -> Table:
    table = Table("system", "agency", "state", "addresses", "register", "waiting", "failed", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            row["system"],
            f"{row['hub']} {row['hub_name']}",
            row["state"],
            ", ".join(row["addresses"]) or "any",
            row["registration"],
            str(row["waiting"]),
            str(row["failed"]),
        )
    if not rows:
        say("No system is connected; `lienthong agency system add` connects one.")
    return table


def _packets(rows: list[dict[str, Any]]) -> Table:
    table = Table("docId", "for", "from", "kind", "state", "handed out", "failures", box=None, pad_edge=False)
    for row in rows:
        failures = f"{row['fails']} ({row['fail_reason']})" if row["fail_reason"] else str(row["fails"])
        table.add_row(
            str(row["doc_id"]), row["agency"], row["from"], row["kind"], row["state"], str(row["handed_out"]), failures
        )
    return table


def _wishes(rows: list[dict[str, Any]]) -> Table:
    table = Table("system", "wish", "code", "name", "since", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["system"], row["wish"], row["code"], row["name"], f"{row['asked_at']:%Y-%m-%d %H:%M}")
    return table

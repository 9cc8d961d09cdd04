"""`lienthong services`: private RabbitMQ and PostgreSQL servers of this checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from broker.cli.output import JsonOption, emit, say
from broker.services import Endpoints, Status, down, erase, status, up
from broker.settings import without_credentials
from schemas.problem import NOT_GOOD

app = typer.Typer(no_args_is_help=True, help="Start and stop private RabbitMQ and PostgreSQL servers.")

RootOption = Annotated[Path, typer.Option("--root", help="The folder that holds everything the servers write.")]
ROOT = Path(".local")


@app.command("up")
def up_command(root: RootOption = ROOT, as_json: JsonOption = False) -> None:
    """Start the servers that do not run yet, and wait until they answer."""
    endpoints = up(root, tell=say)
    emit(endpoints, as_json=as_json, render=_addresses)


@app.command("down")
def down_command(
    root: RootOption = ROOT,
    data_too: Annotated[bool, typer.Option("--erase", help="Remove them with all their data.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing if all goes well.")] = False,
) -> None:
    """End the servers that `up` started here. Their data stays."""
    tell = _say_nothing if quiet else say
    if data_too:
        erase(root, tell=tell)
    elif not down(root, tell=tell):
        tell("Nothing was running.")


@app.command("status")
def status_command(root: RootOption = ROOT, as_json: JsonOption = False) -> None:
    """Show which servers run. Ends with code 1 if one of ours does not."""
    found = status(root)
    emit(found, as_json=as_json, render=_table)
    if not found.good:
        raise typer.Exit(NOT_GOOD)


def _say_nothing(_: str) -> None:
    """For scripts that want only what they asked for."""


def _addresses(endpoints: Endpoints) -> str:
    return "\n".join(
        (
            f"RabbitMQ    {without_credentials(endpoints.amqp_url)}",
            f"management  {without_credentials(endpoints.management_url)}",
            f"PostgreSQL  {without_credentials(endpoints.database_url)}",
        )
    )


def _table(found: Status) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("server", "state", "version", "process", "address"):
        table.add_column(heading)
    for server in found.servers:
        state = {True: "runs", False: "runs, but does not answer", None: "not ours"}[server.answers]
        table.add_row(
            server.name,
            state if server.running else "does not run",
            server.version or "",
            "" if server.pid is None else str(server.pid),
            server.address or "",
        )
    return table

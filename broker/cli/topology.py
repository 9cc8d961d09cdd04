"""`lienthong topology`: compare the server with what the directory asks for, and make it so."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table

from broker.amqp.connection import Link
from broker.amqp.management import Management, virtual_host_of
from broker.cli.output import JsonOption, emit, progress, run
from broker.logs import set_up
from broker.settings import Settings, load_settings
from broker.store.pool import connect
from broker.topology.actual import read_actual
from broker.topology.apply import Applied, apply
from broker.topology.export import mermaid
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import Topology, definitions, desired
from broker.topology.plan import Finding, Plan, plan
from schemas.problem import NOT_GOOD

app = typer.Typer(no_args_is_help=True, help="Exchanges, queues and permissions on RabbitMQ.")

ConfigOption = Annotated[Path | None, typer.Option("--config", help="Configuration file [lienthong.toml].")]
PruneOption = Annotated[bool, typer.Option("--prune", help="Also remove what is superfluous: queues only if empty.")]

SHOWN = 30
"""Findings listed for a person; the rest is counted. `--json` has all."""


class Format(StrEnum):
    JSON = "json"
    MERMAID = "mermaid"


@app.command("plan")
def plan_command(prune: PruneOption = False, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what is missing, different or superfluous, and what `apply` would do. Ends with 1 if anything is needed."""
    found = run(_plan(load_settings(config), prune))
    emit(found, as_json=as_json, render=_plan_text)
    if not found.good:
        raise typer.Exit(NOT_GOOD)


@app.command("apply")
def apply_command(prune: PruneOption = False, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Create what is missing and correct agencies' rights. Ends with 1 if something is left for an operator."""
    done = run(_apply(load_settings(config), prune))
    emit(done, as_json=as_json, render=_applied_text)
    if not done.remaining.good:
        raise typer.Exit(NOT_GOOD)


@app.command("export")
def export_command(
    form: Annotated[
        Format, typer.Option("--format", help="json: RabbitMQ definitions; mermaid: a graph.")
    ] = Format.JSON,
    server: Annotated[bool, typer.Option("--server", help="What there is, instead of what there should be.")] = False,
    config: ConfigOption = None,
) -> None:
    """Print the topology: as a definitions file, or as a graph in Mermaid's language."""
    topology = run(_topology(load_settings(config), server))
    if form is Format.MERMAID:
        typer.echo(mermaid(topology), nl=False)
    else:
        emit(definitions(topology), as_json=True, render=str)


def _management(settings: Settings) -> Management:
    return Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url))


async def _topology(settings: Settings, server: bool) -> Topology:
    if server:
        async with _management(settings) as management:
            return (await read_actual(management)).topology
    async with connect(settings) as connection:
        return desired(await load_mailbox_owners(connection), settings)


async def _plan(settings: Settings, prune: bool) -> Plan:
    wanted = await _topology(settings, server=False)
    async with _management(settings) as management:
        return plan(wanted, await read_actual(management), prune=prune)


async def _apply(settings: Settings, prune: bool) -> Applied:
    set_up(process="topology", level="warning")  # else what the connection logs would stand in the answer
    async with connect(settings) as connection, _management(settings) as management:
        wanted = desired(await load_mailbox_owners(connection), settings)
        planned = plan(wanted, await read_actual(management), prune=prune)
        async with AsyncExitStack() as stack:
            # Only pruning speaks AMQP: everything else goes through the management API.
            link = await stack.enter_async_context(Link(settings.amqp_url, name="topology")) if prune else None
            tell = stack.enter_context(progress("applying the topology", total=len(planned.to_do)))
            return await apply(wanted, planned, management, connection=connection, link=link, prune=prune, tell=tell)


def _cells(one: Finding) -> tuple[str, str, str, str, str]:
    name = f"{one.exchange} → {one.name} ({one.key})" if one.exchange else one.name
    return one.difference, one.kind, name, one.action, one.detail


def _plan_text(found: Plan) -> Group:
    if not found.findings:
        return Group(f"As it should be: {found.mailboxes} mailboxes.")
    summary = (
        f"{len(found.to_do)} to do, {len(found.for_operator)} for an operator, "
        f"{len(found.findings) - len(found.to_do) - len(found.for_operator)} left as they are; "
        f"{found.mailboxes} mailboxes in all."
    )
    # What a person has to decide must not drown in what will be created.
    ordered = sorted(found.findings, key=lambda one: one in found.for_operator, reverse=True)
    return Group(_table(ordered[:SHOWN]), *_rest(len(ordered)), summary)


def _rest(number: int) -> Sequence[str]:
    return [f"… and {number - SHOWN} more (all with --json)"] if number > SHOWN else []


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("found", "what", "name", "action", "detail"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        table.add_row(*_cells(one))
    return table


def _applied_text(done: Applied) -> Group:
    lines = [
        f"{done.created} created ({len(done.mailboxes_made)} mailboxes), {done.corrected} corrected, "
        f"{done.removed} removed."
    ]
    lines += [f"{one.queue} stays: it {one.why}." for one in done.kept]
    if not done.remaining.good:
        return Group(*lines, "Still not as it should be:", _plan_text(done.remaining))
    return Group(*lines)

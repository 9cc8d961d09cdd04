"""`lienthong db`: bring the database up to date, and see what it has."""

from __future__ import annotations

import asyncio
import logging

import typer
from rich.table import Table

from broker.cli.author import author_of
from broker.cli.output import JsonOption, emit, run, say
from broker.directory.exchange import ensure_exchange
from broker.settings import Settings, load_settings
from broker.store.migrations import MigrationStatus, migrate, status
from broker.store.pool import connect
from schemas.problem import NOT_GOOD

app = typer.Typer(no_args_is_help=True, help="The exchange's database.")


@app.command("migrate")
def migrate_command(as_json: JsonOption = False) -> None:
    """Apply what is missing. Safe to run at any time and on several machines at once."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    applied = run(_migrate(load_settings()))
    emit({"applied": applied}, as_json=as_json, render=lambda _: "\n".join(applied) or "Nothing to do.")


@app.command("status")
def status_command(as_json: JsonOption = False) -> None:
    """Show what is applied and what is missing. Ends with code 1 if anything is missing or was changed."""
    found = run(status(load_settings().database_url))
    emit(found, as_json=as_json, render=_table)
    for sentence in found.contradictions:
        say(f"Contradiction: {sentence}.")
    if found.pending or found.contradictions:
        raise typer.Exit(NOT_GOOD)


async def _migrate(settings: Settings) -> list[str]:
    applied = await migrate(settings.database_url)
    if await asyncio.to_thread(settings.certificate_file.exists):
        async with connect(settings.database_url) as connection:
            await ensure_exchange(connection, settings, author=author_of("migration"))
    return applied


def _table(found: MigrationStatus) -> Table:
    table = Table("migration", "applied", box=None, pad_edge=False)
    for row in found.applied:
        table.add_row(row.name, f"{row.applied_at:%Y-%m-%d %H:%M}")
    for name in found.pending:
        table.add_row(name, "missing: run `lienthong db migrate`")
    return table

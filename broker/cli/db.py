"""`lienthong db`: bring the database up to date, and see what it has."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated

import typer
from rich.table import Table

from broker.cli.author import author_of
from broker.cli.output import JsonOption, emit, run, say
from broker.directory.exchange import ensure_exchange
from broker.evidence.keys import read_vkeys, vkey_file
from broker.evidence.restoring import Restored, restored
from broker.settings import Settings, load_settings
from broker.store.migrations import MigrationStatus, migrate, status
from broker.store.pool import connect, open_pool
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


@app.command("restored")
def restored_command(
    reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")],
    log_lost: Annotated[
        bool, typer.Option("--log-lost", help="The log's static files are lost as well: begin another log.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """After a restore from a backup: put the log's entries back and begin a new epoch. Workers and keepers stopped."""
    settings = load_settings()
    done = run(_restored(settings, reason, log_lost))
    emit(
        done,
        as_json=as_json,
        render=lambda _: (
            f"Epoch {done.epoch}. {done.put_back} entries of the log were put back; it has {done.size}."
            " Start keepers and workers, then `lienthong audit verify`; ask agencies to send again what was lost."
        ),
    )


async def _restored(settings: Settings, reason: str, log_lost: bool) -> Restored:
    vkeys = read_vkeys(vkey_file(settings.log_key_file))
    pool = await open_pool(settings, size=2)
    try:
        author = author_of(reason)
        return await restored(
            pool,
            vkeys,
            settings.log_dir,
            settings.log_origin,
            actor=author.actor,
            reason=reason,
            log_lost=log_lost,
        )
    finally:
        await pool.close()


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

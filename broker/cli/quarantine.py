"""`lienthong quarantine`: messages that contradict an accepted one or could not be processed, kept for a decision."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from broker.audit.explain import local
from broker.cli.author import author_of
from broker.cli.output import JsonOption, emit, run
from broker.interventions.quarantine import Quarantined, list_quarantine, settle, show_quarantined
from broker.settings import load_settings
from broker.store.pool import connect, open_pool

app = typer.Typer(no_args_is_help=True, help="Messages kept for a decision.")

NumberArgument = Annotated[int, typer.Argument(min=1, help="Its number in the list.")]
SHOWN_BYTES = 4_000


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    settled: Annotated[bool, typer.Option("--settled", help="Also those that were decided.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for a decision, and why it was kept."""

    async def work() -> list[Quarantined]:
        async with connect(load_settings().database_url) as connection:
            return await list_quarantine(connection, limit=limit, settled=settled)

    emit(run(work()), as_json=as_json, render=_table)


@app.command("show")
def show_command(number: NumberArgument, as_json: JsonOption = False) -> None:
    """Show one with the message as it was submitted."""

    async def work() -> tuple[Quarantined, bytes]:
        async with connect(load_settings().database_url) as connection:
            return await show_quarantined(connection, number)

    found, body = run(work())
    value = asdict(found) | {"body": body[:SHOWN_BYTES].decode("utf-8", "backslashreplace")}
    emit(value, as_json=as_json, render=lambda v: "\n".join(f"{name}: {text}" for name, text in v.items()))


@app.command("settle")
def settle_command(
    number: NumberArgument,
    reason: Annotated[str, typer.Option("--reason", help="What was found out and decided; kept with the action.")],
    as_json: JsonOption = False,
) -> None:
    """Write down what was decided. The message stays as evidence; what was accepted first stays in force."""
    author = author_of(reason)

    async def work() -> Quarantined:
        pool = await open_pool(load_settings(), size=1)
        try:
            return await settle(pool, author, number)
        finally:
            await pool.close()

    emit(run(work()), as_json=as_json, render=lambda found: f"{found.number} ({found.code}) is settled.")


def _table(found: list[Quarantined]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, caption=f"{len(found)} quarantined messages")
    for column in ("number", "time (ICT)", "submitted by", "claims to be from", "id", "error", "settled"):
        table.add_column(column, overflow="fold")
    for one in found:
        settled = local(one.settled_at) if one.settled_at else ""
        table.add_row(
            str(one.number),
            local(one.at),
            one.submitter or "?",
            one.claimed_from or "?",
            one.id or "?",
            one.code,
            settled,
        )
    return table

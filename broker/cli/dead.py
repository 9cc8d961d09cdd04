"""`lienthong dead`: messages that could not be processed, with the reason, and what to do with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from broker.amqp.connection import Link
from broker.cli.author import author_of
from broker.cli.output import JsonOption, emit, run
from broker.dispatch.dead_letters import DeadLetter, discard_dead, list_dead, replay_dead, show_dead
from broker.logs import set_up
from broker.settings import load_settings
from broker.store.pool import connect

app = typer.Typer(no_args_is_help=True, help="Messages that could not be processed.")

IdArgument = Annotated[str, typer.Argument(help="A dead letter's id, or its first characters.")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; kept with the action.")]
LOOKED_AT = 10_000
"""Dead letters that are looked through for one id."""
SHOWN_BYTES = 2_000


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option(min=1, max=LOOKED_AT, help="At most so many, oldest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show what lies in lt.dead, and why."""
    emit(run(_with_link(lambda link: list_dead(link, limit=limit))), as_json=as_json, render=_table)


@app.command("show")
def show_command(letter: IdArgument, as_json: JsonOption = False) -> None:
    """Show one dead letter with the beginning of its body."""
    found, body = run(_with_link(lambda link: show_dead(link, letter, limit=LOOKED_AT)))
    value = asdict(found) | {"body": body[:SHOWN_BYTES].decode("utf-8", "backslashreplace")}
    emit(value, as_json=as_json, render=lambda v: "\n".join(f"{name}: {text}" for name, text in v.items()))


@app.command("replay")
def replay_command(letter: IdArgument, reason: WhyOption, as_json: JsonOption = False) -> None:
    """Have one processed afresh, as if it had just been submitted."""
    emit(_act(replay_dead, letter, reason), as_json=as_json, render=lambda d: f"{d.id} is being processed afresh.")


@app.command("discard")
def discard_command(letter: IdArgument, reason: WhyOption, as_json: JsonOption = False) -> None:
    """Take one out of lt.dead for good. Its refusal, if there was one, stays recorded."""
    emit(_act(discard_dead, letter, reason), as_json=as_json, render=lambda d: f"{d.id} is discarded.")


def _act(action: Callable[..., Awaitable[DeadLetter]], letter: str, reason: str) -> DeadLetter:
    actor = author_of(reason).actor

    async def act(link: Link) -> DeadLetter:
        async with connect(load_settings().database_url) as connection:
            return await action(link, connection, letter, actor=actor, reason=reason, limit=LOOKED_AT)

    found: DeadLetter = run(_with_link(act))
    return found


async def _with_link(work: Callable[[Link], Awaitable[Any]]) -> Any:
    set_up(process="dead", level="warning")  # else what the connection logs would stand in the answer
    async with Link(load_settings().amqp_url, name="lienthong dead") as link:
        return await work(link)


def _table(letters: list[DeadLetter]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, caption=f"{len(letters)} dead letters")
    for column in ("id", "reason", "submitted by", "routing key", "bytes"):
        table.add_column(column, overflow="fold")
    for one in letters:
        table.add_row(one.id, one.reason, one.submitter or "?", one.routing_key, f"{one.bytes:,}")
    return table

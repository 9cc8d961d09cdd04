"""The commands of `lienthong document` that change what happens to a document: hold, release, cancel, resend."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import asyncpg
import typer
from asyncpg import Record

from broker.cli.author import author_of
from broker.cli.output import JsonOption, emit, run
from broker.directory.changing import Author
from broker.interventions.documents import Intervention, cancel, hold, release, resend
from broker.settings import load_settings
from broker.store.pool import open_pool

DocumentArgument = Annotated[str, typer.Argument(help="A document id, a digest (64 hex digits), or number/notation.")]
SenderOption = Annotated[
    str | None, typer.Option("--from", metavar="CODE", help="The sender, where an id or number is not enough.")
]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; kept with the action.")]
SHOWN_CODES = 10

DONE = {
    "document.hold": "is held; nothing of it goes out to",
    "document.release": "is released and goes out to",
    "document.cancel": "is cancelled for",
    "document.resend": "is sent once more to",
}


def hold_command(
    document: DocumentArgument, reason: WhyOption, sender: SenderOption = None, as_json: JsonOption = False
) -> None:
    """Keep back what has not gone out of a document, until it is released or cancelled."""
    _act(lambda pool, author: hold(pool, author, document, sender=sender), reason, as_json)


def release_command(
    document: DocumentArgument, reason: WhyOption, sender: SenderOption = None, as_json: JsonOption = False
) -> None:
    """Let a held document go out."""
    _act(lambda pool, author: release(pool, author, document, sender=sender), reason, as_json)


def cancel_command(
    document: DocumentArgument, reason: WhyOption, sender: SenderOption = None, as_json: JsonOption = False
) -> None:
    """End the deliveries of a held document that never went out. It must have been held for the grace period."""
    grace = timedelta(seconds=load_settings().outgoing_grace_seconds)
    _act(lambda pool, author: cancel(pool, author, document, sender=sender, grace=grace), reason, as_json)


def resend_command(
    document: DocumentArgument,
    reason: WhyOption,
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="CODE", help="Only to this recipient, with 01 or without.")
    ] = None,
    sender: SenderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hand a document over once more, to everybody without 01 or to those named; doubles are dropped there."""
    _act(lambda pool, author: resend(pool, author, document, sender=sender, recipients=to or ()), reason, as_json)


def add_to(app: typer.Typer) -> None:
    """Add these commands to the group `document`."""
    for name, command in (
        ("hold", hold_command),
        ("release", release_command),
        ("cancel", cancel_command),
        ("resend", resend_command),
    ):
        app.command(name)(command)


def _act(action: Callable[[asyncpg.Pool[Record], Author], Awaitable[Intervention]], reason: str, as_json: bool) -> None:
    author = author_of(reason)

    async def act() -> Intervention:
        pool = await open_pool(load_settings(), size=1)
        try:
            return await action(pool, author)
        finally:
            await pool.close()

    done = run(act())
    value = asdict(done) | {"document": str(done.document), "at": done.at.isoformat()}
    emit(value, as_json=as_json, render=lambda _: _sentence(done))


def _sentence(done: Intervention) -> str:
    shown = ", ".join(done.recipients[:SHOWN_CODES])
    more = len(done.recipients) - SHOWN_CODES
    whom = f"{shown} and {more} more" if more > 0 else shown or "nobody: every copy had gone out before"
    rest = f"; {done.untouched} other deliveries are as they were" if done.untouched else ""
    return f"{done.document} of {done.sender} {DONE[done.action]} {whom}{rest}."

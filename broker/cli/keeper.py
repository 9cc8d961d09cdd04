"""`lienthong keeper`: watch over unfinished work, mailboxes, deadlines and replays, or stand by to."""

from __future__ import annotations

from typing import Annotated

import typer

from broker.cli.output import emit, run
from broker.keeper import serve
from broker.logs import set_up
from broker.settings import load_settings


def command(
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="Log JSON; tell in JSON when it is ready.")] = False,
) -> None:
    """Run a keeper. One of any number is active, the others stand by. Ctrl-C or SIGTERM ends it."""
    settings = load_settings()
    set_up(process="keeper", level=log_level, as_json=True if as_json else None)

    def ready() -> None:
        if as_json:
            emit({"ready": True}, as_json=True, render=str)

    run(serve(settings, ready=ready))

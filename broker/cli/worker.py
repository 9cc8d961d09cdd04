"""`lienthong worker`: accept and deliver documents, judge statuses, until asked to stop."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from broker.cli.output import emit, run
from broker.logs import set_up
from broker.settings import load_settings
from broker.worker import CONCURRENCY, serve


def command(
    concurrency: Annotated[
        int, typer.Option(min=1, max=32, help="Batches in progress at a time in each of the big lanes.")
    ] = CONCURRENCY,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="Log JSON; tell in JSON when it is ready.")] = False,
) -> None:
    """Run a worker. Ctrl-C or SIGTERM lets it finish what it has taken and then ends it."""
    settings = load_settings()
    set_up(process="worker", level=log_level, as_json=True if as_json else None)

    def ready() -> None:
        if as_json:
            emit({"ready": True, "concurrency": concurrency}, as_json=True, render=str)
            sys.stdout.flush()  # whoever waits for it reads a pipe

    run(serve(settings, concurrency=concurrency, ready=ready))

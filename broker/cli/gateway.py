"""`lienthong gateway`: content store, directory, REST façade and pages over HTTP, until asked to stop."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from broker.cli.output import emit, run
from broker.gateway.server import serve
from broker.logs import set_up
from broker.settings import load_settings


def command(
    host: Annotated[str | None, typer.Option(help="Address to listen on; by default gateway_host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0 takes a free one; by default gateway_port.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    as_json: Annotated[bool, typer.Option("--json", help="Log JSON; tell in JSON when it is ready.")] = False,
) -> None:
    """Run a gateway. Ctrl-C or SIGTERM lets requests in progress end, and then ends it."""
    settings = load_settings()
    set_up(process="gateway", level=log_level, as_json=True if as_json else None)

    def ready(host: str, port: int) -> None:
        if as_json:
            emit({"ready": True, "host": host, "port": port}, as_json=True, render=str)
            sys.stdout.flush()  # whoever waits for it reads a pipe

    run(
        serve(
            settings,
            settings.gateway_host if host is None else host,
            settings.gateway_port if port is None else port,
            ready=ready,
        )
    )

"""The HTTP server under the gateway: uvicorn with its signals left to us and an end that can be awaited.

Knows sockets and TLS files, nothing of what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from fastapi import FastAPI

from schemas.problem import UNREACHABLE, Problem

BACKLOG: Final = 1024
"""Connections that may wait to be taken."""


class Server(uvicorn.Server):
    """A uvicorn server inside somebody else's process: who runs it handles signals, and is told when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self.listening.set()


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to this address, not listening yet; port 0 takes a free one. Raises Problem if it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise Problem(
            f"the gateway cannot listen on {host} port {port}: {error.strerror or error}",
            "an address of this machine with a free port",
            "Set gateway_host and gateway_port, or end the program that uses this port.",
            exit_code=UNREACHABLE,
        ) from error
    return bound


def server_for(app: FastAPI, *, certificate: str | None, key: str | None, grace: int) -> Server:
    """A server for this application; with a certificate and its key it speaks TLS only.

    `grace` seconds is what requests in progress get to end when the server is asked to stop.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=grace,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    return Server(config)

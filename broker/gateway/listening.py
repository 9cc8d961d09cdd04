"""The HTTP server under the gateway: uvicorn with its signals left to us and an end that can be awaited.

Knows sockets and TLS files, nothing of what is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from schemas.problem import UNREACHABLE, Problem

BACKLOG: Final = 1024
"""Connections that may wait to be taken."""
CONNECTIONS: Final = 2000
"""Connections and requests at a time; beyond that the answer is 503."""
HEAD_BYTES: Final = 16 * 1024
"""Bytes of a request's line and headers together; beyond that the answer is 400."""
HEAD_SECONDS: Final = 15.0
"""Seconds that a client has for them."""
IDLE_SECONDS: Final = 30
"""Seconds that a connection may wait for its next request."""
LOOK_SECONDS: Final = 45.0
"""Seconds between two looks at a connection; one that has got nowhere from one to the next is closed."""
LEAST_BODY: Final = 16 * 1024
"""Bytes of a body that a client who owes more must send between two looks."""


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


class Patient(H11Protocol):
    """HTTP/1.1 whose patience ends: with requests whose line and headers trickle, with bodies that do not come, also
    when nobody wants them any more, and with clients who do not take their answers."""

    _late: asyncio.TimerHandle | None = None
    _look: asyncio.TimerHandle | None = None
    # What the last look saw: the request whose body was still owed, and the bytes of answers not taken.
    _owing: RequestResponseCycle | None = None
    _untaken = 0
    # Since then:
    _heard = 0
    _flowed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The clock of the first request begins with the connection."""
        super().connection_made(transport)
        self._late = self.loop.call_later(HEAD_SECONDS, self._give_up)
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)

    def data_received(self, data: bytes) -> None:
        """The clock of a further request begins with its first byte, and ends with its last header."""
        self._heard += len(data)
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._calm()
        elif self._late is None and self.conn.trailing_data[0]:
            self._late = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for any more."""
        self._calm()
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """The client takes what it asked for."""
        self._flowed = True
        super().resume_writing()

    def _look_again(self) -> None:
        owing = self.cycle if self.conn.their_state is h11.SEND_BODY else None
        untaken = self.transport.get_write_buffer_size()
        silent = owing is not None and owing is self._owing and (owing.response_complete or self._starves())
        stuck = 0 < self._untaken <= untaken and not self._flowed
        if silent or stuck:
            self.transport.abort()
            return
        self._owing, self._untaken, self._heard, self._flowed = owing, untaken, 0, False
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_again)

    def _starves(self) -> bool:
        """Whether it is the client's doing that no more of its body has come."""
        ours = self.flow.read_paused or self.conn.they_are_waiting_for_100_continue
        return not ours and self._heard < LEAST_BODY

    def _calm(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.abort()


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


def server_for(app: ASGIApp, *, certificate: str | None, key: str | None, grace: int) -> Server:
    """A server for this application; with a certificate and its key it speaks TLS only.

    `grace` seconds is what requests in progress get to end when the server is asked to stop.
    Raises Problem for files that cannot be used.
    """
    if (certificate is None) != (key is None):
        raise _tls("one of gateway_tls_certificate_file and gateway_tls_key_file is set", "both, or none")
    config = uvicorn.Config(
        app,
        http=Patient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=grace,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise _tls(f"{certificate} and {key} cannot be used: {error}", "a PEM certificate and its key") from error
    return Server(config)


def _tls(found: str, expected: str) -> Problem:
    return Problem(found, expected, "Correct gateway_tls_certificate_file and gateway_tls_key_file.")

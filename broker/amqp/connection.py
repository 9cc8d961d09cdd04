"""One AMQP connection that stays up: our own reconnecting, and nothing remembered across connections.

A `Link` owns at most one live connection at a time, called a `Session`. When it is lost the session is over for good:
its channels, consumers and unconfirmed publishes are gone, and whoever used them takes the next session from the link.
Nothing is restored behind anybody's back, so nothing can be restored twice.

This module may not know what is published or consumed; it never retries anybody's message. Consuming and publishing
use two links, because a server that blocks publishers blocks the whole connection.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import aiormq
import structlog
from aiormq.abc import AbstractConnection
from aiormq.channel import Channel
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import AMQPError, AuthenticationError, ProbableAuthenticationError
from yarl import URL

from schemas.problem import Problem, said

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 10.0
"""Seconds for TCP, TLS and the AMQP greeting together."""

CHANNEL_TIMEOUT = 15.0
"""Seconds for the server to answer when a channel is opened, qualified or closed."""

HEARTBEAT = 10
"""Seconds. The server gives a silent client up after two of them, the client a silent server after about three."""

READ_AHEAD = 1 << 20
"""Bytes read from the socket before the operating system is told to wait; the library's own default is 64 KiB."""

FRAME_BUFFER = 512
"""Frames a channel may lag behind its connection before the connection stops reading."""

SETTLED_AFTER = 10.0
"""Seconds a connection must have lived for the next loss to start again with the shortest wait."""

LOST: tuple[type[Exception], ...] = (AMQPError, OSError, RuntimeError, EOFError, StopAsyncIteration)
"""What the library raises for a connection or channel that is gone: RuntimeError for calls on closed ones, and
StopAsyncIteration when the peer hangs up in the middle of the greeting."""


class LinkState(StrEnum):
    CONNECTING = "connecting"
    UP = "up"
    BLOCKED = "blocked"
    WAITING = "waiting"
    CLOSED = "closed"


class LinkClosed(Exception):
    """The link was closed by its owner; open a new one to go on."""


class ConnectionLost(ConnectionError):
    """The connection or channel ended under a call; take the next session from the link."""


@contextmanager
def honest_cancellation() -> Iterator[None]:
    """Around calls of the library: `CancelledError` leaves this block exactly if this task has been cancelled.

    When a connection dies of silence the library rejects the calls on it with `CancelledError`, which would end a task
    that nobody has cancelled, and when it ends without a reason, with a bare `Exception`: `ConnectionLost` for both.
    And a call that is cancelled while its connection is being lost may raise for the loss, so that the task would go
    on: that becomes `CancelledError`.
    """
    task = asyncio.current_task()
    assert task is not None
    try:
        yield
    except asyncio.CancelledError:
        if task.cancelling():
            raise
        raise ConnectionLost("the connection was given up") from None
    except Exception as error:
        bare = type(error) is Exception
        if task.cancelling() and (bare or isinstance(error, LOST)):
            raise asyncio.CancelledError from error
        if bare:
            raise ConnectionLost("the connection ended without a reason") from error
        raise
    if task.cancelling():
        raise asyncio.CancelledError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits between attempts: doubling, capped, and jittered so that a thousand clients do not return at once."""

    first: float = 0.2
    ceiling: float = 15.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` (≥ 1) failures in a row; `chance` in [0, 1) spreads the upper half."""
        longest = min(self.ceiling, self.first * 2.0 ** min(failures - 1, 30))
        return longest * (0.5 + 0.5 * chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """What a health page shows of a link."""

    name: str
    state: LinkState
    connections: int
    """Connections made since the link was opened; more than one means that it was lost in between."""
    last_error: str | None


class _Transport(TransportFactory):
    """Makes the socket, and keeps hold of it so that a dead one can be dropped without waiting for good manners."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        factory: TransportFactory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, limit=READ_AHEAD, **kwargs)
        self._writer = writer
        return reader, writer

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


class Session:
    """One live connection. Over as soon as `lost` is set; never revived."""

    def __init__(self, generation: int, connection: AbstractConnection) -> None:
        self.generation = generation
        self.lost = asyncio.Event()
        self._connection = connection

    async def channel(self, *, confirms: bool) -> Channel:
        """Open a channel; with `confirms`, an unroutable mandatory publish fails its confirmation (contract §3).

        Raises one of `LOST` if the connection is gone or does not answer within `CHANNEL_TIMEOUT`.
        """
        with honest_cancellation():
            async with asyncio.timeout(CHANNEL_TIMEOUT):
                channel = await self._connection.channel(
                    publisher_confirms=confirms, on_return_raises=True, frame_buffer_size=FRAME_BUFFER
                )
        assert isinstance(channel, Channel)
        return channel

    @property
    def blocked(self) -> bool:
        """Whether the server refuses publishes at the moment (memory or disk alarm)."""
        # `ready` waits for one flag; stepping it once tells whether the flag is set, without a task.
        ready = self._connection.ready()
        try:
            ready.send(None)
        except StopIteration:
            return False
        ready.close()
        return not self.lost.is_set()

    async def writable(self) -> None:
        """Return once the server takes publishes, or the session is lost (then the next write fails)."""
        if not self.blocked:
            return
        waits = {asyncio.ensure_future(self._connection.ready()), asyncio.ensure_future(self.lost.wait())}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


class Link:
    """A connection that is made again whenever it is lost, until `close`.

    `name` appears in the server's list of connections. `on_change` is called with each new state.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        heartbeat: int = HEARTBEAT,
        backoff: Backoff | None = None,
        on_change: Callable[[LinkState], None] | None = None,
    ) -> None:
        self.name = name
        self._url = URL(url).update_query(heartbeat=heartbeat, name=name)
        self._backoff = backoff or Backoff()
        self._on_change = on_change
        self._state = LinkState.CONNECTING
        self._session: Session | None = None
        self._decided = asyncio.Event()  # set while there is a session to have, or none to be had any more
        self._connections = 0
        self._last_error: BaseException | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def user(self) -> str:
        """The AMQP user, which is the only `user_id` the server lets this link put on a message."""
        return self._url.user or "guest"

    @property
    def state(self) -> LinkState:
        if self._state is LinkState.UP and self._session is not None and self._session.blocked:
            return LinkState.BLOCKED
        return self._state

    def status(self) -> LinkStatus:
        error = None if self._last_error is None else _reason(self._last_error)
        return LinkStatus(name=self.name, state=self.state, connections=self._connections, last_error=error)

    async def open(self, *, insist: bool = False) -> Self:
        """Connect, and keep connected from now on.

        Without `insist` a first connection that fails raises `Problem` (exit code 4) and leaves nothing running; with
        it, `open` returns at once and the link goes on trying.
        """
        if insist:
            self._keeping = asyncio.create_task(self._keep(None), name=f"link {self.name}")
            return self
        try:
            first = await self._connect()
        except LOST as error:
            self._set(LinkState.CLOSED)
            raise Problem(
                found=f"no AMQP connection to {self._url.host}:{self._url.port}: {_reason(error)}",
                expected=f"RabbitMQ there, taking user {self.user!r} on virtual host {self._url.path[1:] or '/'!r}",
                remedy=_remedy(error),
                exit_code=4,
            ) from error
        self._keeping = asyncio.create_task(self._keep(first), name=f"link {self.name}")
        await self._decided.wait()
        return self

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def session(self) -> Session:
        """The live session; waits while there is none. Raises `LinkClosed` after `close`."""
        while True:
            session = self._session
            if session is not None and not session.lost.is_set():
                return session
            if self._state is LinkState.CLOSED:
                raise LinkClosed(f"link {self.name} is closed")
            self._decided.clear()
            await self._decided.wait()

    async def close(self) -> None:
        """Close the connection and stop making new ones. Safe to call twice."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait({keeping})
        self._session = None
        self._set(LinkState.CLOSED)
        self._decided.set()

    async def _connect(self) -> tuple[AbstractConnection, _Transport]:
        transport = _Transport()
        try:
            with honest_cancellation():
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    connection = await aiormq.connect(self._url, transport_factory=transport)
                    await connection.ready()
        except BaseException:
            transport.abort()
            raise
        return connection, transport

    async def _keep(self, first: tuple[AbstractConnection, _Transport] | None) -> None:
        """Connect, wait for the loss, wait a little, again; until cancelled."""
        failures = 0
        while True:
            try:
                self._set(LinkState.CONNECTING)
                connection, transport = first or await self._connect()
                first = None
            except LOST as error:
                self._last_error = error
                failures += 1
                log.warning("amqp connection failed", link=self.name, failures=failures, why=_reason(error))
            else:
                began = asyncio.get_running_loop().time()
                await self._attend(connection, transport)
                lived = asyncio.get_running_loop().time() - began
                failures = 1 if lived >= SETTLED_AFTER else failures + 1
            self._set(LinkState.WAITING)
            await asyncio.sleep(self._backoff.delay(failures, random.random()))  # noqa: S311 - spreading, not secrecy

    async def _attend(self, connection: AbstractConnection, transport: _Transport) -> None:
        """Offer the connection as the session until it is lost (or this task is cancelled: then close it politely)."""
        self._connections += 1
        session = Session(self._connections, connection)
        closing = connection.closing
        closing.add_done_callback(lambda _: session.lost.set())
        self._session = session
        self._set(LinkState.UP)
        self._decided.set()
        log.info("amqp connected", link=self.name, connection=self._connections)
        try:
            while not session.lost.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await session.lost.wait()
                if not connection.is_opened:
                    # The library has noticed the end but may still be writing its goodbye to a peer that does not
                    # read; nobody gains by waiting for that.
                    transport.abort()
        finally:
            self._session = None
            if not session.lost.is_set():
                with suppress(*LOST):
                    async with asyncio.timeout(CHANNEL_TIMEOUT):
                        await connection.close(ConnectionLost("closed by its owner"))
                session.lost.set()
            transport.abort()
            if closing.done() and not closing.cancelled():
                self._last_error = closing.exception()
        log.warning("amqp connection lost", link=self.name, why=_reason(self._last_error))

    def _set(self, state: LinkState) -> None:
        if state is not self._state:
            self._state = state
            if self._on_change is not None:
                self._on_change(state)


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "no reason given"
    return said(error)


def _remedy(error: BaseException) -> str:
    if isinstance(error, (AuthenticationError, ProbableAuthenticationError)):
        return "check user and password in LIENTHONG_AMQP_URL, and that the user may use this virtual host"
    return "start it (`lienthong services up`) or set LIENTHONG_AMQP_URL to where it runs"

"""One connection to the exchange: publish with confirms, read a mailbox, acknowledge. Nothing is remembered here.

A plain connection, never a robust one: when it breaks, everything that was under way fails with `Lost`, and the pump
opens a new `Session` and decides from its database what to do again. This module knows no manifest and no SQL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    DeliveryError,
    ProbableAuthenticationError,
    PublishError,
)
from pamqp import commands
from yarl import URL

from schemas import wire
from schemas.jws import MEDIA_TYPE
from schemas.problem import UNREACHABLE, Problem

log = logging.getLogger("lienthong.adapters")

# For the exchange to answer when a connection or a channel is opened or closed.
CONNECT_SECONDS = 10.0
# A confirm that does not come within this time counts as doubt: the same bytes go out again.
CONFIRM_SECONDS = 30.0
HEARTBEAT_SECONDS = 30

BROKEN = (AMQPError, OSError, RuntimeError, EOFError, StopAsyncIteration)
"""What aiormq raises when a connection or a channel is gone: RuntimeError when it is used after its end, and
StopAsyncIteration when the peer hangs up in the middle of the greeting."""


class Lost(Exception):
    """The connection or channel went away before the answer came: nobody knows what happened at the other end."""


class NotTaken(Exception):
    """The exchange answered, and did not take the message: it was returned as unroutable, or nacked."""


@contextmanager
def lost(what: str) -> Iterator[None]:
    """Around calls of aiormq: `Lost` for a connection that is gone, and CancelledError for who has been cancelled only.

    aiormq ends with CancelledError what waits on a connection that has died of silence; nobody has cancelled the task.
    And a cancellation that meets the end of a call or of the connection may get lost in it; the task would go on.
    """
    task = asyncio.current_task()
    assert task is not None
    try:
        yield
    except (Exception, asyncio.CancelledError) as why:
        if task.cancelling():
            raise asyncio.CancelledError from why
        # A bare Exception is what aiormq has for a connection that ended without a reason.
        if isinstance(why, (*BROKEN, asyncio.CancelledError)) or type(why) is Exception:
            raise Lost(f"{what}: {why or type(why).__name__}") from why
        raise
    if task.cancelling():
        raise asyncio.CancelledError


class Transport(TransportFactory):
    """Makes the socket, and keeps hold of it, so that it can be dropped whatever state the connection is in."""

    def __init__(self) -> None:
        self._writer: asyncio.StreamWriter | None = None

    async def create(self, url: URL, **more: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        factory: TransportFactory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, self._writer = await factory.create(url, **more)
        return reader, self._writer

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()


@dataclass(frozen=True, kw_only=True, slots=True)
class Publish:
    """A message to be handed to `lt.submit`."""

    routing_key: str
    kind: str
    body: bytes
    urgent: bool
    # Unique per publish, also when the same bytes go out again (contract §3).
    message_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A message taken from the mailbox and not yet acknowledged."""

    tag: int
    body: bytes
    message_id: str


class Session:
    """An open connection with a channel for publishing and, once `read` was called, one for reading."""

    def __init__(self, connection: AbstractConnection, transport: Transport, user: str) -> None:
        self._connection = connection
        self._transport = transport
        self._user = user
        self._opening = asyncio.Lock()
        self._publishing: AbstractChannel | None = None
        self._reading: AbstractChannel | None = None
        # Set when the connection has ended, for whatever reason.
        self.ended = asyncio.Event()
        # Set when only the mailbox's consumer has ended (the queue was deleted, or reading is not allowed).
        self.unread = asyncio.Event()
        connection.closing.add_done_callback(self._on_closed)

    @classmethod
    async def open(cls, url: str, *, user: str, password: str) -> Session:
        """Connect as `user`. Raises Lost if the server cannot be reached, Problem if it refuses the user."""
        address = URL(url).with_user(user).with_password(password)
        address = address.update_query(heartbeat=HEARTBEAT_SECONDS, name=f"lienthong-agency {user}")
        transport = Transport()
        try:
            with lost(f"{URL(url).with_user(None)}"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    connection = await aiormq.connect(address, transport_factory=transport)
        except BaseException as why:
            transport.abort()
            if isinstance(why, Lost) and isinstance(why.__cause__, (AuthenticationError, ProbableAuthenticationError)):
                raise Problem(
                    found=f"the exchange refused the AMQP user {user}",
                    expected="the user and password that `lienthong agency add` printed",
                    remedy="Compare submitter and the password file in agency.toml; ask the operator for a new one.",
                    exit_code=UNREACHABLE,
                ) from why
            raise
        return cls(connection, transport, user)

    def _on_closed(self, _: object) -> None:
        self.ended.set()
        self.unread.set()

    async def _channel(self, *, confirms: bool) -> AbstractChannel:
        with lost("no channel"):
            await self._connection.ready()  # it would get no answer while the server takes nothing
            async with asyncio.timeout(CONNECT_SECONDS):
                return await self._connection.channel(publisher_confirms=confirms, on_return_raises=confirms)

    async def publish(self, message: Publish) -> None:
        """Publish, persistent and mandatory; returns when the exchange has confirmed.

        Raises NotTaken if it answered otherwise, Lost if it did not answer. Many calls may be in flight at once.
        """
        async with self._opening:
            if self._publishing is None or self._publishing.is_closed:
                self._publishing = await self._channel(confirms=True)
            channel = self._publishing
        properties = commands.Basic.Properties(
            content_type=MEDIA_TYPE,
            delivery_mode=2,
            priority=wire.PRIORITY_URGENT if message.urgent else wire.PRIORITY_NORMAL,
            message_id=message.message_id,
            message_type=message.kind,
            user_id=self._user,
        )
        with lost("no confirm"):
            try:
                answer = await channel.basic_publish(
                    message.body,
                    exchange=wire.SUBMIT,
                    routing_key=message.routing_key,
                    properties=properties,
                    mandatory=True,
                    timeout=CONFIRM_SECONDS,
                )
            except PublishError as why:
                raise NotTaken(f"{wire.SUBMIT} has no queue for {message.routing_key}") from why
            except DeliveryError as why:
                raise NotTaken(f"the exchange nacked the message: {why}") from why
        if not isinstance(answer, commands.Basic.Ack):
            raise NotTaken(f"the exchange answered {answer!r}")

    async def read(self, queue: str, *, prefetch: int, put: Callable[[Arrival], None]) -> None:
        """Start reading `queue`; `put` gets every message and must not block. Raises Lost.

        `unread` is set when this consumer ends, also if the connection goes on.
        """
        self.unread.clear()
        channel = await self._channel(confirms=False)

        async def take(message: DeliveredMessage) -> None:
            tag = message.delivery_tag
            if tag is None:
                raise RuntimeError("a delivery without a tag")
            properties = message.header.properties
            put(Arrival(tag=tag, body=message.body, message_id=properties.message_id or ""))

        channel.on_consumer_cancel_callbacks.add(lambda _: self.unread.set())
        channel.closing.add_done_callback(lambda _: self.unread.set())
        self._reading = channel
        try:
            with lost(f"{queue} cannot be read"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await channel.basic_qos(prefetch_count=prefetch)
                    await channel.basic_consume(queue, take)
        except BaseException:
            await self.stop_reading()  # else a consumer that begins late would keep what nobody reads
            raise

    async def ack(self, tag: int, *, multiple: bool) -> None:
        """Acknowledge; `multiple` includes everything older. Raises Lost (then it comes again, which does no harm)."""
        if self._reading is None:
            raise Lost("nothing is being read")
        with lost("no acknowledgement"):
            await self._reading.basic_ack(tag, multiple=multiple)

    async def stop_reading(self) -> None:
        """Close the reading channel; what was not acknowledged goes back to the mailbox."""
        reading, self._reading = self._reading, None
        if reading is not None:
            with suppress(Lost), lost("it was gone already"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await reading.close(Lost("reading has ended"))

    async def close(self) -> None:
        """End the connection; harmless if it is gone already."""
        try:
            with suppress(Lost), lost("it was gone already"):
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._connection.close(Lost("the agency has closed it"))
        finally:
            self._transport.abort()
            self._on_closed(self)

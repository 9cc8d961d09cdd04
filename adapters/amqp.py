"""One connection to the exchange: publish with confirms, read a mailbox, acknowledge. Nothing is remembered here.

A plain connection, never a robust one: when it breaks, everything that was under way fails with `Lost`, and the pump
opens a new `Session` and decides from its database what to do again. This module knows no manifest and no SQL.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import aio_pika
import aio_pika.exceptions
import aiormq.abc
from pamqp import commands
from yarl import URL

from schemas import wire
from schemas.jws import MEDIA_TYPE
from schemas.problem import UNREACHABLE, Problem

log = logging.getLogger("lienthong.adapters")

CONNECT_SECONDS = 10.0
# A confirm that does not come within this time counts as doubt: the same bytes go out again.
CONFIRM_SECONDS = 30.0
HEARTBEAT_SECONDS = 30

BROKEN = (aio_pika.exceptions.AMQPError, ConnectionError, OSError, asyncio.TimeoutError, RuntimeError)
"""What aio-pika and aiormq raise when a connection or a channel is gone (RuntimeError: it was used after its end)."""


class Lost(Exception):
    """The connection or channel went away before the answer came: nobody knows what happened at the other end."""


class NotTaken(Exception):
    """The exchange answered, and did not take the message: it was returned as unroutable, or nacked."""


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

    def __init__(self, connection: aio_pika.abc.AbstractConnection, user: str) -> None:
        self._connection = connection
        self._user = user
        self._publishing: aiormq.abc.AbstractChannel | None = None
        self._reading: aiormq.abc.AbstractChannel | None = None
        # Set when the connection has ended, for whatever reason.
        self.ended = asyncio.Event()
        # Set when only the mailbox's consumer has ended (the queue was deleted, or reading is not allowed).
        self.unread = asyncio.Event()

    @classmethod
    async def open(cls, url: str, *, user: str, password: str) -> Session:
        """Connect as `user`. Raises Lost if the server cannot be reached, Problem if it refuses the user."""
        address = URL(url).with_user(user).with_password(password)
        try:
            connection = await aio_pika.connect(
                address,
                timeout=CONNECT_SECONDS,
                heartbeat=HEARTBEAT_SECONDS,
                client_properties={"connection_name": f"lienthong-agency {user}"},
            )
        except (aio_pika.exceptions.AuthenticationError, aio_pika.exceptions.ProbableAuthenticationError) as why:
            raise Problem(
                found=f"the exchange refused the AMQP user {user}",
                expected="the user and password that `lienthong agency add` printed",
                remedy="Compare submitter and the password file in agency.toml; ask the operator for a new password.",
                exit_code=UNREACHABLE,
            ) from why
        except BROKEN as why:
            raise Lost(f"{URL(url).with_user(None)}: {why or type(why).__name__}") from why
        session = cls(connection, user)
        connection.close_callbacks.add(session._on_closed)
        return session

    def _on_closed(self, *_: object) -> None:
        self.ended.set()
        self.unread.set()

    async def _channel(self, *, confirms: bool) -> aiormq.abc.AbstractChannel:
        try:
            channel = self._connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
            await channel.initialize(timeout=CONNECT_SECONDS)
            return await channel.get_underlay_channel()
        except BROKEN as why:
            raise Lost(f"no channel: {why}") from why

    async def publish(self, message: Publish) -> None:
        """Publish, persistent and mandatory; returns when the exchange has confirmed.

        Raises NotTaken if it answered otherwise, Lost if it did not answer. Many calls may be in flight at once.
        """
        if self._publishing is None or self._publishing.is_closed:
            self._publishing = await self._channel(confirms=True)
        properties = commands.Basic.Properties(
            content_type=MEDIA_TYPE,
            delivery_mode=2,
            priority=wire.PRIORITY_URGENT if message.urgent else wire.PRIORITY_NORMAL,
            message_id=message.message_id,
            message_type=message.kind,
            user_id=self._user,
        )
        try:
            answer = await self._publishing.basic_publish(
                message.body,
                exchange=wire.SUBMIT,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=True,
                timeout=CONFIRM_SECONDS,
            )
        except aio_pika.exceptions.PublishError as why:
            raise NotTaken(f"{wire.SUBMIT} has no queue for {message.routing_key}") from why
        except aio_pika.exceptions.DeliveryError as why:
            raise NotTaken(f"the exchange nacked the message: {why}") from why
        except BROKEN as why:
            raise Lost(f"no confirm: {why or type(why).__name__}") from why
        if not isinstance(answer, commands.Basic.Ack):
            raise NotTaken(f"the exchange answered {answer!r}")

    async def read(self, queue: str, *, prefetch: int, put: Callable[[Arrival], None]) -> None:
        """Start reading `queue`; `put` gets every message and must not block. Raises Lost.

        `unread` is set when this consumer ends, also if the connection goes on.
        """
        self.unread.clear()
        channel = await self._channel(confirms=False)

        async def take(message: aiormq.abc.DeliveredMessage) -> None:
            tag = message.delivery_tag
            if tag is None:
                raise RuntimeError("a delivery without a tag")
            properties = message.header.properties
            put(Arrival(tag=tag, body=message.body, message_id=properties.message_id or ""))

        channel.on_consumer_cancel_callbacks.add(lambda _: self.unread.set())
        channel.closing.add_done_callback(lambda _: self.unread.set())
        try:
            await channel.basic_qos(prefetch_count=prefetch)
            await channel.basic_consume(queue, take)
        except BROKEN as why:
            self.unread.set()
            raise Lost(f"{queue} cannot be read: {why}") from why
        self._reading = channel

    async def ack(self, tag: int, *, multiple: bool) -> None:
        """Acknowledge; `multiple` includes everything older. Raises Lost (then it comes again, which does no harm)."""
        if self._reading is None:
            raise Lost("nothing is being read")
        try:
            await self._reading.basic_ack(tag, multiple=multiple)
        except BROKEN as why:
            raise Lost(f"no acknowledgement: {why}") from why

    async def stop_reading(self) -> None:
        """Close the reading channel; what was not acknowledged goes back to the mailbox."""
        reading, self._reading = self._reading, None
        if reading is not None and not reading.is_closed:
            try:
                await reading.close()
            except BROKEN as why:
                log.debug("the reading channel was already gone: %s", why)

    async def close(self) -> None:
        """End the connection; harmless if it is gone already."""
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connection.close()
        except BROKEN as why:
            log.debug("the connection was already gone: %s", why)
        self.ended.set()

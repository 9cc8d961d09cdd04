"""A queue of one's own on a real server, and a proxy in front of it that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import aiormq
import pytest
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from tests.integration.amqp.proxy import Proxy

QUEUE = "letters"
END = b"that was all"


class HasAddress(Protocol):
    amqp_url: str


class Server:
    """The server itself, past every proxy: what is really in a queue."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel

    async def declare(self, name: str = QUEUE, **arguments: str | int) -> None:
        named: dict[str, Any] = {
            key.replace("_", "-"): value for key, value in ({"x_queue_type": "quorum"} | arguments).items()
        }
        await self.channel.queue_declare(name, durable=True, arguments=named)

    async def delete(self, name: str = QUEUE) -> None:
        await self.channel.queue_delete(name)

    async def put(self, bodies: list[bytes], name: str = QUEUE, **properties: object) -> None:
        for body in bodies:
            await self.channel.basic_publish(
                body,
                routing_key=name,
                properties=Basic.Properties(delivery_mode=2, **properties),  # type: ignore[arg-type]
            )

    async def readers(self, name: str = QUEUE) -> int:
        return (await self.channel.queue_declare(name, passive=True)).consumer_count or 0

    async def ready(self, name: str = QUEUE) -> int:
        return (await self.channel.queue_declare(name, passive=True)).message_count or 0

    async def until_ready(self, number: int, name: str = QUEUE) -> None:
        """Wait until so many messages are ready: what a lost reader had returns a moment after it is gone."""
        while await self.ready(name) != number:
            await asyncio.sleep(0.01)

    async def drain(self, name: str = QUEUE) -> list[bytes]:
        """Take everything out of a queue. A last message of our own shows that nothing more comes."""
        bodies: list[bytes] = []
        complete = asyncio.Event()

        async def take(message: DeliveredMessage) -> None:
            if message.body == END:
                complete.set()
            else:
                bodies.append(message.body)

        await self.put([END], name)
        consuming = await self.channel.basic_consume(name, take, no_ack=True)
        await complete.wait()
        await self.channel.basic_cancel(consuming.consumer_tag or "")
        return bodies

    async def headers(self, name: str = QUEUE) -> Mapping[str, object]:
        """The headers of the next message, which is taken out."""
        return (await self.channel.basic_get(name, no_ack=True)).header.properties.headers or {}


class Reasonless:
    """Two calls of aiormq that end as on a connection that ended without a reason: of a bare Exception."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.left = 2
        real = getattr(owner, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            if self.left:
                self.left -= 1
                raise Exception
            return await real(*arguments, **named)

        monkeypatch.setattr(owner, name, call)


@pytest.fixture
async def server(vhost: HasAddress) -> AsyncIterator[Server]:
    connection = await aiormq.connect(vhost.amqp_url)
    channel = await connection.channel()
    server = Server(channel)
    await server.declare()
    yield server
    await connection.close(ConnectionError("test over"))


@pytest.fixture
async def proxy(vhost: HasAddress) -> AsyncIterator[Proxy]:
    async with Proxy(vhost.amqp_url) as proxy:
        yield proxy

"""How full a queue is now: asked of the queue itself, where the management API tells of some seconds ago."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiormq.exceptions import ChannelNotFoundEntity

from broker.amqp.connection import CHANNEL_TIMEOUT, Link, honest_cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """Messages that wait in a queue (without those that a reader has and has not acknowledged), and its readers."""

    messages: int
    readers: int


async def depth(link: Link, queue: str) -> Depth | None:
    """The depth of a queue now; None if there is no such queue. Raises one of `LOST` if the connection goes."""
    session = await link.session()
    channel = await session.channel(confirms=False)
    try:
        with honest_cancellation():
            async with asyncio.timeout(CHANNEL_TIMEOUT):
                found = await channel.queue_declare(queue, passive=True)
    except ChannelNotFoundEntity:
        return None
    finally:
        await channel.close(ConnectionError("looked"))
    return Depth(messages=found.message_count or 0, readers=found.consumer_count or 0)

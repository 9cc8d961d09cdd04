"""Looking into a queue without consuming it: messages are got, shown, and go back unless they are settled.

For operators' commands on small queues such as `lt.dead`; workers read with `reading`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiormq.channel import Channel
from pamqp.commands import Basic

from broker.amqp.connection import CHANNEL_TIMEOUT, Link, honest_cancellation
from broker.amqp.messages import Incoming
from broker.amqp.reading import incoming_of


class Browsed:
    """The messages that are held while one looks; what is not settled goes back to its place when looking ends."""

    def __init__(self, channel: Channel, messages: tuple[Incoming, ...]) -> None:
        self._channel = channel
        self.messages = messages

    async def settle(self, message: Incoming) -> None:
        """Take one message out of the queue for good."""
        with honest_cancellation():
            await self._channel.basic_ack(message.delivery_tag, wait=True)


@asynccontextmanager
async def browsing(link: Link, queue: str, *, limit: int) -> AsyncIterator[Browsed]:
    """Hold up to `limit` messages of `queue`, oldest first, until the end of the block.

    Raises one of `LOST` if the connection goes, aiormq's ChannelNotFoundEntity if there is no such queue.
    """
    session = await link.session()
    channel = await session.channel(confirms=False)
    held: list[Incoming] = []
    try:
        while len(held) < limit:
            with honest_cancellation():
                async with asyncio.timeout(CHANNEL_TIMEOUT):
                    got = await channel.basic_get(queue, no_ack=False)
            if not isinstance(got.delivery, Basic.GetOk):
                break
            held.append(incoming_of(got))
        yield Browsed(channel, tuple(held))
    finally:
        # The server puts everything that was not acknowledged back as the channel closes.
        await channel.close(ConnectionError("looked"))

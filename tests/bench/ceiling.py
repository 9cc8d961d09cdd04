"""The ceiling: what RabbitMQ and a plain client can carry when nobody does any work with the messages.

Bare aiormq: consume with a prefetch, publish each message once with BCC to three mailboxes, await the pipelined
confirms, acknowledge a batch with `multiple`. Batches overlap and are acknowledged in their order. Persistent and
mandatory, quorum queues, confirms before acknowledgements: the same durability as everybody else. Nothing is parsed,
verified, signed or stored, so the recipients are simply the next three in turn.

    python -m tests.bench.ceiling CODE [CODE ...]        (mailboxes' codes; addresses from LIENTHONG_*)
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from collections.abc import Sequence
from uuid import uuid4

import aiormq
import uvloop
from aiormq.abc import AbstractConnection, DeliveredMessage
from aiormq.channel import Channel
from pamqp.commands import Basic
from pamqp.common import FieldValue

from broker.settings import load_settings
from schemas.jws import MEDIA_TYPE
from schemas.wire import DELIVER, INTAKE_NORMAL
from tests.bench.country import COPIES

PREFETCH = 800
BATCH = 100
LINGER = 0.005
"""Seconds that the first message of a batch waits for others."""
PUBLISHING_CHANNELS = 3


class Ceiling:
    """One consumer, a few publishing channels."""

    def __init__(self, source: Channel, targets: Sequence[Channel], codes: Sequence[str]) -> None:
        self._source = source
        self._targets = itertools.cycle(targets)
        self._turns = itertools.cycle(codes)
        self._waiting: list[DeliveredMessage] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._last: asyncio.Task[None] | None = None

    async def take(self, message: DeliveredMessage) -> None:
        """Called for each delivery."""
        self._waiting.append(message)
        if len(self._waiting) >= BATCH:
            self._hand_over()
        elif self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(LINGER, self._hand_over)

    def _hand_over(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        batch, self._waiting = self._waiting, []
        self._last = asyncio.create_task(self._carry(batch, self._last))

    async def _carry(self, batch: Sequence[DeliveredMessage], before: asyncio.Task[None] | None) -> None:
        target = next(self._targets)
        await asyncio.gather(*(self._publish(target, message) for message in batch))
        if before is not None:
            await before
        await self._source.basic_ack(batch[-1].delivery_tag or 0, multiple=True, wait=False)

    async def _publish(self, target: Channel, message: DeliveredMessage) -> None:
        first, *others = itertools.islice(self._turns, COPIES)
        properties = Basic.Properties(
            content_type=MEDIA_TYPE,
            delivery_mode=2,
            headers={"BCC": list[FieldValue](others)},
            message_id=uuid4().hex,
            message_type="document",
        )
        await target.basic_publish(
            message.body, exchange=DELIVER, routing_key=first, properties=properties, mandatory=True, wait=False
        )

    async def settled(self) -> None:
        """Return when every batch taken so far is acknowledged."""
        if self._last is not None:
            await self._last


async def opened(connection: AbstractConnection, *, confirms: bool) -> Channel:
    """A channel; with `confirms`, every publish is answered for and an unroutable one raises."""
    channel = await connection.channel(publisher_confirms=confirms, on_return_raises=True)
    assert isinstance(channel, Channel)
    return channel


async def carry(codes: Sequence[str]) -> None:
    """Carry messages until asked to stop."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    url = load_settings().amqp_url
    reading, writing = await aiormq.connect(url), await aiormq.connect(url)
    targets = [await opened(writing, confirms=True) for _ in range(PUBLISHING_CHANNELS)]
    source = await opened(reading, confirms=False)
    await source.basic_qos(prefetch_count=PREFETCH)
    ceiling = Ceiling(source, targets, codes)
    begun = await source.basic_consume(INTAKE_NORMAL, ceiling.take)
    await stopping.wait()
    await source.basic_cancel(begun.consumer_tag or "")
    await ceiling.settled()
    await writing.close()
    await reading.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(carry(sys.argv[1:]))

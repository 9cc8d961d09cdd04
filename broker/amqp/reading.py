"""Reading a queue in batches: bounded by count, bytes and a few milliseconds; acknowledged by watermark.

A batch that was handed out belongs to the connection on which it came. When that is lost the server delivers its
messages again, and acknowledging the batch does nothing: whoever processes batches must be able to see a message twice.
The reader itself goes on with the next connection, and waits for a queue that has gone until it is back.

Memory: at most `prefetch` messages, of which each keeps at most `body_limit` bytes if that is set.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import Any, Self

import structlog
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity
from pamqp.commands import Basic

from broker.amqp.connection import (
    CHANNEL_TIMEOUT,
    LOST,
    Backoff,
    ConnectionLost,
    Link,
    Session,
    honest_cancellation,
)
from broker.amqp.messages import DeliveryTag, Incoming
from broker.amqp.watermark import Stretch, Watermark

__all__ = ["Batch", "BatchReader", "Incoming", "ReaderState"]

log = structlog.get_logger(__name__)

PREFETCH = 400
MAX_COUNT = 200
MAX_BYTES = 8 * 1024 * 1024
LINGER = 0.005
"""Seconds for which the first message of a batch waits for others, when no batch is in progress."""
BUSY_LINGER = 0.1
"""The same while batches are in progress, at most until the last of them is acknowledged: a server with a backlog sends
again as batches are acknowledged, and handing that out in crumbs would cost more than the wait."""

QUEUE_BACKOFF = Backoff(first=0.1, ceiling=5.0)
"""How often a reader looks whether a queue that has gone is there again."""


class ReaderState(StrEnum):
    CONNECTING = "connecting"
    READING = "reading"
    QUEUE_MISSING = "queue missing"
    REFUSED = "refused"
    STOPPED = "stopped"


class Batch:
    """Messages that were delivered one after the other on one connection."""

    __slots__ = ("_origin", "_stretch", "messages")

    def __init__(self, messages: Sequence[Incoming], stretch: Stretch, origin: _Consumption) -> None:
        self.messages = messages
        self._stretch = stretch
        self._origin = origin

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def lost(self) -> bool:
        """True when the connection has gone and all these messages come, or came, again."""
        return not self._origin.alive

    async def ack(self) -> bool:
        """Everything here that was not given back is done. Batches may be acknowledged in any order and twice.

        Returns False if the connection was lost before, so that the messages come again; never raises for that.
        """
        return await self._origin.settle(self._stretch)

    async def requeue(self, messages: Iterable[Incoming]) -> bool:
        """Give some messages back to the queue now; `ack` is still needed for the batch. Returns as `ack` does."""
        return await self._origin.give_back(self._stretch, [message.delivery_tag for message in messages])


class BatchReader:
    """Reads `queue` over `link`: `async for batch in reader`, then `await batch.ack()`; `await reader.stop()` at last.

    One task iterates; batches may be processed by many. `linger` is in seconds: a message that arrived alone is handed
    out that much later at the latest, if the iterating task is waiting; while other batches are in progress it may wait
    until they are done, for `busy_linger`. `stop` ends the iteration.
    """

    def __init__(
        self,
        link: Link,
        queue: str,
        *,
        prefetch: int = PREFETCH,
        max_count: int = MAX_COUNT,
        max_bytes: int = MAX_BYTES,
        linger: float = LINGER,
        busy_linger: float = BUSY_LINGER,
        body_limit: int | None = None,
    ) -> None:
        self.queue = queue
        self._link = link
        self._prefetch = prefetch
        self._max_count = min(max_count, prefetch)
        self._max_bytes = max_bytes
        self._linger = linger
        self._busy_linger = max(linger, busy_linger)
        self._body_limit = body_limit
        self._state = ReaderState.CONNECTING
        self._consumption: _Consumption | None = None
        self._pause: asyncio.Future[None] | None = None
        self._stopping = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._consumptions = 0

    @property
    def state(self) -> ReaderState:
        return self._state

    @property
    def consumptions(self) -> int:
        """How often reading was begun: more than once means that a connection or the queue was lost in between."""
        return self._consumptions

    @property
    def held(self) -> int:
        """Messages delivered and not yet handed out."""
        return 0 if self._consumption is None else len(self._consumption.pending)

    def __aiter__(self) -> Self:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name=f"reader of {self.queue}")
        return self

    async def __anext__(self) -> Batch:
        clock = asyncio.get_running_loop().time
        while not self._stopping.is_set():
            if self._reading is not None and self._reading.done():
                self._reading.result()  # a fault of the reader itself ends the iteration, with its reason
                break
            source = self._consumption
            if source is None or not source.pending:
                await self._rest(None)
                continue
            linger = self._linger if source.idle else self._busy_linger
            left = source.arrivals[0] + linger - clock()
            if left <= 0 or self._is_full(source):
                return source.cut(self._max_count, self._max_bytes)
            await self._rest(left)
        raise StopAsyncIteration

    async def stop(self, *, grace: float = 30.0) -> None:
        """Take no more; return what was not handed out; let batches in progress finish for up to `grace` seconds.

        Safe to call twice. Afterwards acknowledging does nothing.
        """
        self._stopping.set()
        self._rouse()
        source = self._consumption
        if source is not None:
            await source.wind_down(grace)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        self._state = ReaderState.STOPPED

    async def _read(self) -> None:
        """Consume, wait until that ends, again; until cancelled."""
        failures = 0
        try:
            while not self._stopping.is_set():
                session = await self._link.session()
                began = self._consumptions
                self._state = await self._consume(session)
                failures = 0 if self._consumptions > began else failures + 1
                if not self._stopping.is_set():
                    pause = QUEUE_BACKOFF.delay(failures + 1, random.random())  # noqa: S311 - spreading, not secrecy
                    await asyncio.sleep(pause)
        finally:
            self._rouse()

    async def _consume(self, session: Session) -> ReaderState:
        """One consumption, from opening a channel to its end. Returns the state to show until the next."""
        channel: Channel | None = None
        source: _Consumption | None = None
        try:
            channel = await session.channel(confirms=False)
            source = _Consumption(channel, self)
            await source.begin(self.queue, self._prefetch)
            self._consumption = source
            self._consumptions += 1
            self._state = ReaderState.READING
            self._rouse()
            await source.ended.wait()
        except ChannelNotFoundEntity:
            log.warning("queue is missing", queue=self.queue)
            return ReaderState.QUEUE_MISSING
        except ChannelAccessRefused as error:
            log.error("queue may not be read", queue=self.queue, why=str(error))
            return ReaderState.REFUSED
        except LOST as error:
            log.info("reading interrupted", queue=self.queue, why=str(error) or type(error).__name__)
        finally:
            self._consumption = None
            if source is not None:
                source.alive = False
                source.settled.set()
            if channel is not None:
                with suppress(*LOST), honest_cancellation():
                    async with asyncio.timeout(CHANNEL_TIMEOUT):
                        await channel.close(ConnectionLost("reading ended"))
        return ReaderState.CONNECTING

    def _is_full(self, source: _Consumption) -> bool:
        return len(source.pending) >= self._max_count or source.bytes >= self._max_bytes

    def arrived(self, source: _Consumption) -> None:
        """Called for each delivery: wakes the iterating task only if that changes what it has to do."""
        if self._pause is not None and (len(source.pending) == 1 or self._is_full(source)):
            self._rouse()

    def rested(self) -> None:
        """Called when the last batch in progress is settled: what has gathered meanwhile need not wait any longer."""
        self._rouse()

    @property
    def body_limit(self) -> int | None:
        return self._body_limit

    def _rouse(self) -> None:
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    async def _rest(self, seconds: float | None) -> None:
        """Wait until roused, or for `seconds`."""
        loop = asyncio.get_running_loop()
        self._pause = loop.create_future()
        alarm = None if seconds is None else loop.call_later(seconds, self._rouse)
        try:
            await self._pause
        finally:
            self._pause = None
            if alarm is not None:
                alarm.cancel()


class _Consumption:
    """One consumer on one channel: what it has delivered, and what of that is not acknowledged."""

    def __init__(self, channel: Channel, reader: BatchReader) -> None:
        self.alive = True
        self.ended = asyncio.Event()
        self.settled = asyncio.Event()
        self.settled.set()
        self.pending: deque[Incoming] = deque()
        self.arrivals: deque[float] = deque()
        self.bytes = 0
        self._channel = channel
        self._reader = reader
        self._limit = reader.body_limit
        self._clock = asyncio.get_running_loop().time
        self._watermark = Watermark()
        self._tag = ""

    @property
    def idle(self) -> bool:
        """Whether no batch is in progress."""
        return not len(self._watermark)

    async def begin(self, queue: str, prefetch: int) -> None:
        """Start consuming. Raises one of `LOST`; ChannelNotFoundEntity if there is no such queue."""
        self._channel.on_consumer_cancel_callbacks.add(self._cancelled)
        self._channel.closing.add_done_callback(self._closed)
        with honest_cancellation():
            async with asyncio.timeout(CHANNEL_TIMEOUT):
                await self._channel.basic_qos(prefetch_count=prefetch)
                begun = await self._channel.basic_consume(queue, self._take)
        self._tag = begun.consumer_tag or ""

    def cut(self, max_count: int, max_bytes: int) -> Batch:
        """Hand out the oldest messages; at least one, however big."""
        messages: list[Incoming] = []
        size = 0
        while self.pending and len(messages) < max_count:
            if messages and size + len(self.pending[0].body) > max_bytes:
                break
            message = self.pending.popleft()
            self.arrivals.popleft()
            size += len(message.body)
            messages.append(message)
        self.bytes -= size
        self.settled.clear()
        return Batch(messages, self._watermark.hand_out(message.delivery_tag for message in messages), self)

    async def settle(self, stretch: Stretch) -> bool:
        if not self.alive:
            return False
        if stretch.done:
            return True
        tag = self._watermark.settle(stretch)
        sent = tag is None or await self._tell(self._channel.basic_ack(tag, multiple=True, wait=False))
        if self.idle:
            self.settled.set()
            self._reader.rested()
        return sent

    async def give_back(self, stretch: Stretch, tags: Iterable[DeliveryTag]) -> bool:
        if not self.alive:
            return False
        for tag in self._watermark.give_back(stretch, tags):
            if not await self._tell(self._channel.basic_nack(tag, requeue=True, wait=False)):
                return False
        return True

    async def wind_down(self, grace: float) -> None:
        """Cancel the consumer, give back what nobody has, wait for the rest."""
        with suppress(*LOST), honest_cancellation():
            async with asyncio.timeout(CHANNEL_TIMEOUT):
                await self._channel.basic_cancel(self._tag)
        while self.pending:
            message = self.pending.popleft()
            if not await self._tell(self._channel.basic_nack(message.delivery_tag, requeue=True, wait=False)):
                break
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self.settled.wait()

    async def _tell(self, word: Any) -> bool:
        """Send an acknowledgement. False if the channel is gone, or goes before the word could be written."""
        telling = asyncio.ensure_future(word)
        closing = asyncio.ensure_future(self.ended.wait())
        try:
            await asyncio.wait({telling, closing}, return_when=asyncio.FIRST_COMPLETED)
            return telling.done() and not telling.cancelled() and telling.exception() is None
        finally:
            telling.cancel()
            closing.cancel()

    async def _take(self, message: DeliveredMessage) -> None:
        """Runs for each delivery, so it only appends."""
        taken = incoming_of(message, body_limit=self._limit)
        self.pending.append(taken)
        self.arrivals.append(self._clock())
        self.bytes += len(taken.body)
        self._reader.arrived(self)

    def _cancelled(self, _: Any) -> None:
        """The server has taken the consumer away: the queue was deleted, or moved."""
        log.warning("reading ended by the server", queue=self._reader.queue)
        self.alive = False
        self.ended.set()

    def _closed(self, _: Any) -> None:
        self.alive = False
        self.ended.set()


def incoming_of(message: DeliveredMessage, *, body_limit: int | None = None) -> Incoming:
    """A delivered message, consumed or got, as the rest of the exchange knows it; a longer body is cut."""
    delivery = message.delivery
    assert isinstance(delivery, Basic.Deliver | Basic.GetOk)
    properties = message.header.properties
    body = message.body
    size = len(body)
    if body_limit is not None and size > body_limit:
        body = body[: body_limit + 1]
    return Incoming(
        body=body,
        size=size,
        exchange=delivery.exchange or "",
        routing_key=delivery.routing_key or "",
        user_id=properties.user_id,
        message_id=properties.message_id,
        type=properties.message_type,
        content_type=properties.content_type,
        headers=properties.headers or {},
        priority=properties.priority or 0,
        redelivered=bool(delivery.redelivered),
        delivery_tag=DeliveryTag(delivery.delivery_tag or 0),
    )

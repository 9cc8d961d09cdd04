"""Publishing with confirms: many at once, each with an answer that can be believed.

An outcome is `confirmed` only when the server's confirmation for exactly that publish has been read. Everything else
is `unroutable` (no queue took it) or `failed` with the reason; a failed publish may still have arrived, so that its
sender sends again and its recipients drop the double (design §4). This module never repeats a publish by itself.

How it is fast: several channels ("lanes"), each with a bounded window of unconfirmed publishes; a lane writes what is
waiting as one piece, and waits for the socket once for each piece instead of once for each message.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any, Self

import structlog
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel
from aiormq.exceptions import DeliveryError, PublishError

from broker.amqp import frames
from broker.amqp.connection import CHANNEL_TIMEOUT, LOST, Backoff, Link, LinkClosed, Session, honest_cancellation
from broker.amqp.messages import CONFIRMED, Fate, Outcome, OutgoingMessage

__all__ = ["CONFIRMED", "Fate", "Outcome", "OutgoingMessage", "Publisher"]

log = structlog.get_logger(__name__)

LANES = 3
"""Channels of a publisher; on the server each is a process of its own."""

WINDOW = 256
"""Unconfirmed publishes on one channel, at most."""

PIECE_COUNT = 64
PIECE_BYTES = 256 * 1024
"""A lane writes at most so many messages, or about so many bytes, before it waits for the socket."""

PATIENCE = 60.0
"""Seconds after which a publish without an answer is reported as failed."""


class _Flight:
    """One call of `publish_all`: its outcomes, and the future that is set when the last of them is known."""

    __slots__ = ("done", "missing", "outcomes")

    def __init__(self, size: int) -> None:
        self.outcomes: list[Outcome | None] = [None] * size
        self.missing = size
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def settle(self, index: int, outcome: Outcome) -> None:
        if self.outcomes[index] is None:
            self.outcomes[index] = outcome
            self.missing -= 1
            if self.missing == 0 and not self.done.done():
                self.done.set_result(None)


class _Parcel:
    """One message on its way through a lane."""

    __slots__ = ("flight", "index", "message", "message_id")

    def __init__(self, message: OutgoingMessage, message_id: str, flight: _Flight, index: int) -> None:
        self.message = message
        self.message_id = message_id
        self.flight = flight
        self.index = index


class Publisher:
    """Publishes over `lanes` channels of one link. Safe to use from many tasks of one event loop.

    In memory are the messages of the calls in progress and nothing else; each call waits at most `patience` seconds.
    """

    def __init__(self, link: Link, *, lanes: int = LANES, window: int = WINDOW, patience: float = PATIENCE) -> None:
        self.link = link
        self._patience = patience
        self._waiting: deque[_Parcel] = deque()
        self._lanes = [_Lane(link, self._waiting, window=window, patience=patience) for _ in range(lanes)]
        self._ids = _message_ids()
        self._in_use: set[str] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def publish_all(self, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        """Publish all, and return one outcome for each, in the order of `messages`.

        Raises nothing that the server or the network does: that is in the outcomes. ValueError: a `message_id` that
        another unconfirmed publish of this publisher has, or names that AMQP cannot carry. LinkClosed: after `close`.
        """
        if self._closed:
            raise LinkClosed("this publisher is closed")
        if not messages:
            return []
        flight = _Flight(len(messages))
        given = self._reserve(messages)
        try:
            self._waiting.extend(
                _Parcel(message, message.message_id or next(self._ids), flight, index)
                for index, message in enumerate(messages)
            )
            self._rouse(len(messages))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience):
                    await flight.done
        finally:
            self._in_use.difference_update(given)
            if flight.missing:
                self._withdraw(flight)
        late = Outcome(Fate.FAILED, f"no confirmation within {self._patience:g} s ({self.link.state})")
        return [outcome or late for outcome in flight.outcomes]

    async def publish(self, message: OutgoingMessage) -> Outcome:
        """`publish_all` for a single message."""
        return (await self.publish_all([message]))[0]

    @property
    def unconfirmed(self) -> int:
        """Publishes written and not answered, over all lanes."""
        return sum(lane.unconfirmed for lane in self._lanes)

    async def close(self) -> None:
        """Close the channels. Publishes still in progress are reported as failed."""
        self._closed = True
        await asyncio.gather(*(lane.close() for lane in self._lanes))
        while self._waiting:
            parcel = self._waiting.popleft()
            parcel.flight.settle(parcel.index, Outcome(Fate.FAILED, "the publisher was closed before it was sent"))

    def _reserve(self, messages: Sequence[OutgoingMessage]) -> list[str]:
        """Refuse ids that are in use: the server's returns are told apart by them and by nothing else."""
        given = [message.message_id for message in messages if message.message_id is not None]
        if given and (len(set(given)) != len(given) or not self._in_use.isdisjoint(given)):
            raise ValueError("a message_id is used by two publishes at once; it has to be unique for each publish")
        self._in_use.update(given)
        return given

    def _withdraw(self, flight: _Flight) -> None:
        """Take back what was not written yet: nobody waits for it any more."""
        kept = [parcel for parcel in self._waiting if parcel.flight is not flight]
        self._waiting.clear()
        self._waiting.extend(kept)

    def _rouse(self, messages: int) -> None:
        """Wake as many idle lanes as there are pieces to write: a lone message wakes one."""
        for lane in self._lanes:
            if messages <= 0:
                break
            if lane.rouse():
                messages -= PIECE_COUNT


class _Lane:
    """One channel: takes parcels from the common heap, writes them, and settles them as confirmations come in."""

    def __init__(self, link: Link, heap: deque[_Parcel], *, window: int, patience: float) -> None:
        self._link = link
        self._heap = heap
        self._window = window
        self._reopen = min(PIECE_COUNT, window // 2)
        self._patience = patience
        self._flying: dict[int, _Parcel] = {}
        self._pause: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._hungry = False  # waiting for parcels, and not for room in the window
        self._answered = False

    @property
    def unconfirmed(self) -> int:
        return len(self._flying)

    def rouse(self) -> bool:
        """Start the lane, or wake it if it has nothing to do. False if it is at work anyway."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"publishing lane of {self._link.name}")
            self._task.add_done_callback(self._ended)
            return True
        if self._hungry and self._pause is not None and not self._pause.done():
            self._pause.set_result(None)
            return True
        return False

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A lane ends when it is closed, or of a defect: then the next publish begins it anew."""
        if not task.cancelled() and (defect := task.exception()) is not None:
            log.error("publishing lane died", link=self._link.name, exc_info=defect)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        """Open a channel, pump through it until it is lost, open the next."""
        failures = 0
        backoff = Backoff(first=0.05, ceiling=5.0)
        while True:
            if not self._heap:
                await self._starve()
                continue
            session = await self._link.session()
            try:
                channel = await session.channel(confirms=True)
            except LOST as error:
                reason = str(error) or type(error).__name__
            else:
                self._answered = False
                reason = await self._use(channel, session)
                if self._answered:
                    failures = 0
            failures += 1
            log.info("publishing channel lost", link=self._link.name, why=reason)
            await asyncio.sleep(backoff.delay(failures, random.random()))  # noqa: S311 - spreading, not secrecy

    async def _use(self, channel: Channel, session: Session) -> str:
        """Pump until the channel ends; whatever was not confirmed by then has failed. Returns why it ended."""
        closing = channel.closing
        pump = asyncio.create_task(self._pump(channel, session))
        reason = "the publisher was closed"
        try:
            await asyncio.wait({pump, closing}, return_when=asyncio.FIRST_COMPLETED)
            reason = _ending(closing if closing.done() else pump)
        finally:
            pump.cancel()
            try:
                await asyncio.wait({pump})
            finally:
                self._fail(f"lost before its confirmation: {reason}")
            with suppress(*LOST), honest_cancellation():
                async with asyncio.timeout(CHANNEL_TIMEOUT):
                    await channel.close(ConnectionError("channel given up"))
        return reason

    async def _pump(self, channel: Channel, session: Session) -> None:
        """Write pieces as long as there are parcels and room in the window. Ends only by being cancelled or failing.

        This task alone writes to the channel, so numbering and writing cannot get out of step.
        """
        while True:
            if not self._heap:
                await self._starve()
                continue
            if len(self._flying) >= self._window:
                await self._crowd()
                continue
            await session.writable()
            if piece := self._load(channel):
                drained = channel.create_future()
                await channel.write_queue.put(ChannelFrame(b"".join(piece), should_close=False, drain_future=drained))
                await drained

    def _load(self, channel: Channel) -> list[bytes]:
        """Number the next parcels, note them as flying, and return their frames."""
        piece: list[bytes] = []
        room = min(PIECE_COUNT, self._window - len(self._flying))
        size = 0
        user = self._link.user
        loop = asyncio.get_running_loop()
        while room > 0 and size < PIECE_BYTES and self._heap:
            parcel = self._heap.popleft()
            message = parcel.message
            try:
                encoded = frames.publish(
                    channel=channel.number,
                    max_payload=channel.max_content_size,
                    exchange=message.exchange,
                    routing_key=message.routing_key,
                    content_type=message.content_type,
                    headers={**message.headers, "BCC": list(message.bcc)} if message.bcc else message.headers,
                    priority=message.priority,
                    message_id=parcel.message_id,
                    type_=message.type,
                    user_id=user,
                    body=message.body,
                )
            except (ValueError, TypeError) as error:
                parcel.flight.settle(parcel.index, Outcome(Fate.FAILED, f"cannot be put into AMQP: {error}"))
                continue
            channel.delivery_tag += 1
            tag = channel.delivery_tag
            answer: asyncio.Future[Any] = loop.create_future()
            answer.add_done_callback(partial(self._landed, channel, tag))
            channel.confirmations[tag] = answer
            channel.message_id_delivery_tag[parcel.message_id] = tag
            self._flying[tag] = parcel
            piece += encoded
            size += len(message.body)
            room -= 1
        return piece

    def _landed(self, channel: Channel, tag: int, answer: asyncio.Future[Any]) -> None:
        """The server has answered for one publish."""
        parcel = self._flying.pop(tag, None)
        if parcel is None:
            return
        self._answered = True
        channel.message_id_delivery_tag.pop(parcel.message_id, None)
        parcel.flight.settle(parcel.index, _outcome(answer))
        if self._pause is not None and not self._pause.done() and len(self._flying) <= self._window - self._reopen:
            self._pause.set_result(None)

    def _fail(self, reason: str) -> None:
        """Settle everything that is still flying: nothing can confirm it any more."""
        flying, self._flying = self._flying, {}
        for parcel in flying.values():
            parcel.flight.settle(parcel.index, Outcome(Fate.FAILED, reason))

    async def _starve(self) -> None:
        """Wait for parcels."""
        self._pause = asyncio.get_running_loop().create_future()
        self._hungry = True
        try:
            await self._pause
        finally:
            self._hungry = False
            self._pause = None

    async def _crowd(self) -> None:
        """Wait for room in the window. TimeoutError: nothing was answered for as long as anybody waits for it."""
        self._pause = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._patience):
                await self._pause
        except TimeoutError:
            raise TimeoutError(f"{len(self._flying)} publishes without an answer for {self._patience:g} s") from None
        finally:
            self._pause = None


def _outcome(answer: asyncio.Future[Any]) -> Outcome:
    if answer.cancelled():
        return Outcome(Fate.FAILED, "lost before its confirmation")
    match answer.exception():
        case None:
            return CONFIRMED
        case PublishError() as returned:
            return Outcome(Fate.UNROUTABLE, str(returned.args[0] if returned.args else returned))
        case DeliveryError():
            return Outcome(Fate.FAILED, "the server refused it (nack): a queue is full or not available")
        case error:
            return Outcome(Fate.FAILED, str(error))


def _ending(future: asyncio.Future[Any]) -> str:
    if future.cancelled():
        return "the connection was given up"
    error = future.exception()
    return "closed" if error is None else str(error) or type(error).__name__


def _message_ids() -> Any:
    """Ids unique for each publish, cheaply: a random prefix for this publisher and a number."""
    prefix = secrets.token_hex(8)
    return (f"{prefix}-{number}" for number in count(1))

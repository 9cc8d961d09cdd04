"""Design "Crash points": a worker dies at each of them, and every document has exactly one effect and is delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

import broker.dispatch.dispatcher
import broker.intake.reception
from broker.amqp.publishing import Outcome, OutgoingMessage, Publisher
from broker.amqp.reading import Batch
from broker.dispatch.recording import record_sent
from broker.dispatch.unpublished import load_jobs
from broker.evidence.verify import Scope, verify
from tests.kit.evidence import keys_of, log_now
from tests.kit.exchange import End, Exchange, Letter
from tests.kit.keeping import finish_publishes

Arrange = Callable[[pytest.MonkeyPatch, asyncio.Event], None]


def _standing(died: asyncio.Event) -> Callable[..., Awaitable[Any]]:
    """Something that tells that the point was reached, and goes no further."""

    async def stand(*_: object, **__: object) -> None:
        died.set()
        await asyncio.Event().wait()

    return stand


def before_the_commit(patch: pytest.MonkeyPatch, died: asyncio.Event) -> None:
    patch.setattr(broker.intake.reception, "write", _standing(died))


def after_the_commit(patch: pytest.MonkeyPatch, died: asyncio.Event) -> None:
    patch.setattr(Publisher, "publish_all", _standing(died))


def between_the_confirms(patch: pytest.MonkeyPatch, died: asyncio.Event) -> None:
    publish_all = Publisher.publish_all

    async def some(self: Publisher, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
        await publish_all(self, messages[: len(messages) // 2])
        died.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    patch.setattr(Publisher, "publish_all", some)


def before_the_record(patch: pytest.MonkeyPatch, died: asyncio.Event) -> None:
    patch.setattr(broker.dispatch.dispatcher, "record_sent", _standing(died))


def before_the_acknowledgement(patch: pytest.MonkeyPatch, died: asyncio.Event) -> None:
    patch.setattr(Batch, "ack", _standing(died))


POINTS = (before_the_commit, after_the_commit, between_the_confirms, before_the_record, before_the_acknowledgement)


async def _die(x: Exchange, arrange: Arrange, letters: Sequence[Letter], sender: End) -> None:
    """Let a worker take the letters, all in one batch, and die at the point that `arrange` prepares."""
    await x.stop_workers()
    for letter in letters:
        await x.send(letter, sender)
    died = asyncio.Event()
    with pytest.MonkeyPatch.context() as patch:
        arrange(patch, died)
        await x.start_worker(batch_count=len(letters), batch_linger_ms=60_000)
        async with asyncio.timeout(30):
            await died.wait()
        await x.kill_workers()


async def _one_effect_each(x: Exchange, letters: Sequence[Letter], recipients: Sequence[End]) -> None:
    # An unsent notice of the dead worker is the keeper's; the next worker issues its own.
    await x.until_value("SELECT count(*) FROM outgoing WHERE published_at IS NULL AND kind = 'document'", 0)
    for recipient in recipients:
        received = {one.document.id for one in (await x.all_at(recipient)).documents()}
        assert received == {letter.id for letter in letters}
    assert await x.value("SELECT count(*) FROM document") == len(letters)
    assert await x.value("SELECT count(*) FROM delivery") == len(letters) * len(recipients)
    assert await x.value("SELECT count(*) FROM event WHERE kind = 'accepted'") == len(letters)
    assert await x.value("SELECT count(*) FROM delivery WHERE processing <> 'dispatched'") == 0


@pytest.mark.parametrize("arrange", POINTS, ids=lambda point: point.__name__)
async def test_a_worker_that_dies_is_finished_by_the_next(exchange: Exchange, arrange: Arrange) -> None:
    sender = await exchange.add("G01")
    recipients = [await exchange.add("H53", "province"), await exchange.add("H54", "province")]
    letters = [exchange.letter(sender, recipients) for _ in range(4)]
    await _die(exchange, arrange, letters, sender)
    await exchange.start_worker()
    for letter in letters:
        await exchange.notice_at(sender, letter, "accepted")
    await _one_effect_each(exchange, letters, recipients)
    assert await exchange.depth("lt.intake.normal") == 0


@pytest.mark.parametrize(
    "arrange", [after_the_commit, between_the_confirms, before_the_record], ids=lambda point: point.__name__
)
async def test_what_no_redelivery_finishes_is_published_from_the_record(exchange: Exchange, arrange: Arrange) -> None:
    """The submitted messages are gone for good: what the keeper loads must be enough."""
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    hub = await exchange.add("W00", "hub")
    commune = await exchange.add("H53.1", "commune", has_mailbox=False, hub=hub)
    letters = [exchange.letter(sender, [recipient, commune]) for _ in range(3)]
    await _die(exchange, arrange, letters, sender)
    for _ in letters:
        await exchange.raw("lt.intake.normal")
    left, sent = await finish_publishes(exchange)
    assert sent.published == left > 0 and not sent.failed and not sent.unroutable
    await _one_effect_each(exchange, letters, [recipient, hub])
    for letter in letters:
        await exchange.notice_at(sender, letter, "accepted")
        copy = await exchange.document_at(hub, letter)
        assert copy.slip is not None and [one.code for one in copy.slip.recipients or ()] == [commune.code]
        assert copy.message.content == (await exchange.document_at(recipient, letter)).message.content != {}


async def test_of_two_that_published_the_same_the_earlier_confirm_counts_though_it_is_recorded_later(
    exchange: Exchange,
) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.start_worker()
    await exchange.send(letter, sender)
    await exchange.document_at(recipient, letter)
    await exchange.all_published()
    confirmed = await exchange.value("SELECT dispatched_at FROM delivery") - timedelta(milliseconds=3)
    async with exchange.pool.acquire() as connection:
        rows = await connection.fetch("SELECT outgoing_id FROM outgoing WHERE kind = 'document'")
        jobs = await load_jobs(connection, [row["outgoing_id"] for row in rows], now=confirmed)
    await record_sent(exchange.pool, jobs, at=confirmed)
    assert await exchange.value("SELECT dispatched_at FROM delivery") == confirmed
    await log_now(exchange)
    async with exchange.pool.acquire() as connection:
        found = [f.sentence() async for f in verify(connection, keys_of(exchange), None, Scope(full=True))]
    assert found == []

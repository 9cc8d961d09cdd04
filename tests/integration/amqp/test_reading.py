"""A reader hands out every message, acknowledges no message too early, and comes back from every loss."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import aiormq
import pytest

from broker.amqp.connection import Backoff, Link
from broker.amqp.reading import Batch, BatchReader, ReaderState
from tests.integration.amqp.conftest import QUEUE, Reasonless, Server
from tests.integration.amqp.proxy import Proxy

QUICK = Backoff(first=0.02, ceiling=0.2)


def bodies(batch: Batch) -> list[bytes]:
    return [message.body for message in batch.messages]


def numbered(number: int) -> list[bytes]:
    return [f"letter-{n}".encode() for n in range(number)]


@pytest.fixture
async def link(proxy: Proxy) -> AsyncIterator[Link]:
    async with Link(proxy.url, name="reading", heartbeat=1, backoff=QUICK) as link:
        yield link


@pytest.fixture(autouse=True)
async def _nothing_hangs() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield


async def test_batches_are_bounded_by_number(link: Link, server: Server) -> None:
    await server.put(numbered(25))
    reader = BatchReader(link, QUEUE, max_count=10, linger=0.5)
    sizes = []
    async for batch in reader:
        sizes.append(len(batch))
        assert await batch.ack()
        if sum(sizes) == 25:
            break
    await reader.stop()
    assert sizes == [10, 10, 5]
    assert await server.drain() == []


async def test_batches_are_bounded_by_bytes_and_hold_at_least_one_message(link: Link, server: Server) -> None:
    await server.put([b"x" * 5000, b"y" * 400, b"z" * 400, b"w" * 400])
    reader = BatchReader(link, QUEUE, max_bytes=1000, linger=0.2)
    seen = []
    async for batch in reader:
        seen.append([len(body) for body in bodies(batch)])
        await batch.ack()
        if sum(map(len, seen)) == 4:
            break
    await reader.stop()
    assert seen == [[5000], [400, 400], [400]]


async def test_a_lone_message_waits_for_the_linger_and_no_longer(link: Link, server: Server) -> None:
    reader = BatchReader(link, QUEUE, max_count=100, linger=0.1)
    coming = asyncio.create_task(anext(aiter(reader)))
    while reader.state is not ReaderState.READING:
        await asyncio.sleep(0.01)
    clock = asyncio.get_running_loop().time
    await server.put([b"alone"])
    while not reader.held:
        await asyncio.sleep(0)
    began = clock()
    batch = await coming
    waited = clock() - began
    await batch.ack()
    await reader.stop()
    assert bodies(batch) == [b"alone"]
    assert 0.05 <= waited < 0.2


async def test_a_full_batch_does_not_wait(link: Link, server: Server) -> None:
    await server.put(numbered(10))
    reader = BatchReader(link, QUEUE, max_count=10, linger=30.0)
    batch = await anext(aiter(reader))
    assert len(batch) == 10
    await batch.ack()
    await reader.stop()


async def test_behind_a_batch_in_progress_messages_gather(link: Link, server: Server) -> None:
    await server.put(numbered(1))
    reader = BatchReader(link, QUEUE, max_count=10, linger=0, busy_linger=30.0)
    first = await anext(aiter(reader))
    second = asyncio.create_task(anext(reader))
    for held in range(1, 10):
        await server.put([b"later"])
        while reader.held < held:
            await asyncio.sleep(0.01)
    assert not second.done()
    await server.put([b"the tenth fills the batch"])
    batch = await second
    assert len(batch) == 10
    await batch.ack()
    await first.ack()
    await reader.stop()


async def test_what_has_gathered_is_handed_out_as_soon_as_nothing_is_in_progress(link: Link, server: Server) -> None:
    await server.put(numbered(1))
    reader = BatchReader(link, QUEUE, max_count=10, linger=0, busy_linger=30.0)
    first = await anext(aiter(reader))
    second = asyncio.create_task(anext(reader))
    await server.put(numbered(3))
    while reader.held < 3:
        await asyncio.sleep(0.01)
    assert not second.done()
    await first.ack()
    async with asyncio.timeout(60):
        assert len(await second) == 3
    await (await second).ack()
    await reader.stop()


async def test_messages_tell_what_the_server_vouches_for(link: Link, server: Server) -> None:
    await server.put(
        [b"body"], user_id=link.user, message_id="m-1", message_type="document", priority=5, headers={"lt-attempt": 2}
    )
    reader = BatchReader(link, QUEUE)
    batch = await anext(aiter(reader))
    (message,) = batch.messages
    assert (message.user_id, message.message_id, message.type) == (link.user, "m-1", "document")
    assert (message.routing_key, message.priority, message.redelivered) == (QUEUE, 5, False)
    assert message.headers["lt-attempt"] == 2
    await batch.ack()
    await reader.stop()


async def test_an_earlier_batch_in_progress_holds_back_the_acknowledgement_of_later_ones(
    link: Link, server: Server
) -> None:
    await server.put(numbered(6))
    reader = BatchReader(link, QUEUE, max_count=2, linger=0.05)
    batches = [await anext(aiter(reader)) for _ in range(3)]
    assert await batches[2].ack()
    assert await batches[1].ack()
    await reader.stop(grace=0.05)
    await server.until_ready(6)
    assert sorted(await server.drain()) == numbered(6), "the first batch was never done, so nothing may be gone"


async def test_batches_finished_in_any_order_are_all_acknowledged(link: Link, server: Server) -> None:
    await server.put(numbered(60))
    reader = BatchReader(link, QUEUE, max_count=5, linger=0.05)
    batches = [await anext(aiter(reader)) for _ in range(12)]
    random.Random(3).shuffle(batches)
    for batch in batches:
        assert await batch.ack()
        assert await batch.ack(), "a second time changes nothing"
    await reader.stop()
    assert reader.consumptions == 1, "the server must not have refused an acknowledgement"
    assert await server.drain() == []


@pytest.mark.parametrize("returned", [[0], [4], [0, 1, 2, 3, 4], [9], [5, 6, 7, 8, 9], list(range(10))])
async def test_messages_given_back_come_again_and_the_others_do_not(
    link: Link, server: Server, returned: list[int]
) -> None:
    await server.put(numbered(10))
    reader = BatchReader(link, QUEUE, max_count=5, linger=0.05)
    batches = [await anext(aiter(reader)) for _ in range(2)]
    messages = [message for batch in batches for message in batch.messages]
    chosen = [messages[n] for n in returned]
    for batch in batches:
        assert await batch.requeue([message for message in chosen if message in batch.messages])
    again: list[bytes] = []
    while len(again) < len(chosen):
        batch = await anext(aiter(reader))
        assert all(message.redelivered for message in batch.messages)
        again += bodies(batch)
        await batch.ack()
    for batch in batches:
        assert await batch.ack()
    await reader.stop()
    assert sorted(again) == sorted(message.body for message in chosen)
    assert reader.consumptions == 1
    assert await server.drain() == []


async def test_after_a_cut_the_old_batch_says_so_and_its_messages_come_again_once(
    link: Link, server: Server, proxy: Proxy
) -> None:
    await server.put(numbered(4))
    reader = BatchReader(link, QUEUE, max_count=4, linger=0.05)
    old = await anext(aiter(reader))
    proxy.cut()
    new = await anext(aiter(reader))
    assert old.lost
    assert not await old.ack()
    assert not await old.requeue(old.messages)
    assert sorted(bodies(new)) == sorted(bodies(old))
    assert all(message.redelivered for message in new.messages)
    assert await server.readers() == 1, "a channel restored twice would read twice"
    assert await new.ack()
    await reader.stop()
    assert reader.consumptions == 2
    assert await server.drain() == []


async def test_nothing_is_lost_while_connections_are_cut_under_load(link: Link, server: Server, proxy: Proxy) -> None:
    chance = random.Random(11)
    expected = set(numbered(3000))
    done: set[bytes] = set()
    all_done = asyncio.Event()
    reader = BatchReader(link, QUEUE, prefetch=100, max_count=20)

    async def process(batch: Batch) -> None:
        await asyncio.sleep(chance.uniform(0, 0.01))
        returned = batch.messages[::3] if chance.random() < 0.1 else []
        await batch.requeue(returned)
        if await batch.ack():
            done.update(message.body for message in batch.messages if message not in returned)
        if done >= expected:
            all_done.set()

    async def read() -> None:
        async with asyncio.TaskGroup() as processing:
            async for batch in reader:
                processing.create_task(process(batch))

    async def trouble() -> None:
        for number in range(1, 5):
            while reader.consumptions < number:  # a cut before it reads again would hit nothing
                await asyncio.sleep(0.01)
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            proxy.cut()

    async with asyncio.TaskGroup() as group:
        group.create_task(server.put(sorted(expected)))
        group.create_task(read())
        await group.create_task(trouble())
        await all_done.wait()
        assert await server.readers() == 1
        await reader.stop()
    assert reader.consumptions >= 4
    assert await server.drain() == [], "what was acknowledged must not come again"


async def test_a_connection_that_ends_without_a_reason_is_made_again(
    link: Link, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    reasonless = Reasonless(monkeypatch, aiormq.Channel, "basic_consume")
    await server.put(numbered(1))
    reader = aiter(BatchReader(link, QUEUE))
    batch = await anext(reader)
    assert bodies(batch) == numbered(1)
    assert not reasonless.left
    assert await batch.ack()
    await reader.stop()


async def test_a_silent_server_is_given_up_and_reading_resumes(link: Link, server: Server, proxy: Proxy) -> None:
    reader = BatchReader(link, QUEUE, linger=0.01)
    coming = asyncio.create_task(anext(aiter(reader)))
    while reader.state is not ReaderState.READING:
        await asyncio.sleep(0.01)
    session = await link.session()
    proxy.stall()
    await server.put([b"during"])
    await session.lost.wait()
    proxy.resume()
    batch = await coming
    assert bodies(batch) == [b"during"]
    assert await batch.ack()
    await reader.stop()


async def test_acknowledging_on_a_stalled_connection_does_not_hang(link: Link, server: Server, proxy: Proxy) -> None:
    await server.put(numbered(40))
    reader = BatchReader(link, QUEUE, max_count=1, linger=0)
    batches = [await anext(aiter(reader)) for _ in range(40)]
    proxy.stall()
    await asyncio.gather(*(batch.ack() for batch in batches))
    await (await link.session()).lost.wait()
    proxy.resume()
    assert len(await anext(aiter(reader))) == 1, "the acknowledgements were lost, so the messages come again"
    await reader.stop(grace=0)


async def test_a_half_closed_connection_is_replaced(link: Link, server: Server, proxy: Proxy) -> None:
    await server.put(numbered(3))
    reader = BatchReader(link, QUEUE, max_count=3)
    old = await anext(aiter(reader))
    proxy.half_close()
    new = await anext(aiter(reader))
    assert not await old.ack()
    assert sorted(bodies(new)) == numbered(3)
    assert await new.ack()
    await reader.stop()


async def test_a_queue_that_was_deleted_is_read_again_once_it_is_back(link: Link, server: Server) -> None:
    await server.put([b"before"])
    reader = BatchReader(link, QUEUE)
    batch = await anext(aiter(reader))
    coming = asyncio.create_task(anext(aiter(reader)))
    await server.delete()
    while reader.state != ReaderState.QUEUE_MISSING.value:
        await asyncio.sleep(0.01)
    assert batch.lost
    assert not await batch.ack()
    await server.declare()
    await server.put([b"after"])
    again = await coming
    assert bodies(again) == [b"after"]
    assert reader.state == ReaderState.READING.value
    assert await again.ack()
    await reader.stop()


async def test_a_reader_may_be_started_before_its_queue_exists(link: Link, server: Server) -> None:
    reader = BatchReader(link, "later")
    coming = asyncio.create_task(anext(aiter(reader)))
    while reader.state != ReaderState.QUEUE_MISSING.value:
        await asyncio.sleep(0.01)
    await server.declare("later")
    await server.put([b"x"], "later")
    assert bodies(await coming) == [b"x"]
    await reader.stop(grace=0)


async def test_no_more_than_the_prefetch_is_held(link: Link, server: Server) -> None:
    await server.put(numbered(50))
    reader = BatchReader(link, QUEUE, prefetch=10, max_count=4, linger=0)
    first = await anext(aiter(reader))
    while reader.held < 10 - len(first):
        await asyncio.sleep(0.01)
    await server.until_ready(40)
    assert reader.held + len(first) == 10
    await reader.stop(grace=0)


async def test_long_bodies_are_cut_to_just_over_the_limit(link: Link, server: Server) -> None:
    await server.put([b"x" * 300, b"y" * 301, b"z" * 5000])
    reader = BatchReader(link, QUEUE, body_limit=300, max_count=3, linger=1.0)
    batch = await anext(aiter(reader))
    assert [(len(message.body), message.size) for message in batch.messages] == [(300, 300), (301, 301), (301, 5000)]
    await batch.ack()
    await reader.stop()


async def test_stopping_returns_what_was_not_handed_out_and_lets_work_finish(link: Link, server: Server) -> None:
    await server.put(numbered(30))
    reader = BatchReader(link, QUEUE, max_count=10, linger=0.2)
    batch = await anext(aiter(reader))
    while reader.held < 20:
        await asyncio.sleep(0.01)
    stopping = asyncio.create_task(reader.stop(grace=20))
    await server.until_ready(20)
    assert await batch.ack()
    await stopping
    assert reader.state is ReaderState.STOPPED
    assert len(await server.drain()) == 20
    assert not await batch.requeue(batch.messages)
    await reader.stop()


async def test_stopping_ends_the_iteration(link: Link, server: Server) -> None:
    reader = BatchReader(link, QUEUE)

    seen: list[bytes] = []

    async def read() -> None:
        async for batch in reader:
            seen.extend(bodies(batch))
            await batch.ack()

    await server.put(numbered(5))
    reading = asyncio.create_task(read())
    while len(seen) < 5:
        await asyncio.sleep(0.01)
    await reader.stop()
    await reading
    assert sorted(seen) == numbered(5)
    assert await server.drain() == []


async def test_stopping_a_reader_whose_server_is_away_does_not_hang(link: Link, server: Server, proxy: Proxy) -> None:
    reader = BatchReader(link, QUEUE)
    reading = asyncio.create_task(anext(aiter(reader)))
    while reader.state is not ReaderState.READING:
        await asyncio.sleep(0.01)
    proxy.refuse()
    await (await link.session()).lost.wait()
    await reader.stop(grace=5)
    with pytest.raises(StopAsyncIteration):
        await reading

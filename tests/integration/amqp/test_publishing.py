"""A publish is reported as confirmed only if the server has it, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import aiormq
import pytest
from pamqp.commands import Connection
from pamqp.frame import marshal

from broker.amqp.connection import Backoff, Link, LinkClosed, LinkState, Session
from broker.amqp.messages import Fate, Outcome, OutgoingMessage
from broker.amqp.publishing import Publisher
from tests.integration.amqp.conftest import QUEUE, HasAddress, Reasonless, Server
from tests.integration.amqp.proxy import Proxy

QUICK = Backoff(first=0.02, ceiling=0.2)


def letter(body: bytes, *, queue: str = QUEUE, message_id: str | None = None) -> OutgoingMessage:
    return OutgoingMessage(exchange="", routing_key=queue, body=body, type="document", message_id=message_id)


def letters(prefix: str, number: int) -> list[OutgoingMessage]:
    return [letter(f"{prefix}-{n}".encode()) for n in range(number)]


def fates(outcomes: Sequence[Outcome]) -> list[Fate]:
    return [outcome.fate for outcome in outcomes]


@pytest.fixture
async def link(proxy: Proxy) -> AsyncIterator[Link]:
    async with Link(proxy.url, name="publishing", heartbeat=1, backoff=QUICK) as link:
        yield link


async def test_every_message_of_a_call_arrives_once_with_its_own_answer(link: Link, server: Server) -> None:
    async with Publisher(link) as publisher:
        outcomes = await publisher.publish_all(letters("a", 700))
        assert fates(outcomes) == [Fate.CONFIRMED] * 700
    assert sorted(await server.drain()) == sorted(message.body for message in letters("a", 700))


async def test_an_unroutable_message_is_told_apart_from_its_neighbours(link: Link, server: Server) -> None:
    async with Publisher(link) as publisher:
        messages = [letter(b"x", queue="nowhere" if n % 7 == 3 else QUEUE) for n in range(200)]
        outcomes = await publisher.publish_all(messages)
    for number, outcome in enumerate(outcomes):
        assert outcome.fate is (Fate.UNROUTABLE if number % 7 == 3 else Fate.CONFIRMED)
    assert outcomes[3].reason == "NO_ROUTE"


async def test_many_callers_at_once_get_their_own_answers(link: Link, server: Server) -> None:
    async with Publisher(link, lanes=2, window=16) as publisher:

        async def caller(number: int) -> None:
            queue = "nowhere" if number % 2 else QUEUE
            expected = Fate.UNROUTABLE if number % 2 else Fate.CONFIRMED
            messages = [letter(b"x", queue=queue) for _ in range(number)]
            assert set(fates(await publisher.publish_all(messages))) <= {expected}

        await asyncio.gather(*(caller(number) for number in range(40)))
        assert publisher.unconfirmed == 0
    assert await server.ready() == sum(range(0, 40, 2))


async def test_one_publish_with_further_keys_reaches_all_and_shows_them_to_nobody(link: Link, server: Server) -> None:
    for name in ("one", "two", "three"):
        await server.declare(name, x_queue_type="classic")
    async with Publisher(link) as publisher:
        message = OutgoingMessage(
            exchange="",
            routing_key="one",
            bcc=("two", "three"),
            body=b"x",
            type="document",
            headers={"lt-kind": "document"},
        )
        assert (await publisher.publish(message)).confirmed
    for name in ("one", "two", "three"):
        assert await server.headers(name) == {"lt-kind": "document"}


async def test_a_message_carries_what_the_contract_asks_for(link: Link, server: Server) -> None:
    async with Publisher(link) as publisher:
        await publisher.publish_all([letter(b"1"), letter(b"2")])
    first = (await server.channel.basic_get(QUEUE)).header.properties
    second = (await server.channel.basic_get(QUEUE)).header.properties
    assert first.delivery_mode == 2
    assert first.user_id == link.user
    assert first.content_type == "application/vnd.lienthong+json"
    assert first.message_type == "document"
    assert first.message_id
    assert first.message_id != second.message_id


@pytest.mark.parametrize("size", [0, 1, 131_063, 131_064, 131_065, 500_000])
async def test_bodies_of_any_size_arrive_whole(link: Link, server: Server, size: int) -> None:
    body = random.Random(size).randbytes(size)
    async with Publisher(link) as publisher:
        assert (await publisher.publish(letter(body))).confirmed
    assert await server.drain() == [body]


async def test_a_refusal_by_a_full_queue_is_a_failure(link: Link, server: Server) -> None:
    await server.declare("full", x_queue_type="classic", x_max_length=1, x_overflow="reject-publish")
    async with Publisher(link) as publisher:
        assert (await publisher.publish(letter(b"1", queue="full"))).confirmed
        outcome = await publisher.publish(letter(b"2", queue="full"))
        assert outcome.failed
        assert "nack" in outcome.reason


async def test_an_exchange_that_does_not_exist_fails_with_the_servers_words_and_harms_nothing_later(
    link: Link, server: Server
) -> None:
    async with Publisher(link) as publisher:
        lost = await publisher.publish(OutgoingMessage(exchange="nope", routing_key="k", body=b"", type="document"))
        assert lost.failed
        assert "no exchange 'nope'" in lost.reason
        assert set(fates(await publisher.publish_all(letters("after", 300)))) == {Fate.CONFIRMED}


async def test_a_message_id_may_not_be_in_use_twice(link: Link, server: Server) -> None:
    async with Publisher(link) as publisher:
        with pytest.raises(ValueError, match="message_id"):
            await publisher.publish_all([letter(b"1", message_id="m"), letter(b"2", message_id="m")])
        assert (await publisher.publish(letter(b"1", message_id="m"))).confirmed
        assert (await publisher.publish(letter(b"2", message_id="m"))).confirmed


async def test_what_amqp_cannot_carry_fails_alone(link: Link, server: Server) -> None:
    async with Publisher(link) as publisher:
        outcomes = await publisher.publish_all([letter(b"1"), letter(b"2", queue="q" * 300), letter(b"3")])
        assert fates(outcomes) == [Fate.CONFIRMED, Fate.FAILED, Fate.CONFIRMED]
        assert "255" in outcomes[1].reason


async def test_no_confirmation_is_invented_and_nothing_hangs_while_connections_are_cut(
    link: Link, server: Server, proxy: Proxy
) -> None:
    confirmed: set[bytes] = set()
    failed = 0
    async with asyncio.timeout(60), Publisher(link, lanes=2) as publisher:
        chance = random.Random(5)

        async def trouble() -> None:
            for _ in range(8):
                await asyncio.sleep(chance.uniform(0.02, 0.2))
                if chance.random() < 0.5:
                    proxy.cut_after(chance.randrange(1, 20_000))
                else:
                    proxy.cut()

        async def publish(caller: int) -> None:
            nonlocal failed
            while not troubled.done():
                messages = [letter(f"{caller}-{chance.getrandbits(64)}".encode() * 20) for _ in range(50)]
                for message, outcome in zip(messages, await publisher.publish_all(messages), strict=True):
                    if outcome.confirmed:
                        confirmed.add(message.body)
                    else:
                        failed += 1

        troubled = asyncio.create_task(trouble())
        await asyncio.gather(*(publish(caller) for caller in range(4)))
        await troubled
        assert (await publisher.publish(letter(b"afterwards"))).confirmed
    assert proxy.accepted > 2
    assert failed > 0
    assert confirmed
    assert confirmed <= set(await server.drain())


async def test_a_connection_that_ends_without_a_reason_is_made_again(
    link: Link, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiormq then ends the opening of a channel with a bare Exception; lanes that died of it published nothing more."""
    reasonless = Reasonless(monkeypatch, aiormq.Connection, "channel")
    async with asyncio.timeout(60), Publisher(link, lanes=1) as publisher:
        assert (await publisher.publish(letter(b"afterwards"))).confirmed
    assert not reasonless.left


async def test_a_lane_that_died_of_a_defect_begins_anew(
    link: Link, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(60), Publisher(link, lanes=1, patience=0.3) as publisher:
        with monkeypatch.context() as defective:
            defective.setattr(Session, "channel", lambda *_, **__: 1 / 0)
            assert not (await publisher.publish(letter(b"during"))).confirmed
        assert (await publisher.publish(letter(b"afterwards"))).confirmed


@pytest.mark.parametrize("trouble", ["stall", "half_close"])
async def test_a_silent_server_ends_in_failure_and_publishing_resumes(
    link: Link, server: Server, proxy: Proxy, trouble: str
) -> None:
    async with asyncio.timeout(60), Publisher(link, patience=50) as publisher:
        assert (await publisher.publish(letter(b"before"))).confirmed
        getattr(proxy, trouble)()
        outcomes = await publisher.publish_all(letters("during", 10))
        if trouble == "stall":
            assert set(fates(outcomes)) == {Fate.FAILED}
            assert "lost before its confirmation" in outcomes[0].reason
        proxy.resume()
        assert (await publisher.publish(letter(b"after"))).confirmed
        for message, outcome in zip(letters("during", 10), outcomes, strict=True):
            assert not outcome.confirmed or message.body in await server.drain()


async def test_nobody_waits_longer_than_his_patience(link: Link, server: Server, proxy: Proxy) -> None:
    async with asyncio.timeout(30), Publisher(link, patience=0.3) as publisher:
        assert (await publisher.publish(letter(b"before"))).confirmed
        proxy.refuse()
        outcome = await publisher.publish(letter(b"during"))
        assert outcome.failed
        proxy.admit()
        await link.session()
        while not (await publisher.publish(letter(b"after"))).confirmed:
            pass
        assert b"during" not in await server.drain()


async def test_what_was_withdrawn_before_it_was_written_is_never_sent(link: Link, server: Server, proxy: Proxy) -> None:
    async with asyncio.timeout(30), Publisher(link) as publisher:
        proxy.refuse()
        await (await link.session()).lost.wait()
        call = asyncio.create_task(publisher.publish_all(letters("withdrawn", 3)))
        await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.wait({call})
        assert call.cancelled()
        proxy.admit()
        assert (await publisher.publish(letter(b"next"))).confirmed
    assert await server.drain() == [b"next"]


async def test_a_cancelled_call_disturbs_no_other(link: Link, server: Server) -> None:
    async with asyncio.timeout(30), Publisher(link, lanes=1, window=8) as publisher:
        calls = [asyncio.create_task(publisher.publish_all(letters(f"c{n}", 30))) for n in range(20)]
        await asyncio.sleep(0.01)
        for call in calls[::2]:
            call.cancel()
        for call in calls[1::2]:
            assert set(fates(await call)) == {Fate.CONFIRMED}
        await asyncio.wait(calls)
        assert (await publisher.publish(letter(b"last"))).confirmed


async def test_a_blocked_connection_is_shown_and_waited_for(link: Link, server: Server, proxy: Proxy) -> None:
    async with asyncio.timeout(30), Publisher(link) as publisher:
        assert (await publisher.publish(letter(b"before"))).confirmed
        proxy.say(marshal(Connection.Blocked("low on disk"), 0))
        while link.state != LinkState.BLOCKED.value:
            await asyncio.sleep(0.005)
        publishing = asyncio.create_task(publisher.publish(letter(b"during")))
        done, _ = await asyncio.wait({publishing}, timeout=0.2)
        assert not done
        assert await server.ready() == 1
        proxy.say(marshal(Connection.Unblocked(), 0))
        assert (await publishing).confirmed
        assert link.state == LinkState.UP.value


async def test_losing_a_blocked_connection_frees_those_who_wait(link: Link, server: Server, proxy: Proxy) -> None:
    async with asyncio.timeout(30), Publisher(link) as publisher:
        assert (await publisher.publish(letter(b"before"))).confirmed
        proxy.say(marshal(Connection.Blocked("low on disk"), 0))
        while link.state != LinkState.BLOCKED.value:
            await asyncio.sleep(0.005)
        publishing = asyncio.create_task(publisher.publish(letter(b"during")))
        await asyncio.sleep(0.05)
        proxy.cut()
        assert (await publishing).confirmed


async def test_a_closed_publisher_fails_what_it_has_and_refuses_more(link: Link, proxy: Proxy) -> None:
    publisher = Publisher(link)
    proxy.refuse()
    await (await link.session()).lost.wait()
    call = asyncio.create_task(publisher.publish(letter(b"x")))
    await asyncio.sleep(0.01)
    await publisher.close()
    assert (await call).failed
    with pytest.raises(LinkClosed):
        await publisher.publish(letter(b"x"))


async def test_the_window_bounds_what_is_unconfirmed(link: Link, server: Server) -> None:
    highest = 0
    async with Publisher(link, lanes=2, window=8) as publisher:
        call = asyncio.create_task(publisher.publish_all(letters("w", 500)))
        while not call.done():
            highest = max(highest, publisher.unconfirmed)
            await asyncio.sleep(0)
        assert set(fates(await call)) == {Fate.CONFIRMED}
    assert 0 < highest <= 16


async def test_a_channel_that_answers_nothing_is_given_up_however_much_is_published(
    proxy: Proxy, server: Server
) -> None:
    async with (
        asyncio.timeout(30),
        Link(proxy.url, name="t", heartbeat=0) as link,
        Publisher(link, lanes=1, window=4, patience=0.5) as publisher,
    ):
        assert (await publisher.publish(letter(b"before"))).confirmed
        proxy.stall()
        first = asyncio.create_task(publisher.publish_all(letters("s", 4)))
        while publisher.unconfirmed < 4:
            await asyncio.sleep(0.01)
        others: list[asyncio.Task[Outcome]] = []
        while publisher.unconfirmed:
            others.append(asyncio.create_task(publisher.publish(letter(b"more"))))
            await asyncio.sleep(0.05)
        assert set(fates(await first)) == {Fate.FAILED}
        proxy.resume()
        while not (await publisher.publish(letter(b"after"))).confirmed:
            pass
        await asyncio.wait(others)


async def test_the_library_still_has_what_the_fast_path_relies_on(vhost: HasAddress) -> None:
    connection = await aiormq.connect(vhost.amqp_url)
    channel = await connection.channel()
    for name in (
        "delivery_tag",
        "confirmations",
        "message_id_delivery_tag",
        "write_queue",
        "max_content_size",
        "number",
    ):
        assert hasattr(channel, name), f"aiormq's channel has no {name} any more: adapt broker.amqp.publishing"
    await connection.close(ConnectionError("test over"))

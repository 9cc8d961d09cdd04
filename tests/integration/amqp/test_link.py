"""A link comes back by itself, says how it is, and never hangs whoever uses it."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit

import pytest

from broker.amqp.connection import LOST, Backoff, Link, LinkClosed, LinkState
from schemas.problem import Problem
from tests.integration.amqp.conftest import HasAddress
from tests.integration.amqp.proxy import Proxy

QUICK = Backoff(first=0.02, ceiling=0.2)


async def test_a_lost_connection_is_replaced_by_a_new_one_and_the_old_session_stays_over(proxy: Proxy) -> None:
    async with asyncio.timeout(30), Link(proxy.url, name="t", backoff=QUICK) as link:
        first = await link.session()
        proxy.cut()
        await first.lost.wait()
        second = await link.session()
        assert second.generation > first.generation
        assert first.lost.is_set()
        with pytest.raises(LOST):
            await first.channel(confirms=True)
        await second.channel(confirms=True)
        assert link.status().connections == 2
        assert link.status().last_error


async def test_a_link_waits_out_a_server_that_is_away(proxy: Proxy) -> None:
    states: list[LinkState] = []
    async with asyncio.timeout(30), Link(proxy.url, name="t", backoff=QUICK, on_change=states.append) as link:
        session = await link.session()
        proxy.refuse()
        await session.lost.wait()
        while states.count(LinkState.WAITING) < 3:
            await asyncio.sleep(0.01)
        assert link.state != LinkState.UP.value
        proxy.admit()
        assert (await link.session()).generation > session.generation
        assert link.state == LinkState.UP.value
    assert states[-1] is LinkState.CLOSED


async def test_a_server_that_falls_silent_is_given_up_after_missed_heartbeats(proxy: Proxy) -> None:
    async with asyncio.timeout(40), Link(proxy.url, name="t", heartbeat=1, backoff=QUICK) as link:
        session = await link.session()
        proxy.stall()
        await session.lost.wait()
        proxy.resume()
        assert (await link.session()).generation > session.generation


async def test_a_half_closed_connection_is_given_up(proxy: Proxy) -> None:
    async with asyncio.timeout(30), Link(proxy.url, name="t", backoff=QUICK) as link:
        session = await link.session()
        proxy.half_close()
        await session.lost.wait()
        assert (await link.session()).generation > session.generation


async def test_opening_says_what_to_do_when_no_server_is_there(vhost: HasAddress) -> None:
    parts = urlsplit(vhost.amqp_url)
    nowhere = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:1"))
    with pytest.raises(Problem) as told:
        await Link(nowhere, name="t").open()
    assert told.value.exit_code == 4
    assert "127.0.0.1:1" in told.value.found
    assert str(parts.password) not in str(told.value)


async def test_opening_with_a_wrong_password_names_the_user_and_not_the_password(vhost: HasAddress) -> None:
    parts = urlsplit(vhost.amqp_url)
    wrong = urlunsplit(parts._replace(netloc=f"{parts.username}:not-it@{parts.hostname}:{parts.port}"))
    with pytest.raises(Problem) as told:
        await Link(wrong, name="t").open()
    assert told.value.exit_code == 4
    assert str(parts.username) in told.value.expected
    assert "not-it" not in str(told.value)
    assert "password" in told.value.remedy


async def test_an_insisting_link_connects_once_the_server_is_there(proxy: Proxy) -> None:
    proxy.refuse()
    link = await Link(proxy.url, name="t", backoff=QUICK).open(insist=True)
    async with asyncio.timeout(30):
        proxy.admit()
        await link.session()
    await link.close()


async def test_a_closed_link_refuses_those_who_wait_for_it(proxy: Proxy) -> None:
    link = await Link(proxy.url, name="t", backoff=QUICK).open()
    proxy.refuse()
    await (await link.session()).lost.wait()
    waiting = asyncio.create_task(link.session())
    await asyncio.sleep(0)
    await link.close()
    await link.close()
    with pytest.raises(LinkClosed):
        await waiting


async def test_closing_leaves_no_connection_behind(proxy: Proxy) -> None:
    async with asyncio.timeout(30):
        link = await Link(proxy.url, name="t", backoff=QUICK).open()
        session = await link.session()
        await link.close()
        assert session.lost.is_set()
        assert link.state is LinkState.CLOSED


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_waits_double_up_to_a_ceiling_and_keep_at_least_half(chance: float) -> None:
    backoff = Backoff(first=1.0, ceiling=8.0)
    longest = [1.0, 2.0, 4.0, 8.0, 8.0]
    for failures, most in enumerate(longest, start=1):
        assert most / 2 <= backoff.delay(failures, chance) <= most
    assert backoff.delay(10_000, chance) <= 8.0

"""RabbitMQ and PostgreSQL are restarted under load: programs resume by themselves, and no message pays for it."""

from __future__ import annotations

import asyncio
import random
import signal

import aio_pika
import pytest

from broker.amqp.management import Management, virtual_host_of
from broker.upkeep.queues import ServerMailboxes
from schemas.wire import mailbox
from tests.faults.offices import letters, settle
from tests.faults.running import Exchange
from tests.faults.servers import Servers
from tests.faults.test_connections_cut import BLAMED
from tests.kit.installation import Installation

SEED = 20250701


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_servers_restarted_under_load_cost_time_and_nothing_else(
    own_servers: Servers, own_installation: Installation
) -> None:
    offices = await settle(own_installation)
    exchange = Exchange(own_installation, offices, letters(offices, number=800, seconds=60, seed=SEED), seed=SEED)
    moments = random.Random(SEED)
    try:
        exchange.run_workers(2)
        exchange.run_keepers(2)
        exchange.run_offices()
        await exchange.all_ready()
        before = {name: service.program.process.pid for name, service in exchange.services.items()}
        for _ in range(2):
            await exchange.interrupt("RabbitMQ restarted", own_servers.end_rabbitmq, signal.SIGTERM)
            await asyncio.sleep(moments.uniform(1, 3))
            await exchange.interrupt("PostgreSQL restarted", own_servers.end_postgresql, signal.SIGINT)
            await asyncio.sleep(moments.uniform(1, 3))
        after = {name: service.program.process.pid for name, service in exchange.services.items()}
        assert before == after and all(service.program.running for service in exchange.services.values())
        await exchange.come_to_rest(600)
        await exchange.check()
        for prefix in ("worker-", "keeper-"):
            blamed = [line for line in exchange.lines(prefix) if line.get("event") in BLAMED]
            assert not blamed, blamed[:3]
        assert await exchange.record.value("SELECT count(*) FROM rejection") == 0
        print(exchange.figures)
    finally:
        await exchange.close()


@pytest.mark.long
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
async def test_a_full_mailbox_is_never_taken_for_an_empty_one_while_the_server_comes_back(
    own_servers: Servers, own_installation: Installation, sign: signal.Signals
) -> None:
    """Silent recipients get their documents again only if their mailbox is known to be empty (design §4)."""
    offices = await settle(own_installation)
    settings = offices.settings
    owners = [office.code for office in offices.connected()]
    async with await aio_pika.connect(settings.amqp_url) as connection:
        channel = await connection.channel()
        for code in owners:
            message = aio_pika.Message(b"a document", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, mailbox(code))

    seen: list[dict[str, int | None]] = []

    async def all_counted() -> bool:
        async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
            counts = dict(await ServerMailboxes(management, settings).waiting())
        seen.append(counts)
        return counts == dict.fromkeys(owners, 1)

    async with asyncio.timeout(120):
        while not await all_counted():
            await asyncio.sleep(0.1)
    seen.clear()
    await asyncio.to_thread(own_servers.end_rabbitmq, sign)
    async with asyncio.timeout(120):
        while not await all_counted():
            await asyncio.sleep(0.1)
    assert all(count in (None, 1) for counts in seen for count in counts.values())

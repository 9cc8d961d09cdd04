"""Connections to PostgreSQL and RabbitMQ are cut under load: work goes on, and no message is blamed for it."""

from __future__ import annotations

import asyncio
import random

from broker.amqp.management import virtual_host_of
from tests.faults.offices import letters, settle
from tests.faults.running import Exchange
from tests.faults.servers import cut_connections
from tests.kit.installation import Installation, wait_until

SEED = 20251122
CUTS = 10
BLAMED = {"message failed", "batch halved", "message could not be put aside", "keeper.task_failed"}
"""What is logged when a message or a duty has to answer for a server's absence."""


async def test_cut_connections_cost_no_document_and_no_attempt(installation: Installation) -> None:
    offices = await settle(installation)
    exchange = Exchange(installation, offices, letters(offices, number=150, seconds=6, seed=SEED), seed=SEED)
    moments = random.Random(SEED)
    vhost = virtual_host_of(installation.amqp_url)
    try:
        exchange.run_workers(2)
        exchange.run_keepers(1)
        exchange.run_offices()
        await exchange.all_ready()
        for _ in range(CUTS):
            await exchange.record.until("SELECT EXISTS (SELECT FROM outgoing WHERE published_at IS NULL)")
            await exchange.record.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.7"
            )
            await asyncio.sleep(moments.uniform(0.05, 0.5))
        # The server's list of connections is some seconds behind.
        await asyncio.to_thread(
            wait_until,
            lambda: cut_connections(installation.management_url, vhost) > 2,
            what="the server to know of its connections",
        )
        await exchange.come_to_rest()
        await exchange.check()
        assert await exchange.record.value("SELECT count(*) FROM rejection") == 0
        for prefix in ("worker-", "keeper-"):
            blamed = [line for line in exchange.lines(prefix) if line.get("event") in BLAMED]
            assert not blamed, blamed[:3]
        print(exchange.figures)
    finally:
        await exchange.close()

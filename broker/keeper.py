"""The keeper: wires its lease and its duties to RabbitMQ and PostgreSQL, and decides nothing.

One keeper is active at a time, by a fenced lease; as many as wanted stand by, on any machine. Everything it does can be
begun anew by the next one, so it may be killed at any moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from broker.amqp.connection import Link
from broker.amqp.management import Management, virtual_host_of
from broker.amqp.publishing import Publisher
from broker.content.opening import open_content
from broker.directory.live import LiveDirectory
from broker.dispatch.dispatcher import Dispatcher
from broker.evidence.duties import KeepLog, PublishLog
from broker.evidence.timestamps import AskTimestamps
from broker.evidence.witness import AskWitnesses
from broker.identity import BrokerIdentity
from broker.settings import Settings
from broker.store.pool import open_pool
from broker.upkeep.answers import WatchAnswers
from broker.upkeep.arrivals import WatchArrivals
from broker.upkeep.content import CollectContent
from broker.upkeep.lease import Lease
from broker.upkeep.mailboxes import KeepMailboxes
from broker.upkeep.partitions import MakePartitions
from broker.upkeep.queues import ServerMailboxes
from broker.upkeep.replay import Replay
from broker.upkeep.rollups import PERIOD, FollowLog
from broker.upkeep.rounds import Rounds, Task, nothing
from broker.upkeep.sending import KeeperSender
from broker.upkeep.silence import Patience
from broker.upkeep.successions import FollowSuccessions
from broker.upkeep.unfinished import FinishPublishes

CONNECTIONS: Final = 13
"""Database connections: one for each duty and one for the lease."""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def opened(settings: Settings, *, after_round: Callable[[str, int], None] = nothing) -> AsyncIterator[Rounds]:
    """A keeper with its connections open; they are closed at the end of the block.

    Raises Problem if a key, the database or the management API is not configured or not there.
    """
    identity = BrokerIdentity.load(settings)
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings, size=CONNECTIONS)
        stack.push_async_callback(pool.close)
        link = await stack.enter_async_context(Link(settings.amqp_url, name=f"lienthong keeper {os.getpid()}"))
        publisher = await stack.enter_async_context(Publisher(link))
        management = await stack.enter_async_context(
            Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url))
        )
        directory = await LiveDirectory.open(pool)
        stack.push_async_callback(directory.close)
        sender = KeeperSender(pool, Dispatcher(publisher, pool, identity))
        queues = ServerMailboxes(management, settings)
        yield Rounds(
            Lease(pool, seconds=settings.keeper_lease_seconds),
            duties(settings, pool, directory, queues, sender, identity),
            standby_seconds=settings.keeper_standby_seconds,
            after_round=after_round,
        )


def duties(
    settings: Settings,
    pool: asyncpg.Pool[asyncpg.Record],
    directory: LiveDirectory,
    queues: ServerMailboxes,
    sender: KeeperSender,
    identity: BrokerIdentity,
) -> list[Task]:
    """Everything the active keeper does, with its periods."""
    grace = timedelta(seconds=settings.outgoing_grace_seconds)
    patience = Patience(
        max_attempts=settings.max_attempts,
        pauses=[timedelta(minutes=minutes) for minutes in settings.redelivery_backoff_minutes],
    )
    return [
        FinishPublishes(pool, sender, grace=grace, period=settings.keeper_unfinished_seconds),
        KeepMailboxes(
            pool, directory, queues, sender, identity, settle=grace, period=settings.keeper_mailboxes_seconds
        ),
        Replay(pool, directory, sender, period=settings.keeper_replay_seconds),
        WatchArrivals(
            pool, directory, queues, sender, identity, patience=patience, period=settings.keeper_arrivals_seconds
        ),
        WatchAnswers(
            pool,
            directory,
            sender,
            identity,
            within=timedelta(hours=settings.answer_within_hours),
            period=settings.keeper_arrivals_seconds,
        ),
        FollowSuccessions(
            pool,
            directory,
            sender,
            identity,
            urgent=timedelta(minutes=settings.arrival_within_urgent_minutes),
            normal=timedelta(minutes=settings.arrival_within_normal_minutes),
            period=settings.keeper_successions_seconds,
        ),
        MakePartitions(months_ahead=settings.event_months_ahead, period=settings.keeper_partitions_seconds),
        CollectContent(
            pool,
            open_content(settings),
            keep=timedelta(days=settings.content_keep_days),
            period=settings.keeper_content_seconds,
        ),
        KeepLog(pool, settings),
        PublishLog(pool, settings),
        AskWitnesses(pool, settings),
        AskTimestamps(pool, settings),
        FollowLog(period=PERIOD),
    ]


async def serve(settings: Settings, *, ready: Callable[[], None] = lambda: None) -> None:
    """Run a keeper until SIGTERM or SIGINT; then finish the round in hand and give the lease up. Raises as `opened`."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    try:
        async with opened(settings) as rounds:
            ready()
            await rounds.run(stopping)
    finally:
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)

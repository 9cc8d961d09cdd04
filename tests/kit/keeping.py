"""A keeper in this process, with short rounds, whose rounds a test can wait for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from broker.amqp.connection import Link
from broker.amqp.publishing import Publisher
from broker.dispatch.dispatcher import Dispatcher, Sent
from broker.dispatch.unpublished import load_jobs
from broker.keeper import opened
from broker.upkeep.unfinished import LONG_AGO, SQL
from tests.kit.exchange import PATIENCE, Exchange

QUICK: dict[str, Any] = {
    "keeper_lease_seconds": 30.0,
    "keeper_standby_seconds": 0.05,
    "keeper_unfinished_seconds": 0.05,
    "keeper_mailboxes_seconds": 0.1,
    "keeper_replay_seconds": 0.05,
    "keeper_arrivals_seconds": 0.2,
    "keeper_successions_seconds": 0.1,
    "outgoing_grace_seconds": 1,
}


class Keeping:
    """A running keeper."""

    def __init__(self) -> None:
        self.rounds: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.stop = asyncio.Event()
        self._ended = asyncio.Condition()
        self._telling: set[asyncio.Task[None]] = set()

    def after_round(self, name: str, count: int) -> None:
        self.rounds[name] += 1
        self.done[name] += count
        telling = asyncio.ensure_future(self._tell())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self) -> None:
        async with self._ended:
            self._ended.notify_all()

    async def whole_rounds(self, name: str, rounds: int = 1) -> None:
        """Wait until a duty has begun and ended so many rounds from now on."""
        # The round in progress may have begun before now, so that one more is waited for.
        target = self.rounds[name] + rounds + 1
        async with asyncio.timeout(PATIENCE), self._ended:
            await self._ended.wait_for(lambda: self.rounds[name] >= target)

    async def until_done(self, name: str, count: int = 1, seconds: float = PATIENCE) -> None:
        """Wait until a duty has done so many things, from its beginning."""
        async with asyncio.timeout(seconds), self._ended:
            await self._ended.wait_for(lambda: self.done[name] >= count)


@asynccontextmanager
async def keeping(exchange: Exchange, **settings: Any) -> AsyncIterator[Keeping]:
    """A keeper for this exchange until the end of the block; `settings` override the quick ones."""
    keeper = Keeping()
    configured = exchange.settings.model_copy(update=QUICK | settings)
    async with opened(configured, after_round=keeper.after_round) as rounds:
        running = asyncio.create_task(rounds.run(keeper.stop))
        try:
            yield keeper
        finally:
            keeper.stop.set()
            await running


async def finish_publishes(exchange: Exchange) -> tuple[int, Sent]:
    """Make the publishes that a dead worker left, found as the keeper finds them; how many, and what became of them."""
    now = datetime.now(UTC)
    async with Link(exchange.settings.amqp_url, name="a keeper") as link, Publisher(link) as publisher:
        async with exchange.pool.acquire() as connection:
            rows = await connection.fetch(SQL["older_than"], now, LONG_AGO, 0, 100)
            jobs = await load_jobs(connection, [row["outgoing_id"] for row in rows], now=now)
        return len(jobs), await Dispatcher(publisher, exchange.pool, exchange.identity).send(jobs)

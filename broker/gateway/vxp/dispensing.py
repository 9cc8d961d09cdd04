"""Handing out packets to many pollers with few statements.

Most polls find nothing. Systems that poll often are asked about ahead, all of them in one question that writes nothing,
several times a second: a poll is then answered out of what was read a moment ago and waits for no database. A system
that has not polled lately waits for the next question, together with all others that do. Only a poll for which there is
something goes on to take it, for itself, and waits for its own commit and nobody else's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import asyncpg

Key = tuple[int, str]
"""A system and a kind of packet."""

FRESH_FOR: Final = 2.0
"""Seconds for which an answer counts; what came later is given to the next poll. Only a slow database needs them."""
ASK_EVERY: Final = 0.1
"""Seconds between two questions; a slow database is given ten times as long as it took."""
ASK_AHEAD_FOR: Final = 5.0
"""Seconds after its last poll for which a system is asked about ahead."""


class Dispenser:
    """Answers polls; one for a gateway.

    `question` takes systems and kinds and gives those that have something; it has the pool `brief`, where no signature
    and no commit stands in its way. `statement` takes one system, a kind, the limit and the lease, and gives what it
    hands out.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        brief: asyncpg.Pool[asyncpg.Record],
        *,
        question: str,
        statement: str,
        limit: int,
        lease: timedelta,
    ) -> None:
        self._pool = pool
        self._brief = brief
        self._question = question
        self._statement = statement
        self._limit = limit
        self._lease = lease
        self._polled: dict[Key, float] = {}
        self._answered: frozenset[Key] = frozenset()
        self._something: set[Key] = set()
        self._asked_at = -FRESH_FOR
        self._waiting: dict[Key, asyncio.Future[None]] = {}
        self._wanted = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None

    async def hand_out(self, system_id: int, kind: str) -> list[asyncpg.Record]:
        """What has waited longest for this system, at most the limit. Raises what the database raises.

        Whoever gives up waiting may leave packets that nobody reads until their lease ends, as one that dies does.
        """
        key = system_id, kind
        now = time.monotonic()
        self._polled[key] = now
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="is there anything to be handed out")
        if key not in self._answered or now - self._asked_at > FRESH_FOR:
            told = self._waiting.setdefault(key, asyncio.get_running_loop().create_future())
            self._wanted.set()
            await asyncio.shield(told)
        if key not in self._something:
            return []
        rows = await self._pool.fetch(self._statement, system_id, kind, self._limit, self._lease)
        if len(rows) < self._limit:
            self._something.discard(key)
        return rows

    async def _ask(self) -> None:
        """Ask again and again, as long as somebody polls."""
        while keys := self._lately_polled():
            waiting, self._waiting = self._waiting, {}
            self._wanted.clear()
            asked_at = time.monotonic()
            try:
                rows = await self._brief.fetch(self._question, [key[0] for key in keys], [key[1] for key in keys])
            except Exception as error:
                for told in waiting.values():
                    told.set_exception(error)
                    told.exception()  # those who gave up do not need to hear of it
            else:
                self._asked_at = asked_at
                self._answered = keys
                self._something = {(row["system_id"], row["kind"]) for row in rows}
                for told in waiting.values():
                    told.set_result(None)
            try:
                async with asyncio.timeout(max(ASK_EVERY, 10 * (time.monotonic() - asked_at))):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def _lately_polled(self) -> frozenset[Key]:
        """Who is asked about: whoever waits, and whoever has polled lately."""
        since = time.monotonic() - ASK_AHEAD_FOR
        self._polled = {key: at for key, at in self._polled.items() if at >= since or key in self._waiting}
        return frozenset(self._polled)


def in_order(rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """Packets as they are listed: oldest first."""
    return sorted(rows, key=lambda row: int(row["packet_id"]))

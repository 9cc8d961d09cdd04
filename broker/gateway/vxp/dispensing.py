"""Handing out packets to many pollers with few statements.

While one statement is on its way, further polls gather, and the next statement answers all of them at once: the more
offices poll side by side, the less each costs. Of two polls for the same system one is answered by each statement,
since what one statement has chosen it would choose again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

import asyncpg

Key = tuple[int, str]


class Dispenser:
    """Answers polls; one for a gateway. `statement` takes systems, kinds, the limit of each, and the lease."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], statement: str, *, limit: int, lease: timedelta) -> None:
        self._pool = pool
        self._statement = statement
        self._limit = limit
        self._lease = lease
        self._waiting: dict[Key, deque[asyncio.Future[list[asyncpg.Record]]]] = {}
        self._answering: asyncio.Task[None] | None = None

    async def hand_out(self, system_id: int, kind: str) -> list[asyncpg.Record]:
        """What has waited longest for this system, at most the limit. Raises what the database raises.

        Whoever gives up waiting leaves packets that nobody reads until their lease ends, as one that dies does.
        """
        answer: asyncio.Future[list[asyncpg.Record]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault((system_id, kind), deque()).append(answer)
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer(), name="packets are handed out")
        return await answer

    async def _answer(self) -> None:
        while asked := self._next():
            try:
                rows = await self._pool.fetch(
                    self._statement,
                    [system_id for system_id, _ in asked],
                    [kind for _, kind in asked],
                    self._limit,
                    self._lease,
                )
            except Exception as error:
                for answer in asked.values():
                    if not answer.done():
                        answer.set_exception(error)
                continue
            found: dict[Key, list[asyncpg.Record]] = {key: [] for key in asked}
            for row in rows:
                found[row["system_id"], row["kind"]].append(row)
            for key, answer in asked.items():
                if not answer.done():
                    answer.set_result(found[key])

    def _next(self) -> dict[Key, asyncio.Future[list[asyncpg.Record]]]:
        """The oldest poll of each system and kind that is still waiting."""
        asked: dict[Key, asyncio.Future[list[asyncpg.Record]]] = {}
        for key in list(self._waiting):
            polls = self._waiting[key]
            while polls and polls[0].done():
                polls.popleft()
            if polls:
                asked[key] = polls.popleft()
            if not polls:
                del self._waiting[key]
        return asked


def in_order(rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """Packets as they are listed: oldest first."""
    return sorted(rows, key=lambda row: int(row["packet_id"]))

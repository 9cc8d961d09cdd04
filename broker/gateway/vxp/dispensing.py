"""Handing out packets to many pollers with few statements.

Most polls find nothing. While one question is on its way, further polls gather, and the next question answers all of
them at once, without writing anything: the more offices poll side by side, the less each costs. Only a poll for which
there is something goes on to take it, for itself, and waits for its own commit and nobody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import asyncpg

Key = tuple[int, str]
Poll = tuple[Key, "asyncio.Future[bool]"]


class Dispenser:
    """Answers polls; one for a gateway.

    `question` takes systems and kinds and gives those that have something; `statement` takes one system, a kind, the
    limit and the lease, and gives what it hands out.
    """

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], *, question: str, statement: str, limit: int, lease: timedelta
    ) -> None:
        self._pool = pool
        self._question = question
        self._statement = statement
        self._limit = limit
        self._lease = lease
        self._waiting: list[Poll] = []
        self._asking: asyncio.Task[None] | None = None

    async def hand_out(self, system_id: int, kind: str) -> list[asyncpg.Record]:
        """What has waited longest for this system, at most the limit. Raises what the database raises.

        Whoever gives up waiting may leave packets that nobody reads until their lease ends, as one that dies does.
        """
        something: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(((system_id, kind), something))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="is there anything to be handed out")
        if not await something:
            return []
        return await self._pool.fetch(self._statement, system_id, kind, self._limit, self._lease)

    async def _ask(self) -> None:
        while polls := [poll for poll in self._waiting if not poll[1].done()]:
            self._waiting = []
            keys = {key for key, _ in polls}
            try:
                rows = await self._pool.fetch(self._question, [key[0] for key in keys], [key[1] for key in keys])
            except Exception as error:
                for _, something in polls:
                    if not something.done():
                        something.set_exception(error)
                continue
            found: set[Key] = {(row["system_id"], row["kind"]) for row in rows}
            for key, something in polls:
                if not something.done():
                    something.set_result(key in found)
        self._waiting = []


def in_order(rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    """Packets as they are listed: oldest first."""
    return sorted(rows, key=lambda row: int(row["packet_id"]))

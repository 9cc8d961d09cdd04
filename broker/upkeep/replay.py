"""Replays that agencies asked for: everything for their mailbox since a moment comes again (contract §2.6).

Documents without 01, then statuses and notices as they were signed, each in the order of their creation. A keeper that
dies in the middle leaves the request open, and the next one begins it anew: better doubled, which adapters drop, than
missed. `mailbox-reset` notices are left out, because they would ask for the next replay.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import asyncpg
import orjson
import structlog
from asyncpg import Record

from broker.directory.live import LiveDirectory
from broker.directory.records import AgencyId
from broker.dispatch.jobs import OutgoingJob
from broker.store.queries import load_queries
from broker.upkeep.again import OpenDelivery, enqueue
from broker.upkeep.lease import Lease
from broker.upkeep.sending import KeeperSender

SQL: Final = load_queries("broker.upkeep", "replay.sql")
PAGE: Final = 200
"""Messages sent again together."""
LATE_PUBLISH: Final = timedelta(hours=1)
"""How long before the moment asked for a message may have been decided and still have left after it."""

log = structlog.get_logger(__name__)


def asks_for_replay(job: OutgoingJob) -> bool:
    """Whether a message is a notice that makes its reader ask for a replay."""
    if job.kind != "notice":
        return False
    return any(item["event"] == "mailbox-reset" for item in orjson.loads(job.signed.payload)["items"])


def for_one(jobs: Iterable[OutgoingJob], owner_code: str) -> list[OutgoingJob]:
    """The same messages for one of their mailboxes only, as a further attempt."""
    return [replace(job, owners=(owner_code,), attempt=job.attempt + 1) for job in jobs if not asks_for_replay(job)]


class Replay:
    """The keeper's duty towards agencies that have lost what they had received."""

    name = "replay"

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        directory: LiveDirectory,
        sender: KeeperSender,
        *,
        period: float,
    ) -> None:
        self._pool = pool
        self._directory = directory
        self._sender = sender
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Answer every request that is open. Returns how many messages were sent again."""
        sent = 0
        for request in await self._pool.fetch(SQL["pending"]):
            sent += await self._answer(lease, request)
        return sent

    async def _answer(self, lease: Lease, request: Record) -> int:
        owner = self._directory.current.by_id(AgencyId(request["owner_id"]))
        documents = await self._documents(lease, request)
        messages = await self._messages(lease, request, owner.code)
        async with lease.writing() as connection:
            await connection.execute(SQL["done"], owner.id, request["ids"])
        log.info("keeper.replayed", owner=owner.code, documents=documents, messages=messages)
        return documents + messages

    async def _documents(self, lease: Lease, request: Record) -> int:
        sent = 0
        between = (request["owner_id"], request["since"], request["asked_at"])
        after = (0, 0)
        while rows := await self._pool.fetch(SQL["documents"], *between, *after, PAGE):
            async with lease.writing() as connection:
                ids = await enqueue(connection, [OpenDelivery.of(row) for row in rows], self._directory.current)
            sent += (await self._sender.send_rows(lease, ids)).published
            after = (rows[-1]["document_id"], rows[-1]["recipient_id"])
        return sent

    async def _messages(self, lease: Lease, request: Record, owner_code: str) -> int:
        sent = 0
        between = (request["owner_id"], request["since"], request["asked_at"])
        after = 0
        while rows := await self._pool.fetch(SQL["messages"], *between, after, PAGE, LATE_PUBLISH):
            jobs = await self._sender.load([row["outgoing_id"] for row in rows])
            sent += (await self._sender.send(lease, for_one(jobs, owner_code))).published
            after = rows[-1]["outgoing_id"]
        return sent

"""Changes that nobody answers: a recall, update, replacement or take-back without 15 or 16 by its deadline.

Each is flagged once, logged as an event, and told to whoever asked. Only recipients that have the document are meant:
one that has not got it yet is late with its 01, which `broker.upkeep.arrivals` watches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import structlog
from asyncpg import Record

from broker.directory.live import LiveDirectory
from broker.directory.records import AgencyId
from broker.directory.snapshot import Directory
from broker.dispatch.notices import NoticeBuilder
from broker.dispatch.recording import Named, insert_events, insert_outgoing_notices
from broker.identity import BrokerIdentity
from broker.statuses.telling import mailbox_of
from broker.store.pool import Connection
from broker.store.queries import load_queries
from broker.upkeep.late import overdue_item
from broker.upkeep.lease import Lease
from broker.upkeep.sending import KeeperSender
from broker.upkeep.unfinished import LONG_AGO
from schemas.delivery_events import overdue
from schemas.events import Event

SQL: Final = load_queries("broker.upkeep", "answers.sql")
PAGE: Final = 500
"""Unanswered changes looked at together."""

log = structlog.get_logger(__name__)


class WatchAnswers:
    """The keeper's duty towards those who asked for a change and hear nothing."""

    name = "answers"

    def __init__(
        self,
        pool: asyncpg.Pool[Record],
        directory: LiveDirectory,
        sender: KeeperSender,
        identity: BrokerIdentity,
        *,
        within: timedelta,
        period: float,
    ) -> None:
        self._pool = pool
        self._directory = directory
        self._sender = sender
        self._identity = identity
        self._within = within
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Flag and tell everything whose deadline has passed. Returns how many changes were called overdue."""
        now = datetime.now(UTC)
        called = 0
        after = (LONG_AGO, 0, 0)
        while rows := await self._pool.fetch(SQL["due"], now - self._within, *after, PAGE):
            # Of this page, not of the round: a notice that looks old already would be sent by `unfinished` as well.
            called += await self._call(lease, rows, datetime.now(UTC))
            after = (rows[-1]["asked_at"], rows[-1]["document_id"], rows[-1]["recipient_id"])
        return called

    async def _call(self, lease: Lease, late: Sequence[Record], now: datetime) -> int:
        directory = self._directory.current
        async with lease.writing() as connection:
            flagged = await connection.fetch(
                SQL["call_overdue"],
                [row["document_id"] for row in late],
                [row["recipient_id"] for row in late],
                [row["asked_by"] for row in late],
                now,
            )
            flagged.sort(key=lambda row: (row["document_id"], row["asked_at"], row["recipient_id"]))
            await insert_events(connection, await self._events(connection, flagged, directory, now))
            ids = await self._tell(connection, flagged, directory, now)
        await self._sender.send_rows(lease, ids)
        log.warning("keeper.no_answer", changes=len(flagged))
        return len(flagged)

    async def _events(
        self, connection: Connection, flagged: Sequence[Record], directory: Directory, now: datetime
    ) -> list[tuple[Event, int | None]]:
        groups: dict[tuple[int, datetime], list[str]] = defaultdict(list)
        for row in flagged:
            code = directory.by_id(AgencyId(row["recipient_id"])).code
            groups[row["document_id"], row["asked_at"] + self._within].append(code)
        documents = {
            row["document_id"]: Named(row["sender"], row["id"], row["digest"].hex())
            for row in await connection.fetch(SQL["documents"], sorted({row["document_id"] for row in flagged}))
        }
        return [
            (event, document_id)
            for (document_id, due), codes in groups.items()
            for event in overdue(at=now, document=documents[document_id], what="change", due=due, recipients=codes)
        ]

    async def _tell(
        self, connection: Connection, flagged: Sequence[Record], directory: Directory, now: datetime
    ) -> list[int]:
        groups: dict[bytes, list[Record]] = defaultdict(list)
        for row in flagged:
            groups[row["asked_by"]].append(row)
        asking = await connection.fetch(
            SQL["asking"],
            sorted({row["asking_document_id"] for row in flagged} - {None}),
            sorted({row["asking_status_id"] for row in flagged} - {None}),
        )
        notices = NoticeBuilder(self._identity)
        for message in asking:
            owner = mailbox_of(AgencyId(message["sender_id"]), directory)
            if owner is not None:
                rows = groups[message["digest"]]
                due = min(row["asked_at"] for row in rows) + self._within
                told = overdue_item(message, rows, directory, missing="answer", expected="15 or 16", due=due, now=now)
                notices.add(owner.id, owner.code, told)
        built = [(notice.owner_id, notice.signed.stored()) for notice in notices.build(now)]
        return await insert_outgoing_notices(connection, built, now)

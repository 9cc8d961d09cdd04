"""Documents whose 01 does not come: sent again where that is safe, then called overdue (design §4, contract §7).

`broker.upkeep.silence` decides about each delivery. What is sent again goes to mailboxes that are known to be empty;
because something must have been lost there, their owners are also told to ask for a replay of the rest. Overdue
deliveries are flagged, logged as events, and told to the document's sender.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog
from asyncpg import Record

from broker.directory.live import LiveDirectory
from broker.directory.records import Agency, AgencyId
from broker.directory.snapshot import Directory
from broker.dispatch.notices import NoticeBuilder
from broker.dispatch.recording import Named, insert_events, insert_outgoing_notices
from broker.identity import BrokerIdentity
from broker.statuses.telling import mailbox_of
from broker.store.pool import Connection
from broker.store.queries import load_queries
from broker.upkeep.again import SQL as AGAIN
from broker.upkeep.again import OpenDelivery, enqueue
from broker.upkeep.late import overdue_item
from broker.upkeep.lease import Lease
from broker.upkeep.mailboxes import reset_item
from broker.upkeep.queues import Mailboxes
from broker.upkeep.sending import KeeperSender
from broker.upkeep.silence import Patience, Silent, Step, next_step
from broker.upkeep.unfinished import LONG_AGO
from schemas.delivery_events import overdue
from schemas.events import Event

SQL: Final = load_queries("broker.upkeep", "arrivals.sql")
PAGE: Final = 500
"""Deliveries looked at together."""

OUT_OF_REACH: Final = 1
"""Whoever has no mailbox any more counts as one who does not read it: nothing is sent again, the sender is told."""

LOST_EN: Final = (
    "This mailbox was found empty although documents handed to it were never confirmed by 01. They come again by "
    "themselves; ask for a replay of the rest."
)
LOST_VI: Final = (
    "Hộp thư này trống trong khi có văn bản đã chuyển đến nhưng chưa được xác nhận bằng trạng thái 01. Các văn bản đó "
    "được tự động gửi lại; hãy yêu cầu gửi lại phần còn lại."
)

log = structlog.get_logger(__name__)


class WatchArrivals:
    """The keeper's duty towards recipients that are silent, and towards senders that ought to know."""

    name = "arrivals"

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        directory: LiveDirectory,
        queues: Mailboxes,
        sender: KeeperSender,
        identity: BrokerIdentity,
        *,
        patience: Patience,
        period: float,
    ) -> None:
        self._pool = pool
        self._directory = directory
        self._queues = queues
        self._sender = sender
        self._identity = identity
        self._patience = patience
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Go through everything that is due. Returns how many deliveries were sent again or called overdue."""
        directory = self._directory.current
        waiting = await self._queues.waiting()
        messages = {owner.id: waiting.get(owner.code) for owner in directory.mailboxes()}
        again = await self._send_again(lease, directory, messages)
        late = await self._call_overdue(lease, directory, messages)
        return again + late

    # ── Sending again ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _send_again(self, lease: Lease, directory: Directory, messages: Mapping[AgencyId, int | None]) -> int:
        empty = [owner_id for owner_id, count in messages.items() if count == 0]
        now = datetime.now(UTC)
        sent = 0
        told: set[AgencyId] = set()
        after = (0, 0)
        while rows := await self._pool.fetch(
            AGAIN["of_mailboxes"], empty, now - min(self._patience.pauses), *after, PAGE, now
        ):
            chosen = [row for row in rows if self._step(row, 0, now) is Step.SEND_AGAIN]
            if chosen:
                sent += await self._send(lease, directory, chosen, told)
            after = (rows[-1]["document_id"], rows[-1]["recipient_id"])
        return sent

    async def _send(self, lease: Lease, directory: Directory, rows: Sequence[Record], told: set[AgencyId]) -> int:
        async with lease.writing() as connection:
            ids = await enqueue(connection, [OpenDelivery.of(row) for row in rows], directory)
            # Only with the first further copy, and once in a round: each time the adapter asks for a replay of all.
            first = {AgencyId(row["owner_id"]) for row in rows if row["sends"] == 1} - told
            ids += await self._tell_lost(connection, [directory.by_id(owner_id) for owner_id in sorted(first)])
        told |= first
        await self._sender.send_rows(lease, ids)
        log.info("keeper.sent_again", deliveries=len(rows), mailboxes=len({row["owner_id"] for row in rows}))
        return len(rows)

    async def _tell_lost(self, connection: Connection, owners: Sequence[Agency]) -> list[int]:
        now = datetime.now(UTC)
        generations = {
            row["owner_id"]: row["generation"]
            for row in await connection.fetch(AGAIN["generations"], [owner.id for owner in owners])
        }
        notices = NoticeBuilder(self._identity)
        for owner in owners:
            told = reset_item(at=now, generation=generations.get(owner.id, 1), en=LOST_EN, vi=LOST_VI)
            notices.add(owner.id, owner.code, told)
        built = [(notice.owner_id, notice.signed.stored()) for notice in notices.build(now)]
        return await insert_outgoing_notices(connection, built, now)

    # ── Overdue ──────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _call_overdue(self, lease: Lease, directory: Directory, messages: Mapping[AgencyId, int | None]) -> int:
        now = datetime.now(UTC)
        called = 0
        after = (LONG_AGO, 0, 0)
        while rows := await self._pool.fetch(SQL["due"], now, *after, PAGE):
            late = [
                row
                for row in rows
                if self._step(row, messages.get(AgencyId(row["owner_id"]), OUT_OF_REACH), now) is Step.CALL_OVERDUE
            ]
            if late:
                # Of this page, not of the round: a notice that looks old already would be sent by `unfinished` as well.
                called += await self._call(lease, directory, late, datetime.now(UTC))
            after = (rows[-1]["due_arrival"], rows[-1]["document_id"], rows[-1]["recipient_id"])
        return called

    async def _call(self, lease: Lease, directory: Directory, late: Sequence[Record], now: datetime) -> int:
        notices = NoticeBuilder(self._identity)
        async with lease.writing() as connection:
            flagged = await connection.fetch(
                SQL["call_overdue"], [row["document_id"] for row in late], [row["recipient_id"] for row in late], now
            )
            by_document: dict[int, list[Record]] = defaultdict(list)
            for row in sorted(flagged, key=lambda row: (row["document_id"], row["recipient_id"])):
                by_document[row["document_id"]].append(row)
            events: list[tuple[Event, int | None]] = []
            for document in await connection.fetch(SQL["senders"], sorted(by_document)):
                rows = by_document[document["document_id"]]
                owner = mailbox_of(AgencyId(document["sender_id"]), directory)
                told_to = None if owner is None else owner.code
                events += [
                    (event, document["document_id"]) for event in _events(document, rows, directory, now, told_to)
                ]
                if owner is not None:
                    due = min(row["due_arrival"] for row in rows)
                    told = overdue_item(
                        document, rows, directory, missing="01", expected="a signed 01", due=due, now=now
                    )
                    notices.add(owner.id, owner.code, told)
            await insert_events(connection, events)
            built = [(notice.owner_id, notice.signed.stored()) for notice in notices.build(now)]
            ids = await insert_outgoing_notices(connection, built, now)
        await self._sender.send_rows(lease, ids)
        log.warning("keeper.overdue", deliveries=len(flagged), documents=len(by_document))
        return len(flagged)

    def _step(self, row: Record, mailbox_messages: int | None, now: datetime) -> Step:
        silent = Silent(
            due_arrival=row["due_arrival"],
            sends=row["sends"],
            last_sent_at=row["last_sent_at"],
            overdue=row.get("overdue", False),
        )
        return next_step(silent, mailbox_messages=mailbox_messages, now=now, patience=self._patience)


def _events(
    document: Record, rows: Sequence[Record], directory: Directory, now: datetime, told_to: str | None
) -> list[Event]:
    """One document's missed deadlines as events; recipients with different deadlines are told apart."""
    by_deadline: dict[datetime, list[str]] = defaultdict(list)
    for row in rows:
        by_deadline[row["due_arrival"]].append(directory.by_id(AgencyId(row["recipient_id"])).code)
    named = Named(document["sender"], document["id"], document["digest"].hex())
    return [
        event
        for due, recipients in sorted(by_deadline.items())
        for event in overdue(at=now, document=named, what="arrival", due=due, recipients=recipients, notice=told_to)
    ]

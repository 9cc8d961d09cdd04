"""Mailboxes that are missing on the server are made again, and what was lost with them is sent again (design §4).

The loss is noted in the database before the queue is made, so that a keeper that dies in between leaves the duty to
the next one. Then: the queue is made; a pause lets publishes to the old queue get on record; everything without 01 is
sent again, page by page; at last a `mailbox-reset` notice makes the adapter ask for a replay of statuses and notices.
An operator's `topology apply` that made a queue again leaves `reset_at` behind, and the same follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import structlog
from asyncpg import Record

from broker.directory.live import LiveDirectory
from broker.directory.records import Agency, AgencyId
from broker.dispatch.notices import NoticeBuilder, item
from broker.dispatch.recording import insert_events, insert_outgoing_notices
from broker.identity import BrokerIdentity
from broker.store.queries import load_queries
from broker.upkeep.again import SQL as AGAIN
from broker.upkeep.again import OpenDelivery, enqueue
from broker.upkeep.lease import Lease
from broker.upkeep.queues import Mailboxes
from broker.upkeep.sending import KeeperSender
from schemas.exchange_events import mailbox_reset

SQL: Final = load_queries("broker.upkeep", "mailboxes.sql")
PAGE: Final = 500
"""Deliveries sent again together."""

RESET_EN: Final = (
    "This mailbox was made anew. Documents without 01 come again by themselves; ask for a replay of the rest."
)
RESET_VI: Final = (
    "Hộp thư này đã được tạo lại. Văn bản chưa có trạng thái 01 được tự động gửi lại; hãy yêu cầu gửi lại phần còn lại."
)

log = structlog.get_logger(__name__)


def reset_item(*, at: datetime, generation: int, en: str = RESET_EN, vi: str = RESET_VI) -> bytes:
    """The notice item that makes an adapter ask for a replay (contract §2.5, §2.6)."""
    return item("mailbox-reset", concerns=None, at=at, detail={"generation": generation, "en": en, "vi": vi})


class KeepMailboxes:
    """The keeper's duty towards queues that somebody or something has taken away."""

    name = "mailboxes"

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        directory: LiveDirectory,
        queues: Mailboxes,
        sender: KeeperSender,
        identity: BrokerIdentity,
        *,
        settle: timedelta,
        period: float,
    ) -> None:
        self._pool = pool
        self._directory = directory
        self._queues = queues
        self._sender = sender
        self._identity = identity
        self._settle = settle
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Compare, make what is missing, go on with what was begun. Returns how many mailboxes were finished."""
        # First what is on record, then what is there: a reset that is noted in between is left for the next round.
        known = {row["owner_id"]: row for row in await self._pool.fetch(SQL["known"])}
        waiting = await self._queues.waiting()
        wanted = {agency.id: agency for agency in self._directory.current.mailboxes()}
        present = [agency for agency in wanted.values() if agency.code in waiting]
        missing = [agency for agency in wanted.values() if agency.code not in waiting]
        if missing:
            await self._make(lease, missing, known)
        await self._note_new(lease, [agency for agency in (*present, *missing) if agency.id not in known])
        made = [*missing, *(agency for agency in present if agency.id in known and known[agency.id]["reset_at"])]
        if made:
            await self._note_made(lease, made)
        finished = 0
        for row in await self._pool.fetch(SQL["settled"], self._settle.total_seconds()):
            if row["owner_id"] in wanted:
                finished += await self._finish(lease, wanted[row["owner_id"]], row)
        return finished

    async def _make(self, lease: Lease, missing: Sequence[Agency], known: Mapping[int, Record]) -> None:
        """Note which of the missing mailboxes were lost and which never existed; then make all of them."""
        strangers = [owner.id for owner in missing if owner.id not in known]
        used = {row["owner_id"] for row in await self._pool.fetch(SQL["used_before"], strangers)}
        lost = [owner.id for owner in missing if owner.id in known or owner.id in used]
        async with lease.writing() as connection:
            newly = {row["owner_id"] for row in await connection.fetch(SQL["note_lost"], lost)}
        for owner in missing:
            if owner.id in newly:
                log.warning("keeper.mailbox_lost", owner=owner.code)
        await self._queues.make(missing)

    async def _note_new(self, lease: Lease, owners: Sequence[Agency]) -> None:
        if owners:
            async with lease.writing() as connection:
                await connection.execute(SQL["note_new"], [owner.id for owner in owners])

    async def _note_made(self, lease: Lease, owners: Sequence[Agency]) -> None:
        """These mailboxes exist now; for those that had been lost, what was handed over until now is to come again."""
        codes = {owner.id: owner.code for owner in owners}
        now = datetime.now(UTC)
        async with lease.writing() as connection:
            rows = await connection.fetch(SQL["note_made"], list(codes))
            events = [mailbox_reset(at=now, owner=codes[r["owner_id"]], generation=r["generation"]) for r in rows]
            await insert_events(connection, [(event, None) for event in events])

    async def _finish(self, lease: Lease, owner: Agency, reset: Record) -> bool:
        """Send everything without 01 to a mailbox made again, then the notice. False if something must wait."""
        again = await self._send_all(lease, owner.id, reset["lost_before"])
        left = await self._pool.fetch(AGAIN["of_mailboxes"], [owner.id], reset["lost_before"], 0, 0, 1, None)
        if left:
            return False  # a worker was writing some of them; they are taken in the next round
        now = datetime.now(UTC)
        notices = NoticeBuilder(self._identity)
        notices.add(owner.id, owner.code, reset_item(at=now, generation=reset["generation"]))
        async with lease.writing() as connection:
            if not await connection.fetch(SQL["note_finished"], owner.id, reset["generation"], reset["reset_at"]):
                return False
            told = [(notice.owner_id, notice.signed.stored()) for notice in notices.build(now)]
            ids = await insert_outgoing_notices(connection, told, now)
        await self._sender.send_rows(lease, ids)
        log.info("keeper.mailbox_whole_again", owner=owner.code, generation=reset["generation"], documents=again)
        return True

    async def _send_all(self, lease: Lease, owner_id: AgencyId, lost_before: datetime) -> int:
        sent = 0
        after = (0, 0)
        while rows := await self._pool.fetch(AGAIN["of_mailboxes"], [owner_id], lost_before, *after, PAGE, None):
            async with lease.writing() as connection:
                ids = await enqueue(connection, [OpenDelivery.of(row) for row in rows], self._directory.current)
            sent += (await self._sender.send_rows(lease, ids)).published
            after = (rows[-1]["document_id"], rows[-1]["recipient_id"])
        return sent

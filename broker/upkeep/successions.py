"""Deliveries without 01 to agencies that have closed: they go to the one successor (design "Directory").

Documents to a code that has closed already are rerouted by intake; this is for those that were on their way when it
closed. The duty looks at the state of things, not at the moment of closing: whatever was accepted while the closing was
being committed is found in the next round. A move is one transaction: a delivery to the successor with its copy in
`outgoing`, the old delivery closed with the mark where its document went, the event, and the notice to the sender.

Where there is no one successor nothing is moved, and the sender is told once, with the candidates. Where the successor
cannot be reached today (suspended, or without mailbox and hub) the delivery waits for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog
from asyncpg import Record

from broker.directory.live import LiveDirectory
from broker.directory.records import Agency, AgencyId
from broker.directory.snapshot import Directory
from broker.dispatch.notices import LISTED_RECIPIENTS, NoticeBuilder, item, reference
from broker.dispatch.recording import Named, insert_events, insert_outgoing_notices
from broker.identity import BrokerIdentity
from broker.intake.recipients import SUSPENDED
from broker.statuses.telling import mailbox_of
from broker.store.pool import Connection
from broker.store.queries import load_queries
from broker.upkeep.again import OpenDelivery, write_copies
from broker.upkeep.lease import Lease
from broker.upkeep.sending import KeeperSender
from schemas.delivery_events import Rerouted, rerouted
from schemas.errors import Refusal
from schemas.events import Event

SQL: Final = load_queries("broker.upkeep", "successions.sql")
PAGE: Final = 500
"""Deliveries moved in one transaction."""

REROUTED_EN: Final = (
    "A recipient has closed. Its document goes to the agency that took over, from which the statuses come now; it may "
    "still have been taken by the old office too."
)
REROUTED_VI: Final = (
    "Một cơ quan nhận đã kết thúc hoạt động. Văn bản được chuyển đến cơ quan kế thừa, nơi sẽ gửi trạng thái từ nay; cơ "
    "quan cũ có thể cũng đã nhận được."
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heir:
    """Where the documents of one closed agency go: the agency, and whose mailbox reaches it today."""

    agency: Agency
    owner: Agency


@dataclass(frozen=True, kw_only=True, slots=True)
class Closings:
    """What is to be done about every agency that has closed."""

    heirs: Mapping[AgencyId, Heir]
    """Those with one successor that can be reached."""
    stranded: Mapping[AgencyId, tuple[Agency, ...]]
    """Those with several successors, or none. Not here: those whose one successor cannot be reached today."""


def closings(directory: Directory) -> Closings:
    """Everything that the directory says about closed agencies today. Pure; some 10 ms for a whole nation."""
    heirs: dict[AgencyId, Heir] = {}
    stranded: dict[AgencyId, tuple[Agency, ...]] = {}
    for agency in directory.agencies():
        if not closed_on(agency, directory):
            continue
        successors = directory.successors(agency.id)
        if len(successors) != 1:
            stranded[agency.id] = successors
            continue
        owner = directory.owner_of(successors[0].id)
        if owner is not None and successors[0].state != SUSPENDED:
            heirs[agency.id] = Heir(agency=successors[0], owner=owner)
    return Closings(heirs=heirs, stranded=stranded)


def closed_on(agency: Agency, directory: Directory) -> bool:
    """Whether an agency has closed: marked so, or its day has come. One that does not exist yet has not."""
    over = directory.today is not None and agency.valid_until is not None and agency.valid_until <= directory.today
    return agency.state == "closed" or over


@dataclass(frozen=True, kw_only=True, slots=True)
class _Move:
    """One delivery on its way from a closed agency to its heir."""

    row: Record
    heir: Heir
    due_arrival: datetime | None
    """Until when the successor's 01 is expected; None where it has the document already, or sent it."""

    @property
    def created(self) -> bool:
        """Whether the successor has a delivery now."""
        return self.due_arrival is not None


class FollowSuccessions:
    """The keeper's duty towards documents whose recipient has closed."""

    name = "successions"

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        directory: LiveDirectory,
        sender: KeeperSender,
        identity: BrokerIdentity,
        *,
        urgent: timedelta,
        normal: timedelta,
        period: float,
    ) -> None:
        """`urgent` and `normal` are the times within which a successor's 01 is expected, by the document's lane."""
        self._pool = pool
        self._directory = directory
        self._sender = sender
        self._identity = identity
        self._within = {True: urgent, False: normal}
        self._known: tuple[Directory, Closings] | None = None
        self.period = period

    async def run(self, lease: Lease) -> int:
        """Move what can be moved and tell of the rest. Returns how many deliveries were moved or told of."""
        async with self._pool.acquire() as connection:
            directory = await self._directory.newest(connection)
        if self._known is None or self._known[0] is not directory:
            self._known = directory, closings(directory)
        found = self._known[1]
        return await self._move_all(lease, directory, found) + await self._tell_all(lease, directory, found)

    # ── One successor ────────────────────────────────────────────────────────────────────────────────────────────────
    async def _move_all(self, lease: Lease, directory: Directory, found: Closings) -> int:
        moved = 0
        after = (0, 0)
        while rows := await self._pool.fetch(SQL["open_at"], list(found.heirs), *after, False, PAGE):
            moved += await self._move(lease, directory, found.heirs, rows)
            after = (rows[-1]["recipient_id"], rows[-1]["document_id"])
        return moved

    async def _move(
        self, lease: Lease, directory: Directory, heirs: Mapping[AgencyId, Heir], rows: Sequence[Record]
    ) -> int:
        now = datetime.now(UTC)
        async with lease.writing() as connection:
            locked = await _lock(connection, rows)
            if not locked:
                return 0
            moves = await self._give(connection, locked, heirs, now)
            await connection.execute(
                SQL["close_moved"],
                [move.row["document_id"] for move in moves],
                [move.row["recipient_id"] for move in moves],
                [move.heir.agency.id for move in moves],
                now,
            )
            ids = await self._send_copies(connection, moves, directory)
            told = {document_id: [_told(move, directory) for move in some] for document_id, some in _grouped(moves)}
            await insert_events(connection, _events(locked, told, directory, now))
            items = {document_id: _moved_item(some, told[document_id], now) for document_id, some in _grouped(moves)}
            ids += await self._tell(connection, locked, items, directory, now)
        await self._sender.send_rows(lease, ids)
        log.info("keeper.moved", deliveries=len(moves), documents=len(told))
        return len(moves)

    async def _give(
        self, connection: Connection, locked: Sequence[Record], heirs: Mapping[AgencyId, Heir], now: datetime
    ) -> list[_Move]:
        """Write the successors' deliveries; two closed agencies of one document may have the same successor."""
        wanted: dict[tuple[int, AgencyId], Record] = {}
        for row in locked:
            heir_id = heirs[row["recipient_id"]].agency.id
            if heir_id != row["sender_id"]:
                wanted.setdefault((row["document_id"], heir_id), row)
        due = {place: max(row["due_arrival"], now + self._within[row["priority"] > 0]) for place, row in wanted.items()}
        made = await connection.fetch(
            SQL["insert_deliveries"],
            [document_id for document_id, _ in wanted],
            [heir_id for _, heir_id in wanted],
            [heirs[row["recipient_id"]].owner.id for row in wanted.values()],
            [row["addressed_as"] for row in wanted.values()],
            list(due.values()),
        )
        new = {(row["document_id"], row["recipient_id"]) for row in made}
        await connection.execute(SQL["count_recipients"], sorted({document_id for document_id, _ in new}))
        moves = []
        for row in locked:
            heir = heirs[row["recipient_id"]]
            place = row["document_id"], heir.agency.id
            created = place in new and wanted[place] is row
            moves.append(_Move(row=row, heir=heir, due_arrival=due[place] if created else None))
        return moves

    async def _send_copies(self, connection: Connection, moves: Sequence[_Move], directory: Directory) -> list[int]:
        created = [move for move in moves if move.created]
        changes = [move for move in created if move.row["action"] != "new"]
        waiting = {
            (row["document_id"], row["recipient_id"])
            for row in await connection.fetch(
                SQL["waiting_for_documents"],
                [move.row["document_id"] for move in changes],
                [move.heir.agency.id for move in changes],
            )
        }
        copies = [
            OpenDelivery(
                document_id=move.row["document_id"],
                recipient_id=move.heir.agency.id,
                owner_id=move.heir.owner.id,
                addressed_as=move.row["addressed_as"],
                sends=0,
                rerouted=True,
            )
            for move in created
            if (move.row["document_id"], move.heir.agency.id) not in waiting
        ]
        ids = await write_copies(connection, copies, directory)
        taken_back = await connection.fetch(
            SQL["ask_successors"],
            [move.row["document_id"] for move in created],
            [move.row["recipient_id"] for move in created],
            [move.heir.agency.id for move in created],
        )
        owners = {move.heir.agency.id: move.heir.owner.id for move in created}
        rows = await connection.fetch(
            SQL["send_statuses"],
            [row["asking_status_id"] for row in taken_back],
            [owners[row["recipient_id"]] for row in taken_back],
        )
        return [*ids, *(row["outgoing_id"] for row in rows)]

    # ── Several successors, or none ──────────────────────────────────────────────────────────────────────────────────
    async def _tell_all(self, lease: Lease, directory: Directory, found: Closings) -> int:
        told = 0
        after = (0, 0)
        while rows := await self._pool.fetch(SQL["open_at"], list(found.stranded), *after, True, PAGE):
            told += await self._tell_stranded(lease, directory, found.stranded, rows)
            after = (rows[-1]["recipient_id"], rows[-1]["document_id"])
        return told

    async def _tell_stranded(
        self,
        lease: Lease,
        directory: Directory,
        stranded: Mapping[AgencyId, tuple[Agency, ...]],
        rows: Sequence[Record],
    ) -> int:
        now = datetime.now(UTC)
        async with lease.writing() as connection:
            locked = await _lock(connection, rows)
            if not locked:
                return 0
            await connection.execute(
                SQL["note_told"], [row["document_id"] for row in locked], [row["recipient_id"] for row in locked], now
            )
            told = {
                document_id: [_stranded(row, stranded[row["recipient_id"]], directory) for row in some]
                for document_id, some in _by_document(locked)
            }
            await insert_events(connection, _events(locked, told, directory, now))
            items = {
                document_id: _stranded_item(some, told[document_id], directory, now)
                for document_id, some in _by_document(locked)
            }
            ids = await self._tell(connection, locked, items, directory, now)
        await self._sender.send_rows(lease, ids)
        log.warning("keeper.stranded", deliveries=len(locked), documents=len(told))
        return len(locked)

    # ── Both ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _tell(
        self,
        connection: Connection,
        locked: Sequence[Record],
        items: Mapping[int, bytes],
        directory: Directory,
        now: datetime,
    ) -> list[int]:
        notices = NoticeBuilder(self._identity)
        for document_id, document in _documents(locked).items():
            owner = mailbox_of(AgencyId(document["sender_id"]), directory)
            if owner is not None:
                notices.add(owner.id, owner.code, items[document_id])
        built = [(notice.owner_id, notice.signed.stored()) for notice in notices.build(now)]
        return await insert_outgoing_notices(connection, built, now)


async def _lock(connection: Connection, rows: Sequence[Record]) -> list[Record]:
    return list(
        await connection.fetch(
            SQL["lock_open"], [row["document_id"] for row in rows], [row["recipient_id"] for row in rows]
        )
    )


def _grouped(moves: Sequence[_Move]) -> list[tuple[int, list[_Move]]]:
    groups: dict[int, list[_Move]] = defaultdict(list)
    for move in moves:
        groups[move.row["document_id"]].append(move)
    return list(groups.items())


def _by_document(rows: Sequence[Record]) -> list[tuple[int, list[Record]]]:
    groups: dict[int, list[Record]] = defaultdict(list)
    for row in rows:
        groups[row["document_id"]].append(row)
    return list(groups.items())


def _told(move: _Move, directory: Directory) -> Rerouted:
    return Rerouted(
        closed=directory.by_id(AgencyId(move.row["recipient_id"])).code,
        successors=[move.heir.agency.code],
        owner=move.heir.owner.code if move.created else None,
        moved=True,
        due_arrival=move.due_arrival,
    )


def _stranded(row: Record, successors: Sequence[Agency], directory: Directory) -> Rerouted:
    return Rerouted(
        closed=directory.by_id(AgencyId(row["recipient_id"])).code, successors=[agency.code for agency in successors]
    )


def _documents(rows: Sequence[Record]) -> dict[int, Record]:
    """One row for each document, for what all rows of it say alike."""
    return {row["document_id"]: row for row in rows}


def _events(
    rows: Sequence[Record], told: Mapping[int, Sequence[Rerouted]], directory: Directory, now: datetime
) -> list[tuple[Event, int | None]]:
    owners = {row["sender_id"]: mailbox_of(AgencyId(row["sender_id"]), directory) for row in rows}
    told_to = {sender: None if owner is None else owner.code for sender, owner in owners.items()}
    return [
        (event, document_id)
        for document_id, row in _documents(rows).items()
        for event in rerouted(
            at=now,
            document=Named(row["sender"], row["id"], row["digest"].hex()),
            deliveries=told[document_id],
            notice=told_to[row["sender_id"]],
        )
    ]


def _moved_item(moves: Sequence[_Move], told: Sequence[Rerouted], now: datetime) -> bytes:
    """What the sender hears: who has the document now, instead of whom."""
    document = moves[0].row
    heirs: dict[AgencyId, _Move] = {}
    for move in moves:
        heirs.setdefault(move.heir.agency.id, move)
    return item(
        "rerouted",
        concerns=reference(document["sender"], document["id"], document["digest"].hex()),
        at=now,
        detail={
            "closed": {one.closed: one.successors[0] for one in told[:LISTED_RECIPIENTS]},
            "en": REROUTED_EN,
            "vi": REROUTED_VI,
        },
        recipients={
            "count": len(heirs),
            "list": [
                {
                    "code": move.heir.agency.code,
                    "addressed_as": move.row["addressed_as"],
                    "owner": move.heir.owner.code,
                }
                for move in list(heirs.values())[:LISTED_RECIPIENTS]
            ],
        },
    )


def _stranded_item(rows: Sequence[Record], told: Sequence[Rerouted], directory: Directory, now: datetime) -> bytes:
    """What the sender hears where it has to choose itself."""
    candidates = tuple(dict.fromkeys(code for one in told for code in one.successors))
    refusal = Refusal(
        code="LT-RECIPIENT-CLOSED",
        found=", ".join(one.closed for one in told),
        expected="one of its successors" if candidates else "an agency that exists; no successor is recorded",
        candidates=candidates[:LISTED_RECIPIENTS],
    )
    more: dict[str, Any] = {"closed": {one.closed: list(one.successors) for one in told[:LISTED_RECIPIENTS]}}
    return item(
        "overdue",
        concerns=reference(rows[0]["sender"], rows[0]["id"], rows[0]["digest"].hex()),
        at=now,
        error=refusal.code,
        detail=refusal.detail() | more,
        recipients={
            "count": len(rows),
            "list": [
                {
                    "code": directory.by_id(AgencyId(row["recipient_id"])).code,
                    "addressed_as": row["addressed_as"],
                    "owner": directory.by_id(AgencyId(row["owner_id"])).code,
                }
                for row in rows[:LISTED_RECIPIENTS]
            ],
        },
    )

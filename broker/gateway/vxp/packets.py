"""What a system has to fetch: handing packets out under a lease, giving their files, taking what it says of them.

A packet that was handed out is kept from every other poller until its lease ends; `processing` extends the lease,
`done` ends it for good and signs the 01 of a document in the same transaction, `fail` keeps the packet with its reason.
Nothing is ever deleted here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Final
from uuid import UUID

import asyncpg
import structlog

from broker.content.store import whole
from broker.gateway.app import Gateway
from broker.gateway.vxp.answers import INTERNAL, NOT_PROCESSED, Answer, failed, moment
from broker.gateway.vxp.dispensing import Dispenser, in_order
from broker.gateway.vxp.files import AtWork, OnDisk, PacketFile, begun, sent_from, spooled, written
from broker.gateway.vxp.ids import arrival_id
from broker.gateway.vxp.making import arrival
from broker.gateway.vxp.submission import PUBLISHING, publish
from broker.gateway.vxp.submission import SQL as SUBMISSION_SQL
from broker.gateway.vxp.systems import System, Systems
from broker.store.queries import load_queries
from schemas.edxml.content import Content
from schemas.edxml.limits import LIMITS
from schemas.edxml.rendering import render_document
from schemas.edxml.writing import write_pieces
from schemas.errors import Refusal
from schemas.jws import encode_message, parse_stored, sign
from schemas.manifest import DocumentManifest, Role, parse_manifest
from schemas.manifest.document import MAX_RECIPIENTS
from schemas.wire import status_key

SQL = load_queries("broker.gateway.vxp", "packets.sql")
SERVICE: Final = "eDoc"
MESSAGE_TYPES: Final = ("edoc", "status")
REASON_LIMIT: Final = 500
SENT_LIMIT: Final = 1000
"""Rows of one list of what was sent; of one document, all."""
log = structlog.get_logger(__name__)


class Packets:
    """The packets of all systems; one for a gateway."""

    def __init__(self, gateway: Gateway, systems: Systems) -> None:
        self.gateway = gateway
        self.systems = systems
        limit = gateway.settings.vxp_list_limit
        self._writing = AtWork()
        self._dispenser = Dispenser(
            gateway.pool,
            gateway.brief,
            question=SQL["with_something"],
            statement=SQL["hand_out"],
            limit=limit,
            lease=self.lease,
        )

    @property
    def lease(self) -> timedelta:
        """How long a packet is kept from other pollers."""
        return timedelta(minutes=self.gateway.settings.vxp_lease_minutes)

    async def received(self, system: System, kind: str) -> Answer:
        """Hand out what has waited longest, at most as many as the settings say."""
        limit = self.gateway.settings.vxp_list_limit
        rows = await self._dispenser.hand_out(system.id, kind)
        count = len(rows)
        if count == limit:
            count = await self.gateway.pool.fetchval(SQL["count_open"], system.id, kind)
        return Answer(more={"data": [_listed(row) for row in in_order(rows)], "count": count})

    async def count(self, system: System, kind: str) -> Answer:
        """How many packets are not done."""
        return Answer(more={"count": await self.gateway.pool.fetchval(SQL["count_open"], system.id, kind)})

    async def sent(
        self, system: System, kind: str, doc_id: UUID | None, since: datetime | None, until: datetime | None
    ) -> Answer:
        """What the system has sent, and how far it came at each recipient."""
        wanted = "document" if kind == "edoc" else "status"
        limit = SENT_LIMIT if doc_id is None else MAX_RECIPIENTS
        rows = await self.gateway.pool.fetch(SQL["list_sent"], system.id, wanted, doc_id, since, until, limit)
        return Answer(more={"data": [_sent(row, kind) for row in rows], "count": len(rows)})

    async def file(self, system: System, doc_id: UUID) -> PacketFile | None:
        """The edXML file of a packet, and its lease anew; None if the system has no such packet.

        Raises OSError or ContentMissing if the content store cannot give a part, Refusal if no file can be written.
        """
        row = await self.gateway.pool.fetchrow(SQL["fetched"], system.id, doc_id, self.lease)
        if row is None:
            return None
        if row["file"] is not None:
            return PacketFile(size=len(row["file"]), pieces=whole(row["file"]))
        return await self._written(row)

    async def update(self, system: System, doc_id: UUID, status: str, reason: str) -> Answer:
        """What the system says of a packet. The same said again changes nothing."""
        if status == "done":
            return await self._done(system, doc_id)
        async with self.gateway.pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL["lock_packet"], system.id, doc_id)
            if row is None:
                return unknown(doc_id)
            if row["state"] == "done":
                return Answer(description="Đã nhận trước đó / done before")
            if status == "processing":
                await connection.execute(SQL["extend"], row["packet_id"], self.lease)
                return Answer()
            fails = await connection.fetchval(
                SQL["fail"],
                row["packet_id"],
                reason[:REASON_LIMIT],
                self.gateway.settings.vxp_fail_limit,
                self.lease,
            )
        if fails is not None:
            log.warning("packet failed at its system", system=system.name, doc_id=str(doc_id), fails=fails)
        counted = row["fails"] if fails is None else fails
        return Answer(description=f"Đã ghi nhận lỗi lần {counted} / failure {counted} recorded")

    async def _done(self, system: System, doc_id: UUID) -> Answer:
        """Fetched and stored: for a document the 01 is signed and committed with that, and then published."""
        hub = self.gateway.directory.current.by_id(system.hub_id)
        signer = await self.systems.signer(system.hub_id)
        arrived: int | None = None
        message = b""
        digest = b""
        key = status_key(hub.code)
        async with self.gateway.pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(SQL["lock_packet"], system.id, doc_id)
            if row is None:
                return unknown(doc_id)
            if row["state"] == "done":
                return Answer(description="Đã nhận trước đó / done before")
            if row["document_id"] is not None:
                found = await connection.fetchrow(SQL["document_of"], row["document_id"])
                assert found is not None
                reference = {"from": found["from_code"], "id": str(found["id"]), "digest": found["digest"]}
                id = arrival_id(doc_id)
                payload = arrival(
                    id=id,
                    hub=hub.code,
                    agency=row["to_code"],
                    reference=reference,
                    now=datetime.now(UTC),
                    system=system.name,
                )
                signed = sign(payload, key=signer.key, thumbprint=signer.thumbprint)
                message, digest = encode_message(signed), bytes.fromhex(signed.digest)
                arrived = await connection.fetchval(
                    SQL["take_arrival"], system.id, id, row["agency_id"], digest, message, key
                )
            await connection.execute(SQL["finish"], row["packet_id"], arrived)
        if arrived is not None:
            # Committed: if this publish is not confirmed in time, the background gives it out again.
            try:
                async with asyncio.timeout(PUBLISHING):
                    if await publish(self.gateway, hub.code, "arrival", message, key):
                        await self.gateway.pool.execute(SUBMISSION_SQL["mark_published"], arrived, digest)
            except (TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                log.warning("a 01 waits to be published", doc_id=str(doc_id), why=type(error).__name__)
        return Answer()

    async def _written(self, packet: asyncpg.Record) -> PacketFile:
        """The file of a document: the one that its sender posted, or one that says what its manifest says."""
        pool = self.gateway.pool
        found = await pool.fetchrow(SQL["document_of"], packet["document_id"])
        assert found is not None
        payload = parse_stored(found["jws"]).payload
        manifest = parse_manifest(payload)
        assert isinstance(manifest, DocumentManifest)
        kept = {row["digest"]: row for row in await pool.fetch(SQL["parts_of"], packet["document_id"])}
        original = next((part for part in manifest.parts if part.role is Role.EDXML), None)
        if original is not None:
            return PacketFile(size=original.size, pieces=await begun(self._bytes(kept[original.sha256])))
        total = sum(row["size"] for row in kept.values())
        if total > LIMITS.unpacked_total:
            expected = f"at most {LIMITS.unpacked_total} bytes, what an edXML file can carry"
            raise Refusal(code="LT-SIZE", field="parts", found=f"{total} bytes", expected=expected)
        directory = self.gateway.directory.current
        # Groups mean nothing to old software, and a change may name nobody: the resolved ones are written.
        named = [agency.code for to in manifest.to if (agency := directory.find(to)) is not None]
        recipients = list(dict.fromkeys([*named, packet["to_code"]]))
        names = {
            code: agency.name for code in (manifest.from_, *recipients) if (agency := directory.find(code)) is not None
        }
        async with self._writing.on(total), AsyncExitStack() as stack:
            contents: dict[str, Content] = {}
            for digest, row in kept.items():
                file = await stack.enter_async_context(spooled(self._bytes(row)))
                contents[digest] = OnDisk(file, row["size"], digest)

            def write() -> IO[bytes]:
                rendered = render_document(payload, contents, recipients=recipients, names=names)
                assert rendered.message is not None
                return written(write_pieces(rendered.message))

            message = await asyncio.to_thread(write)
        return PacketFile(size=message.tell(), pieces=sent_from(message))

    def _bytes(self, row: asyncpg.Record) -> AsyncIterator[bytes]:
        """A part's bytes, out of the record or the content store, where they were verified when they came."""
        if row["inline"] is not None:
            return whole(row["inline"])
        return self.gateway.content.read(row["digest"], 0, row["size"])


def unknown(doc_id: UUID) -> Answer:
    """The answer for a packet that the system does not have."""
    return failed(NOT_PROCESSED, f"Không có gói tin {doc_id}", f"There is no packet {doc_id} for this system")


def not_readable(why: str) -> Answer:
    """The answer when a file cannot be given now."""
    return failed(
        INTERNAL, "Chưa đọc được tệp, xin thử lại sau", f"The file cannot be read now ({why}); try again later"
    )


def _listed(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "docId": str(row["doc_id"]),
        "serviceType": SERVICE,
        "messageType": row["kind"],
        "created_time": moment(row["created_at"]),
        "updated_time": moment(row["updated_at"]),
        "from": row["from_code"],
        "to": row["to_code"],
        "status": "initial",
        "status_desc": row["fail_reason"] or "Chờ nhận / waiting",
    }


def _sent(row: asyncpg.Record, kind: str) -> dict[str, Any]:
    send = {"accepted": "done", "rejected": "fail", "taken": "processing"}[row["state"]]
    processing = "recalled" if row["recalled"] else row["processing"] or ""
    reached = row["arrived_at"] is not None
    return {
        "serviceType": SERVICE,
        "messageType": kind,
        "senderDocId": str(row["doc_id"]),
        "receiverDocId": str(row["doc_id"]) if row["to_code"] else "",
        "fromCode": row["from_code"],
        "toCode": row["to_code"] or "",
        "title": row["subject"] or "",
        "notation": "/".join(part for part in (row["number"], row["notation"]) if part),
        "sentTime": moment(row["created_at"]),
        "sendStatus": send,
        "sendStatusDesc": row["error"] or send,
        "receivedTime": moment(row["arrived_at"]),
        "receiveStatus": "done" if reached else ("processing" if row["dispatched_at"] else "initial"),
        "receiveStatusDesc": "overdue" if row["overdue_at"] is not None and not reached else processing,
    }

"""Submitting for an office: its edXML file becomes a signed manifest, written down, published, and its fate awaited.

The order is: the parts in the content store, the row with the signed message committed, published and confirmed, the
fate recorded. Whoever dies in between leaves a row that any gateway finishes (`broker.gateway.vxp.background`); the
same file again finds its row and does nothing new. Decides nothing about documents: that is acceptance's, which treats
this submitter like every other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal
from uuid import UUID

import asyncpg
import structlog

from broker.amqp.publishing import OutgoingMessage
from broker.content.uploads import Uploads
from broker.directory.live import today_in_vietnam
from broker.directory.records import Agency, AgencyId
from broker.directory.snapshot import Directory
from broker.gateway.app import Gateway
from broker.gateway.vxp.answers import BAD_EDXML, NO_SENDER, Answer, failed, refused, refused_with
from broker.gateway.vxp.ids import document_id
from broker.gateway.vxp.making import (
    Made,
    inline,
    make_document,
    make_status,
    named_canonically,
    speaker,
)
from broker.gateway.vxp.systems import System, Systems
from broker.store.queries import load_queries
from schemas.edxml.content import Content
from schemas.edxml.naming import as_uuid, key_in, natural_key, split_code
from schemas.edxml.reading import Reading, read
from schemas.edxml.records import BusinessType, Document, Status
from schemas.edxml.tying import Known, known_of
from schemas.errors import Refusal
from schemas.jws import encode_message, parse_message, parse_stored, sign
from schemas.manifest import StatusCode
from schemas.wire import (
    LT_SUBMITTER,
    PRIORITY_NORMAL,
    PRIORITY_URGENT,
    SUBMIT,
    document_key,
    status_key,
)

SQL = load_queries("broker.gateway.vxp", "submission.sql")
LOOKS: Final = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
"""Seconds between two looks at what the exchange thinks of a submission; the last repeats."""
PUBLISHING: Final = 10.0
"""Seconds that a publish may take to be confirmed while its request waits; after that the background gives it out."""

Kind = Literal["document", "status"]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A submission as the database has it."""

    id: int
    kind: str
    doc_id: UUID
    from_id: AgencyId
    sender_id: AgencyId
    """Who is `from` in the manifest: the agency of a document, the hub of a status."""
    digest: bytes
    attempt_after: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What the exchange thinks of a submission."""

    accepted: bool
    error: str | None = None
    detail: dict[str, object] | None = None


@dataclass(slots=True)
class Submitter:
    """Submits for the offices of all systems; one for a gateway."""

    gateway: Gateway
    systems: Systems

    @property
    def _uploads(self) -> Uploads:
        """What is too large for a message is stored as if the hub had uploaded it, within its quota."""
        gateway = self.gateway
        quota = gateway.settings.content_quota_bytes
        return Uploads(gateway.pool, gateway.content, quota=quota, largest=quota)

    async def submit(self, system: System, file: bytes, *, kind: Kind, claimed: str | None) -> Answer:
        """Submit a file for a system, and wait a bounded time for what the exchange thinks of it.

        `claimed` is who is said to send it beside the file. Raises what the database raises if nothing could be
        written down; what was written down is answered with its `DocId`, also while its fate is not known.
        """
        file_digest = (await asyncio.to_thread(sha256, file)).digest()
        row = await self.gateway.pool.fetchrow(SQL["submission_of_file"], system.id, kind, file_digest)
        if row is not None and row["state"] != "rejected":
            taken = _taken(row, kind, system.hub_id)
            beside = self.gateway.directory.current.find(claimed) if claimed else None
            if claimed and (beside is None or beside.id != taken.from_id):
                return failed(
                    NO_SENDER,
                    f"Đơn vị gửi “{claimed}” không khớp với tệp",
                    f"The sender “{claimed}” is not the one in the file",
                )
            if row["state"] == "accepted":
                return _accepted(taken.doc_id)
            if row["published_at"] is None:
                await self._publish(system, taken, row["message"], row["routing_key"])
            return await self._awaited(taken)
        made = await self._made(system, file, file_digest, kind, claimed)
        if isinstance(made, Answer):
            return made
        return await self._given_out(system, made, file_digest, kind, again=row)

    async def _made(
        self, system: System, file: bytes, file_digest: bytes, kind: Kind, claimed: str | None
    ) -> _Ready | Answer:
        """The file as a manifest with its parts, or the answer that says why not."""
        reading: Reading = await asyncio.to_thread(read, file, today=today_in_vietnam())
        try:
            message = reading.accepted()
        except Refusal as refusal:
            return refused(refusal)
        if isinstance(message, Status) != (kind == "status"):
            found = "status" if isinstance(message, Status) else "edoc"
            return failed(
                BAD_EDXML,
                f"messagetype không khớp với tệp: tệp là {found}",
                f"messagetype does not fit the file: the file is of type {found}",
            )
        directory = self.gateway.directory.current
        sender = self._sender(system, message, claimed, directory)
        if isinstance(sender, Answer):
            # It may have been added a moment ago.
            directory = await self.gateway.directory.refresh()
            sender = self._sender(system, message, claimed, directory)
        if isinstance(sender, Answer):
            return sender
        hub = directory.by_id(system.hub_id)
        id = document_id(system.name, kind, file_digest)
        canonical = named_canonically(reading, directory)
        now = datetime.now(UTC)
        try:
            known = await self._known(canonical, sender, directory)
            if kind == "status":
                made = make_status(canonical, id=id, hub=hub.code, system=system.name, now=now, known=known)
            else:
                made = await asyncio.to_thread(
                    make_document, canonical, id=id, system=system.name, now=now, known=known
                )
        except Refusal as refusal:
            return refused(refusal)
        return _Ready(made=made, sender=sender, hub=hub, edxml_id=_id_in(message))

    def _sender(
        self, system: System, message: Document | Status, claimed: str | None, directory: Directory
    ) -> Agency | Answer:
        """Who sends: named in the file and beside it as one and the same agency, which this system serves."""
        written, agency = speaker(message, directory)
        beside = directory.find(claimed) if claimed else agency
        for text, place, found in ((written, "From/OrganId", agency), (claimed, "from", beside)):
            if found is None:
                return failed(
                    NO_SENDER,
                    f"Đơn vị gửi “{text}” ({place}) chưa đăng ký: không có trong danh bạ",
                    f"The sender “{text}” ({place}) is not registered: it is not in the directory",
                )
        assert agency is not None and beside is not None
        if beside.id != agency.id:
            return failed(
                NO_SENDER,
                f"Đơn vị gửi không khớp: trong tệp là “{written}”, trong yêu cầu là “{claimed}”",
                f"The sender is not the same: the file says “{written}”, the request “{claimed}”",
            )
        if agency.id != system.hub_id and not directory.may_sign_for(system.hub_id, agency.id):
            return failed(
                NO_SENDER,
                f"Hệ thống {system.name} không được gửi thay cho {agency.code}",
                f"System {system.name} may not send for {agency.code}",
            )
        return agency

    async def _known(self, reading: Reading, speaker: Agency, directory: Directory) -> list[Known]:
        """The documents that the file can be about."""
        message = reading.message
        if isinstance(message, Document):
            if message.business_type is BusinessType.NEW:
                return []
            header, business = message.header, message.trace.business if message.trace else None
            named = [header.document_id, *(one.document_id for one in business.replacements)] if business else []
            named += [business.document_id] if business else []
            texts = [one for one in named if one]
            keys = [key_in(one) for one in texts]
            if header.code is not None and header.promulgation is not None:
                code = f"{header.code.number}/{header.code.notation}"
                keys.append(natural_key(speaker.code, code, header.promulgation.issued_on))
            rows = await self.gateway.pool.fetch(
                SQL["own_documents"],
                speaker.id,
                [id for id in map(as_uuid, texts) if id is not None],
                [key.key_digest() for key in keys if key is not None],
                texts,
            )
            return [known_of(parse_stored(row["jws"]).payload) for row in rows]
        assert isinstance(message, Status)
        about = message.header.response_for
        assert about is not None
        other = directory.find(about.organ_id) if about.organ_id else None
        taking_back = message.header.status_code == StatusCode.TAKE_BACK
        issuer = speaker if taking_back else other
        if issuer is None:
            return []
        key = natural_key(issuer.code, about.code, about.issued_on) or key_in(about.document_id)
        pool = self.gateway.pool
        rows = await pool.fetch(
            SQL["documents_meant"],
            issuer.id,
            as_uuid(about.document_id),
            key.key_digest() if key is not None else None,
            speaker.id,
            about.document_id,
        )
        if not rows and about.code:
            rows = await pool.fetch(SQL["documents_numbered"], issuer.id, *split_code(about.code), speaker.id)
        known = [known_of(parse_stored(row["jws"]).payload) for row in rows]
        digests = [bytes.fromhex(one.reference.digest) for one in known]
        asking = await self.gateway.pool.fetch(SQL["asking_messages"], speaker.id, digests)
        return known + [known_of(parse_stored(row["jws"]).payload) for row in asking]

    async def _given_out(
        self, system: System, ready: _Ready, file_digest: bytes, kind: Kind, *, again: asyncpg.Record | None
    ) -> Answer:
        """Parts into the store, the row committed, published; then its fate."""
        made, hub = ready.made, ready.hub
        signer = await self.systems.signer(system.hub_id)
        within = await asyncio.to_thread(inline, made.contents)
        for name, content in made.contents.items():
            if name not in within:
                await self._uploads.take(hub.id, name, _chunks(content), size=content.size)
        signed = sign(made.payload, key=signer.key, thumbprint=signer.thumbprint)
        message = encode_message(signed, content=within)
        try:
            parse_message(message, slip_allowed=False)
        except Refusal as refusal:
            return refused(refusal)
        key = status_key(hub.code) if kind == "status" else document_key(hub.code, made.urgent)
        digest = bytes.fromhex(signed.digest)
        pool = self.gateway.pool
        if again is None:
            row = await pool.fetchrow(
                SQL["take"],
                system.id,
                kind,
                made.id,
                file_digest,
                ready.sender.id,
                ready.edxml_id,
                digest,
                message,
                key,
            )
        else:
            # The code in the file may mean another agency by now.
            values = (again["submission_id"], digest, message, key, ready.sender.id)
            row = await pool.fetchrow(SQL["take_again"], *values)
        if row is None:  # another gateway was given the same file at this very moment: its row counts
            found = await pool.fetchrow(SQL["submission_of_file"], system.id, kind, file_digest)
            assert found is not None
            return await self._awaited(_taken(found, kind, system.hub_id))
        taken = Taken(
            id=row["submission_id"],
            kind=kind,
            doc_id=made.id,
            from_id=ready.sender.id,
            sender_id=system.hub_id if kind == "status" else ready.sender.id,
            digest=digest,
            attempt_after=row["attempt_after"],
        )
        await self._publish(system, taken, message, key)
        return await self._awaited(taken)

    async def _publish(self, system: System, taken: Taken, message: bytes, key: str) -> None:
        """Publish; what is not confirmed in time stays in the table and is given out again by the background."""
        hub = self.gateway.directory.current.by_id(system.hub_id)
        try:
            async with asyncio.timeout(PUBLISHING):
                confirmed = await publish(self.gateway, hub.code, taken.kind, message, key)
        except TimeoutError:
            confirmed = False
        if confirmed:
            await self.gateway.pool.execute(SQL["mark_published"], taken.id, taken.digest)

    async def _awaited(self, taken: Taken) -> Answer:
        """Wait for the exchange's answer; without one in time the document is in its hands all the same."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.gateway.settings.vxp_wait_seconds
        looks = iter(LOOKS)
        while True:
            fate = await fate_of(self.gateway.pool, taken)
            if fate is not None:
                await settle(self.gateway.pool, taken.id, fate, answered=True)
                return _accepted(taken.doc_id) if fate.accepted else refused_with(fate.error, fate.detail)
            if loop.time() >= deadline:
                log.info("answered before its fate is known", doc_id=str(taken.doc_id))
                return _accepted(taken.doc_id)
            await asyncio.sleep(next(looks, LOOKS[-1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """What is to be signed, and for whom."""

    made: Made
    sender: Agency
    hub: Agency
    edxml_id: str | None


async def publish(gateway: Gateway, hub: str, kind: str, message: bytes, key: str) -> bool:
    """Publish a signed message as its hub's: under the broker's own user, which alone may say so. True if confirmed."""
    urgent = key.startswith("document.urgent.")
    outcome = (
        await gateway.publisher.publish_all(
            [
                OutgoingMessage(
                    exchange=SUBMIT,
                    routing_key=key,
                    body=message,
                    type="status" if kind == "arrival" else kind,
                    headers={LT_SUBMITTER: hub},
                    priority=PRIORITY_URGENT if urgent else PRIORITY_NORMAL,
                )
            ]
        )
    )[0]
    if not outcome.confirmed:
        log.warning("submission not confirmed", hub=hub, why=outcome.reason)
    return outcome.confirmed


async def fate_of(pool: asyncpg.Pool[asyncpg.Record], taken: Taken) -> Fate | None:
    """What the exchange thinks of a submission; None as long as it has not said."""
    query = SQL["fate_of_document" if taken.kind == "document" else "fate_of_status"]
    row = await pool.fetchrow(query, taken.sender_id, taken.doc_id, taken.digest, taken.attempt_after)
    if row is None:
        return None
    detail = json.loads(row["detail"]) if row["detail"] else None
    return Fate(bool(row["accepted"]), row["error"], detail)


async def settle(pool: asyncpg.Pool[asyncpg.Record], submission_id: int, fate: Fate, *, answered: bool) -> bool:
    """Record the fate; True if it was not known before."""
    state = "accepted" if fate.accepted else "rejected"
    detail = json.dumps(fate.detail) if fate.detail is not None else None
    return await pool.fetchval(SQL["settle"], submission_id, state, fate.error, detail, answered) is not None


async def _chunks(content: Content) -> AsyncIterator[bytes]:
    """A part's bytes; decoding and unpacking is done in a thread, piece by piece."""
    pieces = content.pieces()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _taken(row: asyncpg.Record, kind: str, hub_id: AgencyId) -> Taken:
    return Taken(
        id=row["submission_id"],
        kind=kind,
        doc_id=row["doc_id"],
        from_id=AgencyId(row["from_id"]),
        sender_id=AgencyId(row["from_id"]) if kind == "document" else hub_id,
        digest=row["digest"],
        attempt_after=row["attempt_after"],
    )


def _accepted(doc_id: UUID) -> Answer:
    return Answer(more={"DocId": str(doc_id)})


def _id_in(message: Document | Status) -> str | None:
    return message.header.document_id if isinstance(message, Document) else None

"""What comes into a system's mailbox becomes packets: verified as an adapter would, committed, then acknowledged.

A document is one packet for each agency that the copy is for; a status is one packet for each edXML file that says it.
The mailbox is only how we learn of it: documents and their parts are in the exchange's own record, from where the file
is written when it is fetched. The same message a second time makes no second packet, and a 01 already given is given
once more (contract §10).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

import asyncpg
import structlog

from broker.amqp.messages import Incoming
from broker.amqp.reading import Batch
from broker.amqp.retry import dead_message
from broker.directory.records import Agency, AgencyId
from broker.directory.snapshot import Directory
from broker.dispatch.patience import insist
from broker.gateway.app import Gateway
from broker.gateway.vxp.ids import packet_id
from broker.gateway.vxp.making import replay
from broker.gateway.vxp.packets import SQL
from broker.gateway.vxp.submission import publish
from broker.gateway.vxp.systems import System, Systems
from broker.store.pool import Connection
from schemas.certificates import load_certificate, public_key_of, thumbprint
from schemas.edxml.rendering import render_statuses
from schemas.edxml.tying import Known, known_of
from schemas.edxml.writing import write
from schemas.errors import Refusal
from schemas.jws import Message, encode_message, parse_compact, parse_message, parse_stored, sign, signature_holds
from schemas.manifest import AnyManifest, DocumentManifest, NoticeManifest, StatusCode, StatusManifest, parse_manifest
from schemas.manifest.notice import NoticeEvent
from schemas.slip import Slip, parse_slip
from schemas.wire import request_key

BACK_AFTER: Final = 1.0
"""Seconds until a message that cannot be stored yet goes back to its mailbox."""
LOST_MARGIN: Final = timedelta(hours=1)
LOST_AT_MOST: Final = timedelta(days=30)
"""How far before the newest packet everything is asked for again when a mailbox was lost; and how far at most."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """A delivered message that is what it says."""

    message: Message
    manifest: AnyManifest
    slip: Slip | None

    @property
    def digest(self) -> bytes:
        return bytes.fromhex(self.message.signed.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPacket:
    """A packet to be written."""

    doc_id: UUID
    system_id: int
    agency_id: AgencyId
    kind: str
    from_id: AgencyId
    document_id: int | None
    file: bytes | None
    edxml_id: str | None
    source: bytes
    item: int


class NotYet(Exception):
    """The record does not show it yet: the message goes back to its mailbox and comes again."""


def believe(body: bytes, gateway: Gateway) -> Believed:
    """Verify a delivered message: shape, the exchange's slip over it, the sender's signature. Raises Refusal."""
    message = parse_message(body, slip_allowed=True)
    manifest = parse_manifest(message.signed.payload)
    own = gateway.identity
    if isinstance(manifest, NoticeManifest):
        certificate = own.certificate
        if message.signed.thumbprint != own.thumbprint or manifest.from_ != own.code:
            enrolled = gateway.directory.current.certificate(message.signed.thumbprint)
            if enrolled is None or gateway.directory.current.by_id(enrolled.agency_id).code != own.code:
                raise Refusal(code="LT-SIGNER-NOT-ALLOWED", found="a notice by somebody else", expected=own.code)
            certificate = enrolled.certificate
        _check(signature_holds(message.signed, public_key_of(certificate)), "the exchange's signature")
        return Believed(message=message, manifest=manifest, slip=None)
    if message.slip is None:
        raise Refusal(code="LT-SHAPE", field="slip", found="none", expected="the exchange's slip")
    signed = parse_compact(message.slip)
    enrolled = gateway.directory.current.certificate(signed.thumbprint)
    certificate = own.certificate
    if signed.thumbprint != own.thumbprint:
        if enrolled is None or gateway.directory.current.by_id(enrolled.agency_id).code != own.code:
            raise Refusal(code="LT-SIGNER-NOT-ALLOWED", found="a slip by somebody else", expected=own.code)
        certificate = enrolled.certificate
    _check(signature_holds(signed, public_key_of(certificate)), "the slip's signature")
    slip = parse_slip(signed.payload)
    about = slip.document
    if (about.from_, about.id, about.digest) != (manifest.from_, manifest.id, message.signed.digest):
        raise Refusal(code="LT-SIGNATURE", field="slip", found="a slip for another message", expected="its own")
    sender = load_certificate(slip.certificate_der())
    if thumbprint(sender) != message.signed.thumbprint:
        raise Refusal(code="LT-SIGNER-UNKNOWN", field="slip.certificate", found="another one", expected="the signer's")
    _check(signature_holds(message.signed, public_key_of(sender)), "the sender's signature")
    return Believed(message=message, manifest=manifest, slip=slip)


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise Refusal(code="LT-SIGNATURE", field=what, found="it does not verify", expected="a signature that verifies")


async def take_in(gateway: Gateway, systems: Systems, system: System, batch: Batch) -> int:
    """Everything in a batch becomes packets, one transaction a message; then it is acknowledged. Returns how many.

    What cannot be believed goes to the dead letters with its reason, and stops nobody.
    """
    made = 0
    back: list[Incoming] = []
    for incoming in batch.messages:
        if batch.lost:
            return made
        try:
            made += await insist(lambda one=incoming: _take_one(gateway, systems, system, one), what="store a packet")  # type: ignore[misc]
        except NotYet:
            back.append(incoming)
        except Refusal as refusal:
            log.error("a delivered message cannot be believed", system=system.name, code=refusal.code)
            dead = dead_message(incoming, refusal.diagnostics(), broker_user=gateway.link.user)
            if not (await gateway.publisher.publish_all([dead]))[0].confirmed:
                back.append(incoming)
    if back:
        await asyncio.sleep(BACK_AFTER)
        await batch.requeue(back)
    await batch.ack()
    return made


async def _take_one(gateway: Gateway, systems: Systems, system: System, incoming: Incoming) -> int:
    believed = believe(incoming.body, gateway)
    manifest = believed.manifest
    if isinstance(manifest, NoticeManifest):
        # The fate of what was submitted is read from the record itself; a lost mailbox is asked for again.
        if any(item.event is NoticeEvent.MAILBOX_RESET for item in manifest.items):
            await _ask_again(gateway, systems, system, manifest.id)
        return 0
    if not isinstance(manifest, DocumentManifest | StatusManifest):
        return 0
    async with gateway.pool.acquire() as connection:
        directory = await gateway.directory.newest(connection)
        if isinstance(manifest, DocumentManifest):
            packets = await _document(connection, directory, system, believed, manifest)
        else:
            packets = await _statuses(connection, directory, system, believed, manifest)
        async with connection.transaction():
            written = await insert(connection, packets)
            known = [packet.agency_id for packet in packets if packet.doc_id not in written]
            if known and isinstance(manifest, DocumentManifest):
                await connection.execute(SQL["arrivals_again"], system.id, known, believed.digest)
    return len(written)


async def _ask_again(gateway: Gateway, systems: Systems, system: System, notice: UUID) -> None:
    """Ask for everything that may have been lost with the mailbox (contract §2.6). Raises NotYet."""
    hub = gateway.directory.current.by_id(system.hub_id)
    now = datetime.now(UTC)
    newest = await gateway.pool.fetchval(SQL["newest_packet"], system.id)
    since = min(newest, now) - LOST_MARGIN if newest is not None else now - LOST_AT_MOST
    payload = replay(id=uuid5(notice, "replay"), hub=hub.code, since=max(since, now - LOST_AT_MOST), now=now)
    signer = await systems.signer(system.hub_id)
    message = encode_message(sign(payload, key=signer.key, thumbprint=signer.thumbprint))
    log.warning("a mailbox was lost and is asked for again", system=system.name)
    if not await publish(gateway, hub.code, "request", message, request_key(hub.code)):
        raise NotYet


async def _document(
    connection: Connection, directory: Directory, system: System, believed: Believed, manifest: DocumentManifest
) -> list[NewPacket]:
    slip = believed.slip
    assert slip is not None
    sender = directory.agency(manifest.from_) or directory.closed(manifest.from_)
    if sender is None:
        raise NotYet
    document_id = await connection.fetchval(SQL["document_named"], sender.id, manifest.id, believed.digest)
    if document_id is None:
        raise Refusal(code="LT-CONCERNS-UNKNOWN", found="a document that is not in the record", expected="one that is")
    hub = directory.by_id(system.hub_id)
    codes = [hub.code] if slip.recipients is None else [one.code for one in slip.recipients]
    edxml_id = known_of(believed.message.signed.payload).document_id or str(manifest.id)
    return [
        _packet(system, agency, "edoc", sender.id, believed.digest, 0, document_id=document_id, edxml_id=edxml_id)
        for agency in _agencies(codes, directory)
    ]


async def _statuses(
    connection: Connection, directory: Directory, system: System, believed: Believed, manifest: StatusManifest
) -> list[NewPacket]:
    """One packet for each file that a status message makes, for the agency that it is told."""
    sender = directory.agency(manifest.from_) or directory.closed(manifest.from_)
    if sender is None:
        raise NotYet
    known = await _known(connection, manifest)
    rendered = render_statuses(believed.message.signed.payload, known)
    told = [(item, asked) for item in manifest.items for asked in (item.to or (None,))]
    packets: list[NewPacket] = []
    for position, ((item, asked), file) in enumerate(zip(told, rendered, strict=True)):
        code = asked if item.code is StatusCode.TAKE_BACK and asked else item.concerns.from_
        agency = directory.find(code)
        if agency is None or file.message is None or not _serves(system, agency, directory):
            continue  # another hub's: the message is the same for everybody who is told
        spoken = directory.find(item.for_) if item.for_ else sender
        packets.append(
            _packet(
                system,
                agency,
                "status",
                (spoken or sender).id,
                believed.digest,
                position,
                file=write(file.message),
            )
        )
    return packets


def _serves(system: System, agency: Agency, directory: Directory) -> bool:
    return agency.id == system.hub_id or directory.may_receive_for(system.hub_id, agency.id)


async def _known(connection: Connection, manifest: StatusManifest) -> list[Known]:
    concerned = {item.concerns.digest: item.concerns.id for item in manifest.items}
    rows = await connection.fetch(
        SQL["documents_with"], [bytes.fromhex(digest) for digest in concerned], list(concerned.values())
    )
    return [known_of(parse_stored(row["jws"]).payload) for row in rows]


def _agencies(codes: Sequence[str], directory: Directory) -> list[Agency]:
    found = [directory.agency(code) or directory.closed(code) for code in codes]
    if any(agency is None for agency in found):
        raise NotYet
    return [agency for agency in found if agency is not None]


def _packet(
    system: System,
    agency: Agency,
    kind: str,
    from_id: AgencyId,
    source: bytes,
    item: int,
    *,
    document_id: int | None = None,
    file: bytes | None = None,
    edxml_id: str | None = None,
) -> NewPacket:
    return NewPacket(
        doc_id=packet_id(system.id, agency.id, source, item),
        system_id=system.id,
        agency_id=agency.id,
        kind=kind,
        from_id=from_id,
        document_id=document_id,
        file=file,
        edxml_id=edxml_id,
        source=source,
        item=item,
    )


async def insert(connection: Connection, packets: Sequence[NewPacket]) -> set[UUID]:
    """Write packets; the ids of those that are new."""
    if not packets:
        return set()
    rows: list[asyncpg.Record] = await connection.fetch(
        SQL["insert_packets"],
        [one.doc_id for one in packets],
        [one.system_id for one in packets],
        [one.agency_id for one in packets],
        [one.kind for one in packets],
        [one.from_id for one in packets],
        [one.document_id for one in packets],
        [one.file for one in packets],
        [one.edxml_id for one in packets],
        [one.source for one in packets],
        [one.item for one in packets],
    )
    return {row["doc_id"] for row in rows}

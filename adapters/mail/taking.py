"""From edXML files in a mail to signed messages in the outbox: read, judged, signed; stored all together or not at all.

The same file from the same office has one effect, however often it comes. Nothing here speaks SMTP.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from adapters import Agency, Part, compose, outbox
from adapters.compose import VIET_NAM, Outgoing
from adapters.mail.mime import Attached
from adapters.mail.replies import Turned
from adapters.mail.settings import Office
from adapters.packing import pack
from schemas.edxml.converted import Converted, encoded, given_back
from schemas.edxml.documents import document_manifest
from schemas.edxml.faults import EdxmlRefusal
from schemas.edxml.naming import agency as agency_code
from schemas.edxml.reading import Reading, read
from schemas.edxml.records import Document, Status
from schemas.edxml.statuses import status_manifest
from schemas.edxml.tying import Known, known_of
from schemas.errors import Refusal
from schemas.jws import parse_message, parse_stored
from schemas.manifest import DocumentManifest, parse_manifest
from schemas.problem import Problem
from schemas.times import new_id, rfc3339

PROTOCOL = "mail"
# Documents at hand to which a status or an answer may belong; the newest ones, both ways.
KNOWN = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A file that has its effect now, or had it already."""

    name: str
    id: str
    before: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ready:
    name: str
    sha256: str
    # None: this file came before.
    message: Outgoing | None


async def take(agency: Agency, office: Office, sender: str, files: Sequence[Attached]) -> list[Taken]:
    """Sign what the files say in the office's name and make it durable. Raises Turned if one of them cannot be taken.

    When this returns the outbox holds everything: only then may the mail be answered 250.
    """
    ready: list[_Ready] = []
    for file in files:
        try:
            ready.append(await _prepare(agency, office, sender, file))
        except Refusal as why:
            raise _turned(file.name, why) from why
        except Problem as why:
            raise Turned(
                "451 4.3.0", f"{file.name}: hệ thống chưa nhận được; hãy gửi lại sau.", f"{file.name}: {why.found}"
            ) from why

    def store(connection: sqlite3.Connection) -> list[Taken]:
        now = datetime.now(UTC).timestamp()
        return [_store(connection, office, sender, one, now=now) for one in ready]

    return await agency.write(store)


def _turned(name: str, why: Refusal) -> Turned:
    """As much as a line of a reply takes: of edXML the faults, one after the other, of others the place."""
    if isinstance(why, EdxmlRefusal):
        vi, en = " ".join(one.vi for one in why.faults), " ".join(one.en for one in why.faults)
    else:
        vi, en = str(why.detail()["vi"]), str(why.detail()["en"])
        if why.field:
            vi, en = f"{vi} ({why.field}: {why.found})", f"{en} ({why.field}: {why.found}; {why.expected})"
    return Turned("550 5.6.0", f"{name}: {vi}", f"{name}: {why.code} {en}", logged=f"{why.code} {why.field or ''}")


def _store(connection: sqlite3.Connection, office: Office, sender: str, ready: _Ready, *, now: float) -> Taken:
    row = connection.execute(
        "UPDATE mail_in SET copies = copies + 1 WHERE office = ? AND sha256 = ? RETURNING outbox_no",
        (office.code, ready.sha256),
    ).fetchone()
    if row is not None:
        if outbox.entry(connection, row[0]).state == "rejected":
            outbox.make_due(connection, [row[0]])  # what was refused may be good by now (contract §5)
        return Taken(name=ready.name, id=outbox.entry(connection, row[0]).ref.id, before=True)
    if ready.message is None:
        raise AssertionError("a file that came before has its row")
    no = outbox.put(connection, ready.message, now=now)
    connection.execute(
        "INSERT INTO mail_in (office, sha256, outbox_no, name, sender, received_at) VALUES (?, ?, ?, ?, ?, ?)",
        (office.code, ready.sha256, no, ready.name, sender, now),
    )
    return Taken(name=ready.name, id=ready.message.id, before=False)


async def _prepare(agency: Agency, office: Office, sender: str, file: Attached) -> _Ready:
    sha256 = hashlib.sha256(file.data).hexdigest()
    seen = await agency.store.run(
        lambda connection: connection.execute(
            "SELECT 1 FROM mail_in WHERE office = ? AND sha256 = ?", (office.code, sha256)
        ).fetchone()
    )
    if seen is not None:
        return _Ready(name=file.name, sha256=sha256, message=None)
    now = datetime.now(UTC)
    reading = await asyncio.to_thread(read, file.data, today=now.astimezone(VIET_NAM).date())
    message = reading.accepted()
    spoken = message.header.from_.organ_id if message.header.from_ else None
    if agency_code(spoken or "") != office.code:
        raise Turned(
            "550 5.7.1",
            f"{file.name}: tệp ghi nơi gửi là {spoken}, hộp thư {sender} chỉ được gửi cho {office.code}.",
            f"{file.name}: the file is from {spoken}; {sender} may send for {office.code} only.",
        )
    known = await agency.store.run(_known(office.code))
    if isinstance(message, Status):
        return _Ready(name=file.name, sha256=sha256, message=await _status(agency, office, reading, known, now))
    return _Ready(
        name=file.name,
        sha256=sha256,
        message=await _document(agency, office, sender, file, reading, message, known, now),
    )


async def _document(
    agency: Agency,
    office: Office,
    sender: str,
    file: Attached,
    reading: Reading,
    message: Document,
    known: Sequence[Known],
    now: datetime,
) -> Outgoing:
    given = given_back(message)
    if given is not None:
        # Made from a manifest and unchanged: that manifest's own bytes, so that its id and digest stay what they were.
        converted, payload = given, given.payload
    else:
        converted = document_manifest(reading, id=new_id(now), sent_at=now, known=known, name=file.name)
        payload = _with_via(converted, sender)
    manifest = parse_manifest(payload)
    if not isinstance(manifest, DocumentManifest) or manifest.from_ != office.code:
        raise Turned(
            "550 5.7.1",
            f"{file.name}: tệp mang bản kê của {manifest.from_}, không phải của {office.code}.",
            f"{file.name}: the file carries a manifest of {manifest.from_}, not of {office.code}.",
        )
    parts = [
        Part.data(
            part.name,
            b"".join(converted.contents[part.sha256].pieces()),
            media_type=part.media_type,
            role=str(part.role),
        )
        for part in manifest.parts
    ]
    prepared = await asyncio.to_thread(pack, parts, agency.content)
    signed = await asyncio.to_thread(agency.signer_for(office.code).sign, payload)
    return compose.outgoing(
        signed,
        kind="document",
        speaker=office.code,
        id=str(manifest.id),
        urgent=(manifest.document.priority or 0) >= 1,
        content={part.sha256: part.inline for part in prepared if part.inline is not None},
    )


def _with_via(converted: Converted, sender: str) -> bytes:
    return encoded(json.loads(converted.payload) | {"via": {"protocol": PROTOCOL, "system": sender}})


async def _status(agency: Agency, office: Office, reading: Reading, known: Sequence[Known], now: datetime) -> Outgoing:
    """A status always goes out anew: under this agency's own name and key, `for` the office if that is another."""
    speaker = agency.settings.code
    drafted = status_manifest(reading, known=known, id=new_id(now), sent_at=now, speaker=speaker)
    value = json.loads(drafted.payload) | {"sent_at": rfc3339(now)}
    if value["from"] == office.code != speaker:
        value = value | {"from": speaker, "items": [{"for": office.code} | item for item in value["items"]]}
    spoken_for = {item.get("for", value["from"]) for item in value["items"]}
    if value["from"] != speaker or spoken_for != {office.code}:
        told = ", ".join(sorted({value["from"], *spoken_for} - {speaker} or {speaker}))
        raise Turned(
            "550 5.7.1",
            f"Tệp mang trạng thái của {told}, không phải của {office.code}.",
            f"The file carries a status of {told}, not of {office.code}.",
        )
    signed = await asyncio.to_thread(agency.signer_for(speaker).sign, encoded(value))
    return compose.outgoing(signed, kind="status", speaker=speaker, id=value["id"], urgent=False)


def _known(code: str) -> Callable[[sqlite3.Connection], list[Known]]:
    """Documents that came for an office and those that it sent, the newest first: what edXML may speak of."""

    def look(connection: sqlite3.Connection) -> list[Known]:
        came = connection.execute(
            "SELECT d.jws FROM document d JOIN inbox i ON i.document_no = d.no WHERE i.recipient = ?"
            " ORDER BY d.no DESC LIMIT ?",
            (code, KNOWN),
        ).fetchall()
        asked = connection.execute(
            "SELECT DISTINCT m.jws, m.no FROM status s JOIN status_message m ON m.no = s.message_no"
            " WHERE s.audience = 'recipient' ORDER BY m.no DESC LIMIT ?",
            (KNOWN,),
        ).fetchall()
        went = connection.execute(
            "SELECT body FROM outbox WHERE speaker = ? AND kind = 'document' ORDER BY no DESC LIMIT ?", (code, KNOWN)
        ).fetchall()
        payloads = [parse_stored(bytes(row[0])).payload for row in [*came, *asked]]
        payloads += [parse_message(bytes(row[0]), slip_allowed=False).signed.payload for row in went]
        return [known_of(payload) for payload in payloads]

    return look

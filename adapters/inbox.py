"""What came, as rows: stored once, answered with 01, handed over until its block has finished.

Functions of an open SQLite transaction (see `adapters.store`). `take_in` is the transaction of contract §10: document,
parts, one row for each (from, id, recipient) and the signed 01 are written together or not at all; only when it has
committed may the mailbox be acknowledged. Nothing here reads from the exchange.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adapters import compose, outbox
from adapters.aside import keep_aside
from adapters.incoming import Incoming, Office, TakenIn
from adapters.judge import Believed, Unbelieved
from adapters.letter import Ref
from adapters.replay import last_seen, replay_from, request_replay, see
from schemas.jws import parse_stored
from schemas.manifest import DocumentManifest, NoticeManifest, Reference, StatusManifest, parse_manifest
from schemas.times import new_id, rfc3339

# Older 01s are signed anew when a document comes again, so that the exchange's limit for old messages cannot stop them.
RESIGN_AFTER = timedelta(days=14)


@dataclass(slots=True)
class _Arrivals:
    """01s to be signed, grouped: one message speaks of one sender's documents, rehearsals apart from the rest."""

    items: dict[tuple[str, bool], list[tuple[dict[str, Any], int]]] = field(default_factory=dict)
    # Rows of the inbox that already have an item above.
    answered: set[int] = field(default_factory=set)
    resend: set[int] = field(default_factory=set)

    def add(self, key: tuple[str, bool], item: dict[str, Any], inbox_no: int) -> None:
        if inbox_no not in self.answered:
            self.answered.add(inbox_no)
            self.items.setdefault(key, []).append((item, inbox_no))


def take_in(connection: sqlite3.Connection, batch: Sequence[Incoming], office: Office) -> TakenIn:
    """Store a batch from the mailbox with everything that must be sent because of it."""
    done = TakenIn()
    arrivals = _Arrivals()
    for incoming in batch:
        judged = incoming.judged
        if isinstance(judged, Unbelieved):
            keep_aside(connection, incoming, judged, now=office.seconds)
            done.aside += 1
            continue
        match judged.manifest:
            case DocumentManifest():
                _document(connection, incoming, judged, judged.manifest, office, arrivals, done)
            case StatusManifest():
                _statuses(connection, judged, judged.manifest, office, done)
            case NoticeManifest():
                _notices(connection, judged, judged.manifest, office, done)
    _answer_arrivals(connection, arrivals, office, done)
    return done


def arrived(connection: sqlite3.Connection, inbox_no: int, office: Office) -> None:
    """The system behind this program has the document of that row: its 01, which was held back, goes out. Once."""
    sender, id, digest, recipient, jws, arrival_no = connection.execute(
        "SELECT d.sender, d.id, d.digest, i.recipient, d.jws, i.arrival_no"
        " FROM inbox i JOIN document d ON d.no = i.document_no WHERE i.no = ?",
        (inbox_no,),
    ).fetchone()
    if arrival_no is not None:
        return
    ref, arrivals = Ref(sender, id, digest), _Arrivals()
    test = bool(parse_manifest(parse_stored(bytes(jws)).payload).test)
    arrivals.add((sender, test), _arrived(ref, recipient, office), inbox_no)
    _answer_arrivals(connection, arrivals, office, TakenIn())


# ── Documents ────────────────────────────────────────────────────────────────────────────────────────────────────


def _document(
    connection: sqlite3.Connection,
    incoming: Incoming,
    judged: Believed,
    manifest: DocumentManifest,
    office: Office,
    arrivals: _Arrivals,
    done: TakenIn,
) -> None:
    slip = judged.slip
    if slip is None:
        raise AssertionError("a document is believed only with its slip")
    signed = judged.message.signed
    ref = Ref(manifest.from_, str(manifest.id), signed.digest)
    see(connection, slip.accepted_at)
    row = connection.execute("SELECT no, digest FROM document WHERE sender = ? AND id = ?", ref[:2]).fetchone()
    if row is not None and row[1] != ref.digest:
        why = Unbelieved(code="LT-DUP-CONFLICT", why=f"{ref.sender} {ref.id} came before with the digest {row[1]}")
        keep_aside(connection, incoming, why, now=office.seconds)
        done.aside += 1
        return
    document_no = int(row[0]) if row is not None else _store(connection, incoming, judged, manifest, ref, office)
    recipients = (
        [(one.code, one.addressed_as) for one in slip.recipients]
        if slip.recipients is not None
        else [(office.code, office.code)]
    )
    key = (ref.sender, manifest.test)
    known = 0
    for code, addressed_as in recipients:
        cursor = connection.execute(
            "INSERT OR IGNORE INTO inbox (document_no, sender, id, recipient, addressed_as, urgent, stored_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (document_no, ref.sender, ref.id, code, addressed_as, manifest.document.priority >= 1, office.seconds),
        )
        if cursor.rowcount:
            if code not in office.arrive_later:
                arrivals.add(key, _arrived(ref, code, office), int(cursor.lastrowid or 0))
            done.stored.append((ref, code))
            continue
        known += 1
        _came_again(connection, ref, code, key, office, arrivals)
    if known:
        done.again.append(ref)


def _arrived(ref: Ref, recipient: str, office: Office) -> dict[str, Any]:
    return compose.status_item(ref, "01", at=office.now, for_=None if recipient == office.code else recipient)


def _came_again(
    connection: sqlite3.Connection,
    ref: Ref,
    recipient: str,
    key: tuple[str, bool],
    office: Office,
    arrivals: _Arrivals,
) -> None:
    """Not stored twice, but answered again: with the same signed bytes, unless they are old or were refused."""
    inbox_no, arrival_no, usable = connection.execute(
        "UPDATE inbox SET copies = copies + 1 WHERE sender = ? AND id = ? AND recipient = ?"
        " RETURNING no, arrival_no,"
        " (SELECT created_at > ? AND state <> 'rejected' FROM outbox WHERE outbox.no = arrival_no)",
        (ref.sender, ref.id, recipient, office.seconds - RESIGN_AFTER.total_seconds()),
    ).fetchone()
    if usable:
        arrivals.resend.add(arrival_no)
    elif arrival_no is not None or recipient not in office.arrive_later:
        arrivals.add(key, _arrived(ref, recipient, office), inbox_no)


def _store(
    connection: sqlite3.Connection,
    incoming: Incoming,
    judged: Believed,
    manifest: DocumentManifest,
    ref: Ref,
    office: Office,
) -> int:
    slip, message = judged.slip, judged.message
    if slip is None or message.slip is None:
        raise AssertionError("a document is believed only with its slip")
    cursor = connection.execute(
        "INSERT INTO document (sender, id, digest, jws, slip, certificate, verdict, action, priority, subject,"
        " natural_key, accepted_at, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *ref,
            message.signed.stored(),
            message.slip,
            slip.certificate_der(),
            json.dumps(judged.verdict.as_dict(), ensure_ascii=False),
            str(manifest.action),
            manifest.document.priority,
            manifest.document.subject or "",
            _key_digest(manifest),
            rfc3339(slip.accepted_at),
            office.seconds,
        ),
    )
    document_no = int(cursor.lastrowid or 0)
    for ordinal, part in enumerate(manifest.parts):
        content = message.content.get(part.sha256)
        if content is not None:
            connection.execute("INSERT OR IGNORE INTO content (sha256, bytes) VALUES (?, ?)", (part.sha256, content))
        elif part.sha256 not in incoming.in_files:
            raise AssertionError(f"the part {part.sha256} was not fetched before its document was stored")
        connection.execute(
            "INSERT INTO part (document_no, ordinal, name, media_type, role, size, sha256)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (document_no, ordinal, part.name, part.media_type, str(part.role), part.size, part.sha256),
        )
    for target in manifest.concerns:
        id, digest, key = (
            (str(target.id), target.digest, None)
            if isinstance(target, Reference)
            else (None, None, target.key_digest())
        )
        connection.execute(
            "INSERT INTO change (document_no, sender, id, digest, natural_key) VALUES (?, ?, ?, ?, ?)",
            (document_no, target.from_, id, digest, key),
        )
    return document_no


def _key_digest(manifest: DocumentManifest) -> bytes | None:
    key = manifest.natural_key()
    return None if key is None else key.key_digest()


def _answer_arrivals(connection: sqlite3.Connection, arrivals: _Arrivals, office: Office, done: TakenIn) -> None:
    for (_, test), items in arrivals.items.items():
        for start in range(0, len(items), compose.MAX_ITEMS):
            some = items[start : start + compose.MAX_ITEMS]
            message = compose.statuses(
                [item for item, _ in some], signer=office.signer, id=str(new_id(office.now)), now=office.now, test=test
            )
            no = outbox.put(connection, message, now=office.seconds)
            connection.executemany(
                "UPDATE inbox SET arrival_no = ? WHERE no = ?", [(no, inbox_no) for _, inbox_no in some]
            )
            done.to_send = True
    if arrivals.resend:
        outbox.make_due(connection, arrivals.resend)
        done.to_send = True


# ── Statuses and notices ─────────────────────────────────────────────────────────────────────────────────────────


def _statuses(
    connection: sqlite3.Connection, judged: Believed, manifest: StatusManifest, office: Office, done: TakenIn
) -> None:
    slip, message = judged.slip, judged.message
    if slip is None:
        raise AssertionError("a status is believed only with its slip")
    see(connection, slip.accepted_at)
    cursor = connection.execute(
        "INSERT OR IGNORE INTO status_message (sender, id, digest, jws, slip, verdict, received_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            manifest.from_,
            str(manifest.id),
            message.signed.digest,
            message.signed.stored(),
            message.slip,
            json.dumps(judged.verdict.as_dict(), ensure_ascii=False),
            office.seconds,
        ),
    )
    if not cursor.rowcount:
        return
    message_no = int(cursor.lastrowid or 0)
    values = json.loads(message.signed.payload)["items"]
    for position, (item, value) in enumerate(zip(manifest.items, values, strict=True)):
        about = Ref(item.concerns.from_, str(item.concerns.id), item.concerns.digest)
        code = str(item.code)
        agency, audience = item.for_ or manifest.from_, _audience(connection, about, code, office)
        connection.execute(
            "INSERT INTO status (message_no, item, sender, id, digest, agency, code, at, body, audience)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                message_no,
                position,
                *about,
                agency,
                code,
                rfc3339(item.at),
                json.dumps(value, ensure_ascii=False),
                audience,
            ),
        )
        if audience == "sender":
            done.statuses.append((about, agency, code))


def _audience(connection: sqlite3.Connection, about: Ref, code: str, office: Office) -> str:
    """A take-back asks us as recipients; all else tells us of what we sent. About a stranger's document: nobody."""
    if code == "13":
        return "recipient"
    if about.sender not in office.codes:
        return "nobody"
    known = outbox.find(connection, about.as_dict())
    return "nobody" if known is None else "sender"


def _notices(
    connection: sqlite3.Connection, judged: Believed, manifest: NoticeManifest, office: Office, done: TakenIn
) -> None:
    see(connection, manifest.sent_at)
    values = json.loads(judged.message.signed.payload)["items"]
    for position, value in enumerate(values):
        event = str(value["event"])
        concerns = value.get("concerns") or {}
        cursor = connection.execute(
            "INSERT OR IGNORE INTO notice (id, item, event, body, ours, received_at) VALUES (?, ?, ?, ?, 0, ?)",
            (str(manifest.id), position, event, json.dumps(value, ensure_ascii=False), office.seconds),
        )
        if not cursor.rowcount:
            continue
        if event == "mailbox-reset":
            since = last_seen(connection)
            request_replay(connection, replay_from(since), office)
            done.to_send = True
        no = outbox.answered(connection, concerns, event, value, now=office.seconds)
        if no is not None:
            done.answered.append(value)
        if no is not None or event == "mailbox-reset":
            connection.execute("UPDATE notice SET ours = 1 WHERE no = ?", (cursor.lastrowid,))

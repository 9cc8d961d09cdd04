"""Signed messages against the columns beside them, and deliveries against the statuses they are computed from.

Streams documents, status messages and deliveries. The bytes that were signed are the truth: their digest, and every
column that repeats one of their fields. With `signers`, each signature is verified with the enrolled certificate
again, and whether that one might speak for the sender. A delivery's row is computed anew from its statuses (contract
§7) and compared. Reads only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any, Final

import orjson

from broker.evidence.findings import Finding, shown
from broker.evidence.signers import MandateRow, Signers
from broker.intake.checks import claims_of
from broker.intake.submission import Submission, stored_claim
from broker.statuses.history import Change, Recorded, read, start_of
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.certificates import load_certificate, public_key_of
from schemas.errors import Refusal
from schemas.jws import Signed, parse_stored, signature_holds
from schemas.manifest import DocumentManifest, parse_manifest
from schemas.manifest.status import StatusManifest
from schemas.states import ChangeState, Processing, StatusCode
from schemas.times import parse_rfc3339

SQL: Final = load_queries("broker.evidence", "records.sql")

CODES: Final = frozenset(code.value for code in StatusCode)
"""A row may say anything; a code that there is not is told where its event is."""

Progress = Callable[[int], None]


async def check_documents(
    connection: Connection, since: datetime, *, signers: Signers | None, progress: Progress
) -> AsyncIterator[Finding]:
    """Documents' columns against the manifests that were signed."""
    async for row in connection.cursor(SQL["signed_documents"], since, prefetch=500):
        for finding in _signed(row, "document", signers=signers):
            yield finding
        for finding in _document(row):
            yield finding
        progress(1)


async def check_statuses(
    connection: Connection, since: datetime, *, signers: Signers | None, progress: Progress
) -> AsyncIterator[Finding]:
    """Status messages' columns, and their entries, against the manifests that were signed."""
    async for row in connection.cursor(SQL["signed_statuses"], since, prefetch=200):
        for finding in _signed(row, "status_message", signers=signers):
            yield finding
        for finding in _status(row):
            yield finding
        progress(1)


async def check_quarantine(connection: Connection, since: datetime) -> AsyncIterator[Finding]:
    """What is recorded of messages in quarantine, against the messages, which stay as they came."""
    async for row in connection.cursor(SQL["quarantined"], since, prefetch=100):
        key = f"{row['at']} {row['code']}"
        if row["body"] is None:
            expected = "the quarantined message"
            yield Finding(where="rejection", key=key, what="body", found="nothing", expected=expected)
            continue
        kind = row["kind"]
        claims = claims_of(Submission(body=row["body"], routing_key="", submitter=None, message_id=None, kind=kind))
        digest = None if row["digest"] is None else row["digest"].hex()
        # Refusals of before name no number.
        for column, found, said in (
            ("digest", digest, claims.digest),
            ("kind", kind, stored_claim(claims.kind)),
            ("claimed_from", row["claimed_from"], stored_claim(claims.sender)),
            ("id", row["id"], stored_claim(claims.id)),
            ("number", row["number"], row["number"] and stored_claim(claims.number)),
            ("notation", row["notation"], row["notation"] and stored_claim(claims.notation)),
        ):
            if found != said:
                expected = f"{shown(said)}, as the message says"
                yield Finding(where="rejection", key=key, what=column, found=shown(found), expected=expected)


async def check_states(connection: Connection, since: datetime, *, progress: Progress) -> AsyncIterator[Finding]:
    """What deliveries' rows say of their state, against what their statuses add up to."""
    async for row in connection.cursor(SQL["delivery_facts"], since, prefetch=1000):
        for finding in _states(row):
            yield finding
        progress(1)


async def read_signers(connection: Connection) -> Signers:
    """Who might sign for whom, after the directory's events and rows."""
    told = await connection.fetch(SQL["directory_told"])
    rows = await connection.fetch(SQL["mandates_known"])
    return Signers(
        [row["body"] for row in told],
        [
            MandateRow(
                hub=row["hub"],
                agency=row["agency"],
                may_sign=row["may_sign"],
                since=row["valid_from"],
                until=row["valid_until"],
            )
            for row in rows
        ],
    )


def _signed(row: Any, table: str, *, signers: Signers | None) -> Iterator[Finding]:
    key = f"{row['sender']} {row['id']}"
    signed = _parsed(row)
    if signed is None:
        yield Finding(where=table, key=key, what="jws", found="bytes that cannot be read", expected="a signed message")
        return
    if signed.digest != row["digest"].hex():
        yield Finding(
            where=table,
            key=key,
            what="jws",
            found=f"a payload with digest {signed.digest}",
            expected=row["digest"].hex(),
        )
    elif signers is not None:
        why = _signature_fault(signed, row["der"])
        if why is not None:
            yield Finding(where=table, key=key, what="jws", found=why, expected="a signature that holds")
        yield from _signer(row, table, key, signed, signers)


def _signer(row: Any, table: str, key: str, signed: Signed, signers: Signers) -> Iterator[Finding]:
    """Whether the certificate that the message names is the one beside it, and might speak for the sender."""
    if signed.thumbprint != row["thumbprint"]:
        yield Finding(
            where=table,
            key=key,
            what="thumbprint",
            found=shown(row["thumbprint"]),
            expected=f"{shown(signed.thumbprint)}, as signed",
        )
    sender, at = row["sender"], row["accepted_at"]
    enrolment = signers.enrolment(signed.thumbprint)
    if enrolment is not None and signers.may_sign(enrolment.code, sender, at):
        return
    owner = "nobody, as far as events tell" if enrolment is None else enrolment.code
    yield Finding(
        where=table,
        key=key,
        what="signer",
        found=f"certificate {shown(signed.thumbprint)}, enrolled for {owner}",
        expected=f"one enrolled for {sender}, or for a hub that might sign for it at {at}",
    )


def _signature_fault(signed: Signed, der: bytes | None) -> str | None:
    if der is None:
        return "a signature whose certificate is not there"
    try:
        if signature_holds(signed, public_key_of(load_certificate(der))):
            return None
    except Refusal as refusal:
        return refusal.diagnostics()
    return "a signature that does not hold"


def _parsed(row: Any) -> Signed | None:
    try:
        return parse_stored(row["jws"])
    except Refusal:
        return None


def _document(row: Any) -> Iterator[Finding]:
    signed = _parsed(row)
    manifest = _manifest(signed)
    if not isinstance(manifest, DocumentManifest):
        return
    fields = manifest.document
    said: dict[str, object] = {
        "sender_id": (row["sender"], manifest.from_),
        "id": (row["id"], manifest.id),
        "action": (row["action"], manifest.action.value),
        "priority": (row["priority"], fields.priority),
        "test": (row["test"], manifest.test),
        "number": (row["number"], fields.number),
        "notation": (row["notation"], fields.notation),
        "issued_on": (row["issued_on"], fields.issued_on),
        "type": (row["type"], fields.type or ""),
        "subject": (row["subject"], fields.subject),
        "sent_at": (row["sent_at"], manifest.sent_at),
        "document_part": (row["parts"] or [], [part.name for part in manifest.parts]),
        "via": (
            None if row["via"] is None else orjson.loads(row["via"]),
            None if manifest.via is None else manifest.via.model_dump(mode="json", exclude_none=True),
        ),
    }
    yield from _different("document", row, said)


def _status(row: Any) -> Iterator[Finding]:
    signed = _parsed(row)
    manifest = _manifest(signed)
    if not isinstance(manifest, StatusManifest):
        return
    yield from _different(
        "status_message",
        row,
        {
            "sender_id": (row["sender"], manifest.from_),
            "id": (row["id"], manifest.id),
            "sent_at": (row["sent_at"], manifest.sent_at),
            "concerns_sender_id": (row["concerned"], manifest.items[0].concerns.from_),
        },
    )
    for number, code, reason, staff, at, about in orjson.loads(row["entries"] or "[]"):
        key = f"{row['sender']} {row['id']} item {number}"
        if not 0 <= number < len(manifest.items):
            expected = f"one of {len(manifest.items)} items"
            yield Finding(where="status_entry", key=key, what="item", found=str(number), expected=expected)
            continue
        item = manifest.items[number]
        signed_staff = None if item.staff is None else item.staff.model_dump(mode="json", exclude_none=True)
        told = {
            "code": (code, item.code.value),
            "reason": (reason, item.reason),
            "staff": (staff, signed_staff),
            "at": (parse_rfc3339(at), item.at),
            "document_id": (about, str(item.concerns.id)),
        }
        for column, (found, signed_value) in told.items():
            if found != signed_value:
                yield Finding(
                    where="status_entry", key=key, what=column, found=shown(found), expected=shown(signed_value)
                )


def _manifest(signed: Signed | None) -> object:
    """What was signed; None for what cannot be read, which is told elsewhere."""
    if signed is None:
        return None
    try:
        return parse_manifest(signed.payload)
    except Refusal:
        return None


def _different(table: str, row: Any, said: dict[str, Any]) -> Iterator[Finding]:
    for column, (found, signed) in said.items():
        if found != signed:
            yield Finding(
                where=table,
                key=f"{row['sender']} {row['id']}",
                what=column,
                found=shown(found),
                expected=f"{shown(signed)}, as signed",
            )


def _states(row: Any) -> Iterator[Finding]:
    recorded = [
        Recorded(code=StatusCode(code), at=at, digest=digest, answers=answers)
        for code, at, digest, answers, _ in row["facts"] or ()
        if code in CODES
    ]
    changes = [_asked(change, row["dispatched_at"]) for change in row["changes"] or ()]
    try:
        start = start_of(Processing(row["processing"]), dispatched=row["dispatched"])
    except ValueError:
        start = Processing.ACCEPTED
    story = read(start, recorded, changes, closed_at=row["closed_at"], moved_at=row["moved_at"])
    expected = story.projection
    for column in ("processing", "recalled", "anomalous", "arrived_at", "closed_at"):
        wanted = getattr(expected, column)
        wanted = wanted.value if isinstance(wanted, Processing) else wanted
        if row[column] != wanted:
            yield Finding(
                where="delivery",
                key=f"{row['sender']} {row['id']} to {row['recipient']}",
                what=column,
                found=shown(row[column]),
                expected=f"{shown(wanted)}, as its statuses say",
            )
    key = f"{row['sender']} {row['id']} to {row['recipient']}"
    for asked_by, _, state, answered_at, _ in row["changes"] or ():
        answer = story.answers[asked_by]
        for column, found, wanted in (
            ("state", state, answer.state.value),
            ("answered_at", answered_at, answer.answered_at),
        ):
            if found != wanted:
                yield Finding(
                    where="change_request",
                    key=f"{key}, asked by {asked_by.hex()}",
                    what=column,
                    found=shown(found),
                    expected=f"{shown(wanted)}, as its answers say",
                )
    odd = {(fact.code.value, fact.at, fact.digest) for fact in story.folded.anomalous}
    for code, at, digest, _, anomalous in row["facts"] or ():
        if anomalous != ((code, at, digest) in odd):
            yield Finding(
                where="status_entry",
                key=f"{key}: {code} of {at}",
                what="anomalous",
                found=shown(anomalous),
                expected=f"{not anomalous}, as the other statuses say",
            )


def _asked(row: Any, dispatched_at: datetime | None) -> Change:
    """An asking message before its answers. Only what never went out, or went out while it was recalled, is given back
    without an answer (contract §3.3)."""
    asked_by, kind, state, answered_at, asked_at = row
    unseen = state == ChangeState.AGREED and (dispatched_at is None or dispatched_at > asked_at)
    if unseen:
        return Change(asked_by=asked_by, kind=kind, state=ChangeState.AGREED, answered_at=answered_at)
    return Change(asked_by=asked_by, kind=kind)

"""The transaction that accepts and refuses the documents of one batch, and decides everything that must leave for it.

Runs inside the caller's transaction and commits nothing itself. Locks are taken in one order everywhere (what
`broker.intake.holding` holds, documents by sender and id, new content by digest, deliveries by document and recipient,
uploads), so that workers do not wait for each other in circles.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from broker.content.record import count_as_accepted
from broker.dispatch.fanout import PlannedPublish, plan
from broker.dispatch.jobs import OutgoingJob, SlipFacts
from broker.dispatch.notices import LISTED_RECIPIENTS, NoticeBuilder, accepted_item, reference, refusal_item
from broker.dispatch.recording import insert_events, insert_outgoing_documents, insert_outgoing_notices
from broker.intake.acceptance import Acceptance
from broker.intake.changing import write_change
from broker.intake.parts import KeptPart
from broker.intake.pending import forget, kept_back, remember
from broker.intake.records import SQL, KnownDocument, recipients_of
from broker.intake.refusals import SALT, fingerprints, new_salt
from broker.intake.submission import Authentic, Opened, Refused, stored_claim
from broker.store.pool import Connection
from schemas.events import Event
from schemas.intake_events import rejected
from schemas.manifest import DocumentManifest
from schemas.slip import SlipRecipient


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeated:
    """A message whose very bytes are accepted already."""

    opened: Opened[DocumentManifest]
    known: KnownDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What the transaction did."""

    accepted: int
    jobs: tuple[OutgoingJob, ...]
    """What is to be sent once it is committed."""
    beaten: tuple[Acceptance, ...]
    """Another worker was faster with this (sender, id); they have to be looked at again."""


async def write(
    connection: Connection,
    *,
    acceptances: Sequence[Acceptance],
    refused: Sequence[Refused],
    repeated: Sequence[Repeated],
    notices: NoticeBuilder,
    now: datetime,
    waiting: Sequence[Authentic[DocumentManifest]] = (),
    longest_wait: timedelta = timedelta(0),
) -> Written:
    """Write everything that was decided about the messages of a batch; at most one acceptance for a (sender, id).

    `waiting` are changes of documents that have not come; they wait for `longest_wait` at most.
    """
    ids = await _insert_documents(connection, sorted(acceptances, key=lambda a: a.key), now)
    new = [(ids[a.key], a) for a in acceptances if a.key in ids]
    await _insert_content(connection, new, now)
    await _insert_deliveries(connection, new)
    events: list[tuple[Event, int | None]] = [(event, document_id) for document_id, a in new for event in a.events]
    planned: list[tuple[int, Acceptance, PlannedPublish]] = []
    jobs: list[OutgoingJob] = []
    back = await kept_back(connection, (acceptance for _, acceptance in new), now=now)
    for document_id, acceptance in new:
        to_send: Iterable[PlannedPublish] = plan(acceptance.resolution.recipients)
        if acceptance.change is not None:
            change = await write_change(connection, document_id, acceptance, acceptance.change)
            to_send = plan(change.ready)
            jobs += change.jobs
        planned += ((document_id, acceptance, publish) for publish in to_send)
        _tell(notices, acceptance.authentic.opened, _accepted(acceptance))
    outgoing = await insert_outgoing_documents(
        connection, [(row[0], row[2]) for row in planned], [back.get(row[1].key, now) for row in planned]
    )
    jobs += (
        _job(outgoing_id, document_id, acceptance, publish)
        for outgoing_id, (document_id, acceptance, publish) in zip(outgoing, planned, strict=True)
        if acceptance.key not in back
    )
    await remember(connection, waiting, now=now, longest=longest_wait)
    await forget(connection, (acceptance for _, acceptance in new), refused, now=now)
    await _answer_again(connection, repeated, notices, now)
    events += await _record_refused(connection, refused, notices)
    if events:
        await insert_events(connection, events)
    jobs += await send_notices(connection, notices, now)
    await count_as_accepted(connection, _outside_parts(new), now)
    return Written(accepted=len(new), jobs=tuple(jobs), beaten=tuple(a for a in acceptances if a.key not in ids))


async def send_notices(connection: Connection, notices: NoticeBuilder, now: datetime) -> list[OutgoingJob]:
    """Sign what was gathered, put it into `outgoing`, and return the jobs that send it."""
    built = notices.build(now)
    ids = await insert_outgoing_notices(connection, [(n.owner_id, n.signed.stored()) for n in built], now)
    return [
        OutgoingJob(
            outgoing_id=outgoing_id,
            kind="notice",
            owners=(notice.owner_code,),
            signed=notice.signed,
            from_=notices.identity.code,
            id=notice.id,
        )
        for outgoing_id, notice in zip(ids, built, strict=True)
    ]


def _outside_parts(new: Iterable[tuple[int, Acceptance]]) -> set[tuple[int, str]]:
    """Who may have stored what these documents name without carrying it: the sender, or its hub."""
    return {
        (agency.id, part.sha256)
        for _, acceptance in new
        for part in acceptance.manifest.parts
        if part.sha256 not in acceptance.content
        for agency in (acceptance.authentic.opened.sender, acceptance.authentic.opened.submitter)
    }


async def _insert_documents(
    connection: Connection, acceptances: Sequence[Acceptance], now: datetime
) -> Mapping[tuple[int, object], int]:
    if not acceptances:
        return {}
    opened = [a.authentic.opened for a in acceptances]
    manifests = [a.manifest for a in acceptances]
    fields = [manifest.document for manifest in manifests]
    rows = await connection.fetch(
        SQL["insert_documents"],
        [o.sender.id for o in opened],
        [m.id for m in manifests],
        [bytes.fromhex(o.digest) for o in opened],
        [o.message.signed.stored() for o in opened],
        [m.action.value for m in manifests],
        [f.priority for f in fields],
        [m.test for m in manifests],
        [f.number for f in fields],
        [f.notation for f in fields],
        [f.issued_on for f in fields],
        [f.type or "" for f in fields],
        [f.subject for f in fields],
        [a.natural_key for a in acceptances],
        [a.authentic.certificate.thumbprint for a in acceptances],
        [o.submitter.id for o in opened],
        [None if m.via is None else m.via.model_dump_json(exclude_none=True) for m in manifests],
        [m.sent_at for m in manifests],
        now,
        acceptances[0].log_by,
        [a.leaf for a in acceptances],
        [len(a.resolution.recipients) for a in acceptances],
        [orjson.dumps([entry.addressed_as for entry in a.resolution.unresolved]).decode() for a in acceptances],
        [orjson.dumps(a.warnings).decode() for a in acceptances],
    )
    return {(row["sender_id"], row["id"]): row["document_id"] for row in rows}


async def _insert_content(connection: Connection, new: Sequence[tuple[int, Acceptance]], now: datetime) -> None:
    kept: dict[str, KeptPart] = {part.sha256: part for _, a in new for part in a.parts}
    parts = [kept[sha256] for sha256 in sorted(kept)]
    if parts:
        await connection.execute(
            SQL["insert_content"],
            [bytes.fromhex(part.sha256) for part in parts],
            [part.size for part in parts],
            [part.inline for part in parts],
            [part.place for part in parts],
            now,
        )
    named = [(document_id, ordinal, part) for document_id, a in new for ordinal, part in enumerate(a.manifest.parts)]
    if named:
        await connection.execute(
            SQL["insert_parts"],
            [document_id for document_id, _, _ in named],
            [ordinal for _, ordinal, _ in named],
            [bytes.fromhex(part.sha256) for _, _, part in named],
            [part.name for _, _, part in named],
        )


async def _insert_deliveries(connection: Connection, new: Sequence[tuple[int, Acceptance]]) -> None:
    recipients = [(document_id, r, a.due_arrival) for document_id, a in new for r in a.resolution.recipients]
    if recipients:
        await connection.execute(
            SQL["insert_deliveries"],
            [document_id for document_id, _, _ in recipients],
            [r.agency.id for _, r, _ in recipients],
            [r.owner.id for _, r, _ in recipients],
            [r.addressed_as for _, r, _ in recipients],
            [due for _, _, due in recipients],
        )


def _job(outgoing_id: int, document_id: int, acceptance: Acceptance, publish: PlannedPublish) -> OutgoingJob:
    opened = acceptance.authentic.opened
    return OutgoingJob(
        outgoing_id=outgoing_id,
        kind="document",
        owners=(publish.recipients[0].owner.code,)
        if publish.named
        else tuple(r.agency.code for r in publish.recipients),
        signed=opened.message.signed,
        from_=opened.sender.code,
        id=acceptance.manifest.id,
        content=acceptance.content,
        slip=SlipFacts(
            certificate=acceptance.authentic.certificate.der,
            accepted_at=acceptance.at,
            leaf=acceptance.leaf,
            log_by=acceptance.log_by,
            custody=acceptance.authentic.certificate.custody,
        ),
        recipients=tuple(SlipRecipient(code=r.agency.code, addressed_as=r.addressed_as) for r in publish.recipients)
        if publish.named
        else None,
        urgent=acceptance.manifest.urgent,
        document_id=document_id,
        deliveries=tuple((r.agency.id, r.agency.code) for r in publish.recipients),
    )


def _accepted(acceptance: Acceptance) -> bytes:
    recipients = acceptance.resolution.recipients
    return accepted_item(
        concerns=reference(acceptance.authentic.opened.sender.code, acceptance.manifest.id, acceptance.digest),
        at=acceptance.at,
        first_accepted_at=acceptance.at,
        count=len(recipients),
        recipients=(
            {"code": r.agency.code, "addressed_as": r.addressed_as, "owner": r.owner.code}
            for r in recipients[:LISTED_RECIPIENTS]
        ),
        unresolved=[entry.addressed_as for entry in acceptance.resolution.unresolved],
        warnings=acceptance.warnings,
        leaf=acceptance.leaf,
        log_by=acceptance.log_by,
    )


async def _answer_again(
    connection: Connection, repeated: Sequence[Repeated], notices: NoticeBuilder, now: datetime
) -> None:
    """The `accepted` notice is issued again, with the time of the first (contract §5)."""
    told = await recipients_of(connection, [r.known.document_id for r in repeated])
    for one in repeated:
        known = one.known
        answer = accepted_item(
            concerns=reference(one.opened.sender.code, one.opened.manifest.id, known.digest),
            at=now,
            first_accepted_at=known.accepted_at,
            count=known.recipients,
            recipients=told[known.document_id],
            unresolved=known.unresolved,
            warnings=known.warnings,
            leaf=known.leaf,
            log_by=known.log_by,
        )
        _tell(notices, one.opened, answer)


async def _record_refused(
    connection: Connection, refused: Sequence[Refused], notices: NoticeBuilder
) -> list[tuple[Event, int | None]]:
    if not refused:
        return []
    salts = [new_salt() for _ in refused]
    rows = [_row(one, salt) for one, salt in zip(refused, salts, strict=True)]
    await connection.execute(
        SQL["insert_rejections"],
        [r.at for r in refused],
        *([row[column] for row in rows] for column in ("amqp_user", "kind", "claimed_from", "id", "digest")),
        [row["message_id"] for row in rows],
        [r.refusal.code for r in refused],
        [orjson.dumps(row["detail"]).decode() for row in rows],
        [None if row["verdict"] is None else orjson.dumps(row["verdict"]).decode() for row in rows],
        [row["body"] for row in rows],
        [r.quarantined for r in refused],
        *([row[column] for row in rows] for column in ("number", "notation")),
    )
    for one in refused:
        # Whoever it claims to be from: only the connection that submitted it hears of it (contract §2.5).
        if one.submitter is not None and one.submitter.has_mailbox:
            event = "quarantined" if one.quarantined else "rejected"
            item = refusal_item(event, concerns=one.named_in_notice(), at=one.at, refusal=one.refusal)
            notices.add(one.submitter.id, one.submitter.code, item)
    return [
        (_rejection_event(one, fingerprints(salt, row)), None)
        for one, row, salt in zip(refused, rows, salts, strict=True)
    ]


def _row(one: Refused, salt: str) -> dict[str, Any]:
    """What its row says of a refused message, by column."""
    claims = one.claims
    return {
        "amqp_user": one.submission.submitter,
        "kind": stored_claim(claims.kind),
        "claimed_from": stored_claim(claims.sender),
        "id": stored_claim(claims.id),
        "digest": bytes.fromhex(claims.digest) if claims.digest else None,
        "message_id": one.submission.message_id,
        "detail": one.refusal.detail() | dict(one.extra) | {SALT: salt},
        "verdict": None if one.verdict is None else one.verdict.as_dict(),
        "body": one.submission.body if one.quarantined else None,
        "number": stored_claim(claims.number),
        "notation": stored_claim(claims.notation),
    }


def _rejection_event(one: Refused, row: Mapping[str, str]) -> Event:
    verdict = one.verdict
    return rejected(
        at=one.at,
        error=one.refusal.code,
        amqp_user=one.submission.submitter,
        kind=one.claims.kind,
        claimed_from=one.claims.sender,
        id=one.claims.id,
        digest=one.claims.digest,
        verdict=None
        if verdict is None
        else {
            "cryptography": verdict.cryptography.answer.value,
            "trust": verdict.trust.answer.value,
            "policy": verdict.policy.answer.value,
        },
        quarantined=one.quarantined,
        row=row,
        notice=one.submitter.code if one.submitter is not None and one.submitter.has_mailbox else None,
    )


def _tell(notices: NoticeBuilder, opened: Opened[DocumentManifest], item: bytes) -> None:
    if opened.submitter.has_mailbox:
        notices.add(opened.submitter.id, opened.submitter.code, item)

"""The transaction that records the status messages of a batch and decides whom they are forwarded to.

Runs inside the caller's transaction and commits nothing itself. Deliveries are locked first, in one order; what was
recorded about them until then is read under those locks, so that two workers cannot fold past each other, and a
message that another worker has recorded meanwhile is found before anything is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import orjson
import structlog

from broker.directory.records import Agency, AgencyId
from broker.directory.snapshot import Directory
from broker.dispatch.jobs import OutgoingJob, SlipFacts
from broker.dispatch.notices import NoticeBuilder, reference
from broker.dispatch.notices import item as notice_item
from broker.dispatch.recording import array_text, insert_events
from broker.intake.records import SQL as INTAKE_SQL
from broker.intake.refusals import SALT, fingerprints, new_salt
from broker.intake.submission import Authentic
from broker.statuses.effects import Effects, NewEntry, effects
from broker.statuses.facts import SQL, documents, earlier_messages, lock_deliveries
from broker.statuses.judging import DocumentId, Judgement, judge, recipients_named
from broker.statuses.known import Facts, Key
from broker.statuses.telling import Forward, Refusals, forwards, recorded_events
from broker.store.pool import Connection
from schemas.events import Event
from schemas.intake_events import rejected
from schemas.manifest import RequestManifest, StatusManifest

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What the transaction did."""

    recorded: int
    """Status messages recorded."""
    items: int
    """Items that took effect."""
    refused_items: int
    jobs: tuple[OutgoingJob, ...]
    """What is to be sent once it is committed."""
    beaten: tuple[Authentic[StatusManifest], ...]
    """Another worker was faster with this (sender, id); they have to be looked at again."""


def key_of(status: Authentic[StatusManifest]) -> Key:
    """The idempotency key of a status message: sender and id."""
    return status.opened.sender.id, status.opened.manifest.id


async def write_statuses(
    connection: Connection,
    statuses: Sequence[Authentic[StatusManifest]],
    *,
    notices: NoticeBuilder,
    directory: Directory,
    now: datetime,
    log_by: datetime,
) -> Written:
    """Judge and record `statuses`, at most one for each (sender, id), none of them recorded before.

    Refused items are gathered in `notices` for the mailbox of who submitted them.
    """
    facts = await _facts(connection, statuses, directory)
    earlier = await earlier_messages(connection, [key_of(status) for status in statuses])
    beaten = tuple(status for status in statuses if key_of(status) in earlier)
    judged = [(status, _judged(status, facts, directory)) for status in statuses if key_of(status) not in earlier]
    refusals = await _refuse(connection, judged, notices, now)
    taken = [(status, judgement) for status, judgement in judged if judgement.entries]
    if not taken:
        return Written(recorded=0, items=0, refused_items=_refused(judged), jobs=(), beaten=beaten)
    changed = effects(
        [(bytes.fromhex(status.opened.digest), judgement) for status, judgement in taken], facts.deliveries, now=now
    )
    new: dict[int, list[NewEntry]] = defaultdict(list)
    for entry in changed.entries:
        new[entry.message].append(entry)
    senders = facts.senders()
    settled = {one.place for one in changed.take_backs if one.settled_at is not None}
    planned = [
        list(forwards(position, new[position], senders=senders, settled=settled, facts=facts, directory=directory))
        for position in range(len(taken))
    ]
    events = [
        recorded_events(
            status,
            judgement,
            entries=new[position],
            facts=facts,
            now=now,
            log_by=log_by,
            forwards=planned[position],
            refusals=refusals.get(key_of(status)),
        )
        for position, (status, judgement) in enumerate(taken)
    ]
    ids = await _insert_messages(connection, taken, [told[0][0].leaf for told in events], senders, now, log_by)
    await _write_effects(connection, [status for status, _ in taken], ids, changed, now)
    await insert_events(connection, [pair for told in events for pair in told])
    jobs = await _forward(connection, [status for status, _ in taken], ids, list(chain(*planned)), events, now, log_by)
    return Written(
        recorded=len(taken),
        items=sum(len(judgement.entries) for _, judgement in taken),
        refused_items=_refused(judged),
        jobs=tuple(jobs),
        beaten=beaten,
    )


async def write_requests(
    connection: Connection, requests: Sequence[Authentic[RequestManifest]], *, now: datetime
) -> tuple[Authentic[RequestManifest], ...]:
    """Record requests for the keeper. Returns those whose id another worker has recorded meanwhile."""
    beaten = []
    for request in sorted(requests, key=lambda one: (one.opened.sender.id, one.opened.manifest.id)):
        opened = request.opened
        new = await connection.fetchval(
            SQL["insert_request"],
            opened.sender.id,
            opened.manifest.id,
            bytes.fromhex(opened.digest),
            opened.manifest.request,
            opened.manifest.since,
            now,
        )
        if new is None:
            beaten.append(request)
    return tuple(beaten)


async def _facts(connection: Connection, statuses: Sequence[Authentic[StatusManifest]], directory: Directory) -> Facts:
    items = [(status.opened.sender.code, item) for status in statuses for item in status.opened.manifest.items]
    known = await documents(connection, ((item.concerns.from_, item.concerns.id) for _, item in items))
    named: set[tuple[DocumentId, str]] = set()
    for speaker_code, item in items:
        codes = recipients_named(item, speaker_code=speaker_code, standing=directory)
        for document in known.get((item.concerns.from_, item.concerns.id), ()):
            named.update((document.document_id, code) for code in codes)
    return await lock_deliveries(connection, known, named)


def _judged(status: Authentic[StatusManifest], facts: Facts, directory: Directory) -> Judgement:
    opened = status.opened
    return judge(opened.manifest.items, speaker=opened.sender, known=facts.known, standing=directory)


def _refused(judged: Iterable[tuple[Authentic[StatusManifest], Judgement]]) -> int:
    return sum(len(judgement.refused) for _, judgement in judged)


async def _refuse(
    connection: Connection,
    judged: Sequence[tuple[Authentic[StatusManifest], Judgement]],
    notices: NoticeBuilder,
    now: datetime,
) -> Mapping[Key, Refusals]:
    """Record refused items, tell the submitter of each; a message without any good item is an event of its own.

    Returns what the events of the other messages tell of the rows."""
    refused = [(status, item) for status, judgement in judged for item in judgement.refused]
    if not refused:
        return {}
    salts = {key_of(status): new_salt() for status, _ in refused}
    details = [
        item.refusal.detail()
        | {
            "item": item.item,
            "concerns": reference(item.concerns.from_, item.concerns.id, item.concerns.digest),
        }
        for status, item in refused
    ]
    kept = [detail | {SALT: salts[key_of(status)]} for (status, _), detail in zip(refused, details, strict=True)]
    verdicts = [orjson.dumps(status.verdict.as_dict()).decode() for status, _ in refused]
    await connection.execute(
        INTAKE_SQL["insert_rejections"],
        [now] * len(refused),
        [status.opened.submitter.code for status, _ in refused],
        ["status"] * len(refused),
        [status.opened.sender.code for status, _ in refused],
        [str(status.opened.manifest.id) for status, _ in refused],
        [bytes.fromhex(status.opened.digest) for status, _ in refused],
        [status.opened.submission.message_id for status, _ in refused],
        [item.refusal.code for _, item in refused],
        [orjson.dumps(detail).decode() for detail in kept],
        verdicts,
        [None] * len(refused),
        [False] * len(refused),
        [None] * len(refused),
        [None] * len(refused),
    )
    for (status, item), detail in zip(refused, details, strict=True):
        submitter = status.opened.submitter
        if submitter.has_mailbox:
            # What was sent is the status message, and notices are matched by what was sent; `detail` names the item.
            sent = reference(status.opened.sender.code, status.opened.manifest.id, status.opened.digest)
            told = notice_item("status-refused", concerns=sent, at=now, error=item.refusal.code, detail=detail)
            notices.add(submitter.id, submitter.code, told)
    refusals: dict[Key, Refusals] = {}
    for (status, item), detail in zip(refused, kept, strict=True):
        key, opened = key_of(status), status.opened
        alike = {"message_id": opened.submission.message_id, "verdict": status.verdict.as_dict()}
        who = opened.submitter.code if opened.submitter.has_mailbox else None
        one = refusals.setdefault(key, Refusals(fingerprints(salts[key], alike), who, {}))
        one.details[item.item] = fingerprints(salts[key], {"detail": detail})["detail"]
    hopeless = [(status, judgement) for status, judgement in judged if not judgement.entries]
    await insert_events(
        connection,
        [(_all_refused(status, judgement, refusals[key_of(status)], now), None) for status, judgement in hopeless],
    )
    return refusals


def _all_refused(status: Authentic[StatusManifest], judgement: Judgement, told: Refusals, now: datetime) -> Event:
    opened = status.opened
    return rejected(
        at=now,
        error=judgement.refused[0].refusal.code,
        amqp_user=opened.submitter.code,
        kind="status",
        claimed_from=opened.sender.code,
        id=opened.manifest.id,
        digest=opened.digest,
        verdict={"cryptography": "good", "trust": "good", "policy": "good"},
        row=told.row,
        items=[(one.item, one.refusal.code, told.details[one.item]) for one in judgement.refused],
        notice=told.notice,
    )


async def _insert_messages(
    connection: Connection,
    taken: Sequence[tuple[Authentic[StatusManifest], Judgement]],
    leaves: Sequence[bytes],
    senders: Mapping[DocumentId, AgencyId],
    now: datetime,
    log_by: datetime,
) -> list[int]:
    """Insert the messages; their ids, in the order of `taken`. Raises RuntimeError if one is there already."""
    rows = sorted(
        ((status, judgement, leaf) for (status, judgement), leaf in zip(taken, leaves, strict=True)),
        key=lambda row: key_of(row[0]),
    )
    opened = [status.opened for status, _, _ in rows]
    inserted = await connection.fetch(
        SQL["insert_messages"],
        [o.sender.id for o in opened],
        [o.manifest.id for o in opened],
        [bytes.fromhex(o.digest) for o in opened],
        [o.message.signed.stored() for o in opened],
        [status.certificate.thumbprint for status, _, _ in rows],
        [senders[judgement.entries[0].document_id] for _, judgement, _ in rows],
        [o.manifest.sent_at for o in opened],
        [leaf for _, _, leaf in rows],
        [_refused_items(judgement) for _, judgement, _ in rows],
        now,
        log_by,
    )
    ids = {(row["sender_id"], row["id"]): row["status_message_id"] for row in inserted}
    if len(ids) != len(rows):
        raise RacedError("another worker has recorded one of these status messages at this moment; do it again")
    return [ids[key_of(status)] for status, _ in taken]


class RacedError(RuntimeError):
    """Roll back and look at the batch again: a status message with the same id but other deliveries came between."""


def _refused_items(judgement: Judgement) -> str:
    return orjson.dumps([{"item": one.item, "error": one.refusal.code} for one in judgement.refused]).decode()


async def _write_effects(
    connection: Connection,
    statuses: Sequence[Authentic[StatusManifest]],
    ids: Sequence[int],
    changed: Effects,
    now: datetime,
) -> None:
    entries = changed.entries
    if entries:
        await connection.execute(
            SQL["insert_entries"],
            [new.entry.document_id for new in entries],
            [new.entry.recipient_id for new in entries],
            [ids[new.message] for new in entries],
            [new.entry.item for new in entries],
            [new.entry.by_id for new in entries],
            [new.entry.code.value for new in entries],
            [new.entry.at for new in entries],
            [new.fact.digest for new in entries],
            [new.entry.reason for new in entries],
            [orjson.dumps(new.entry.staff).decode() if new.entry.staff else None for new in entries],
            [new.entry.answers for new in entries],
            [new.anomalous for new in entries],
            now,
        )
    if changed.take_backs:
        await connection.execute(
            SQL["insert_take_backs"],
            [one.place[0] for one in changed.take_backs],
            [one.place[1] for one in changed.take_backs],
            [one.asked_by for one in changed.take_backs],
            [ids[one.message] for one in changed.take_backs],
            ["asked" if one.settled_at is None else "agreed" for one in changed.take_backs],
            [one.settled_at for one in changed.take_backs],
            now,
        )
    if changed.changes:
        await connection.execute(
            SQL["update_changes"],
            [place[0] for place, _, _, _ in changed.changes],
            [place[1] for place, _, _, _ in changed.changes],
            [asked_by for _, asked_by, _, _ in changed.changes],
            [state.value for _, _, state, _ in changed.changes],
            [answered_at for _, _, _, answered_at in changed.changes],
        )
    if changed.remarked:
        await connection.execute(
            SQL["mark_anomalous"],
            [place[0] for place, _, _ in changed.remarked],
            [place[1] for place, _, _ in changed.remarked],
            [entered.status_message_id for _, entered, _ in changed.remarked],
            [entered.item for _, entered, _ in changed.remarked],
            [anomalous for _, _, anomalous in changed.remarked],
        )
    if changed.projections:
        rows = list(changed.projections.items())
        await connection.execute(
            SQL["update_deliveries"],
            [place[0] for place, _ in rows],
            [place[1] for place, _ in rows],
            [row.processing.value for _, row in rows],
            [row.recalled for _, row in rows],
            [row.anomalous for _, row in rows],
            [row.arrived_at for _, row in rows],
            [row.closed_at for _, row in rows],
        )


async def _forward(
    connection: Connection,
    statuses: Sequence[Authentic[StatusManifest]],
    ids: Sequence[int],
    planned: Sequence[Forward],
    events: Sequence[Sequence[tuple[Event, int | None]]],
    now: datetime,
    log_by: datetime,
) -> list[OutgoingJob]:
    if not planned:
        return []
    rows = await connection.fetch(
        SQL["insert_forwards"],
        [ids[forward.message] for forward in planned],
        [array_text([owner.id for owner in forward.owners]) for forward in planned],
        now,
    )
    return [
        _job(
            row["outgoing_id"],
            statuses[forward.message],
            forward.owners,
            events[forward.message][0][0].leaf,
            now,
            log_by,
        )
        for row, forward in zip(rows, planned, strict=True)
    ]


def _job(
    outgoing_id: int,
    status: Authentic[StatusManifest],
    owners: Sequence[Agency],
    leaf: bytes,
    now: datetime,
    log_by: datetime,
) -> OutgoingJob:
    opened = status.opened
    return OutgoingJob(
        outgoing_id=outgoing_id,
        kind="status",
        owners=tuple(owner.code for owner in owners),
        signed=opened.message.signed,
        from_=opened.sender.code,
        id=opened.manifest.id,
        slip=SlipFacts(
            certificate=status.certificate.der,
            accepted_at=now,
            leaf=leaf,
            log_by=log_by,
            custody=status.certificate.custody,
        ),
    )

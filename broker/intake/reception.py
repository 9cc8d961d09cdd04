"""Takes batches of submitted documents from the first byte to the commit, and then lets them leave (contract §4, §5).

The shell around the pure checks: it asks the record, runs the steps in their order, and writes everything in one
transaction. A message that cannot be processed never stops its neighbours: the batch is halved until it is alone, and
then waits on the retry ladder. While PostgreSQL is away the batch waits, and no attempt is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from broker.content.store import ContentStore
from broker.directory.snapshot import Directory
from broker.dispatch.jobs import OutgoingJob
from broker.dispatch.notices import NoticeBuilder
from broker.dispatch.unpublished import load_unpublished_of
from broker.intake.acceptance import Acceptance, accept
from broker.intake.changes import CHANGES, ChangePlan, ConcernsUnknown, EarlierDocuments, judge_change
from broker.intake.checks import claims_of, open_submission
from broker.intake.holding import hold_content
from broker.intake.parts import KnownContent, check_inline, check_outside, outside
from broker.intake.passes import Entry, Outcome, Passes
from broker.intake.pending import wait_at_most
from broker.intake.recipients import resolve
from broker.intake.records import (
    Key,
    KnownDocument,
    earlier_documents,
    known_content,
    known_documents,
    known_natural_keys,
)
from broker.intake.submission import Authentic, Manifest, Opened, Refused
from broker.intake.verifying import known_claims, verify_all
from broker.intake.writing import Repeated, write
from broker.store.pool import Connection
from schemas.errors import Refusal
from schemas.manifest import DocumentManifest

Document = Opened[DocumentManifest]


@dataclass(slots=True)
class Tally:
    """What became of the messages of a batch, for the log."""

    accepted: int = 0
    repeated: int = 0
    refused: int = 0
    aside: int = 0
    """Waiting on the retry ladder, or given up."""

    def add(self, other: Tally) -> None:
        """Count in what another pass has done."""
        self.accepted += other.accepted
        self.repeated += other.repeated
        self.refused += other.refused
        self.aside += other.aside


@dataclass(slots=True)
class _Decided:
    """What one pass has decided about some messages, before it is written."""

    acceptances: list[Acceptance] = field(default_factory=list)
    repeated: list[Repeated] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    again: list[Entry] = field(default_factory=list)
    """To be looked at once more when the others are written: the same (sender, id) is among those."""
    waiting: list[Authentic[DocumentManifest]] = field(default_factory=list)
    """Changes of a document that has not come yet."""


@dataclass(kw_only=True, eq=False)
class Reception(Passes[Tally]):
    """Processes batches of one intake queue; several batches at a time."""

    what = "accept documents"

    store: ContentStore

    def nothing(self) -> Tally:
        return Tally()

    async def look(self, entries: Sequence[Entry]) -> Outcome[Tally]:
        now = self.clock()
        notices = NoticeBuilder(self.identity)
        async with self.pool.acquire() as connection:
            directory = await self.directory.newest(connection)
            decided = await self._decide(entries, connection, directory, now)
            async with connection.transaction():
                held = await hold_content(connection, decided.acceptances, self.store)
                written = await write(
                    connection,
                    acceptances=held.standing,
                    refused=decided.refused,
                    repeated=decided.repeated,
                    notices=notices,
                    now=now,
                    waiting=decided.waiting,
                    longest_wait=wait_at_most(self.rules.max_attempts),
                )
            unfinished = await self._unfinished(connection, entries, decided.repeated, now)
        by_submission = {id(entry.submission): entry for entry in entries}
        beaten = [by_submission[id(a.authentic.opened.submission)] for a in (*written.beaten, *held.again)]
        return Outcome(
            jobs=(*written.jobs, *unfinished),
            again=(*decided.again, *beaten),
            waiting=tuple(by_submission[id(one.opened.submission)] for one in decided.waiting),
            nobodys=tuple((by_submission[id(r.submission)], r) for r in decided.refused if r.submitter is None),
            tally=Tally(
                accepted=written.accepted,
                repeated=len(decided.repeated),
                refused=len(decided.refused),
                aside=len(decided.waiting),
            ),
        )

    # ── The steps of contract §4, in their order ─────────────────────────────────────────────────────────────────────
    async def _decide(
        self, entries: Sequence[Entry], connection: Connection, directory: Directory, now: datetime
    ) -> _Decided:
        decided = _Decided()
        opened = self._open_all(entries, directory, now, decided)
        known = await known_documents(connection, {(one.sender.id, one.manifest.id) for one in opened})
        fresh: list[Document] = []
        for one in opened:
            before = known.get((one.sender.id, one.manifest.id))
            if before is not None and before.digest == one.digest:
                decided.repeated.append(Repeated(opened=one, known=before))
            else:
                fresh.append(one)
        answers = await verify_all(
            fresh,
            directory=directory,
            now=now,
            limits=self.rules.times,
            executor=self.executor,
            threads=self.threads,
        )
        authentic = [answer for answer in answers if isinstance(answer, Authentic)]
        decided.refused += (answer for answer in answers if isinstance(answer, Refused))
        await self._judge_all(authentic, entries, known, connection, directory, now, decided)
        return decided

    def _open_all(
        self, entries: Iterable[Entry], directory: Directory, now: datetime, decided: _Decided
    ) -> list[Document]:
        """Steps 1 to 4."""
        opened: list[Document] = []
        for entry in entries:
            try:
                one = open_submission(entry.submission, directory)
                opened.append(_document(one))
            except Refusal as refusal:
                user = entry.submission.submitter
                decided.refused.append(
                    Refused(
                        submission=entry.submission,
                        refusal=refusal,
                        claims=claims_of(entry.submission),
                        submitter=directory.agency(user) if user else None,
                        at=now,
                    )
                )
        return opened

    async def _judge_all(
        self,
        authentic: Sequence[Authentic[DocumentManifest]],
        entries: Sequence[Entry],
        known: dict[Key, KnownDocument],
        connection: Connection,
        directory: Directory,
        now: datetime,
        decided: _Decided,
    ) -> None:
        """Steps 10 to 13."""
        by_submission = {id(entry.submission): entry for entry in entries}
        facts = await _facts(connection, authentic)
        taken: set[Key] = set()
        with_key = dict(facts.natural_keys)
        for one in authentic:
            key = (one.opened.sender.id, one.opened.manifest.id)
            if key in taken:
                decided.again.append(by_submission[id(one.opened.submission)])
                continue
            try:
                acceptance = await self._judge(one, facts, with_key, known.get(key), directory, now)
            except ConcernsUnknown as unknown:
                if one.opened.submission.attempt < self.rules.max_attempts:
                    decided.waiting.append(one)
                else:
                    decided.refused.append(_refused(one, unknown, now))
            except _Conflict as conflict:
                decided.refused.append(conflict.refused)
            except Refusal as refusal:
                decided.refused.append(_refused(one, refusal, now))
            else:
                taken.add(key)
                decided.acceptances.append(acceptance)
                if acceptance.natural_key is not None and acceptance.manifest.action == "new":
                    with_key.setdefault(acceptance.natural_key, acceptance.manifest.id)

    async def _judge(
        self,
        authentic: Authentic[DocumentManifest],
        facts: _Facts,
        with_key: dict[bytes, UUID],
        before: KnownDocument | None,
        directory: Directory,
        now: datetime,
    ) -> Acceptance:
        opened = authentic.opened
        manifest = opened.manifest
        kept = check_inline(manifest.parts, opened.message.content)
        missing = outside(manifest.parts, opened.message.content)
        if missing:
            kept += await check_outside(
                missing,
                facts.content_for(opened),
                codes=(opened.sender.code, opened.submitter.code),
                store=self.store,
            )
        change: ChangePlan | None = None
        if manifest.action in CHANGES:
            change = judge_change(manifest, sender=opened.sender, earlier=facts.earlier, directory=directory)
            resolution = change.resolution
        else:
            resolution = resolve(manifest.to, sender=opened.sender, directory=directory, partial=manifest.partial)
        if before is not None:
            raise _Conflict(authentic, before, now)
        natural_key = facts.own_keys[opened.digest]
        earlier = with_key.get(natural_key) if natural_key is not None and manifest.action == "new" else None
        return accept(
            authentic,
            resolution=resolution,
            parts=kept,
            change=change,
            natural_key=natural_key,
            earlier_with_key=earlier if earlier != manifest.id else None,
            rules=self.rules,
            now=now,
        )

    async def _unfinished(
        self,
        connection: Connection,
        entries: Sequence[Entry],
        repeated: Sequence[Repeated],
        now: datetime,
    ) -> list[OutgoingJob]:
        """What repeated messages had left unpublished (contract §5).

        A message that RabbitMQ delivers again was being processed by somebody who is gone, so its publishes are
        completed at once; behind a mere repetition somebody may be publishing this very moment, so only what is older
        than the grace period is.
        """
        if not repeated:
            return []
        redelivered = {id(entry.submission) for entry in entries if entry.incoming.redelivered}
        at_once = sorted({r.known.document_id for r in repeated if id(r.opened.submission) in redelivered})
        in_time = sorted({r.known.document_id for r in repeated} - set(at_once))
        return [
            *(await load_unpublished_of(connection, at_once, now=now, older_than=timedelta(0)) if at_once else ()),
            *(
                await load_unpublished_of(connection, in_time, now=now, older_than=self.unfinished_after)
                if in_time
                else ()
            ),
        ]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the record knows about the messages of a pass."""

    content: dict[tuple[str, int, int], KnownContent]
    earlier: EarlierDocuments
    own_keys: dict[str, bytes | None]
    """The natural key of each message, by its digest."""
    natural_keys: dict[bytes, UUID]
    """The earliest accepted document of each of those keys, if there is one."""

    def content_for(self, opened: Document) -> dict[str, KnownContent]:
        """What is known of content, as this sender and submitter may see it."""
        pair = (opened.sender.id, opened.submitter.id)
        return {key[0]: content for key, content in self.content.items() if key[1:] == pair}


async def _facts(connection: Connection, authentic: Sequence[Authentic[DocumentManifest]]) -> _Facts:
    opened = [one.opened for one in authentic]
    wanted = [
        (part.sha256, one.sender.id, one.submitter.id)
        for one in opened
        for _, part in outside(one.manifest.parts, one.message.content)
    ]
    changes = [one.manifest for one in opened if one.manifest.action in CHANGES]
    own_keys = {one.digest: _natural_key(one.manifest) for one in opened}
    new_ones = {one.digest for one in opened if one.manifest.action == "new"}
    keys = [key for digest, key in own_keys.items() if key is not None and digest in new_ones]
    return _Facts(
        content=await known_content(connection, list(dict.fromkeys(wanted))),
        earlier=await earlier_documents(connection, changes),
        own_keys=own_keys,
        natural_keys=await known_natural_keys(connection, keys),
    )


class _Conflict(Exception):
    """The same sender and id with other bytes than those accepted: LT-DUP-CONFLICT, quarantined (contract §5)."""

    def __init__(self, authentic: Authentic[DocumentManifest], before: KnownDocument, now: datetime) -> None:
        super().__init__("LT-DUP-CONFLICT")
        digest = authentic.opened.digest
        refusal = Refusal(code="LT-DUP-CONFLICT", field="id", found=digest, expected=before.digest)
        self.refused = Refused(
            submission=authentic.opened.submission,
            refusal=refusal,
            claims=known_claims(authentic.opened),
            submitter=authentic.opened.submitter,
            at=now,
            verdict=authentic.verdict,
            quarantined=True,
            extra={"accepted_digest": before.digest, "conflicting_digest": digest},
        )


def _refused(authentic: Authentic[DocumentManifest], refusal: Refusal, now: datetime) -> Refused:
    return Refused(
        submission=authentic.opened.submission,
        refusal=refusal,
        claims=known_claims(authentic.opened),
        submitter=authentic.opened.submitter,
        at=now,
        verdict=authentic.verdict,
    )


def _document(opened: Opened[Manifest]) -> Document:
    """The opened message as a document. Raises Refusal LT-ROUTING-KEY for what belongs into another queue."""
    if not isinstance(opened.manifest, DocumentManifest):
        raise Refusal(code="LT-ROUTING-KEY", field="kind", found=opened.manifest.kind, expected="document")
    return cast(Document, opened)


def _natural_key(manifest: DocumentManifest) -> bytes | None:
    key = manifest.natural_key()
    return None if key is None else key.key_digest()

"""Takes batches of statuses and requests from the first byte to the commit, and lets them leave (contract §2.4 to §5).

The shell around the pure judging: steps 1 to 9 are those of `broker.intake.checks`, items are judged by
`broker.statuses.judging`, everything is written in one transaction, published after it, and acknowledged at last. A
message that cannot be processed never stops its neighbours: the batch is halved until it is alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from broker.directory.snapshot import Directory
from broker.dispatch.jobs import OutgoingJob
from broker.dispatch.notices import NoticeBuilder
from broker.dispatch.unpublished import load_jobs
from broker.intake.checks import claims_of, open_submission
from broker.intake.passes import Entry, Outcome, Passes
from broker.intake.submission import Authentic, Manifest, Opened, Refused, Submission
from broker.intake.verifying import known_claims, verify_all
from broker.intake.writing import write
from broker.statuses.facts import SQL, earlier_messages, earlier_requests
from broker.statuses.known import Key
from broker.statuses.writing import RacedError, write_requests, write_statuses
from broker.store.pool import Connection
from schemas.errors import Refusal
from schemas.manifest import RequestManifest, StatusManifest

M = TypeVar("M", StatusManifest, RequestManifest)


@dataclass(slots=True)
class Tally:
    """What became of the messages of a batch, for the log."""

    recorded: int = 0
    items: int = 0
    """Items that took effect."""
    refused_items: int = 0
    requests: int = 0
    repeated: int = 0
    refused: int = 0
    aside: int = 0
    """Waiting on the retry ladder, or given up."""

    def add(self, other: Tally) -> None:
        """Count in what another pass has done."""
        self.recorded += other.recorded
        self.items += other.items
        self.refused_items += other.refused_items
        self.requests += other.requests
        self.repeated += other.repeated
        self.refused += other.refused
        self.aside += other.aside


@dataclass(slots=True)
class _Decided:
    """What one pass has decided about some messages, before it is written."""

    statuses: list[Authentic[StatusManifest]] = field(default_factory=list)
    requests: list[Authentic[RequestManifest]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    repeated: list[tuple[Submission, int]] = field(default_factory=list)
    """Messages whose very bytes are recorded already, with the id of that record."""
    repeated_requests: int = 0
    again: list[Entry] = field(default_factory=list)
    """To be looked at once more when the others are written: the same (sender, id) is among those."""


@dataclass(kw_only=True, eq=False)
class StatusProcessor(Passes[Tally]):
    """Processes batches of `lt.status`; several batches at a time."""

    what = "record statuses"
    raced = (RacedError,)

    def nothing(self) -> Tally:
        return Tally()

    async def look(self, entries: Sequence[Entry]) -> Outcome[Tally]:
        now = self.clock()
        notices = NoticeBuilder(self.identity)
        async with self.pool.acquire() as connection:
            directory = await self.directory.newest(connection)
            decided = await self._decide(entries, connection, directory, now)
            async with connection.transaction():
                written = await write_statuses(
                    connection,
                    decided.statuses,
                    notices=notices,
                    directory=directory,
                    now=now,
                    log_by=now + self.rules.log_promise,
                )
                late = await write_requests(connection, decided.requests, now=now)
                refused = await write(
                    connection, acceptances=(), refused=decided.refused, repeated=(), notices=notices, now=now
                )
            unfinished = await self._unfinished(connection, entries, decided.repeated, now)
        by_submission = {id(entry.submission): entry for entry in entries}
        late_ones = [one.opened.submission for one in written.beaten] + [one.opened.submission for one in late]
        beaten = [by_submission[id(submission)] for submission in late_ones]
        return Outcome(
            jobs=(*written.jobs, *refused.jobs, *unfinished),
            again=(*decided.again, *beaten),
            nobodys=tuple((by_submission[id(r.submission)], r) for r in decided.refused if r.submitter is None),
            tally=Tally(
                recorded=written.recorded,
                items=written.items,
                refused_items=written.refused_items,
                requests=len(decided.requests) - len(late),
                repeated=len(decided.repeated) + decided.repeated_requests,
                refused=len(decided.refused),
            ),
        )

    # ── The steps of contract §4, in their order ─────────────────────────────────────────────────────────────────────
    async def _decide(
        self, entries: Sequence[Entry], connection: Connection, directory: Directory, now: datetime
    ) -> _Decided:
        decided = _Decided()
        statuses, requests = self._open_all(entries, directory, now, decided)
        by_submission = {id(entry.submission): entry for entry in entries}
        taken: set[tuple[str, Key]] = set()

        known = {
            key: (earlier.digest, earlier.status_message_id)
            for key, earlier in (await earlier_messages(connection, map(_key, statuses))).items()
        }
        for one in await self._verified(statuses, known, directory, now, decided):
            if _claimed(("status", _key(one.opened)), taken):
                decided.statuses.append(one)
            else:
                decided.again.append(by_submission[id(one.opened.submission)])

        asked = {
            key: (digest, None) for key, digest in (await earlier_requests(connection, map(_key, requests))).items()
        }
        for request in await self._verified(requests, asked, directory, now, decided):
            if _claimed(("request", _key(request.opened)), taken):
                decided.requests.append(request)
            else:
                decided.again.append(by_submission[id(request.opened.submission)])
        return decided

    def _open_all(
        self, entries: Iterable[Entry], directory: Directory, now: datetime, decided: _Decided
    ) -> tuple[list[Opened[StatusManifest]], list[Opened[RequestManifest]]]:
        """Steps 1 to 4."""
        statuses: list[Opened[StatusManifest]] = []
        requests: list[Opened[RequestManifest]] = []
        for entry in entries:
            try:
                opened = open_submission(entry.submission, directory)
                manifest = opened.manifest
                if isinstance(manifest, StatusManifest):
                    statuses.append(_with(opened, manifest))
                elif isinstance(manifest, RequestManifest):
                    _check_requester(opened)
                    requests.append(_with(opened, manifest))
                else:
                    raise Refusal(
                        code="LT-ROUTING-KEY", field="kind", found=manifest.kind, expected="status or request"
                    )
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
        return statuses, requests

    async def _verified(
        self,
        opened: Sequence[Opened[M]],
        known: dict[Key, tuple[str, int]] | dict[Key, tuple[str, None]],
        directory: Directory,
        now: datetime,
        decided: _Decided,
    ) -> list[Authentic[M]]:
        """Steps 5 to 9, and the conflict of step 13; what is repeated or refused goes into `decided`."""
        fresh: list[Opened[M]] = []
        for one in opened:
            before = known.get(_key(one))
            if before is None or before[0] != one.digest:
                fresh.append(one)
            elif before[1] is None:
                decided.repeated_requests += 1
            else:
                decided.repeated.append((one.submission, before[1]))
        answers = await verify_all(
            fresh,
            directory=directory,
            now=now,
            limits=self.rules.times,
            executor=self.executor,
            threads=self.threads,
        )
        good: list[Authentic[M]] = []
        for answer in answers:
            if isinstance(answer, Refused):
                decided.refused.append(answer)
                continue
            before = known.get(_key(answer.opened))
            if before is None:
                good.append(answer)
            else:
                decided.refused.append(_conflict(answer, before[0], now))
        return good

    async def _unfinished(
        self,
        connection: Connection,
        entries: Sequence[Entry],
        repeated: Sequence[tuple[Submission, int]],
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
        at_once = {message_id for submission, message_id in repeated if id(submission) in redelivered}
        rows = await connection.fetch(
            SQL["unpublished"],
            sorted({message_id for _, message_id in repeated}),
            now - self.unfinished_after,
            sorted(at_once),
        )
        return await load_jobs(connection, [row["outgoing_id"] for row in rows], now=now)


def _key(opened: Opened[StatusManifest] | Opened[RequestManifest]) -> Key:
    return opened.sender.id, opened.manifest.id


def _claimed(key: tuple[str, Key], taken: set[tuple[str, Key]]) -> bool:
    """True for the first message of a pass with this key."""
    if key in taken:
        return False
    taken.add(key)
    return True


def _with(opened: Opened[Manifest], manifest: M) -> Opened[M]:
    """The opened message, known to be of this kind."""
    return Opened(
        submission=opened.submission,
        message=opened.message,
        manifest=manifest,
        submitter=opened.submitter,
        sender=opened.sender,
    )


def _check_requester(opened: Opened[Manifest]) -> None:
    """A replay fills a mailbox, so only its owner may ask for it. Raises Refusal LT-SIGNER-NOT-ALLOWED."""
    if not opened.sender.has_mailbox:
        raise Refusal(
            code="LT-SIGNER-NOT-ALLOWED",
            field="from",
            found=f"{opened.sender.code}, which has no mailbox of its own",
            expected="the agency or hub whose mailbox is to be filled again",
        )


def _conflict(authentic: Authentic[M], accepted_digest: str, now: datetime) -> Refused:
    """The same sender and id with other bytes than those recorded: quarantined for an operator (contract §5)."""
    digest = authentic.opened.digest
    return Refused(
        submission=authentic.opened.submission,
        refusal=Refusal(code="LT-DUP-CONFLICT", field="id", found=digest, expected=accepted_digest),
        claims=known_claims(authentic.opened),
        submitter=authentic.opened.submitter,
        at=now,
        verdict=authentic.verdict,
        quarantined=True,
        extra={"accepted_digest": accepted_digest, "conflicting_digest": digest},
    )

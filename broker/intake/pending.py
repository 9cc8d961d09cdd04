"""Changes that came before their document (contract §3.3): they wait on the retry ladder, and a row remembers them.

A document whose recall is waiting is accepted like any other, but its publishes are dated to the end of that wait, so
that nobody publishes them before the recall has been decided. Runs inside the transaction that accepts or refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from broker.amqp.retry import LADDER
from broker.intake.acceptance import Acceptance
from broker.intake.records import SQL
from broker.intake.submission import Authentic, Refused
from broker.store.pool import Connection
from schemas.manifest import DocumentManifest, Reference

SLACK: Final = timedelta(minutes=1)
"""How long after its last wait a change is surely decided."""


def wait_at_most(max_attempts: int) -> timedelta:
    """How long a change can wait on the ladder before it is refused."""
    waits = [LADDER[min(attempt, len(LADDER)) - 1].seconds for attempt in range(1, max_attempts)]
    return timedelta(seconds=sum(waits)) + SLACK


async def remember(
    connection: Connection, waiting: Sequence[Authentic[DocumentManifest]], *, now: datetime, longest: timedelta
) -> None:
    """Write down that these changes wait for at most `longest`; a later attempt of the same change adds nothing."""
    for authentic in waiting:
        manifest = authentic.opened.manifest
        ids = [concern.id if isinstance(concern, Reference) else None for concern in manifest.concerns]
        keys = [None if isinstance(concern, Reference) else concern.key_digest() for concern in manifest.concerns]
        await connection.execute(
            SQL["remember_pending"],
            bytes.fromhex(authentic.opened.digest),
            authentic.opened.sender.id,
            manifest.action.value,
            ids,
            keys,
            now,
            now + longest,
        )


async def kept_back(
    connection: Connection, acceptances: Iterable[Acceptance], *, now: datetime
) -> dict[tuple[int, UUID], datetime]:
    """Which of these documents have a recall waiting, and until when they are kept back for it."""
    candidates = [a for a in acceptances if a.change is None]
    if not candidates:
        return {}
    rows = await connection.fetch(SQL["pending_recalls"], sorted({a.key[0] for a in candidates}), now)
    until: dict[tuple[int, UUID], datetime] = {}
    for row in rows:
        for a in candidates:
            by_id = row["concerned_id"] == a.manifest.id
            by_key = a.natural_key is not None and row["natural_key"] == a.natural_key
            if row["sender_id"] == a.key[0] and (by_id or by_key):
                until[a.key] = max(row["until"], until.get(a.key, now))
    return until


async def forget(
    connection: Connection, acceptances: Iterable[Acceptance], refused: Iterable[Refused], *, now: datetime
) -> None:
    """Changes that had waited are decided now."""
    digests = [a.digest for a in acceptances if a.change is not None and a.authentic.opened.submission.attempt > 1]
    digests += [r.claims.digest for r in refused if r.claims.digest is not None and r.submission.attempt > 1]
    if digests:
        await connection.execute(SQL["forget_pending"], [bytes.fromhex(digest) for digest in digests], now)

"""Verifying the signatures of a batch in a few threads (contract §4 steps 6 to 9).

The `cryptography` library lets go of the interpreter's lock while it verifies, so threads use several cores. What is
decided is `broker.intake.checks`'s; here is only the spreading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Final, TypeVar

from broker.directory.snapshot import Directory
from broker.intake.checks import CLAIM_LIMIT, TimeLimits, check_signature, check_time, judge_signature
from broker.intake.submission import Authentic, Claims, Manifest, Opened, Refused
from schemas.errors import Refusal
from schemas.manifest import DocumentManifest

M = TypeVar("M", bound=Manifest)
SMALLEST_SHARE: Final = 8
"""Signatures that a second thread is worth waking for."""


async def verify_all(
    opened: Sequence[Opened[M]],
    *,
    directory: Directory,
    now: datetime,
    limits: TimeLimits,
    executor: Executor,
    threads: int,
) -> list[Authentic[M] | Refused]:
    """Judge every message of a batch; one answer for each, in order. Uses at most `threads` threads of `executor`."""
    if not opened:
        return []
    shares = max(1, min(threads, len(opened) // SMALLEST_SHARE))
    size = -(-len(opened) // shares)
    loop = asyncio.get_running_loop()
    pieces = await asyncio.gather(
        *(
            loop.run_in_executor(executor, _verify_share, opened[start : start + size], directory, now, limits)
            for start in range(0, len(opened), size)
        )
    )
    return [answer for piece in pieces for answer in piece]


def _verify_share(
    opened: Sequence[Opened[M]], directory: Directory, now: datetime, limits: TimeLimits
) -> list[Authentic[M] | Refused]:
    return [verify(one, directory=directory, now=now, limits=limits) for one in opened]


def verify(opened: Opened[M], *, directory: Directory, now: datetime, limits: TimeLimits) -> Authentic[M] | Refused:
    """Steps 6 to 9 for one message. Raises nothing that the message could cause."""
    manifest = opened.manifest
    signed = opened.message.signed
    verdict = judge_signature(
        signed,
        sender=opened.sender,
        submitter=opened.submitter,
        sent_at=manifest.sent_at,
        directory=directory,
        now=now,
    )
    try:
        check_signature(verdict)
        check_time(manifest.sent_at, now=now, limits=limits)
    except Refusal as refusal:
        return Refused(
            submission=opened.submission,
            refusal=refusal,
            claims=known_claims(opened),
            submitter=opened.submitter,
            at=now,
            verdict=verdict,
        )
    certificate = directory.certificate(signed.thumbprint)
    assert certificate is not None  # else the policy's answer had not been good
    return Authentic(opened=opened, certificate=certificate, verdict=verdict)


def known_claims(opened: Opened[M]) -> Claims:
    """What an opened message says of itself, for its record."""
    manifest = opened.manifest
    document = manifest.document if isinstance(manifest, DocumentManifest) else None
    return Claims(
        kind=manifest.kind,
        sender=manifest.from_,
        id=str(manifest.id),
        digest=opened.digest,
        number=None if document is None else document.number[:CLAIM_LIMIT],
        notation=None if document is None else document.notation[:CLAIM_LIMIT],
    )

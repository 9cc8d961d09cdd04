"""What accepting a document means: everything that will be written and told, composed before anything is. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from broker.intake.changes import ChangePlan
from broker.intake.checks import TimeLimits
from broker.intake.parts import KeptPart
from broker.intake.recipients import Resolution
from broker.intake.submission import Authentic
from schemas.canonical import canonical_json
from schemas.events import Event
from schemas.intake_events import Addressed, accepted
from schemas.manifest import DocumentManifest

WARNED_UNRESOLVED: Final = 20
"""Unresolved recipients for which an acceptance says why; all are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IntakeRules:
    """The configurable numbers of acceptance."""

    times: TimeLimits
    arrival_urgent: timedelta
    """How soon a signed 01 is expected from each recipient of a document of priority 1 and above …"""
    arrival_normal: timedelta
    """… and of the others."""
    log_promise: timedelta
    """How soon the log will hold an event (contract §9)."""
    max_attempts: int
    """How often a message is tried before it is put aside."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """A document that passed every check, and all that follows from it."""

    authentic: Authentic[DocumentManifest]
    resolution: Resolution
    parts: tuple[KeptPart, ...]
    """Parts to be recorded as content; those that the record has already are not repeated."""
    content: Mapping[str, bytes]
    """Inline parts as they will be delivered."""
    natural_key: bytes | None
    warnings: tuple[dict[str, object], ...]
    change: ChangePlan | None
    at: datetime
    log_by: datetime
    due_arrival: datetime
    events: tuple[Event, ...]
    """Of its acceptance; the first one's leaf is what slips and notices promise."""

    @property
    def manifest(self) -> DocumentManifest:
        return self.authentic.opened.manifest

    @property
    def key(self) -> tuple[int, UUID]:
        """The idempotency key: sender and id."""
        return self.authentic.opened.sender.id, self.manifest.id

    @property
    def digest(self) -> str:
        return self.authentic.opened.digest

    @property
    def leaf(self) -> bytes:
        return self.events[0].leaf


@dataclass(frozen=True, slots=True)
class _Named:
    """The document as its event names it."""

    from_: str
    id: UUID
    digest: str


def accept(
    authentic: Authentic[DocumentManifest],
    *,
    resolution: Resolution,
    parts: Sequence[KeptPart],
    change: ChangePlan | None,
    natural_key: bytes | None,
    earlier_with_key: UUID | None,
    rules: IntakeRules,
    now: datetime,
) -> Acceptance:
    """Compose the acceptance of a document. `earlier_with_key` is an accepted document with the same natural key."""
    opened = authentic.opened
    manifest = opened.manifest
    warnings = [*_duplicate_warning(earlier_with_key), *_unresolved_warnings(resolution)]
    unresolved = [entry.addressed_as for entry in resolution.unresolved]
    log_by, due_arrival = now + rules.log_promise, _due(manifest, rules, now)
    events = accepted(
        at=now,
        document=_Named(opened.sender.code, manifest.id, opened.digest),
        action=manifest.action.value,
        priority=manifest.document.priority,
        test=manifest.test,
        sent_at=manifest.sent_at,
        submitter=opened.submitter.code,
        thumbprint=authentic.certificate.thumbprint,
        recipients=[(recipient.agency.code, recipient.owner.code) for recipient in resolution.recipients],
        parts=[part.sha256 for part in manifest.parts],
        concerns=[_Named(e.sender_code, UUID(e.id), e.digest) for e in change.concerned] if change is not None else (),
        natural_key=natural_key,
        warnings=[str(warning["error"]) for warning in warnings],
        due_arrival=due_arrival,
        log_by=log_by,
        addressed=[recipient.addressed_as for recipient in resolution.recipients],
        added=[
            Addressed(code=added.agency.code, owner=added.owner.code, addressed_as=added.addressed_as)
            for added in (change.added if change is not None else ())
        ],
        unresolved_digest=_digest(unresolved),
        warnings_digest=_digest(warnings),
        notice=opened.submitter.code if opened.submitter.has_mailbox else None,
    )
    return Acceptance(
        authentic=authentic,
        resolution=resolution,
        parts=tuple(parts),
        content={part.sha256: part.inline for part in parts if part.inline is not None},
        natural_key=natural_key,
        warnings=tuple(warnings),
        change=change,
        at=now,
        log_by=log_by,
        due_arrival=due_arrival,
        events=tuple(events),
    )


def _due(manifest: DocumentManifest, rules: IntakeRules, now: datetime) -> datetime:
    """When the 01 is expected: by lane, or by the hour that priority 4 appoints if that is later than now."""
    appointed = manifest.document.deliver_by
    if manifest.document.priority == 4 and appointed is not None and appointed > now:
        return appointed
    return now + (rules.arrival_urgent if manifest.urgent else rules.arrival_normal)


def _digest(told: Sequence[object]) -> bytes | None:
    """What the event tells of texts that stand in the row alone; None if there are none."""
    return sha256(canonical_json(told)).digest() if told else None


def _duplicate_warning(earlier: UUID | None) -> list[dict[str, object]]:
    return [] if earlier is None else [{"error": "LT-DUP-NATURAL", "id": str(earlier)}]


def _unresolved_warnings(resolution: Resolution) -> list[dict[str, object]]:
    return [
        {"error": entry.why.code, "addressed_as": entry.addressed_as}
        | ({"candidates": list(entry.why.candidates)} if entry.why.candidates else {})
        for entry in resolution.unresolved[:WARNED_UNRESOLVED]
    ]

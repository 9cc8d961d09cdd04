"""What the exchange's record says of one document: frozen rows, no I/O, no judgement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryRecord:
    """One recipient of one document."""

    recipient: str
    recipient_name: str
    level: str
    owner: str
    """Whose mailbox it went to: the recipient itself, or its hub."""
    owner_name: str
    addressed_as: str
    """What the sender wrote: a code, an alias or a group."""
    processing: str
    recalled: bool
    anomalous: bool
    due_arrival: datetime
    """The signed 01 is expected by then."""
    overdue_at: datetime | None
    dispatched_at: datetime | None
    arrived_at: datetime | None
    closed_at: datetime | None
    sends: int
    last_sent_at: datetime | None
    moved_at: datetime | None = None
    """When the recipient had closed without 01, and the document went …"""
    moved_to: str | None = None
    """… to this agency, which took over from it."""
    stranded_at: datetime | None = None
    """When the sender was told that the recipient has closed and no single agency took over."""

    @property
    def state(self) -> str:
        """Where it stands, as reports tell it: `recalled`, `moved`, or its processing state."""
        if self.recalled:
            return "recalled"
        return "moved" if self.moved_at is not None and self.arrived_at is None else self.processing


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusRecord:
    """One signed fact about one delivery."""

    recipient: str
    by: str
    code: str
    at: datetime
    reason: str | None
    anomalous: bool
    recorded_at: datetime
    custody: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeRecord:
    """A recall, update, replacement or take-back asked of one recipient."""

    recipient: str
    kind: str
    state: str
    asked_at: datetime
    answered_at: datetime | None
    overdue_at: datetime | None
    """Since when the answer is late."""
    asking_id: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectionRecord:
    """A message that the exchange refused."""

    at: datetime
    amqp_user: str | None
    kind: str | None
    claimed_from: str | None
    id: str | None
    digest: str | None
    code: str
    detail: dict[str, object]
    quarantined: bool
    rejection_id: int | None = None
    """Its number in the record, in lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnpublishedRecord:
    """A publish that was decided and has no confirm recorded yet."""

    outgoing_id: int
    attempt: int
    created_at: datetime
    mailboxes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentRecord:
    """The document as accepted."""

    document_id: int
    id: UUID
    digest: str
    action: str
    priority: int
    test: bool
    number: str
    notation: str
    issued_on: date | None
    type: str
    subject: str
    sent_at: datetime
    accepted_at: datetime
    leaf: str
    log_by: datetime
    recipients: int
    parts: int
    unresolved: tuple[object, ...]
    warnings: tuple[object, ...]
    held_at: datetime | None
    via: dict[str, object] | None
    thumbprint: str
    sender: str
    sender_name: str
    submitter: str
    submitter_name: str
    signer: str
    custody: str
    """Who keeps the signing key: the agency, or the exchange for it."""
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """All that is recorded of one document id. `document` is None if every message with it was refused."""

    document: DocumentRecord | None
    deliveries: tuple[DeliveryRecord, ...] = ()
    statuses: tuple[StatusRecord, ...] = ()
    changes: tuple[ChangeRecord, ...] = ()
    """What was asked of its recipients, by other messages."""
    asked: tuple[ChangeRecord, ...] = ()
    """What it asks itself, if it is a recall, an update or a replacement."""
    unpublished: tuple[UnpublishedRecord, ...] = ()
    rejections: tuple[RejectionRecord, ...] = ()

"""The records in which what is known of a batch's statuses goes from the database to judging and folding. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from broker.directory.records import AgencyId
from broker.statuses.history import Change, Recorded
from broker.statuses.judging import DocumentId, Known, KnownDelivery

Key = tuple[int, UUID]
"""Sender and id: what makes a status message the same message."""
Place = tuple[DocumentId, AgencyId]
"""Document and recipient: one delivery."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierMessage:
    """A status message that was recorded before under a sender and an id."""

    status_message_id: int
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Entered:
    """A status recorded earlier: the fact, who said it, where it stands."""

    fact: Recorded
    by_id: int
    status_message_id: int
    item: int
    anomalous: bool


@dataclass(slots=True, kw_only=True)
class DeliveryFacts:
    """A delivery's row, locked, with everything ever recorded about it."""

    known: KnownDelivery
    anomalous: bool
    dispatched: bool
    #: Held by an operator and never handed to RabbitMQ.
    kept_back: bool
    arrived_at: datetime | None
    closed_at: datetime | None
    #: When its document went to the successor of a recipient that has closed.
    moved_at: datetime | None = None
    entered: list[Entered] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """Everything that judging and folding a batch need."""

    known: Known
    deliveries: Mapping[Place, DeliveryFacts]

    def senders(self) -> dict[DocumentId, AgencyId]:
        """The sender of each document."""
        return {document.document_id: document.sender_id for some in self.known.documents.values() for document in some}

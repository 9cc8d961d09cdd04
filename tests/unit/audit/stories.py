"""Stories to explain: small, invented, one for each situation that an operator meets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from broker.audit.record import DeliveryRecord, DocumentRecord, RejectionRecord, StatusRecord

NOW = datetime(2026, 3, 12, 3, 0, tzinfo=UTC)
ID = UUID("019abcde-0000-7000-8000-000000000001")


def document(**changes: Any) -> DocumentRecord:
    values: dict[str, Any] = {
        "document_id": 1,
        "id": ID,
        "digest": "ab" * 32,
        "action": "new",
        "priority": 0,
        "test": False,
        "number": "12",
        "notation": "BNV-VP",
        "issued_on": None,
        "type": "Công văn",
        "subject": "Về việc thử",
        "sent_at": NOW - timedelta(minutes=10),
        "accepted_at": NOW - timedelta(minutes=9),
        "leaf": "cd" * 32,
        "log_by": NOW,
        "recipients": 1,
        "parts": 1,
        "unresolved": (),
        "warnings": (),
        "held_at": None,
        "via": None,
        "thumbprint": "ef" * 32,
        "sender": "G09",
        "sender_name": "Bộ Nội vụ",
        "submitter": "G09",
        "submitter_name": "Bộ Nội vụ",
        "signer": "G09",
        "custody": "agency",
        "revoked_at": None,
    }
    return DocumentRecord(**(values | changes))


def delivery(recipient: str = "H53.25459", processing: str = "dispatched", **changes: Any) -> DeliveryRecord:
    values: dict[str, Any] = {
        "recipient": recipient,
        "recipient_name": "Phường Tân Ninh",
        "level": "commune",
        "owner": recipient,
        "owner_name": "Phường Tân Ninh",
        "addressed_as": recipient,
        "processing": processing,
        "recalled": False,
        "anomalous": False,
        "due_arrival": NOW + timedelta(hours=3),
        "overdue_at": None,
        "dispatched_at": NOW - timedelta(minutes=8),
        "arrived_at": None,
        "closed_at": None,
        "sends": 1,
        "last_sent_at": NOW - timedelta(minutes=8),
    }
    return DeliveryRecord(**(values | changes))


def status(code: str, recipient: str = "H53.25459", **changes: Any) -> StatusRecord:
    at = NOW - timedelta(minutes=5)
    values: dict[str, Any] = {
        "recipient": recipient,
        "by": recipient,
        "code": code,
        "at": at,
        "reason": None,
        "anomalous": False,
        "recorded_at": at,
        "custody": "agency",
    }
    return StatusRecord(**(values | changes))


def refusal(code: str = "LT-SIGNATURE", **changes: Any) -> RejectionRecord:
    values: dict[str, Any] = {
        "at": NOW - timedelta(minutes=2),
        "amqp_user": "G09",
        "kind": "document",
        "claimed_from": "G09",
        "id": str(ID),
        "digest": "ab" * 32,
        "code": code,
        "detail": {"field": "signature", "found": "bytes that do not verify", "expected": "the signer's signature"},
        "quarantined": False,
    }
    return RejectionRecord(**(values | changes))

"""What a publish to mailboxes is made of, and how it becomes bytes. Pure but for the clock-free signing of slips.

A job is one row of `outgoing` with everything that its message needs, so that sending needs no further question to the
database: a worker makes jobs from what it has in hand, the keeper from rows (`broker.dispatch.unpublished`).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Literal
from uuid import UUID

from broker.amqp.publishing import OutgoingMessage
from broker.identity import BrokerIdentity
from schemas.jws import Signed, encode_message
from schemas.slip import SlipRecipient, encode_slip
from schemas.wire import DELIVER, LT_DIGEST, LT_FROM, LT_ID, LT_KIND, PRIORITY_NORMAL, PRIORITY_URGENT

Kind = Literal["document", "status", "notice"]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlipFacts:
    """What the broker vouches for in the slip; the same for every copy of one message."""

    certificate: bytes
    """DER of the certificate of who signed the message."""
    accepted_at: datetime
    leaf: bytes
    log_by: datetime
    custody: str | None = None
    """`broker` if the exchange keeps the key of who signed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OutgoingJob:
    """One publish: one row of `outgoing` and what it sends."""

    outgoing_id: int
    kind: Kind
    owners: tuple[str, ...]
    """Codes of the mailboxes that this publish serves, 1 to 500."""
    signed: Signed
    from_: str
    id: UUID
    content: Mapping[str, bytes] = field(default_factory=dict)
    """Inline parts by digest."""
    slip: SlipFacts | None = None
    """None for notices, which the broker has signed itself."""
    recipients: tuple[SlipRecipient, ...] | None = None
    """Named in the slip of hub and rerouted copies; None means that the owners are meant."""
    urgent: bool = False
    attempt: int = 1
    document_id: int | None = None
    deliveries: tuple[tuple[int, str], ...] = ()
    """(agency id, code) of each recipient whose delivery this publish carries out."""


def message_of(job: OutgoingJob, identity: BrokerIdentity) -> OutgoingMessage:
    """The AMQP message for a job: body with its slip, headers, first owner as routing key and the others as BCC."""
    slip = None
    if job.slip is not None:
        slip = identity.sign_slip(
            encode_slip(
                from_=job.from_,
                id=str(job.id),
                digest=job.signed.digest,
                accepted_at=job.slip.accepted_at,
                attempt=job.attempt,
                recipients=job.recipients,
                certificate=base64_of(job.slip.certificate),
                leaf=job.slip.leaf.hex(),
                log_by=job.slip.log_by,
                custody=job.slip.custody,
            )
        )
    return OutgoingMessage(
        exchange=DELIVER,
        routing_key=job.owners[0],
        bcc=job.owners[1:],
        body=encode_message(job.signed, content=job.content, slip=slip),
        type=job.kind,
        headers={LT_ID: str(job.id), LT_KIND: job.kind, LT_FROM: job.from_, LT_DIGEST: job.signed.digest},
        priority=PRIORITY_URGENT if job.urgent else PRIORITY_NORMAL,
    )


def messages_of(jobs: Sequence[OutgoingJob], identity: BrokerIdentity) -> list[OutgoingMessage]:
    """`message_of` for several jobs; for use in a thread."""
    return [message_of(job, identity) for job in jobs]


@lru_cache(maxsize=4096)
def base64_of(der: bytes) -> str:
    """The base64 of a certificate; an agency's is the same in every slip, so it is computed once."""
    return b64encode(der).decode("ascii")

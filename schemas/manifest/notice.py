"""The manifest of notices (contract §2.5): what the exchange tells an agency, signed under its own code."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from schemas.manifest.common import Code, Digest, Manifest, Moment, Reference, Wire

MAX_ITEMS: Final = 500
MAX_LISTED: Final = 500
"""Recipients that a notice lists; `count` tells them all."""


class NoticeEvent(StrEnum):
    """What a notice tells."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    REROUTED = "rerouted"
    OVERDUE = "overdue"
    QUARANTINED = "quarantined"
    STATUS_REFUSED = "status-refused"
    MAILBOX_RESET = "mailbox-reset"


class MessageConcern(Wire):
    """Names something unreadable by the AMQP `message_id` of its publish."""

    message_id: str


class NoticeRecipient(Wire):
    """One resolved recipient: its code, what the sender wrote, and in whose mailbox it goes."""

    code: Code
    addressed_as: str
    owner: Code


class NoticeRecipients(Wire):
    """The resolved recipients of an accepted document."""

    count: Annotated[int, Field(ge=0)]
    list: Annotated[tuple[NoticeRecipient, ...], Field(max_length=MAX_LISTED)] = ()


class NoticeItem(Wire):
    """One thing that the exchange tells."""

    event: NoticeEvent
    concerns: Reference | MessageConcern | None = None
    """None only for what concerns the mailbox itself."""
    error: str | None = None
    """A code of the error catalogue."""
    detail: dict[str, Any] | None = None
    """For a refusal: field, found, expected, candidates, and the texts en and vi (`Refusal.detail()`)."""
    at: Moment
    first_accepted_at: Moment | None = None
    recipients: NoticeRecipients | None = None
    unresolved: tuple[str, ...] = ()
    """What was written in `to` and did not resolve, when `partial` let the rest pass."""
    warnings: tuple[dict[str, Any], ...] = ()
    """Each with at least `error`, a code of the catalogue."""
    leaf: Digest | None = None
    """The event that is promised to be in the log …"""
    log_by: Moment | None = None
    """… by then (contract §9)."""


class NoticeManifest(Manifest):
    """Notices for one mailbox."""

    kind: Literal["notice"] = "notice"
    items: Annotated[tuple[NoticeItem, ...], Field(min_length=1, max_length=MAX_ITEMS)]

"""What the checks are about: a submitted message, and what is known of it while it is being checked. Pure.

Nothing here knows AMQP: the worker turns what it read into a `Submission`, tests write one down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, TypeVar
from uuid import UUID

from broker.directory.snapshot import Agency, Enrolled
from schemas.agency_codes import is_canonical
from schemas.errors import Refusal
from schemas.jws import Message
from schemas.manifest import DocumentManifest, NoticeManifest, RequestManifest, StatusManifest
from schemas.verdict import SignatureVerdict

Manifest = DocumentManifest | StatusManifest | NoticeManifest | RequestManifest
M = TypeVar("M", bound=Manifest, covariant=True)

FIRST_ATTEMPT: Final = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """One message as RabbitMQ handed it over."""

    body: bytes
    routing_key: str
    """As the submitter published it; for a message that comes back from the retry ladder, the original one."""
    submitter: str | None
    """The validated AMQP user that published it; None if the publish named none."""
    message_id: str | None
    kind: str | None = None
    """The AMQP property `type`."""
    has_copy_header: bool = False
    """True if the publish asked for copies by a CC header."""
    attempt: int = FIRST_ATTEMPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """Who a message says that it is, as far as that could be read. Never a reason to trust it."""

    kind: str | None = None
    sender: str | None = None
    id: str | None = None
    digest: str | None = None
    number: str | None = None
    notation: str | None = None


def stored_claim(claim: str | None) -> str | None:
    """A claim as PostgreSQL can keep it: a text column takes no U+0000 and no unpaired surrogate."""
    return claim if claim is None else claim.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened(Generic[M]):
    """A well-formed message whose speaker may use this connection: contract §4, steps 1 to 4, have passed."""

    submission: Submission
    message: Message
    manifest: M
    submitter: Agency
    """The agency or hub whose AMQP user published it."""
    sender: Agency
    """The agency `from`."""

    @property
    def digest(self) -> str:
        return self.message.signed.digest


@dataclass(frozen=True, kw_only=True, slots=True)
class Authentic(Generic[M]):
    """A message that is what it says: steps 6 to 9 have passed too."""

    opened: Opened[M]
    certificate: Enrolled
    verdict: SignatureVerdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A message that is not taken, with everything that its record and its notice will say."""

    submission: Submission
    refusal: Refusal
    claims: Claims
    submitter: Agency | None
    """Whose mailbox gets the notice; None if the AMQP user is nobody in the directory."""
    at: datetime
    verdict: SignatureVerdict | None = None
    quarantined: bool = False
    extra: Mapping[str, object] = field(default_factory=dict)
    """Further facts for the record, such as both digests of a conflict."""

    def named_in_notice(self) -> dict[str, str] | None:
        """How the notice names it: by reference if that could be read, else by the AMQP `message_id`."""
        claims = self.claims
        if claims.sender and claims.id and claims.digest and is_canonical(claims.sender) and _is_id(claims.id):
            return {"from": claims.sender, "id": claims.id, "digest": claims.digest}
        return None if self.submission.message_id is None else {"message_id": self.submission.message_id}


def _is_id(text: str) -> bool:
    """True for a UUID as contract §2.1 wants it written."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False

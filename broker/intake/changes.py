"""The rules of recall, update and replace (contract §2.2, §3.3, §4 step 12). Pure.

What a change may do to a document is decided here from rows that somebody else has read; what it then does to each
delivery is written by `broker.intake.changing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from broker.directory.snapshot import Agency, AgencyId, Directory
from broker.intake.recipients import Recipient, Resolution, resolve, resolve_earlier
from schemas.errors import Refusal
from schemas.manifest import DocumentManifest, NaturalKey, Reference

CHANGES: Final = frozenset({"recall", "update", "replace"})


class EarlierDelivery(NamedTuple):
    """One recipient of a document that is to be changed."""

    recipient_id: AgencyId
    can_change: bool
    """False once it was refused, cancelled or recalled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """A document that a change may concern, as it is recorded."""

    document_id: int
    sender_id: AgencyId
    sender_code: str
    id: str
    digest: str
    action: str
    deliveries: tuple[EarlierDelivery, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierDocuments:
    """Everything recorded that the changes of one batch could mean."""

    by_id: Mapping[str, Sequence[Earlier]]
    by_natural_key: Mapping[bytes, Sequence[Earlier]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePlan:
    """What an accepted change is to do."""

    kind: str
    concerned: tuple[Earlier, ...]
    resolution: Resolution
    """Who gets the change itself."""
    added: tuple[Recipient, ...]
    """Who gets the original besides, because an update adds them."""
    asked: Mapping[tuple[int, AgencyId], AgencyId]
    """(document, its recipient) of every delivery to be changed → the agency that answers for it today."""


class ConcernsUnknown(Refusal):
    """A Refusal LT-CONCERNS-UNKNOWN: the document may still be on its way, so the change may wait (contract §3.3)."""


def judge_change(
    manifest: DocumentManifest, *, sender: Agency, earlier: EarlierDocuments, directory: Directory
) -> ChangePlan:
    """Decide whether `sender` may make this change, to which documents, and who hears of it.

    Raises ConcernsUnknown, or Refusal LT-CONCERNS-AMBIGUOUS, -DIGEST, LT-CHANGE-NOT-ALLOWED, and those of resolving
    recipients.
    """
    concerned = {
        found.document_id: found
        for position, concern in enumerate(manifest.concerns)
        for found in (_the_one(concern, f"concerns.{position}", sender, earlier, directory),)
    }
    documents = tuple(concerned.values())
    if not any(delivery.can_change for document in documents for delivery in document.deliveries):
        raise Refusal(
            code="LT-CHANGE-NOT-ALLOWED",
            field="concerns",
            found="a document that every recipient has refused, or that was recalled or cancelled everywhere",
            expected="a document that is in force at one recipient at least",
        )
    originals = dict.fromkeys(delivery.recipient_id for document in documents for delivery in document.deliveries)
    if manifest.to:
        told = resolve(manifest.to, sender=sender, directory=directory, partial=manifest.partial)
    else:
        told = resolve_earlier(originals, sender=sender, directory=directory, field="concerns")
    added = _added(manifest, sender, directory)
    today = {agency_id: _bearer_today(agency_id, directory) for agency_id in originals}
    told_ids = {recipient.agency.id for recipient in told.recipients}
    return ChangePlan(
        kind=manifest.action,
        concerned=documents,
        resolution=Resolution(
            recipients=(*told.recipients, *(r for r in added.recipients if r.agency.id not in told_ids)),
            unresolved=(*told.unresolved, *added.unresolved),
        ),
        added=added.recipients,
        asked={
            (document.document_id, delivery.recipient_id): today[delivery.recipient_id]
            for document in documents
            for delivery in document.deliveries
            if delivery.can_change and today[delivery.recipient_id] in told_ids
        },
    )


def _the_one(
    concern: Reference | NaturalKey, field: str, sender: Agency, earlier: EarlierDocuments, directory: Directory
) -> Earlier:
    """The one document that `concern` means."""
    if isinstance(concern, Reference):
        named = [e for e in earlier.by_id.get(str(concern.id), ()) if e.sender_code == concern.from_]
        found = f"{concern.from_} {concern.id}"
    else:
        named = list(earlier.by_natural_key.get(concern.key_digest(), ()))
        found = f"{concern.number}/{concern.notation} of {concern.from_}"
    if not named:
        raise ConcernsUnknown(
            code="LT-CONCERNS-UNKNOWN", field=field, found=found, expected="a document that the exchange has accepted"
        )
    own = [e for e in named if e.sender_id == sender.id or _succeeds(sender, e.sender_id, directory)]
    if not own:
        raise Refusal(
            code="LT-CHANGE-NOT-ALLOWED",
            field=field,
            found=f"a document of {named[0].sender_code}",
            expected=f"a document of {sender.code}, or of an agency that it succeeded",
        )
    if len(own) > 1:
        raise Refusal(
            code="LT-CONCERNS-AMBIGUOUS",
            field=field,
            found=f"{found}, which fits {len(own)} documents",
            expected="a reference with id and digest",
            candidates=tuple(e.id for e in own),
        )
    if isinstance(concern, Reference) and concern.digest != own[0].digest:
        raise Refusal(code="LT-CONCERNS-DIGEST", field=f"{field}.digest", found=concern.digest, expected=own[0].digest)
    return own[0]


def _added(manifest: DocumentManifest, sender: Agency, directory: Directory) -> Resolution:
    """Recipients that an update adds."""
    if manifest.action != "update" or manifest.changes is None or not manifest.changes.added:
        return Resolution(recipients=(), unresolved=())
    return resolve(
        manifest.changes.added, sender=sender, directory=directory, partial=manifest.partial, field="changes.added"
    )


def _succeeds(agency: Agency, earlier_id: AgencyId, directory: Directory) -> bool:
    return any(successor.id == agency.id for successor in directory.successors(earlier_id))


def _bearer_today(agency_id: AgencyId, directory: Directory) -> AgencyId:
    """The agency itself, or the one successor of a closed one; a split agency answers for itself no more."""
    former = directory.by_id(agency_id)
    bearer = directory.agency(former.code)
    if bearer is not None and bearer.id == agency_id:
        return agency_id
    successors = directory.successors(agency_id)
    return successors[0].id if len(successors) == 1 else agency_id

"""Who hears of a recorded status message, and what the log says about it. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from broker.directory.records import Agency, AgencyId
from broker.directory.snapshot import Directory
from broker.intake.submission import Authentic
from broker.statuses.effects import NewEntry
from broker.statuses.judging import DocumentId, Judgement
from broker.statuses.known import Facts, Place
from schemas.delivery_events import RecordedStatus, status_recorded
from schemas.events import Event
from schemas.manifest import StatusItem, StatusManifest
from schemas.states import StatusCode
from schemas.wire import COPIES_PER_PUBLISH


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """One publish of a status message as it was signed."""

    #: Position of the message in the batch.
    message: int
    owners: tuple[Agency, ...]


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the log is told of the rows of one message's refused items."""

    #: Fingerprints of what they say alike, by column.
    row: Mapping[str, str]
    #: The owner of the mailbox that is told.
    notice: str | None
    #: The fingerprint of each item's detail.
    details: dict[int, str]


@dataclass(frozen=True, slots=True)
class Named:
    """A message as events name it."""

    from_: str
    id: UUID
    digest: str


def forwards(
    position: int,
    entries: Iterable[NewEntry],
    *,
    senders: Mapping[DocumentId, AgencyId],
    settled: Container[Place],
    facts: Facts,
    directory: Directory,
) -> Iterator[Forward]:
    """The publishes for one message: to the document's sender, and for a 13 to the recipients that it asks.

    `entries` is what the message says for the first time: one that says nothing new is not forwarded, for its
    forerunner was, or still will be. Take-backs in `settled` need nobody's answer.
    """
    owners: dict[AgencyId, Agency] = {}
    for new in entries:
        place = new.entry.document_id, new.entry.recipient_id
        if new.entry.code is not StatusCode.TAKE_BACK:
            owner = mailbox_of(senders[new.entry.document_id], directory)
        elif place in settled:
            continue
        else:
            recorded = directory.by_id(facts.deliveries[place].known.owner_id)
            owner = recorded if recorded.has_mailbox else mailbox_of(new.entry.recipient_id, directory)
        if owner is not None:
            owners[owner.id] = owner
    everybody = tuple(owners[owner_id] for owner_id in sorted(owners))
    for start in range(0, len(everybody), COPIES_PER_PUBLISH):
        yield Forward(message=position, owners=everybody[start : start + COPIES_PER_PUBLISH])


def mailbox_of(agency_id: AgencyId, directory: Directory) -> Agency | None:
    """Whose mailbox reaches an agency today: its own, its hub's, or that of the one successor of a closed one."""
    agency = directory.by_id(agency_id)
    if not agency.open_on(directory.today):
        successors = directory.successors(agency_id)
        return directory.owner_of(successors[0].id) if len(successors) == 1 else None
    return directory.owner_of(agency_id)


def recorded_events(
    status: Authentic[StatusManifest],
    judgement: Judgement,
    *,
    entries: Iterable[NewEntry],
    facts: Facts,
    now: datetime,
    log_by: datetime,
    forwards: Iterable[Forward],
    refusals: Refusals | None,
) -> list[tuple[Event, int | None]]:
    """The events of one message, whose new facts are `entries`, each with the document that it is about.

    The leaf of the first is what slips promise. `forwards` are the publishes that it leaves in, and `refusals` is what
    is told of its refused items.
    """
    opened = status.opened
    owners = [[owner.code for owner in forward.owners] for forward in forwards]
    groups: dict[DocumentId | None, list[RecordedStatus]] = {}
    for document_id, told in _items(status, judgement, entries, facts, {} if refusals is None else refusals.details):
        groups.setdefault(document_id, []).append(told)
    return [
        (event, document_id)
        for document_id, items in groups.items()
        for event in status_recorded(
            at=now,
            message=Named(opened.sender.code, opened.manifest.id, opened.digest),
            submitter=opened.submitter.code,
            thumbprint=status.certificate.thumbprint,
            items=items,
            log_by=log_by,
            forwards=owners,
            row=None if refusals is None else refusals.row,
            notice=None if refusals is None else refusals.notice,
        )
    ]


def _items(
    status: Authentic[StatusManifest],
    judgement: Judgement,
    entries: Iterable[NewEntry],
    facts: Facts,
    details: Mapping[int, str],
) -> Iterator[tuple[DocumentId | None, RecordedStatus]]:
    items = status.opened.manifest.items
    odd = {(new.entry.item, new.entry.recipient_id) for new in entries if new.anomalous}
    for entry in judgement.entries:
        item = items[entry.item]
        yield (
            entry.document_id,
            RecordedStatus(
                item=entry.item,
                document=item.concerns,
                recipient=facts.deliveries[entry.document_id, entry.recipient_id].known.recipient_code,
                code=entry.code.value,
                at=entry.at,
                anomalous=(entry.item, entry.recipient_id) in odd,
            ),
        )
    for refused in judgement.refused:
        item = items[refused.item]
        yield (
            _document_of(item, facts),
            RecordedStatus(
                item=refused.item,
                document=item.concerns,
                recipient=_recipient_of(item, status.opened.sender.code),
                code=item.code.value,
                at=item.at,
                error=refused.refusal.code,
                record=details.get(refused.item),
            ),
        )


def _document_of(item: StatusItem, facts: Facts) -> DocumentId | None:
    known = facts.known.documents.get((item.concerns.from_, item.concerns.id), ())
    return known[0].document_id if known else None


def _recipient_of(item: StatusItem, speaker_code: str) -> str:
    if item.code is StatusCode.TAKE_BACK:
        return item.to[0]
    return item.for_ or speaker_code

"""Events about what happens to an accepted document: handed over, answered, missed, moved (contract §9). Pure.

Statuses and notices are handed over like documents, and told alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from schemas.events import (
    RECIPIENTS_PER_EVENT,
    Event,
    Referring,
    event_of,
    events_of,
    in_groups,
    named,
    one_word,
    written_as,
)
from schemas.times import rfc3339

ITEMS_PER_EVENT: Final = 150
"""Items of a status message in one event; 500 of them would not fit into a log entry."""

SUCCESSORS_LISTED: Final = 20
"""Candidates that an event names for one closed agency; a split among more is told by their number alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedStatus:
    """One item of a status message, as judged. `error` is set if it was refused, `anomalous` if it contradicts."""

    item: int
    document: Referring
    recipient: str
    """Code of the agency whose delivery it is; for a 13 the one that is asked."""
    code: str
    at: datetime
    """Signed time of the fact."""
    anomalous: bool = False
    error: str | None = None
    record: str | None = None
    """The `fingerprint` of what its refusal's row gives as detail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerouted:
    """What became of one delivery to an agency that has closed."""

    closed: str
    """Code of the agency that the document can reach no longer."""
    successors: Sequence[str]
    """Codes of those that took over from it: exactly one where the delivery was moved."""
    owner: str | None = None
    """Whose mailbox the successor's delivery goes to; None where no delivery was made, because the successor has the
    document already or sent it."""
    moved: bool = False
    """False: nobody takes its place, and the document's sender was told."""
    due_arrival: datetime | None = None
    """Until when the successor's 01 is expected, where a delivery was made."""


def dispatched(
    *,
    at: datetime,
    message: Referring,
    kind: str,
    attempt: int,
    owners: Sequence[str],
    recipients: Sequence[str] | None = None,
) -> Event:
    """One publish was handed to RabbitMQ and confirmed.

    `kind` is document, status or notice; `owners` the mailboxes served, at most 500; `recipients` the agencies that a
    hub's or a rerouted copy is for, None where the owners are meant. Raises ValueError beyond the limits.
    """
    if len(owners) > RECIPIENTS_PER_EVENT or len(recipients or ()) > RECIPIENTS_PER_EVENT:
        raise ValueError(f"one publish serves at most {RECIPIENTS_PER_EVENT} mailboxes and names as many recipients")
    body: dict[str, Any] = {
        "message": named(message),
        "kind": kind,
        "attempt": attempt,
        "owners": list(owners),
    }
    if recipients is not None:
        body["recipients"] = list(recipients)
    return event_of("dispatched", at, body)


def status_recorded(
    *,
    at: datetime,
    message: Referring,
    submitter: str,
    thumbprint: bytes,
    items: Sequence[RecordedStatus],
    log_by: datetime | None = None,
    forwards: Sequence[Sequence[str]] | None = None,
    row: Mapping[str, str] | None = None,
    notice: str | None = None,
) -> list[Event]:
    """A status message was judged: every item of it, with its error if it was refused.

    The caller may hand over the items of one document at a time, so that the event can be found by that document.
    `log_by` is what slips promise, `forwards` the mailboxes' owners that each publish of it goes to, `row` fingerprints
    of what the rows of its refused items say alike, by column, and `notice` the owner of the mailbox told of those.
    """
    common: dict[str, Any] = {
        "message": named(message),
        "submitter": submitter,
        "thumbprint": thumbprint.hex(),
    }
    if log_by is not None:
        common["log_by"] = rfc3339(log_by)
    if forwards is not None:
        common["forwards"] = [written_as(" ".join(owners)) for owners in forwards]
    if row is not None:
        common["row"] = dict(row)
    if notice is not None:
        common["notice"] = notice
    groups = in_groups([_item(item) for item in items], ITEMS_PER_EVENT)
    return events_of("status_recorded", at, common, "items", groups)


def overdue(
    *,
    at: datetime,
    document: Referring,
    what: str,
    due: datetime,
    recipients: Sequence[str],
    notice: str | None = None,
) -> list[Event]:
    """A deadline passed at these recipients. `what` is `arrival` (no 01) or `change` (no 15 or 16); `notice` is the
    owner of the mailbox that is told."""
    groups = in_groups(list(recipients), RECIPIENTS_PER_EVENT)
    common: dict[str, Any] = {"document": named(document), "what": one_word("what", what), "due": rfc3339(due)}
    if notice is not None:
        common["notice"] = notice
    return events_of("overdue", at, common, "recipients", groups)


def rerouted(
    *, at: datetime, document: Referring, deliveries: Sequence[Rerouted], notice: str | None = None
) -> list[Event]:
    """Deliveries to agencies that have closed were moved to their one successor, or could not be.

    A delivery that is told with an `owner` exists from now on. `notice` is the owner of the mailbox that is told.
    """
    groups = in_groups([_rerouted(one) for one in deliveries], RECIPIENTS_PER_EVENT // 5)
    common: dict[str, Any] = {"document": named(document)}
    if notice is not None:
        common["notice"] = notice
    return events_of("rerouted", at, common, "deliveries", groups)


def _item(item: RecordedStatus) -> dict[str, Any]:
    told: dict[str, Any] = {
        "item": item.item,
        "document": named(item.document),
        "recipient": item.recipient,
        "code": str(item.code),
        "at": rfc3339(item.at),
    }
    if item.anomalous:
        told["anomalous"] = True
    if item.error is not None:
        told["error"] = item.error
    if item.record is not None:
        told["detail"] = item.record
    return told


def _rerouted(one: Rerouted) -> dict[str, Any]:
    told: dict[str, Any] = {
        "closed": one.closed,
        "successors": list(one.successors[:SUCCESSORS_LISTED]),
        "moved": one.moved,
    }
    if one.owner is not None:
        told["owner"] = one.owner
    if one.due_arrival is not None:
        told["due_arrival"] = rfc3339(one.due_arrival)
    return told

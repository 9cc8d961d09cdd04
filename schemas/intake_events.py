"""Events about a message that came in: a document was accepted, or something was refused (contract §9). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from schemas.agency_codes import is_canonical
from schemas.events import RECIPIENTS_PER_EVENT, Event, Referring, event_of, in_groups, named, written_as
from schemas.times import rfc3339

CONCERNS_PER_EVENT: Final = 50
"""Documents that a change names, in one event: references are long, and share the event with the recipients."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """One who gets a document, and how the sender wrote it: a code, an alias, a group."""

    code: str
    owner: str
    """Code of the mailbox's owner."""
    addressed_as: str


def accepted(
    *,
    at: datetime,
    document: Referring,
    action: str,
    priority: int,
    test: bool,
    sent_at: datetime,
    submitter: str,
    thumbprint: bytes,
    recipients: Sequence[tuple[str, str]],
    parts: Sequence[str] = (),
    concerns: Sequence[Referring] = (),
    natural_key: bytes | None = None,
    warnings: Sequence[str] = (),
    due_arrival: datetime | None = None,
    log_by: datetime | None = None,
    addressed: Sequence[str] = (),
    added: Sequence[Addressed] = (),
    unresolved_digest: bytes | None = None,
    warnings_digest: bytes | None = None,
    notice: str | None = None,
) -> list[Event]:
    """A document was accepted.

    `recipients` are (code, mailbox owner's code), `parts` digests in hex, `submitter` the agency or hub whose AMQP
    user it was, `thumbprint` the SHA-256 of the signer's certificate, `warnings` codes of the error catalogue.
    `due_arrival` is until when their 01 is expected, `log_by` what slips and notices promise, `addressed` how the
    sender wrote each recipient, `added` who gets the document that an update changes as well, the digests those of
    what the row says of unresolved addresses and in warnings (None: nothing), and `notice` the owner of the mailbox
    that is told. At least one event, even without recipients. Raises ValueError for a body beyond `BODY_LIMIT`.
    """
    common: dict[str, Any] = {
        "document": named(document),
        "action": action,
        "priority": priority,
        "test": test,
        "sent_at": rfc3339(sent_at),
        "submitter": submitter,
        "thumbprint": thumbprint.hex(),
        "count": len(recipients),
    }
    if natural_key is not None:
        common["natural_key"] = natural_key.hex()
    if due_arrival is not None:
        common["due_arrival"] = rfc3339(due_arrival)
    if log_by is not None:
        common["log_by"] = rfc3339(log_by)
    first: dict[str, Any] = {"parts_digests": list(parts), "warnings": list(warnings)}
    if unresolved_digest is not None:
        first["unresolved_sha256"] = unresolved_digest.hex()
    if warnings_digest is not None:
        first["warnings_sha256"] = warnings_digest.hex()
    if notice is not None:
        first["notice"] = notice
    written = [
        None if text == code else written_as(text) for (code, _), text in zip(recipients, addressed, strict=False)
    ]
    gets = [(one.code, one.owner) for one in added]
    gets_written = [None if one.addressed_as == one.code else written_as(one.addressed_as) for one in added]
    largest: ValueError | None = None
    for size in (RECIPIENTS_PER_EVENT, RECIPIENTS_PER_EVENT // 2, RECIPIENTS_PER_EVENT // 4):
        whom = in_groups([list(pair) for pair in recipients], size)
        which = in_groups([named(concerned) for concerned in concerns], CONCERNS_PER_EVENT)
        further = in_groups([list(pair) for pair in gets], size)
        how_many = max(len(whom), len(which), len(further))
        events: list[Event] = []
        try:
            for part in range(how_many):
                some = slice(part * size, (part + 1) * size)
                body = common | {"recipients": whom[part] if part < len(whom) else []} | _runs(written[some])
                if part == 0:
                    body |= first
                if part < len(which) and which[part]:
                    body["concerns"] = which[part]
                if part < len(further) and further[part]:
                    body["added"] = {"recipients": further[part]} | _runs(gets_written[some])
                events.append(event_of("accepted", at, body, part, how_many))
        except ValueError as too_large:
            largest = too_large
        else:
            return events
    assert largest is not None  # of the last round
    raise largest


def rejected(
    *,
    at: datetime,
    error: str,
    amqp_user: str | None,
    kind: str | None = None,
    claimed_from: str | None = None,
    id: str | UUID | None = None,
    digest: bytes | str | None = None,
    verdict: Mapping[str, str] | None = None,
    quarantined: bool = False,
    row: Mapping[str, str] | None = None,
    items: Sequence[tuple[int, str, str]] = (),
    notice: str | None = None,
) -> Event:
    """A message was refused with `error` of the catalogue.

    What the message claims may be anything: it is written down only if it has the form of a code, a kind or an id.
    `verdict` maps cryptography, trust and policy to good, bad or unknown. `row` are fingerprints of what its row says,
    by column; `items`, of a status message none of whose items was taken, are number, error and the fingerprint of the
    detail. `notice` is the owner of the mailbox that is told.
    """
    body: dict[str, Any] = {"error": error, "quarantined": quarantined}
    if row is not None:
        body["row"] = dict(row)
    if items:
        body["items"] = [{"item": item, "error": why, "detail": detail} for item, why, detail in items]
    if notice is not None:
        body["notice"] = notice
    if amqp_user is not None and is_canonical(amqp_user):
        body["amqp_user"] = amqp_user
    if kind in ("document", "status", "notice", "request"):
        body["kind"] = kind
    if claimed_from is not None and is_canonical(claimed_from):
        body["claimed_from"] = claimed_from
    uuid = _uuid_text(id)
    if uuid is not None:
        body["id"] = uuid
    if digest is not None:
        body["digest"] = digest.hex() if isinstance(digest, bytes) else digest
    if verdict is not None:
        body["verdict"] = dict(verdict)
    return event_of("rejected", at, body)


def _runs(written: Sequence[str | None]) -> dict[str, Any]:
    """How recipients are written, one after the other, as [what, how many]; nothing where each is by its code."""
    if not any(written):
        return {}
    return {"addressed": [[text, len(list(same))] for text, same in groupby(written)]}


def _uuid_text(value: str | UUID | None) -> str | None:
    if value is None or isinstance(value, UUID):
        return None if value is None else str(value)
    try:
        parsed = str(UUID(value))
    except ValueError:
        return None
    return parsed if parsed == value else None

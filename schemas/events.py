"""Events: what the exchange writes down about itself, as canonical bytes that become leaves of the log (contract §9).

An event holds codes, ids, digests, times and pseudonymous account ids. Never a text, a name or a phone number: events
outlive the documents and are shown to auditors. The builders take what the deciding transaction knows and return
bytes; they do no I/O and read no clock. Long lists are split, so that no event exceeds what a log entry may hold.

Every body has `"v": 1`, `"event"` (the kind) and `"at"` (UTC, microseconds, "Z"). A split event also has `"part"` and
`"parts"`, counted from 1; its first event is the one that a slip or a notice promises.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from itertools import groupby
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from schemas.agency_codes import is_canonical
from schemas.canonical import canonical_json, leaf_hash
from schemas.times import rfc3339

VERSION: Final = 1
"""Of the bodies; raised when a field changes its meaning, not when one is added."""

BODY_LIMIT: Final = 65_535
"""Bytes of an event at most: the size of a log entry (C2SP tlog-tiles)."""

RECIPIENTS_PER_EVENT: Final = 500
"""Contract §9: long recipient lists are split."""

CONCERNS_PER_EVENT: Final = 50
"""Documents that a change names, in one event: references are long, and share the event with the recipients."""

ITEMS_PER_EVENT: Final = 150
"""Items of a status message in one event; 500 of them would not fit into a log entry."""

KINDS: Final = (
    "accepted",
    "rejected",
    "dispatched",
    "status_recorded",
    "overdue",
    "rerouted",
    "mailbox_reset",
    "operator_action",
    "directory_changed",
    "directory_described",
    "log_opened",
)
"""Every kind of event there is."""

ROWS_PER_EVENT: Final = 150
"""Rows of the directory that one event describes: the longest of 500 would not fit into a log entry."""

SUCCESSORS_LISTED: Final = 20
"""Candidates that an event names for one closed agency; a split among more is told by their number alone."""

Facts = Mapping[str, str | int | bool | None]
"""What else a verifier needs to recompute a row: words, numbers, flags; never a text or a name."""

_T = TypeVar("_T")

_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,127}", re.ASCII)
_TOKENS: Final = re.compile(rf"{_TOKEN.pattern}(?:\n{_TOKEN.pattern})*", re.ASCII)


class Referring(Protocol):
    """What names a message: sender, id and digest (`schemas.manifest.Reference` and the broker's own records do)."""

    @property
    def from_(self) -> str: ...
    @property
    def id(self) -> UUID: ...
    @property
    def digest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Event:
    """One event, ready to be inserted: `leaf` is SHA-256(0x00 ‖ body), `at` the time that the body tells."""

    kind: str
    body: bytes
    leaf: bytes
    at: datetime


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
        "document": _named(document),
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
        whom = _split([list(pair) for pair in recipients], size)
        which = _split([_named(concerned) for concerned in concerns], CONCERNS_PER_EVENT)
        further = _split([list(pair) for pair in gets], size)
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
                events.append(_event("accepted", at, body, part, how_many))
        except ValueError as too_large:
            largest = too_large
        else:
            return events
    assert largest is not None  # of the last round
    raise largest


@lru_cache(maxsize=1024)
def written_as(text: str) -> str:
    """What an event tells of how somebody was addressed, where that was not by the code: half a SHA-256, in hex."""
    return sha256(text.encode()).hexdigest()[:32]


def fingerprint(salt: str, value: str | bytes) -> str:
    """What an event tells of a value that may be personal: half a SHA-256, in hex, with a salt that the row keeps."""
    data = value.encode() if isinstance(value, str) else value
    return sha256(salt.encode() + b"\n" + data).hexdigest()[:32]


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
    return _event("rejected", at, body)


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
        "message": _named(message),
        "kind": kind,
        "attempt": attempt,
        "owners": list(owners),
    }
    if recipients is not None:
        body["recipients"] = list(recipients)
    return _event("dispatched", at, body)


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
        "message": _named(message),
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
    groups = _split([_item(item) for item in items], ITEMS_PER_EVENT)
    return [
        _event("status_recorded", at, common | {"items": group}, part, len(groups)) for part, group in enumerate(groups)
    ]


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
    groups = _split(list(recipients), RECIPIENTS_PER_EVENT)
    common: dict[str, Any] = {"document": _named(document), "what": _token("what", what), "due": rfc3339(due)}
    if notice is not None:
        common["notice"] = notice
    return [
        _event("overdue", at, common | {"recipients": group}, part, len(groups)) for part, group in enumerate(groups)
    ]


def rerouted(
    *, at: datetime, document: Referring, deliveries: Sequence[Rerouted], notice: str | None = None
) -> list[Event]:
    """Deliveries to agencies that have closed were moved to their one successor, or could not be.

    A delivery that is told with an `owner` exists from now on. `notice` is the owner of the mailbox that is told.
    """
    groups = _split([_rerouted(one) for one in deliveries], RECIPIENTS_PER_EVENT // 5)
    common: dict[str, Any] = {"document": _named(document)}
    if notice is not None:
        common["notice"] = notice
    return [
        _event("rerouted", at, common | {"deliveries": group}, part, len(groups)) for part, group in enumerate(groups)
    ]


def mailbox_reset(*, at: datetime, owner: str, generation: int) -> Event:
    """A mailbox was lost or purged and had to be made again; `generation` is the new one's."""
    return _event("mailbox_reset", at, {"owner": owner, "generation": generation})


def operator_action(
    *,
    at: datetime,
    actor: str,
    action: str,
    target: str,
    reason_digest: bytes | None = None,
    facts: Facts | None = None,
    recipients: Sequence[str] = (),
) -> list[Event]:
    """An operator did something.

    `actor` is a pseudonymous account id, `action` a word such as `document.hold`, `target` a code, an id or a digest;
    the reason stays in the database, its SHA-256 is here. `facts` are as in `directory_changed`: of `account.add` the
    `role`, and as `subtree` the agency's code, or None. Raises ValueError for anything that is not one word.
    """
    common: dict[str, Any] = {
        "actor": _token("actor", actor),
        "action": _token("action", action),
        "target": _token("target", target),
    }
    if reason_digest is not None:
        common["reason_sha256"] = reason_digest.hex()
    if facts:
        common["facts"] = _facts(facts)
    groups = _split(list(recipients), RECIPIENTS_PER_EVENT)
    return [
        _event("operator_action", at, common | ({"recipients": group} if group else {}), part, len(groups))
        for part, group in enumerate(groups)
    ]


def directory_changed(
    *,
    at: datetime,
    revision: int,
    change: str,
    codes: Sequence[str],
    facts: Facts | None = None,
    actor: str | None = None,
    reason_digest: bytes | None = None,
) -> list[Event]:
    """The directory changed.

    `change` is a word such as `agency.added` or `certificate.revoked`, `codes` the agencies it is about, `facts` what
    else a verifier needs to recompute the projection: dates, digests, thumbprints, flags; never a name. `actor` and
    `reason_digest` are as in `operator_action`. Raises ValueError for a fact that is not one word.
    """
    common: dict[str, Any] = {"revision": revision, "change": _token("change", change)}
    if actor is not None:
        common["actor"] = _token("actor", actor)
    if reason_digest is not None:
        common["reason_sha256"] = reason_digest.hex()
    if facts:
        common["facts"] = _facts(facts)
    groups = _split(list(codes), RECIPIENTS_PER_EVENT)
    return [
        _event("directory_changed", at, common | {"codes": group}, part, len(groups))
        for part, group in enumerate(groups)
    ]


def directory_described(
    *,
    at: datetime,
    revision: int,
    table: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | int | bool | None]],
) -> list[Event]:
    """How rows of a table of the directory are once the change of this `revision` has written them, column by column.

    Texts stand in `rows` as digests. Raises ValueError for anything that is not one word.
    """
    common: dict[str, Any] = {
        "revision": revision,
        "table": _token("table", table),
        "columns": [_token("a column", column) for column in columns],
    }
    groups = _split([list(row) for row in rows], ROWS_PER_EVENT)
    for words in groups:
        joined = "\n".join(value for row in words for value in row if isinstance(value, str))
        if joined and not _TOKENS.fullmatch(joined):
            raise ValueError("whatever an event describes must be one word, or its digest")
    return [
        _event("directory_described", at, common | {"rows": group}, part, len(groups))
        for part, group in enumerate(groups)
    ]


def log_opened(*, at: datetime, origin: str, previous: tuple[str, int, bytes]) -> Event:
    """A year's log begins, and this first entry names the tree that it follows: origin, size and root of the former.

    So whoever holds this year's checkpoint holds last year's final one too. Raises ValueError for an origin that is
    not one word.
    """
    former, size, root = previous
    return _event(
        "log_opened",
        at,
        {
            "origin": _token("origin", origin),
            "previous": {"origin": _token("previous", former), "size": size, "root": root.hex()},
        },
    )


def _event(kind: str, at: datetime, fields: dict[str, Any], part: int = 0, parts: int = 1) -> Event:
    fields["v"] = VERSION
    fields["event"] = kind
    fields["at"] = rfc3339(at)
    if parts > 1:
        fields["part"] = part + 1
        fields["parts"] = parts
    body = canonical_json(fields)
    if len(body) > BODY_LIMIT:
        raise ValueError(f"an event of kind {kind} has {len(body)} bytes, at most {BODY_LIMIT} fit into a log entry")
    return Event(kind=kind, body=body, leaf=leaf_hash(body), at=at)


def _split(items: list[_T], size: int) -> list[list[_T]]:
    """`items` in groups of at most `size`; one empty group if there are none."""
    if len(items) <= size:
        return [items]
    return [items[start : start + size] for start in range(0, len(items), size)]


def _runs(written: Sequence[str | None]) -> dict[str, Any]:
    """How recipients are written, one after the other, as [what, how many]; nothing where each is by its code."""
    if not any(written):
        return {}
    return {"addressed": [[text, len(list(same))] for text, same in groupby(written)]}


def _named(message: Referring) -> dict[str, str]:
    return {"from": message.from_, "id": str(message.id), "digest": message.digest}


def _item(item: RecordedStatus) -> dict[str, Any]:
    told: dict[str, Any] = {
        "item": item.item,
        "document": _named(item.document),
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


def _facts(facts: Facts) -> dict[str, Any]:
    return {name: _token(name, value) if isinstance(value, str) else value for name, value in facts.items()}


def _uuid_text(value: str | UUID | None) -> str | None:
    if value is None or isinstance(value, UUID):
        return None if value is None else str(value)
    try:
        parsed = str(UUID(value))
    except ValueError:
        return None
    return parsed if parsed == value else None


def _token(name: str, value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{name} of an event must be one word of a code's, id's or digest's letters, not {value!r}")
    return value

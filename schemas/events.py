"""Events: what the exchange writes down about itself, as canonical bytes that become leaves of the log (contract §9).

An event holds codes, ids, digests, times and pseudonymous account ids. Never a text, a name or a phone number: events
outlive the documents and are shown to auditors. Long lists are split, so that no event exceeds what a log entry may
hold.

Every body has `"v": 1`, `"event"` (the kind) and `"at"` (UTC, microseconds, "Z"). A split event also has `"part"` and
`"parts"`, counted from 1; its first event is the one that a slip or a notice promises.

Here is what all events share. They are built in `intake_events` (what became of a message that came in),
`delivery_events` (what happens to a document after that) and `exchange_events` (the exchange itself: operators,
directory, mailboxes, log). The builders take what the deciding transaction knows; they do no I/O and read no clock.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from schemas.canonical import canonical_json, leaf_hash
from schemas.times import rfc3339

VERSION: Final = 1
"""Of the bodies; raised when a field changes its meaning, not when one is added."""

BODY_LIMIT: Final = 65_535
"""Bytes of an event at most: the size of a log entry (C2SP tlog-tiles)."""

RECIPIENTS_PER_EVENT: Final = 500
"""Contract §9: long recipient lists are split."""

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

_T = TypeVar("_T")

_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=-]{0,127}", re.ASCII)
WORDS: Final = re.compile(rf"{_WORD.pattern}(?:\n{_WORD.pattern})*", re.ASCII)
"""Words such as `one_word` takes, with a line feed between them: to look at many at once."""


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


def event_of(kind: str, at: datetime, fields: dict[str, Any], part: int = 0, parts: int = 1) -> Event:
    """The event with these fields, which this completes; the `part`-th of `parts`, counted from 0.

    Raises ValueError for a body beyond `BODY_LIMIT`.
    """
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


def events_of(
    kind: str, at: datetime, fields: Mapping[str, Any], name: str, groups: Sequence[Sequence[Any]]
) -> list[Event]:
    """One event for each group of a long list, which stands in it under `name` beside the same fields in all."""
    return [event_of(kind, at, {**fields, name: group}, part, len(groups)) for part, group in enumerate(groups)]


def in_groups(items: list[_T], size: int) -> list[list[_T]]:
    """`items` in groups of at most `size`; one empty group if there are none."""
    if len(items) <= size:
        return [items]
    return [items[start : start + size] for start in range(0, len(items), size)]


def named(message: Referring) -> dict[str, str]:
    """How an event names a message."""
    return {"from": message.from_, "id": str(message.id), "digest": message.digest}


def one_word(name: str, value: str) -> str:
    """`value`, if it has the letters of a code, an id or a digest; else ValueError, with the field's `name`."""
    if not _WORD.fullmatch(value):
        raise ValueError(f"{name} of an event must be one word of a code's, id's or digest's letters, not {value!r}")
    return value


@lru_cache(maxsize=1024)
def written_as(text: str) -> str:
    """What an event tells of how somebody was addressed, where that was not by the code: half a SHA-256, in hex."""
    return sha256(text.encode()).hexdigest()[:32]


def fingerprint(salt: str, value: str | bytes) -> str:
    """What an event tells of a value that may be personal: half a SHA-256, in hex, with a salt that the row keeps."""
    data = value.encode() if isinstance(value, str) else value
    return sha256(salt.encode() + b"\n" + data).hexdigest()[:32]

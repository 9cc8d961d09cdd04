"""Notices: what the exchange tells an agency, gathered by mailbox and signed (contract §2.5). No I/O.

Items are written as JSON once and then only joined, because an acceptance notice for each document is on the path that
decides how fast the exchange is. `schemas.manifest.NoticeManifest` is their schema; tests read every kind back with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from broker.identity import BrokerIdentity
from schemas.errors import Refusal
from schemas.jws import Signed
from schemas.manifest import SPEC
from schemas.times import new_id, rfc3339

ITEMS_PER_NOTICE: Final = 500
LISTED_RECIPIENTS: Final = 500
"""Recipients that an acceptance lists by name; the count tells of the others (contract §2.5)."""
NOTICE_BYTES: Final = 360 * 1024
"""Bytes of the items of one notice, so that the signed message stays below the 512 KiB of contract §1."""


def reference(from_: str, id: UUID | str, digest: str) -> dict[str, str]:
    """A reference as it stands in `concerns`."""
    return {"from": from_, "id": str(id), "digest": digest}


def item(event: str, *, concerns: Mapping[str, str] | None, at: datetime, **more: Any) -> bytes:
    """One item as JSON. `more` are fields of `schemas.manifest.NoticeItem`; what is None is left out."""
    fields: dict[str, Any] = {"event": event, "at": rfc3339(at)}
    if concerns is not None:
        fields["concerns"] = concerns
    fields.update((name, value) for name, value in more.items() if value is not None)
    return orjson.dumps(fields)


def accepted_item(
    *,
    concerns: Mapping[str, str],
    at: datetime,
    first_accepted_at: datetime,
    count: int,
    recipients: Iterable[Mapping[str, str]],
    unresolved: Sequence[str],
    warnings: Sequence[Mapping[str, object]],
    leaf: bytes,
    log_by: datetime,
) -> bytes:
    """The item that says a document was accepted, for the first time or again.

    `recipients` are code, addressed_as and owner, at most `LISTED_RECIPIENTS` of them; `count` counts all.
    """
    return item(
        "accepted",
        concerns=concerns,
        at=at,
        first_accepted_at=rfc3339(first_accepted_at),
        recipients={"count": count, "list": list(recipients)},
        unresolved=list(unresolved) or None,
        warnings=list(warnings) or None,
        leaf=leaf.hex(),
        log_by=rfc3339(log_by),
    )


def refusal_item(event: str, *, concerns: Mapping[str, str] | None, at: datetime, refusal: Refusal) -> bytes:
    """The item that says that something was not taken: `event` is `rejected`, `quarantined` or `status-refused`."""
    return item(event, concerns=concerns, at=at, error=refusal.code, detail=refusal.detail())


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A signed notice for one mailbox."""

    owner_id: int
    owner_code: str
    id: UUID
    signed: Signed


@dataclass(slots=True)
class NoticeBuilder:
    """Gathers items for as many mailboxes as there are, and signs as few messages as will hold them."""

    identity: BrokerIdentity
    _items: dict[tuple[int, str], list[bytes]] = field(default_factory=dict)

    def add(self, owner_id: int, owner_code: str, item: bytes) -> None:
        """Say `item` to the mailbox of this agency or hub."""
        self._items.setdefault((owner_id, owner_code), []).append(item)

    def build(self, now: datetime) -> list[Notice]:
        """The notices for everything gathered so far, which is then forgotten; in order of mailboxes."""
        gathered, self._items = self._items, {}
        return [
            self._signed(owner_id, owner_code, items, now)
            for (owner_id, owner_code), everything in sorted(gathered.items())
            for items in _portions(everything)
        ]

    def _signed(self, owner_id: int, owner_code: str, items: Sequence[bytes], now: datetime) -> Notice:
        id = new_id(now)
        head = {"spec": SPEC, "kind": "notice", "id": str(id), "from": self.identity.code, "sent_at": rfc3339(now)}
        payload = b'%b,"items":[%b]}' % (orjson.dumps(head)[:-1], b",".join(items))
        return Notice(owner_id=owner_id, owner_code=owner_code, id=id, signed=self.identity.sign(payload))


def _portions(items: Iterable[bytes]) -> Iterator[list[bytes]]:
    """`items` in groups that one notice can hold; an item is never cut."""
    portion: list[bytes] = []
    size = 0
    for one in items:
        if portion and (len(portion) == ITEMS_PER_NOTICE or size + len(one) > NOTICE_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(one)
        size += len(one)
    if portion:
        yield portion

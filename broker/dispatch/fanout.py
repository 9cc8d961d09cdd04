"""How many publishes a document needs, and whom each serves (contract §3.1). Pure.

Three shapes: one publish with up to 500 mailboxes for agencies that read their own mailbox; a hub's copies, each with
up to 500 of its agencies named in the slip; and a copy of its own for an agency that was reached through a code that
has closed, because its slip must say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, TypeVar

from broker.intake.recipients import Recipient
from schemas.wire import COPIES_PER_PUBLISH

AGENCIES_PER_COPY: Final = 500
"""Agencies that one copy in a hub's mailbox names at most (contract §3.1)."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedPublish:
    """One publish: the mailboxes it goes to, and for whom."""

    owner_ids: tuple[int, ...]
    recipients: tuple[Recipient, ...]
    """Every delivery that this publish carries out."""
    named: bool
    """True if the slip must name the recipients (hub and rerouted copies); else the owners are meant."""


def plan(recipients: Iterable[Recipient]) -> list[PlannedPublish]:
    """Split `recipients` (deduplicated) into publishes, in a stable order: direct ones first, then copies by owner."""
    own: list[Recipient] = []
    copies: dict[int, list[Recipient]] = {}
    for recipient in recipients:
        if recipient.owner.id == recipient.agency.id and not recipient.rerouted:
            own.append(recipient)
        else:
            copies.setdefault(recipient.owner.id, []).append(recipient)
    # A hub that is itself addressed beside its agencies is named in the first of its copies instead of getting two.
    direct = [recipient for recipient in own if recipient.owner.id not in copies]
    for recipient in own:
        if recipient.owner.id in copies:
            copies[recipient.owner.id].insert(0, recipient)
    publishes = [
        PlannedPublish(owner_ids=tuple(r.owner.id for r in chunk), recipients=tuple(chunk), named=False)
        for chunk in _chunks(direct, COPIES_PER_PUBLISH)
    ]
    publishes.extend(
        PlannedPublish(owner_ids=(owner_id,), recipients=tuple(chunk), named=True)
        for owner_id, served in copies.items()
        for chunk in _chunks(served, AGENCIES_PER_COPY)
    )
    return publishes


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk

"""What the demonstration sends: pure, decided by a seed and the directory, before anything runs.

Senders and recipients stand in the proportions of the national figures of 12 March – 30 September 2019, by tier. Beside
the good documents there are some sent twice and some that must be refused; each says what is expected of it, so that
the reconciliation can hold the exchange to it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from broker.demo.words import KINDS, TELEGRAM_SUBJECT
from broker.directory.snapshot import Agency, Directory
from schemas.times import new_id

TRAFFIC_2019: Mapping[int, tuple[int, int]] = {1: (116_630, 343_547), 2: (44_889, 143_697), 3: (1_588, 921)}
"""By tier: documents sent, documents received. Source: the official figures for 12 March – 30 September 2019."""

RECIPIENTS_A_DOCUMENT = 3
"""488,165 received over 163,107 sent."""


TELEGRAM_AT = 0.9
"""The telegram leaves after this share of the time: its thousands of answers, made on the same two cores as everything
else, would otherwise stand in every other document's latency."""


class Fate(StrEnum):
    """What must become of a submission."""

    GOOD = "good"
    TWICE = "twice"
    """The same bytes are sent two times: one effect."""
    ALTERED = "altered"
    """Changed after signing: LT-SIGNATURE."""
    WRONG_SIGNER = "wrong-signer"
    """Signed with another agency's key: LT-SIGNER-NOT-ALLOWED."""
    UNKNOWN_RECIPIENT = "unknown-recipient"
    """One code does not exist: LT-RECIPIENT-UNKNOWN."""


EXPECTED_REFUSAL: Mapping[Fate, str] = {
    Fate.ALTERED: "LT-SIGNATURE",
    Fate.WRONG_SIGNER: "LT-SIGNER-NOT-ALLOWED",
    Fate.UNKNOWN_RECIPIENT: "LT-RECIPIENT-UNKNOWN",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedDocument:
    """One submission."""

    id: UUID
    at: float
    """Seconds after the start of the pace."""
    sender: Agency
    submitter: Agency
    """Whose connection carries it: the sender, or its hub."""
    signer: Agency
    """Whose key signs it: the sender's, but for a wrong signer."""
    to: tuple[str, ...]
    expected: tuple[Agency, ...]
    """Who must receive it, once, if it is good."""
    priority: int
    kind: str
    number: str
    notation: str
    subject: str
    scan_bytes: int
    fate: Fate
    telegram: bool = False

    @property
    def good(self) -> bool:
        """Whether the exchange must accept it."""
        return self.fate not in EXPECTED_REFUSAL


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoPlan:
    """All submissions, in the order of their time."""

    documents: tuple[PlannedDocument, ...]
    seconds: float

    def deliveries(self) -> int:
        """How many (document, recipient) pairs must arrive."""
        return sum(len(d.expected) for d in self.documents if d.good)


def shares(total: int, weights: Mapping[int, int]) -> dict[int, int]:
    """Split `total` in the proportions of `weights`, by largest remainders, so that the parts add up."""
    whole = sum(weights.values())
    exact = {key: total * weight / whole for key, weight in weights.items()}
    parts = {key: int(value) for key, value in exact.items()}
    for key in sorted(exact, key=lambda k: exact[k] - parts[k], reverse=True)[: total - sum(parts.values())]:
        parts[key] += 1
    return parts


def make_plan(
    directory: Directory,
    *,
    seed: int,
    started: datetime,
    documents: int = 300,
    bad_of_each: int = 6,
    twice: int = 12,
    seconds: float = 24.0,
) -> DemoPlan:
    """Decide what is sent.

    `documents` good documents beside the telegram (`twice` of them are sent two times), and `bad_of_each` of every
    kind that must be refused, spread evenly over `seconds`. `started` is an aware time that goes into the ids. The
    telegram to all provinces and communes leaves near the end.
    """
    rng = random.Random(seed)  # noqa: S311 — a rehearsal's variety, not a secret
    by_tier = {tier: [a for a in _reachable(directory) if a.tier == tier] for tier in (1, 2, 3)}
    senders = {tier: _senders(directory, by_tier[tier], tier, rng) for tier in by_tier}
    quota = shares(documents, {tier: sent for tier, (sent, _) in TRAFFIC_2019.items()})
    places = shares(documents * RECIPIENTS_A_DOCUMENT, {tier: got for tier, (_, got) in TRAFFIC_2019.items()})
    recipients = _deal_recipients(by_tier, places, documents, rng)

    order = [tier for tier, count in quota.items() for _ in range(count)]
    rng.shuffle(order)
    fates = [Fate.TWICE] * twice + [Fate.GOOD] * (documents - twice)
    rng.shuffle(fates)
    planned: list[PlannedDocument] = []
    for index, (tier, fate) in enumerate(zip(order, fates, strict=True)):
        sender = rng.choice(senders[tier])
        chosen = tuple(a for a in recipients[index] if a.id != sender.id)
        planned.append(_document(directory, rng, index, sender, chosen, fate, started, at=index * seconds / documents))
    for number, fate in enumerate(fate for fate in EXPECTED_REFUSAL for _ in range(bad_of_each)):
        sender = rng.choice(senders[1])
        chosen = tuple(a for a in rng.sample(by_tier[1], 3) if a.id != sender.id)
        at = (number + 0.5) * seconds / (bad_of_each * len(EXPECTED_REFUSAL))
        planned.append(_document(directory, rng, documents + number, sender, chosen, fate, started, at=at))
    planned.append(_telegram(directory, rng, started, at=seconds * TELEGRAM_AT))
    return DemoPlan(documents=tuple(sorted(planned, key=lambda d: d.at)), seconds=seconds)


def _reachable(directory: Directory) -> list[Agency]:
    found = [a for a in directory.agencies() if a.state == "active" and a.tier is not None and directory.owner_of(a.id)]
    return sorted(found, key=lambda a: a.code)


def _senders(directory: Directory, agencies: Sequence[Agency], tier: int, rng: random.Random) -> list[Agency]:
    """Who sends: all of tier 1, some departments, and communes with and without a mailbox of their own."""
    if tier == 1:
        return list(agencies)
    served = [a for a in agencies if not a.has_mailbox]
    own = [a for a in agencies if a.has_mailbox]
    return rng.sample(served, min(40, len(served))) + rng.sample(own, min(20, len(own)))


def _deal_recipients(
    by_tier: Mapping[int, Sequence[Agency]], places: Mapping[int, int], documents: int, rng: random.Random
) -> list[tuple[Agency, ...]]:
    """One set of recipients a document: three each, in the proportions of `places`, none twice in a set."""
    deck = [tier for tier, count in places.items() for _ in range(count)]
    rng.shuffle(deck)
    hands: list[tuple[Agency, ...]] = []
    for index in range(documents):
        hand: dict[int, Agency] = {}
        for tier in deck[index * RECIPIENTS_A_DOCUMENT : (index + 1) * RECIPIENTS_A_DOCUMENT]:
            while (agency := rng.choice(by_tier[tier])).id in hand:
                pass
            hand[agency.id] = agency
        hands.append(tuple(hand.values()))
    return hands


def _document(
    directory: Directory,
    rng: random.Random,
    index: int,
    sender: Agency,
    recipients: Sequence[Agency],
    fate: Fate,
    started: datetime,
    *,
    at: float,
) -> PlannedDocument:
    kind = rng.choices(KINDS, weights=[8, 2, 3, 2, 2, 1, 2])[0]
    office = sender.code.replace(".", "-")
    to = tuple(a.code for a in recipients) or (_somebody_else(directory, sender).code,)
    expected = tuple(recipients) or (_somebody_else(directory, sender),)
    signer = sender
    if fate is Fate.WRONG_SIGNER:
        signer = _somebody_else(directory, sender)
    if fate is Fate.UNKNOWN_RECIPIENT:
        to = (*to, f"{to[0]}9X")
    return PlannedDocument(
        id=_identifier(started, at, rng),
        at=at,
        sender=sender,
        submitter=directory.owner_of(sender.id) or sender,
        signer=signer,
        to=to,
        expected=() if fate in EXPECTED_REFUSAL else expected,
        priority=rng.choices((0, 1, 2, 3), weights=(80, 10, 6, 4))[0],
        kind=kind.name,
        number=f"{started:%j%H%M}{index:03d}",
        notation=f"{kind.abbreviation}-{office}" if kind.abbreviation else f"{office}-VP",
        subject=rng.choice(kind.subjects),
        scan_bytes=rng.choices((0, 60_000, 200_000, 500_000), weights=(70, 18, 8, 4))[0],
        fate=fate,
    )


def _telegram(directory: Directory, rng: random.Random, started: datetime, *, at: float) -> PlannedDocument:
    sender = directory.agency("G09") or next(a for a in directory.agencies() if a.level == "ministry")
    everybody = [*(directory.members("group:provinces") or ()), *(directory.members("group:communes") or ())]
    return PlannedDocument(
        id=_identifier(started, at, rng),
        at=at,
        sender=sender,
        submitter=sender,
        signer=sender,
        to=("group:provinces", "group:communes"),
        expected=tuple(everybody),
        priority=3,
        kind="Công điện",
        number=f"{started:%j%H%M}",
        notation="CĐ-" + sender.code,
        subject=TELEGRAM_SUBJECT,
        scan_bytes=0,
        fate=Fate.GOOD,
        telegram=True,
    )


def _somebody_else(directory: Directory, sender: Agency) -> Agency:
    """The first central body that is not the sender."""
    ministries = directory.members("group:ministries") or ()
    return next(a for a in ministries if a.id != sender.id)


def _identifier(started: datetime, at: float, rng: random.Random) -> UUID:
    return new_id(started + timedelta(seconds=at), rng.randbytes(10))

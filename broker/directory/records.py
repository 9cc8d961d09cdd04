"""The directory's rows as plain records. Pure: no I/O, no clock.

Dates are days of Vietnamese time; ``valid_until`` is the first day on which a row no longer holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Literal, NewType

from cryptography import x509

from schemas.certificates import load_certificate, public_key_of
from schemas.jws import PublicKey

AgencyId = NewType("AgencyId", int)

Level = Literal["ministry", "province", "department", "district", "commune", "hub", "exchange"]
LEVELS: tuple[Level, ...] = ("ministry", "province", "department", "district", "commune", "hub", "exchange")
#: Tier of the national statistics by level (design "Directory"); hubs and the exchange are not counted.
TIER_BY_LEVEL: dict[Level, int | None] = {
    "ministry": 1,
    "province": 1,
    "department": 2,
    "district": 2,
    "commune": 3,
    "hub": None,
    "exchange": None,
}

AgencyState = Literal["active", "suspended", "closed"]
AliasKind = Literal["qcvn102", "local", "former"]
Extent = Literal["whole", "main part", "part"]
EXTENTS: tuple[Extent, ...] = ("whole", "main part", "part")
Custody = Literal["agency", "broker"]

#: The day on which the axis was opened; what is older than the exchange counts as valid since then.
OPENING_DAY = date(2019, 3, 12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Agency:
    """One agency, for as long as it existed. The id is its identity: its code may mean another one later."""

    id: AgencyId
    #: Canonical left-to-right code, upper case.
    code: str
    name: str
    level: Level
    #: 1 to 3 as in the national statistics; None for hubs and the exchange.
    tier: int | None = None
    parent_id: AgencyId | None = None
    #: Has a connection, hence a queue, of its own.
    has_mailbox: bool = False
    state: AgencyState = "active"
    #: The code is derived for demonstration, not official.
    derived: bool = False
    valid_from: date = OPENING_DAY
    valid_until: date | None = None

    def open_on(self, today: date | None) -> bool:
        """Whether it exists on that day; without a day, whether it has been closed. Suspended ones exist."""
        return self.state != "closed" and _holds(self.valid_from, self.valid_until, today)


@dataclass(frozen=True, kw_only=True, slots=True)
class Alias:
    """Another way to write an agency's code: the 13-character form, a local variant, a former code."""

    alias: str
    agency_id: AgencyId
    kind: AliasKind
    valid_from: date = OPENING_DAY
    valid_until: date | None = None

    def holds_on(self, today: date | None) -> bool:
        return _holds(self.valid_from, self.valid_until, today)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mandate:
    """What a hub may do for an agency; the two rights are separate (design "Directory")."""

    hub_id: AgencyId
    agency_id: AgencyId
    may_receive: bool
    may_sign: bool
    valid_from: date = OPENING_DAY
    valid_until: date | None = None

    def holds_on(self, today: date | None) -> bool:
        return _holds(self.valid_from, self.valid_until, today)


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A group of recipients that an operator has defined. Without members it counts as abolished."""

    #: ``group:`` and a lower-case name.
    name: str
    title: str
    member_ids: tuple[AgencyId, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Succession:
    """Who took over from a closed agency, entirely or in part."""

    old_id: AgencyId
    new_id: AgencyId
    extent: Extent
    on_date: date


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """A certificate and whose it is: by enrolment, never by its subject (contract §2.1).

    Parsed on first use, so that loading a directory does not parse every certificate in it.
    """

    #: SHA-256 of the DER bytes.
    thumbprint: bytes
    agency_id: AgencyId
    der: bytes
    not_before: datetime
    not_after: datetime
    #: Who keeps the private key; every verdict says so where it is the exchange.
    custody: Custody = "agency"
    revoked_at: datetime | None = None
    revoked_why: str | None = None

    @cached_property
    def certificate(self) -> x509.Certificate:
        return load_certificate(self.der)

    @cached_property
    def public_key(self) -> PublicKey:
        """Raises Refusal LT-ALGORITHM for a kind of key that the contract does not know."""
        return public_key_of(self.certificate)


def _holds(valid_from: date, valid_until: date | None, today: date | None) -> bool:
    return today is None or (valid_from <= today and (valid_until is None or today < valid_until))

"""How long a sign-in has to wait after failures: delays that grow, so that guessing is slow and nobody is locked out.

Pure. Three subjects are counted: the *pair* of account and address, the *address*, and the *account* from anywhere. The
account's own delay stays short and does not bind a browser from which the account has signed in before, so a stranger
who keeps failing on purpose cannot keep its owner out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final

FORGET_AFTER: Final = timedelta(hours=12)
"""A subject without a failure for so long starts from nothing."""


class Subject(StrEnum):
    """What failures are counted of."""

    pair = "pair"
    address = "address"
    account = "account"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ladder:
    """`free` failures cost nothing; then the delay doubles from `first` up to `longest`."""

    free: int
    first: timedelta
    longest: timedelta


LADDERS: Final[Mapping[Subject, Ladder]] = {
    Subject.pair: Ladder(free=4, first=timedelta(seconds=5), longest=timedelta(minutes=15)),
    Subject.address: Ladder(free=20, first=timedelta(seconds=5), longest=timedelta(minutes=15)),
    Subject.account: Ladder(free=20, first=timedelta(seconds=2), longest=timedelta(seconds=30)),
}


def delay_after(subject: Subject, failures: int) -> timedelta:
    """How long the next attempt waits after the `failures`th failure in a row."""
    ladder = LADDERS[subject]
    beyond = failures - ladder.free
    if beyond <= 0:
        return timedelta(0)
    doublings: int = min(beyond - 1, 20)
    return min(ladder.longest, ladder.first * (1 << doublings))


def subject_key(subject: Subject, *parts: str) -> bytes:
    """Under which key failures are kept: a hash, so that the table tells neither addresses nor mistyped names."""
    return sha256("\x1f".join((subject.value, *parts)).encode()).digest()


def network_of(address: str) -> str:
    """The address as failures are counted: an IPv6 host owns a whole /64."""
    if ":" not in address:
        return address
    return ":".join((address.split("%")[0].split("::")[0] + ":0:0:0:0").split(":")[:4])

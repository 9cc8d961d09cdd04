"""How the log describes the directory's rows: every row that a change has written, column by column. Pure.

The same function makes the words of an event (`changing`) and what `audit verify` compares with it, so that a row that
somebody has changed differs from the newest event about it. Codes, ids, words, days and times stand there as they are;
texts, names and lists as their SHA-256.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from schemas.canonical import canonical_json
from schemas.times import rfc3339_or_none

Value: TypeAlias = str | int | bool | None
How: TypeAlias = Callable[[Any], Value]

LAST_REVISION: Final = 2**63 - 1
"""Beyond every revision: from 0 to here is everything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Described:
    """What the log says of the rows of one table."""

    table: str
    key: int
    """So many of the first columns say which row it is."""
    columns: Mapping[str, How]
    """How each column is told, in their order."""

    def told(self, row: Any) -> list[Value]:
        """A row of the database as an event tells it."""
        return [how(row[column]) for column, how in self.columns.items()]


def _as_it_is(value: Value) -> Value:
    return value


def _word(value: str) -> str:
    return value.replace(" ", "-")


def _day(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _bytes(value: bytes) -> str:
    return value.hex()


def digest(value: str | bytes | Sequence[bytes] | Sequence[int] | None) -> str | None:
    """SHA-256 of a text's or some bytes' octets; of a list over the canonical JSON of its numbers or digests."""
    match value:
        case None:
            return None
        case str():
            octets = value.encode()
        case bytes():
            octets = value
        case _:
            octets = canonical_json([one if isinstance(one, int) else digest(one) for one in value])
    return sha256(octets).hexdigest()


TABLES: Final = (
    Described(
        table="agency",
        key=1,
        columns=MappingProxyType(
            {
                "agency_id": _as_it_is,
                "code": _as_it_is,
                "name": digest,
                "level": _as_it_is,
                "tier": _as_it_is,
                "parent_id": _as_it_is,
                "state": _as_it_is,
                "has_mailbox": _as_it_is,
                "derived": _as_it_is,
                "nso_code": digest,
                "valid_from": _day,
                "valid_until": _day,
                "revision": _as_it_is,
            }
        ),
    ),
    Described(
        table="agency_code",
        key=2,
        columns=MappingProxyType(
            {
                "agency_id": _as_it_is,
                "alias": digest,
                "kind": _as_it_is,
                "valid_from": _day,
                "valid_until": _day,
                "revision": _as_it_is,
            }
        ),
    ),
    Described(
        table="mandate",
        key=2,
        columns=MappingProxyType(
            {
                "hub_id": _as_it_is,
                "agency_id": _as_it_is,
                "may_receive": _as_it_is,
                "may_sign": _as_it_is,
                "valid_from": _day,
                "valid_until": _day,
                "revision": _as_it_is,
            }
        ),
    ),
    Described(
        table="agency_group",
        key=1,
        columns=MappingProxyType({"name": digest, "title": digest, "member_ids": digest, "revision": _as_it_is}),
    ),
    Described(
        table="succession",
        key=2,
        columns=MappingProxyType(
            {"old_id": _as_it_is, "new_id": _as_it_is, "extent": _word, "on_date": _day, "revision": _as_it_is}
        ),
    ),
    Described(
        table="certificate",
        key=1,
        columns=MappingProxyType(
            {
                "thumbprint": _bytes,
                "agency_id": _as_it_is,
                "chain": digest,
                "custody": _as_it_is,
                "not_before": rfc3339_or_none,
                "not_after": rfc3339_or_none,
                "enrolled_at": rfc3339_or_none,
                "revoked_at": rfc3339_or_none,
                "revoked_why": digest,
                "revision": _as_it_is,
            }
        ),
    ),
)
"""Every table of the directory; its rows are never removed."""

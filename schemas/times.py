"""Times as they travel (RFC 3339 with an offset) and ids that sort by time (UUID version 7).

No clock is read here: the time is passed in. Naive times are refused on the way in and a programming error on the
way out (contract §2.1).
"""

import os
import re
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from schemas.errors import Refusal

RFC3339_PATTERN: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
_RFC3339: Final = re.compile(RFC3339_PATTERN.removeprefix("^").removesuffix("$"))
_EXPECTED: Final = "a time of RFC 3339 with seconds and offset, such as 2026-03-12T08:30:00+07:00"


def rfc3339(moment: datetime) -> str:
    """`moment` (aware) in UTC with microseconds: 2026-03-12T01:30:00.000000Z. Raises ValueError if it is naive."""
    if moment.tzinfo is None:
        raise ValueError("a time without an offset cannot be written: it would mean a different moment elsewhere")
    # UTC times are the common case and isoformat() is the fast path.
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{utc.isoformat(timespec='microseconds')[:26]}Z"


def rfc3339_or_none(moment: datetime | None) -> str | None:
    """The same; None for what has not happened."""
    return None if moment is None else rfc3339(moment)


def parse_rfc3339(text: str, *, field: str | None = None) -> datetime:
    """The aware moment (in UTC) that an RFC 3339 text names; digits beyond microseconds are dropped.

    Raises Refusal LT-SCHEMA for naive times, other ISO 8601 forms, leap seconds and times outside the years 1 to 9999.
    """
    if not _RFC3339.fullmatch(text):
        raise Refusal(code="LT-SCHEMA", field=field, found=text, expected=_EXPECTED)
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as impossible:
        raise Refusal(code="LT-SCHEMA", field=field, found=text, expected=_EXPECTED) from impossible


def new_id(now: datetime, randomness: bytes | None = None) -> UUID:
    """A UUID of version 7 (RFC 9562) for the moment `now`; `randomness` is 10 bytes, by default from the system.

    Raises ValueError for a naive time or for too little randomness.
    """
    if now.tzinfo is None:
        raise ValueError("an id needs an aware time")
    noise = os.urandom(10) if randomness is None else randomness
    if len(noise) != 10:
        raise ValueError(f"an id needs 10 bytes of randomness, not {len(noise)}")
    milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    bits = int.from_bytes(noise, "big")
    version_7 = (
        (milliseconds << 80) | (0x7 << 76) | ((bits >> 68 & 0xFFF) << 64) | (0b10 << 62) | (bits & (1 << 62) - 1)
    )
    return UUID(int=version_7)

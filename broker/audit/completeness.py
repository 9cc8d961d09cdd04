"""Up to which entry of the log an answer is complete. Reads only.

Search and reports rest on what the keeper took over from the log. An event that is not in the log yet, or not taken
over yet, is not in the answer; who asks is told so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """The last log entry that the answer includes, and how many later ones there are."""

    origin: str | None
    """The log's origin; None if nothing has been taken over yet."""
    position: int | None
    """Position of the last entry taken over, counted from 0 in its origin."""
    at: datetime | None
    """Time of that entry's event."""
    behind: int
    """Entries of the log that are not taken over yet."""


NOTHING_BEHIND = Completeness(origin=None, position=None, at=None, behind=0)
"""For answers that are read from the records themselves, as they stand at this moment."""

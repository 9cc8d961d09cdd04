"""What the log knows of a refusal's row: a fingerprint of each column, which tells nobody what stands there. Pure.

What a message said of itself, and what was found in it, may be anything, a telephone number too, and events hold no
such thing (contract §9). A salt that only the row has, in its detail, keeps it from being guessed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

from schemas.canonical import canonical_json
from schemas.events import fingerprint

SALT: Final = "salt"
"""The member of the detail that is the salt."""


def new_salt() -> str:
    """For one refused message."""
    return secrets.token_hex(16)


def fingerprints(salt: str, columns: Mapping[str, object]) -> dict[str, str]:
    """What an event tells of these columns: texts, bytes, and JSON as it was parsed; nothing of those that are NULL."""
    return {
        name: fingerprint(salt, value if isinstance(value, str | bytes) else canonical_json(value))
        for name, value in columns.items()
        if value is not None
    }

"""What the log says of a connected system: its row, its secrets, and the keys that the exchange keeps. Pure.

What is sealed is told by its SHA-256. A system's name and addresses could be guessed, so they are hashed together with
its first sealed secret, which stays in the database and begins with random bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from broker.evidence.told_facts import salted_digest
from schemas.exchange_events import Facts
from schemas.times import rfc3339, rfc3339_or_none

HIDDEN: Final = ("name", "addresses")
PLAIN: Final = ("state", "fresh_seconds", "sign_all", "registration")
TIMES: Final = ("created_at", "changed_at")
OF_SECRETS: Final = ("sealed", "made_at", "ends_at")


def system_facts(row: Any, secrets: Sequence[Any]) -> Facts:
    """A system's row and its secrets (the first one first) as events tell them; without secrets nothing hidden."""
    facts = {column: row[column] for column in PLAIN}
    facts |= {column: rfc3339(row[column]) for column in TIMES}
    if secrets:
        salt = secrets[0]["sealed"].hex()
        facts |= {column: salted_digest(column, row[column], salt) for column in HIDDEN}
    for secret in secrets:
        facts |= {f"{column}_{secret['secret_id']}": value for column, value in secret_facts(secret).items()}
    return facts


def secret_facts(row: Any) -> Facts:
    """One secret of a system."""
    return {
        "sealed": sha256(row["sealed"]).hexdigest(),
        "made_at": rfc3339_or_none(row["made_at"]),
        "ends_at": rfc3339_or_none(row["ends_at"]),
    }


def key_facts(row: Any) -> Facts:
    """A private key that the exchange keeps."""
    return {"sealed": sha256(row["sealed"]).hexdigest(), "made_at": rfc3339_or_none(row["made_at"])}

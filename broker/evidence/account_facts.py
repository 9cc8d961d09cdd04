"""What the log says of an account, so that whoever changes its row is found, and nobody learns who it is. Pure.

Login, name and OpenID subject are easily guessed, so that a plain digest would give them away. Each is hashed together
with the account's secret: its Argon2 string, which holds a random salt and never leaves the database, or, where a
person has no password, random characters in its place (`no_password`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from broker.evidence.told_facts import salted_digest
from schemas.times import rfc3339_or_none

SALT: Final = "password_hash"
HIDDEN: Final = ("login", "full_name", "oidc_subject")
"""Columns that are told together with the secret only."""
TIMES: Final = ("created_at", "password_at", "disabled_at")

_NONE: Final = "!"


def no_password() -> str:
    """What stands in the place of a password's hash: fits no password, and is as hard to guess as one."""
    return _NONE + secrets.token_urlsafe(24)


def is_password(stored: str | None) -> bool:
    """Whether this is the hash of a password."""
    return stored is not None and not stored.startswith(_NONE)


def account_facts(row: Mapping[str, Any]) -> dict[str, str | None]:
    """An account's row, with `subtree` (the code of `root_id`), as events tell it; its secret must be there."""
    facts: dict[str, str | None] = {"role": row["role"], "subtree": row["subtree"], SALT: hidden(row, SALT)}
    facts |= {column: hidden(row, column) for column in HIDDEN}
    return facts | {column: rfc3339_or_none(row[column]) for column in TIMES}


def hidden(row: Mapping[str, Any], column: str) -> str | None:
    """The digest of one column, and of the secret that keeps it from being guessed."""
    return None if row[column] is None else salted_digest(column, row[column], row[SALT])

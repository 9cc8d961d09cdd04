"""What the log says of a session when somebody signs in, so that whoever puts one into the database is found. Pure.

A browser's token is random; the database knows its SHA-256, and the log the SHA-256 of that: nobody who reads the log
learns what the database compares with. No address and no browser is told.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from schemas.exchange_events import Facts
from schemas.times import rfc3339

BEGUN: Final = "session.begun"
"""The action that tells of it; its target is the account."""
IDLE: Final = timedelta(minutes=30)
ABSOLUTE: Final = timedelta(hours=10)
"""How long a session lasts without use, and in any case."""


def session_digest(token_hash: bytes) -> str:
    """How the log knows a session."""
    return sha256(token_hash).hexdigest()


def session_facts(token_hash: bytes, ends_at: datetime) -> Facts:
    """A session as its event tells it; it begins when the event is."""
    return {"session": session_digest(token_hash), "ends_at": rfc3339(ends_at)}

"""What came and is not in the inbox: messages that are not believed, and documents whose larger parts are not here yet.

Functions of an open SQLite transaction (see `adapters.store`).
"""

from __future__ import annotations

import hashlib
import sqlite3

from adapters.incoming import Incoming
from adapters.judge import Unbelieved


def keep_aside(connection: sqlite3.Connection, incoming: Incoming, why: Unbelieved, *, now: float) -> None:
    """Keep a message that is not believed, once, with its reason."""
    connection.execute(
        "INSERT INTO aside (at, code, why, message_id, sha256, body) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (sha256) DO UPDATE SET times = times + 1",
        (now, why.code, why.why, incoming.message_id, hashlib.sha256(incoming.body).hexdigest(), incoming.body),
    )


def park(connection: sqlite3.Connection, body: bytes, why: str, *, now: float, next_try_at: float) -> None:
    """Keep a document whose larger parts cannot be had yet; it gets its 01 when they are here."""
    connection.execute(
        "INSERT INTO parked (at, why, attempts, next_try_at, sha256, body) VALUES (?, ?, 1, ?, ?, ?)"
        " ON CONFLICT (sha256) DO UPDATE SET attempts = attempts + 1, why = excluded.why,"
        " next_try_at = excluded.next_try_at",
        (now, why, next_try_at, hashlib.sha256(body).hexdigest(), body),
    )


def unpark(connection: sqlite3.Connection, body: bytes) -> None:
    """The parked document has been taken in."""
    connection.execute("DELETE FROM parked WHERE sha256 = ?", (hashlib.sha256(body).hexdigest(),))


def parked_due(
    connection: sqlite3.Connection, *, now: float, limit: int
) -> tuple[list[tuple[bytes, int]], float | None]:
    """Parked messages to be tried now, with the attempts so far; and when the next one becomes due."""
    rows = connection.execute(
        "SELECT body, attempts FROM parked WHERE next_try_at <= ? ORDER BY next_try_at LIMIT ?", (now, limit)
    ).fetchall()
    (next_at,) = connection.execute("SELECT min(next_try_at) FROM parked").fetchone()
    return [(bytes(body), int(attempts)) for body, attempts in rows], next_at

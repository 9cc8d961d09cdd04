"""Mails that must go out, and what became of them: rows beside inbox and outbox in the agency's database.

Functions of an open SQLite transaction (see `adapters.store`); nothing here speaks SMTP or HTTP. A mail is `due`,
`sending` from before the first word to the server until its answer is recorded, and then `taken`, `failed` (refused for
good) or, if a bounce comes later, `bounced`. `doubtful` means that the server may have it already: the next attempt is
the same mail under the same Message-ID and says so.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapters import inbox
from adapters.incoming import Office
from adapters.mail.links import NewLink
from adapters.store import get_meta, set_meta
from schemas.problem import Problem

SCHEMA_VERSION = "mail schema"
# Each entry brings the tables from version n to n + 1. Never edit one that was released: append.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE mail (
            no            INTEGER PRIMARY KEY AUTOINCREMENT,
            kind          TEXT NOT NULL CHECK (kind IN ('document', 'told', 'asked')),
            office        TEXT NOT NULL,
            -- The row of the inbox that a document's mail is about; what a take-back or a telling is about.
            inbox_no      INTEGER UNIQUE REFERENCES inbox (no),
            about         TEXT UNIQUE,
            message_id    TEXT NOT NULL UNIQUE,
            state         TEXT NOT NULL CHECK (state IN ('due', 'sending', 'taken', 'failed', 'bounced')),
            doubtful      INTEGER NOT NULL DEFAULT 0,
            attempts      INTEGER NOT NULL DEFAULT 0,
            next_try_at   REAL NOT NULL DEFAULT 0,
            trouble       TEXT,
            created_at    REAL NOT NULL,
            taken_at      REAL,
            answer        TEXT,
            reason        TEXT,
            answered_at   REAL
        )
        """,
        "CREATE INDEX mail_waiting ON mail (next_try_at) WHERE state = 'due'",
        # Only the hash of a link's token is kept: who reads this file cannot answer for a clerk.
        """
        CREATE TABLE mail_link (
            hash          BLOB PRIMARY KEY,
            mail_no       INTEGER NOT NULL REFERENCES mail (no),
            attempt       INTEGER NOT NULL,
            purpose       TEXT NOT NULL CHECK (purpose IN ('answer', 'parts')),
            code_hash     BLOB,
            expires_at    REAL NOT NULL,
            wrong         INTEGER NOT NULL DEFAULT 0
        ) WITHOUT ROWID
        """,
        # edXML that came by mail: the same file from the same office has one effect.
        """
        CREATE TABLE mail_in (
            office        TEXT NOT NULL,
            sha256        TEXT NOT NULL,
            outbox_no     INTEGER NOT NULL REFERENCES outbox (no),
            name          TEXT NOT NULL,
            sender        TEXT NOT NULL,
            received_at   REAL NOT NULL,
            copies        INTEGER NOT NULL DEFAULT 1,
            PRIMARY KEY (office, sha256)
        ) WITHOUT ROWID
        """,
    ),
)


class After(StrEnum):
    """How an attempt ended."""

    TAKEN = "taken"
    # The server said no for good (5xx).
    REFUSED = "refused"
    # The server said not now (4xx), or could not be reached, or fell silent before it had the whole mail.
    LATER = "later"
    # The whole mail was handed over and no answer came.
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A mail to be sent now."""

    no: int
    kind: str
    office: str
    inbox_no: int | None
    about: str | None
    message_id: str
    # Attempts before this one, and whether the server may have taken one of them.
    attempts: int
    doubtful: bool
    created_at: float


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the mail tables to the newest version. Raises Problem if a newer program wrote them."""
    version = int(get_meta(connection, SCHEMA_VERSION) or 0)
    if version > len(MIGRATIONS):
        raise Problem(f"mail tables of version {version}", f"at most {len(MIGRATIONS)}", "Use the newer program")
    for step in MIGRATIONS[version:]:
        for statement in step:
            connection.execute(statement)
    set_meta(connection, SCHEMA_VERSION, str(len(MIGRATIONS)))


def new_message_id(domain: str) -> str:
    """A Message-ID that nobody can guess: only who has the mail can write a bounce about it."""
    return f"<lienthong.{secrets.token_hex(16)}@{domain}>"


def gather(connection: sqlite3.Connection, codes: Collection[str], *, domain: str, now: float) -> int:
    """Turn what waits in the inbox for these offices into mails to be sent; returns how many."""
    marks = ", ".join("?" * len(codes))
    rows = connection.execute(
        f"SELECT no, recipient FROM inbox WHERE state = 'waiting' AND recipient IN ({marks}) ORDER BY urgent DESC, no",
        tuple(codes),
    ).fetchall()
    for no, recipient in rows:
        connection.execute(
            "INSERT OR IGNORE INTO mail (kind, office, inbox_no, message_id, state, created_at)"
            " VALUES ('document', ?, ?, ?, 'due', ?)",
            (recipient, no, new_message_id(domain), now),
        )
        connection.execute("UPDATE inbox SET state = 'done', finished_at = ? WHERE no = ?", (now, no))
    return len(rows)


def put(connection: sqlite3.Connection, kind: str, office: str, about: str, *, domain: str, now: float) -> None:
    """A mail that is not a document: `about` is its content as JSON, and the same content is sent once."""
    connection.execute(
        "INSERT OR IGNORE INTO mail (kind, office, about, message_id, state, created_at) VALUES (?, ?, ?, ?, 'due', ?)",
        (kind, office, about, new_message_id(domain), now),
    )


def recover(connection: sqlite3.Connection) -> int:
    """After a crash: what was being sent may have been taken. It goes again, and says so."""
    return connection.execute(
        "UPDATE mail SET state = 'due', doubtful = 1, next_try_at = 0,"
        " trouble = 'the program ended while the mail was being sent' WHERE state = 'sending'"
    ).rowcount


def next_due_at(connection: sqlite3.Connection) -> float | None:
    """When the next mail becomes due; None if none waits."""
    (moment,) = connection.execute("SELECT min(next_try_at) FROM mail WHERE state = 'due'").fetchone()
    return None if moment is None else float(moment)


def take(connection: sqlite3.Connection, *, now: float, busy: Collection[int]) -> Due | None:
    """The next mail to be sent, marked as being sent: from here on a crash leaves it in doubt, never lost."""
    marks = ", ".join("?" * len(busy))
    row = connection.execute(
        "SELECT m.no, m.kind, m.office, m.inbox_no, m.about, m.message_id, m.attempts, m.doubtful, m.created_at"
        " FROM mail m LEFT JOIN inbox i ON i.no = m.inbox_no"
        f" WHERE m.state = 'due' AND m.next_try_at <= ? AND m.no NOT IN ({marks})"
        " ORDER BY coalesce(i.urgent, 0) DESC, m.no LIMIT 1",
        (now, *busy),
    ).fetchone()
    if row is None:
        return None
    connection.execute("UPDATE mail SET state = 'sending', attempts = attempts + 1 WHERE no = ?", (row[0],))
    return Due(
        no=row[0],
        kind=row[1],
        office=row[2],
        inbox_no=row[3],
        about=row[4],
        message_id=row[5],
        attempts=row[6],
        doubtful=bool(row[7]),
        created_at=row[8],
    )


def keep_links(connection: sqlite3.Connection, due: Due, links: Sequence[NewLink]) -> None:
    """Write the links of an attempt down before the mail that holds them leaves."""
    connection.executemany(
        "INSERT INTO mail_link (hash, mail_no, attempt, purpose, code_hash, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        [(one.hash, due.no, due.attempts + 1, one.purpose, one.code_hash, one.expires_at) for one in links],
    )


def taken(connection: sqlite3.Connection, no: int, office: Office) -> None:
    """The office has the mail: recorded, and the document's 01 put into the outbox, in this one transaction."""
    (inbox_no,) = connection.execute(
        "UPDATE mail SET state = 'taken', doubtful = 0, trouble = NULL, taken_at = coalesce(taken_at, ?)"
        " WHERE no = ? RETURNING inbox_no",
        (office.seconds, no),
    ).fetchone()
    if inbox_no is not None:
        inbox.arrived(connection, inbox_no, office)


def not_taken(connection: sqlite3.Connection, due: Due, after: After, why: str, *, next_try_at: float | None) -> None:
    """The attempt failed; `next_try_at` None: it waits for a person. Links that cannot have arrived are forgotten."""
    if after is not After.DOUBTFUL:
        connection.execute("DELETE FROM mail_link WHERE mail_no = ? AND attempt = ?", (due.no, due.attempts + 1))
    connection.execute(
        "UPDATE mail SET state = ?, next_try_at = ?, trouble = ?, doubtful = doubtful OR ? WHERE no = ?"
        " AND state = 'sending'",
        ("failed" if next_try_at is None else "due", next_try_at or 0, why, after is After.DOUBTFUL, due.no),
    )


def bounced(connection: sqlite3.Connection, message_id: str, why: str) -> tuple[int, str] | None:
    """A bounce about a mail of ours has come; returns its number and office, or None if it is not known."""
    row = connection.execute(
        "UPDATE mail SET state = 'bounced', trouble = ? WHERE message_id = ? AND answer IS NULL RETURNING no, office",
        (why, message_id),
    ).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def again(connection: sqlite3.Connection, no: int) -> None:
    """An operator wants the mail sent once more, now. Raises Problem if there is none or it was answered."""
    changed = connection.execute(
        "UPDATE mail SET state = 'due', next_try_at = 0, doubtful = (doubtful OR taken_at IS NOT NULL)"
        " WHERE no = ? AND answer IS NULL AND state <> 'sending'",
        (no,),
    ).rowcount
    if not changed:
        raise Problem(
            f"no mail {no} that can go again", "one without an answer", "Look with `lienthong-agency mail list`"
        )

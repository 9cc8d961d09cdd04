"""What the folder adapter remembers in the agency's database: what was dropped, and what is about to appear in inbox/.

Functions of an open SQLite transaction (see `adapters.store`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.folder.texts import Told
from adapters.letter import Ref


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """Something that was taken from outbox/ and is in the agency's outbox."""

    no: int
    mark: str
    job: str
    folder: str
    kind: str
    outbox_no: int
    ref: Ref
    dropped_at: float
    rejected: bool


class NotSent(Exception):
    """What was dropped goes to refused/; `told` are the reasons."""

    def __init__(self, told: Sequence[Told], *, code: str | None = None, dropped: Dropped | None = None) -> None:
        super().__init__("; ".join(one.en for one in told))
        self.told = told
        self.code = code
        # What was sent before with the same mark.
        self.dropped = dropped


_DROPPED = "SELECT no, mark, job, folder, kind, outbox_no, sender, id, digest, dropped_at, rejected FROM dropped"


def _dropped(row: tuple[Any, ...] | None) -> Dropped | None:
    if row is None:
        return None
    no, mark, job, folder, kind, outbox_no, sender, id, digest, at, rejected = row
    return Dropped(
        no=no,
        mark=mark,
        job=job,
        folder=folder,
        kind=kind,
        outbox_no=outbox_no,
        ref=Ref(sender, id, digest),
        dropped_at=at,
        rejected=bool(rejected),
    )


def remember(
    connection: sqlite3.Connection,
    *,
    mark: str,
    job: str,
    folder: str,
    kind: str,
    outbox_no: int,
    ref: Ref,
    now: float,
) -> None:
    """Bind what was dropped to the row of the outbox that sends it. Raises IntegrityError if it was sent before."""
    connection.execute(
        "INSERT INTO dropped (mark, job, folder, kind, outbox_no, sender, id, digest, dropped_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (mark, job, folder, kind, outbox_no, *ref, now),
    )


def by_mark(connection: sqlite3.Connection, mark: str) -> Dropped | None:
    """What was sent with this mark and not rejected."""
    return _dropped(connection.execute(f"{_DROPPED} WHERE mark = ? AND rejected = 0", (mark,)).fetchone())


def by_job(connection: sqlite3.Connection, job: str) -> Dropped | None:
    """What was sent out of that working folder."""
    return _dropped(connection.execute(f"{_DROPPED} WHERE job = ?", (job,)).fetchone())


def by_outbox_no(connection: sqlite3.Connection, no: int) -> Dropped | None:
    """What is sent by that row of the outbox: the newest, if the same bytes were dropped anew after a rejection."""
    return _dropped(connection.execute(f"{_DROPPED} WHERE outbox_no = ? ORDER BY no DESC", (no,)).fetchone())


def mark_rejected(connection: sqlite3.Connection, no: int) -> None:
    """The exchange did not take it: the same files may be dropped again."""
    connection.execute("UPDATE dropped SET rejected = 1 WHERE no = ?", (no,))


def statuses_of(connection: sqlite3.Connection, ref: Ref) -> list[dict[str, Any]]:
    """What recipients said of a document of ours, in the order of their own times."""
    rows = connection.execute(
        "SELECT agency, code, at, body FROM status WHERE sender = ? AND id = ? AND digest = ?"
        " AND audience = 'sender' ORDER BY at, no",
        ref,
    )
    found = []
    for agency, code, at, body in rows:
        item: Mapping[str, Any] = json.loads(body)
        found.append(
            {"agency": agency, "code": code, "at": at, "reason": item.get("reason"), "staff": item.get("staff")}
        )
    return found


# ── inbox/ ───────────────────────────────────────────────────────────────────────────────────────────────────────


def about_to_appear(connection: sqlite3.Connection, key: str, *, prepared: str, folder: str) -> None:
    """The folder `prepared` is complete and is going to be renamed to `folder`."""
    connection.execute(
        "INSERT INTO laid_down (key, prepared, folder) VALUES (?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET prepared = excluded.prepared, folder = excluded.folder",
        (key, prepared, folder),
    )


def laid_down(connection: sqlite3.Connection, key: str) -> tuple[str, str] | None:
    """(prepared, folder) of what has appeared or is about to."""
    row = connection.execute("SELECT prepared, folder FROM laid_down WHERE key = ?", (key,)).fetchone()
    return None if row is None else (str(row[0]), str(row[1]))


def appeared(connection: sqlite3.Connection, key: str) -> None:
    """It has been renamed."""
    connection.execute("UPDATE laid_down SET appeared = 1 WHERE key = ?", (key,))


def in_folder(connection: sqlite3.Connection, folder: str) -> str | None:
    """The key of what appeared in inbox/ under that name."""
    row = connection.execute("SELECT key FROM laid_down WHERE folder = ?", (folder,)).fetchone()
    return None if row is None else str(row[0])

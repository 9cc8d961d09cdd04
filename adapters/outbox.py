"""What must reach the exchange, as rows: put in, taken when due, marked by confirm and by notice.

Functions of an open SQLite transaction (see `adapters.store`); they sign nothing and publish nothing. A document's row
keeps its signed bytes until the exchange has said accepted or rejected; on doubt the same bytes become due again.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.compose import Outgoing
from adapters.letter import Ref
from schemas.problem import Problem

FIRST_RETRY_SECONDS = 0.5
LAST_RETRY_SECONDS = 60.0
LAST_RESEND_SECONDS = 3600.0
# Bodies held in memory at a time, unless one alone is larger.
BATCH_BYTES = 8 * 1024 * 1024

# What a notice's event makes of a row: of which kind (None: any), and its new state. `accepted` is never taken back.
_ANSWERS: Mapping[str, tuple[str | None, str]] = {
    "accepted": ("document", "accepted"),
    "rejected": (None, "rejected"),
    "status-refused": ("status", "rejected"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A row to be published now."""

    no: int
    kind: str
    urgent: bool
    body: bytes
    attempts: int
    # The name of this publish, written down before it happens: a notice about unreadable bytes names nothing else.
    message_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How the publish of a row ended; `trouble` is None after a confirm."""

    no: int
    kind: str
    attempts: int
    trouble: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """How far one outgoing message is."""

    no: int
    kind: str
    ref: Ref
    state: str
    attempts: int
    trouble: str | None
    confirmed_at: float | None
    answer: Mapping[str, Any] | None


def new_message_id() -> str:
    """A name for one publish, unique also when the same bytes go out again (contract §3)."""
    return uuid.uuid4().hex


def put(connection: sqlite3.Connection, message: Outgoing, *, now: float) -> int:
    """Remember signed bytes to be sent; the same bytes again make their row due again. Returns the row's number."""
    row = connection.execute(
        "SELECT no FROM outbox WHERE speaker = ? AND id = ? AND digest = ?",
        (message.speaker, message.id, message.digest),
    ).fetchone()
    if row is not None:
        make_due(connection, [row[0]])
        return int(row[0])
    cursor = connection.execute(
        "INSERT INTO outbox (kind, speaker, id, digest, urgent, body, state, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, 'due', ?)",
        (message.kind, message.speaker, message.id, message.digest, message.urgent, message.body, now),
    )
    return int(cursor.lastrowid or 0)


def make_due(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """The same bytes once more, at once."""
    connection.executemany(
        "UPDATE outbox SET state = 'due', next_try_at = 0 WHERE no = ?", [(number,) for number in sorted(set(numbers))]
    )


def due(connection: sqlite3.Connection, *, now: float, limit: int) -> list[Due]:
    """What is to be published now, urgent documents first; also what was confirmed but never answered."""
    found: list[Due] = []
    size = 0
    for no, kind, urgent, body, attempts in connection.execute(
        "SELECT no, kind, urgent, body, attempts FROM outbox"
        " WHERE state IN ('due', 'sent') AND next_try_at <= ? ORDER BY urgent DESC, no LIMIT ?",
        (now, limit),
    ):
        size += len(body)
        if found and size > BATCH_BYTES:
            break
        found.append(
            Due(no=no, kind=kind, urgent=bool(urgent), body=body, attempts=attempts, message_id=new_message_id())
        )
    connection.executemany("UPDATE outbox SET message_id = ? WHERE no = ?", [(one.message_id, one.no) for one in found])
    return found


def next_due_at(connection: sqlite3.Connection) -> float | None:
    """When the next row becomes due, in seconds since 1970; None if nothing waits."""
    (moment,) = connection.execute("SELECT min(next_try_at) FROM outbox WHERE state IN ('due', 'sent')").fetchone()
    return None if moment is None else float(moment)


def nothing_open(connection: sqlite3.Connection) -> bool:
    """True if every document has been accepted or rejected."""
    (waits,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE state IN ('due', 'sent') AND kind = 'document')"
    ).fetchone()
    return not waits


def record(connection: sqlite3.Connection, results: Sequence[Result], *, now: float, resend_after: float) -> None:
    """Write down how publishes ended.

    A confirmed document waits for its notice and becomes due again if none comes; statuses and requests are done.
    A row that a notice has already answered stays answered.
    """
    for result in results:
        attempts = result.attempts + 1
        if result.trouble is not None:
            wait = min(FIRST_RETRY_SECONDS * 2.0 ** min(result.attempts, 16), LAST_RETRY_SECONDS)
            connection.execute(
                "UPDATE outbox SET attempts = ?, next_try_at = ?, trouble = ?"
                " WHERE no = ? AND state IN ('due', 'sent')",
                (attempts, now + wait, result.trouble, result.no),
            )
            continue
        state = "sent" if result.kind == "document" else "done"
        wait = min(resend_after * 2.0 ** min(result.attempts, 16), LAST_RESEND_SECONDS)
        connection.execute(
            "UPDATE outbox SET state = CASE WHEN state IN ('due', 'sent') THEN ? ELSE state END,"
            " attempts = ?, next_try_at = ?, trouble = NULL, confirmed_at = coalesce(confirmed_at, ?) WHERE no = ?",
            (state, attempts, now + wait, now, result.no),
        )


def answered(
    connection: sqlite3.Connection, concerns: Mapping[str, Any], event: str, item: Mapping[str, Any], *, now: float
) -> int | None:
    """Apply an item of a notice to the row it is about; returns its number, or None if nothing of ours is meant."""
    no = find(connection, concerns)
    if no is None:
        return None
    kind, state = _ANSWERS.get(event, (None, None))
    if state is not None:
        connection.execute(
            "UPDATE outbox SET state = ?, answered_at = ?, answer = ?, confirmed_at = coalesce(confirmed_at, ?)"
            " WHERE no = ? AND state <> 'accepted' AND kind = coalesce(?, kind)",
            (state, now, json.dumps(item, ensure_ascii=False), now, no, kind),
        )
    return no


def find(connection: sqlite3.Connection, concerns: Mapping[str, Any]) -> int | None:
    """The row that a notice's `concerns` means: reference with digest, or the message_id of a publish."""
    if concerns.get("message_id") is not None:
        row = connection.execute("SELECT no FROM outbox WHERE message_id = ?", (concerns["message_id"],)).fetchone()
    else:
        row = connection.execute(
            "SELECT no FROM outbox WHERE speaker = ? AND id = ? AND digest = ?",
            (concerns.get("from"), concerns.get("id"), concerns.get("digest")),
        ).fetchone()
    return None if row is None else int(row[0])


def entry(connection: sqlite3.Connection, no: int) -> Entry:
    """How far a row is. Raises Problem if there is none."""
    row = connection.execute(
        "SELECT no, kind, speaker, id, digest, state, attempts, trouble, confirmed_at, answer FROM outbox WHERE no = ?",
        (no,),
    ).fetchone()
    if row is None:
        raise Problem(
            found=f"no outgoing message {no}",
            expected="one that was sent",
            remedy="Look with `lienthong-agency outbox`.",
        )
    number, kind, speaker, id, digest, state, attempts, trouble, confirmed_at, answer = row
    return Entry(
        no=number,
        kind=kind,
        ref=Ref(speaker, id, digest),
        state=state,
        attempts=attempts,
        trouble=trouble,
        confirmed_at=confirmed_at,
        answer=None if answer is None else json.loads(answer),
    )


def sent_document(connection: sqlite3.Connection, id: str) -> tuple[int, Ref] | None:
    """Row and reference of the document of ours with this id; the accepted one, if its id was used twice."""
    row = connection.execute(
        "SELECT no, speaker, id, digest FROM outbox WHERE kind = 'document' AND id = ?"
        " ORDER BY state = 'accepted' DESC, no LIMIT 1",
        (id,),
    ).fetchone()
    return None if row is None else (int(row[0]), Ref(*row[1:]))


def body(connection: sqlite3.Connection, no: int) -> bytes:
    """The signed bytes of a row."""
    (found,) = connection.execute("SELECT body FROM outbox WHERE no = ?", (no,)).fetchone()
    return bytes(found)

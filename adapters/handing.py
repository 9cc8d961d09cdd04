"""Handing rows of the inbox to the agency's code: taken, finished, handed back, recovered after a crash.

Functions of an open SQLite transaction (see `adapters.store`). A row is marked as taken before the code sees it, so
that a crash shows: it is then handed over again, flagged, after a back-off.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.letter import Ref


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A row of the inbox that is being handed to the code."""

    no: int
    ref: Ref
    recipient: str
    addressed_as: str
    # How often it was handed over before, without its block finishing.
    earlier_attempts: int
    jws: bytes
    accepted_at: str
    verdict: Mapping[str, Mapping[str, str]]
    # (name, media type, role, size, sha256)
    parts: tuple[tuple[str, str, str, int, str], ...]
    changed_by: tuple[Ref, ...]
    concerns: tuple[Ref, ...]


def take(connection: sqlite3.Connection, *, now: float, limit: int, but: Collection[str] = ()) -> list[Taken]:
    """Rows to be handed over now, urgent ones first; marked before the code sees them, so that a crash shows.

    `but` are recipients whose documents another adapter takes.
    """
    rows = connection.execute(
        "SELECT no FROM inbox WHERE state = 'waiting' AND next_try_at <= ?"
        f" AND recipient NOT IN ({_marks(but)}) ORDER BY urgent DESC, no LIMIT ?",
        (now, *but, limit),
    ).fetchall()
    connection.executemany("UPDATE inbox SET state = 'taken', attempts = attempts + 1 WHERE no = ?", rows)
    return read_rows(connection, [no for (no,) in rows])


def next_take_at(connection: sqlite3.Connection, *, but: Collection[str] = ()) -> float | None:
    """When the next waiting row may be handed over; None if none waits."""
    (moment,) = connection.execute(
        f"SELECT min(next_try_at) FROM inbox WHERE state = 'waiting' AND recipient NOT IN ({_marks(but)})", tuple(but)
    ).fetchone()
    return None if moment is None else float(moment)


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def rows_with_id(connection: sqlite3.Connection, id: str) -> list[Taken]:
    """The rows of the inbox about a document with this id, one for each recipient."""
    numbers = connection.execute("SELECT no FROM inbox WHERE id = ? ORDER BY no", (id,)).fetchall()
    return read_rows(connection, [no for (no,) in numbers])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Document:
    """What the rows of a document share; a hub has a hundred rows of one."""

    ref: Ref
    jws: bytes
    accepted_at: str
    verdict: Mapping[str, Mapping[str, str]]
    parts: tuple[tuple[str, str, str, int, str], ...]
    changed_by: tuple[Ref, ...]
    concerns: tuple[Ref, ...]


def read_rows(connection: sqlite3.Connection, numbers: Sequence[int]) -> list[Taken]:
    """Rows of the inbox with their documents, in the order of `numbers`."""
    documents: dict[int, _Document] = {}
    found: list[Taken] = []
    for no in numbers:
        document_no, recipient, addressed_as, attempts = connection.execute(
            "SELECT document_no, recipient, addressed_as, attempts FROM inbox WHERE no = ?", (no,)
        ).fetchone()
        if document_no not in documents:
            documents[document_no] = _read_document(connection, document_no)
        document = documents[document_no]
        found.append(
            Taken(
                no=no,
                ref=document.ref,
                recipient=recipient,
                addressed_as=addressed_as,
                earlier_attempts=max(attempts - 1, 0),
                jws=document.jws,
                accepted_at=document.accepted_at,
                verdict=document.verdict,
                parts=document.parts,
                changed_by=document.changed_by,
                concerns=document.concerns,
            )
        )
    return found


def _read_document(connection: sqlite3.Connection, document_no: int) -> _Document:
    sender, id, digest, jws, accepted_at, verdict, key = connection.execute(
        "SELECT sender, id, digest, jws, accepted_at, verdict, natural_key FROM document WHERE no = ?", (document_no,)
    ).fetchone()
    ref = Ref(sender, id, digest)
    parts = connection.execute(
        "SELECT name, media_type, role, size, sha256 FROM part WHERE document_no = ? ORDER BY ordinal", (document_no,)
    ).fetchall()
    return _Document(
        ref=ref,
        jws=bytes(jws),
        accepted_at=accepted_at,
        verdict=json.loads(verdict),
        parts=tuple(parts),
        changed_by=_changed_by(connection, ref, key),
        concerns=concerned(connection, document_no),
    )


def _changed_by(connection: sqlite3.Connection, ref: Ref, natural_key: bytes | None) -> tuple[Ref, ...]:
    rows = connection.execute(
        "SELECT DISTINCT d.sender, d.id, d.digest FROM change c JOIN document d ON d.no = c.document_no"
        " WHERE (c.sender = ? AND c.id = ?) OR (c.natural_key IS NOT NULL AND c.natural_key = ?) ORDER BY d.no",
        (ref.sender, ref.id, natural_key),
    )
    return tuple(Ref(*row) for row in rows)


def concerned(connection: sqlite3.Connection, document_no: int) -> tuple[Ref, ...]:
    """The documents that a recall, update or replacement concerns, as far as they can be named with their digest."""
    found: dict[Ref, None] = {}
    for sender, id, digest, key in connection.execute(
        "SELECT sender, id, digest, natural_key FROM change WHERE document_no = ?", (document_no,)
    ).fetchall():
        if id is not None and digest is not None:
            found[Ref(sender, id, digest)] = None
            continue
        for row in connection.execute(
            "SELECT sender, id, digest FROM document WHERE natural_key = ? AND action = 'new'", (key,)
        ):
            found[Ref(*row)] = None
    return tuple(found)


def finish(connection: sqlite3.Connection, no: int, state: str, *, now: float) -> None:
    """The block has finished: `done`, or `refused`."""
    connection.execute("UPDATE inbox SET state = ?, finished_at = ?, trouble = NULL WHERE no = ?", (state, now, no))


def hand_back(connection: sqlite3.Connection, no: int, *, why: str | None, next_try_at: float) -> None:
    """The block did not finish: it is handed over again, not before `next_try_at`."""
    connection.execute(
        "UPDATE inbox SET state = 'waiting', trouble = ?, next_try_at = ? WHERE no = ? AND state = 'taken'",
        (why, next_try_at, no),
    )


def untouched(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Taken ahead and never shown to the code: as if it had not been taken."""
    connection.executemany(
        "UPDATE inbox SET state = 'waiting', attempts = attempts - 1 WHERE no = ? AND state = 'taken'",
        [(number,) for number in numbers],
    )


def recover(connection: sqlite3.Connection, wait: Callable[[int], float], *, now: float) -> int:
    """After a crash: rows that were in a block are handed over again, after the back-off for their attempts."""
    rows = connection.execute("SELECT no, attempts FROM inbox WHERE state = 'taken'").fetchall()
    connection.executemany(
        "UPDATE inbox SET state = 'waiting', next_try_at = ?, trouble = 'the program ended inside the block'"
        " WHERE no = ?",
        [(now + wait(attempts), no) for no, attempts in rows],
    )
    return len(rows)

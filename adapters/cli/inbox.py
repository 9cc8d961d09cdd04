"""`lienthong-agency inbox` and `outbox`: look into the agency's database without a connection to the exchange."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.agency import DATABASE
from adapters.settings import AgencySettings
from adapters.store import open_database
from schemas.jws import parse_message, parse_stored
from schemas.problem import Problem
from schemas.times import rfc3339

STATES = ("waiting", "taken", "done", "refused")
_LIST = (
    "SELECT i.sender, i.id, d.digest, i.recipient, i.addressed_as, i.state, i.attempts, i.trouble, i.copies,"
    " i.stored_at, d.subject, d.action, d.priority, d.no"
    " FROM inbox i JOIN document d ON d.no = i.document_no"
)


@contextlib.contextmanager
def database(settings: AgencySettings) -> Iterator[sqlite3.Connection]:
    """The agency's database. Raises Problem if nothing was ever sent or received here."""
    path: Path = settings.data_dir / DATABASE
    if not path.exists():
        raise Problem(f"no {path}", "an agency that has sent or received", "Run `lienthong-agency receive` first")
    with contextlib.closing(open_database(path)) as connection:
        yield connection


def letters(connection: sqlite3.Connection, *, state: str | None, limit: int) -> list[dict[str, Any]]:
    """The newest rows of the inbox. Raises Problem for a state that no row can have."""
    if state is not None and state not in STATES:
        raise Problem(f"the state {state}", ", ".join(STATES), "Choose one of them")
    where, values = (" WHERE i.state = ?", [state]) if state else ("", [])
    rows = connection.execute(f"{_LIST}{where} ORDER BY i.no DESC LIMIT ?", [*values, limit])
    return [_letter(row) for row in rows]


def letter(connection: sqlite3.Connection, id: str) -> dict[str, Any]:
    """Everything that is known about one document that came. Raises Problem if there is none."""
    rows = connection.execute(f"{_LIST} WHERE i.id = ? ORDER BY i.no", (id,)).fetchall()
    if not rows:
        raise Problem(f"no document {id}", "an id of the inbox", "Look with `lienthong-agency inbox list`")
    document_no = rows[0][-1]
    jws, verdict, accepted_at = connection.execute(
        "SELECT jws, verdict, accepted_at FROM document WHERE no = ?", (document_no,)
    ).fetchone()
    parts = connection.execute(
        "SELECT name, media_type, role, size, sha256 FROM part WHERE document_no = ? ORDER BY ordinal", (document_no,)
    )
    return {
        "manifest": json.loads(parse_stored(bytes(jws)).payload),
        "accepted_at": accepted_at,
        "verdict": json.loads(verdict),
        "parts": [dict(zip(("name", "media_type", "role", "size", "sha256"), part, strict=True)) for part in parts],
        "deliveries": [_letter(row) for row in rows],
    }


def aside(connection: sqlite3.Connection, *, limit: int) -> list[dict[str, Any]]:
    """Messages that were not believed, newest first; `parked` ones are good and wait for their larger parts."""
    kept = connection.execute("SELECT at, code, why, message_id, times FROM aside ORDER BY no DESC LIMIT ?", (limit,))
    waiting = connection.execute(
        "SELECT at, 'parked', why, '', attempts FROM parked ORDER BY no DESC LIMIT ?", (limit,)
    )
    return [
        {"at": _time(at), "code": code, "why": why, "message_id": message_id, "times": times}
        for at, code, why, message_id, times in (*waiting, *kept)
    ]


def sent(connection: sqlite3.Connection, *, limit: int) -> list[dict[str, Any]]:
    """The newest documents sent, with what recipients said."""
    found = []
    for speaker, id, digest, state, attempts, trouble, created_at, answer, body in connection.execute(
        "SELECT speaker, id, digest, state, attempts, trouble, created_at, answer, body FROM outbox"
        " WHERE kind = 'document' ORDER BY no DESC LIMIT ?",
        (limit,),
    ).fetchall():
        statuses = connection.execute(
            "SELECT agency, code, at, json_extract(body, '$.reason') FROM status"
            " WHERE sender = ? AND id = ? AND digest = ? ORDER BY at, no",
            (speaker, id, digest),
        )
        manifest = json.loads(parse_message(bytes(body), slip_allowed=False).signed.payload)
        about = manifest.get("document", {})
        found.append(
            {
                "from": speaker,
                "id": id,
                "digest": digest,
                "action": manifest["action"],
                "number": about.get("number", ""),
                "notation": about.get("notation", ""),
                "subject": about.get("subject", ""),
                "to": manifest.get("to", []),  # a recall goes to whoever has the document
                "state": state,
                "attempts": attempts,
                "trouble": trouble,
                "sent_at": _time(created_at),
                "answer": None if answer is None else json.loads(answer),
                "statuses": [
                    {"agency": agency, "code": code, "at": at, "reason": reason}
                    for agency, code, at, reason in statuses
                ],
            }
        )
    return found


def _letter(row: tuple[Any, ...]) -> dict[str, Any]:
    names = (
        "from", "id", "digest", "recipient", "addressed_as", "state", "attempts", "trouble", "copies", "stored_at",
        "subject", "action", "priority",
    )  # fmt: skip
    found = dict(zip(names, row[:-1], strict=True))
    return {**found, "stored_at": _time(found["stored_at"])}


def _time(seconds: float) -> str:
    return rfc3339(datetime.fromtimestamp(seconds, UTC))

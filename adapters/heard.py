"""What came back about our own messages: statuses, notices, take-backs; rows turned into the records of `letter`."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.letter import Accepted, Notice, Ref, Rejected, Status, TakeBack
from schemas.times import parse_rfc3339


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """An item as it stands in the database: the signed JSON item and, for statuses, who sent it in which message."""

    no: int
    item: Mapping[str, Any]
    message: Ref | None = None


_STATUS = (
    "SELECT s.no, s.body, m.sender, m.id, m.digest FROM status s JOIN status_message m ON m.no = s.message_no"
    " WHERE s.handed_at IS NULL AND s.audience = ? ORDER BY s.no LIMIT 1"
)


def next_status(connection: sqlite3.Connection) -> Row | None:
    """The oldest status about a document of ours that was not handed over."""
    return _status_row(connection, "sender")


def next_take_back(connection: sqlite3.Connection) -> Row | None:
    """The oldest request to give a document back that was not handed over."""
    return _status_row(connection, "recipient")


def _status_row(connection: sqlite3.Connection, audience: str) -> Row | None:
    row = connection.execute(_STATUS, (audience,)).fetchone()
    if row is None:
        return None
    no, body, sender, id, digest = row
    return Row(no=no, item=json.loads(body), message=Ref(sender, id, digest))


def status_row(connection: sqlite3.Connection, no: int) -> Row:
    """A status, or a request to give a document back, by its number."""
    body, *message = connection.execute(
        "SELECT s.body, m.sender, m.id, m.digest FROM status s JOIN status_message m ON m.no = s.message_no"
        " WHERE s.no = ?",
        (no,),
    ).fetchone()
    return Row(no=no, item=json.loads(body), message=Ref(*message))


def status_handed(connection: sqlite3.Connection, no: int) -> None:
    """The code has dealt with it."""
    connection.execute("UPDATE status SET handed_at = ? WHERE no = ?", (time.time(), no))


def next_notice(connection: sqlite3.Connection) -> Row | None:
    """The oldest notice about a message of ours that was not handed over."""
    row = connection.execute(
        "SELECT no, body FROM notice WHERE handed_at IS NULL AND ours = 1 ORDER BY no LIMIT 1"
    ).fetchone()
    return None if row is None else Row(no=row[0], item=json.loads(row[1]))


def notice_handed(connection: sqlite3.Connection, no: int) -> None:
    """The code has dealt with it."""
    connection.execute("UPDATE notice SET handed_at = ? WHERE no = ?", (time.time(), no))


def nothing_to_send(connection: sqlite3.Connection) -> bool:
    """True if everything in the outbox is confirmed and no status waits to be gathered."""
    (waiting,) = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'due') OR EXISTS (SELECT 1 FROM status_due)"
    ).fetchone()
    return not waiting


def status(row: Row) -> Status:
    """A row as a status."""
    item = row.item
    return Status(
        document=_ref(item["concerns"]),
        agency=item.get("for") or (row.message.sender if row.message else ""),
        code=item["code"],
        at=parse_rfc3339(item["at"]),
        reason=item.get("reason"),
        staff=item.get("staff") or {},
        answers=item.get("answers"),
    )


def take_back(row: Row, codes: frozenset[str]) -> TakeBack:
    """A row as a request to give a document back; of those asked, the ones that this program speaks for."""
    item = row.item
    if row.message is None:
        raise AssertionError("a take-back stands in a status message")
    return TakeBack(
        document=_ref(item["concerns"]),
        asked_by=row.message,
        recipients=tuple(code for code in item.get("to") or () if code in codes),
        at=parse_rfc3339(item["at"]),
        reason=item.get("reason"),
    )


def notice(row: Row) -> Notice:
    """A row as a notice."""
    item = row.item
    return Notice(
        event=item["event"],
        concerns=item.get("concerns") or {},
        error=item.get("error"),
        detail=item.get("detail") or {},
        at=item.get("at") or "",
        item=item,
    )


def accepted(document: Ref, item: Mapping[str, Any]) -> Accepted:
    """The item of an `accepted` notice."""
    recipients = item.get("recipients") or {}
    return Accepted(
        document=document,
        first_accepted_at=item.get("first_accepted_at"),
        count=int(recipients.get("count") or 0),
        recipients=tuple(recipients.get("list") or ()),
        unresolved=tuple(item.get("unresolved") or ()),
        warnings=tuple(item.get("warnings") or ()),
        leaf=item.get("leaf"),
        log_by=item.get("log_by"),
    )


def rejected(document: Ref, item: Mapping[str, Any]) -> Rejected:
    """The item of a `rejected` notice."""
    detail = item.get("detail") or {}
    return Rejected(
        document=document,
        code=str(item.get("error") or ""),
        field=detail.get("field"),
        found=detail.get("found"),
        expected=detail.get("expected"),
        detail=detail,
    )


def _ref(reference: Mapping[str, str]) -> Ref:
    return Ref(reference["from"], reference["id"], reference["digest"])

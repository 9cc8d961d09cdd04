"""The row of a logged event against its bytes and against the log's order: what columns say beside them. Pure.

Whether the bytes are those that were logged is for `verify_log` to say, which knows the leaves.
"""

from __future__ import annotations

from typing import Any

import orjson

from broker.evidence.findings import Finding, shown
from schemas.errors import Refusal
from schemas.times import parse_rfc3339


class EventOrder:
    """Holds events, as they come in the log's order, against epoch, transaction and number, by which that was made."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._before: tuple[int, int, int] | None = None

    def check(self, row: Any) -> list[Finding]:
        """Epoch, transaction and number of an event, by which the sequencer went; checks that look for the newest event
        go by them too. What the keeper itself put there, or back there, stands outside of that order."""
        if row["put_back"] or row["kind"] == "log_opened":
            self._before = None if row["put_back"] else self._before
            return []
        before, self._before = self._before, (row["epoch"], int(row["xid"]), row["event_id"])
        if before is None or before < self._before:
            return []
        return [
            Finding(
                where="event",
                key=f"{row['event_at'].isoformat()} {row['event_id']} ({self._origin} position {row['position']})",
                what="xid",
                found="epoch {}, transaction {}, number {}".format(*self._before),
                expected="something after epoch {}, transaction {}, number {}, as the log's order says: it, or the one"
                " before it, was changed".format(*before),
            )
        ]


def changed_event(row: Any, key: str, found: bytes, expected: bytes) -> Finding:
    """The finding of an event with other bytes than those that were logged, or without any."""
    name = f"{row['event_at'].isoformat()} {row['event_id']} ({key})"
    if row["missing"]:
        return Finding(
            where="event", key=name, what="row", found="no row", expected=f"the event with leaf {shown(expected)}"
        )
    return Finding(
        where="event",
        key=name,
        what="body",
        found=f"bytes with leaf {shown(found)}: {shown(row['body'][:120])}",
        expected=f"bytes with leaf {shown(expected)}",
    )


def event_columns(row: Any, leaf: bytes, origin: str) -> list[Finding]:
    """The columns beside an event's bytes, which are projections of them; `leaf` is the hash of the bytes."""
    try:
        body = orjson.loads(row["body"])
        kind, at = body["event"], parse_rfc3339(body["at"])
    except (ValueError, KeyError, TypeError, Refusal) as error:
        told: dict[str, tuple[Any, Any]] = {"body": (f"no event: {error}", "the JSON of an event")}
    else:
        if kind == row["kind"] and at == row["event_at"] and leaf == row["event_leaf"]:
            return []
        told = {"kind": (row["kind"], kind), "at": (row["event_at"], at)}
    told["leaf"] = (row["event_leaf"], leaf)
    key = f"{row['event_at'].isoformat()} {row['event_id']} ({origin} position {row['position']})"
    return [
        Finding(where="event", key=key, what=column, found=shown(found), expected=shown(expected))
        for column, (found, expected) in told.items()
        if found != expected
    ]

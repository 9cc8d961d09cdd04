"""Statuses that the code reports: remembered one by one, signed together a moment later.

Functions of an open SQLite transaction (see `adapters.store`): an item is taken out of the gathering in the same
transaction that puts the signed message into the outbox.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from adapters import compose, outbox
from adapters.identity import Signer
from schemas.times import new_id


def report(connection: sqlite3.Connection, item: Mapping[str, Any], *, speaker: str, test: bool) -> None:
    """Remember a status to be gathered into the next signed message about its sender's documents."""
    connection.execute(
        "INSERT INTO status_due (speaker, sender, test, item) VALUES (?, ?, ?, ?)",
        (speaker, item["concerns"]["from"], test, json.dumps(item, ensure_ascii=False)),
    )


def gather(connection: sqlite3.Connection, signer_for: Callable[[str], Signer], *, now: datetime) -> int:
    """Sign what was reported, up to 500 items a message, one document sender each; returns the number of messages."""
    groups: dict[tuple[str, str, bool], list[tuple[int, str]]] = {}
    for no, speaker, sender, test, item in connection.execute(
        "SELECT no, speaker, sender, test, item FROM status_due ORDER BY no"
    ):
        groups.setdefault((speaker, sender, bool(test)), []).append((no, item))
    messages = 0
    for (speaker, _, test), rows in groups.items():
        for start in range(0, len(rows), compose.MAX_ITEMS):
            some = rows[start : start + compose.MAX_ITEMS]
            message = compose.statuses(
                [json.loads(item) for _, item in some],
                signer=signer_for(speaker),
                id=str(new_id(now)),
                now=now,
                test=test,
            )
            outbox.put(connection, message, now=now.timestamp())
            connection.executemany("DELETE FROM status_due WHERE no = ?", [(no,) for no, _ in some])
            messages += 1
    return messages

"""Sessions and recorded sign-ins against the events that tell them (`session_facts`). Reads only.

A session that nobody has begun by signing in is found as long as it is there, and so is one that was given to another
account or made longer. What a version before began was told by nothing; for a day after the first sign-in that is told,
gateways of both versions may stand side by side: what is not told by then is counted and no finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from broker.evidence.findings import Finding, shown
from broker.evidence.session_facts import ABSOLUTE, IDLE, session_digest
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.errors import Refusal
from schemas.times import parse_rfc3339

SQL: Final = load_queries("broker.evidence", "sessions.sql")

SIDE_BY_SIDE: Final = timedelta(days=1)
"""How long gateways of a version that tells nothing may go on beside those that tell."""
OF_BEFORE: Final = "sign-ins and sessions that a version before told nothing of"
UNREAD: Final = "no sessions: this role may not read them"

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """What an event tells of one."""

    at: datetime
    account: str
    ends_at: datetime


async def check_sessions(connection: Connection, since: datetime, *, progress: Progress) -> AsyncIterator[Finding]:
    """Every session and every recorded sign-in that is not as it was told."""
    told = dict(_told(await connection.fetch(SQL["told"])))
    first = min((one.at for one in told.values()), default=datetime.max.replace(tzinfo=UTC) - SIDE_BY_SIDE)
    if await connection.fetchval(SQL["readable"]):
        for row in await connection.fetch(SQL["sessions"]):
            begun = told.get(session_digest(row["token_hash"]))
            if begun is None and _of_before(row, first + SIDE_BY_SIDE):
                progress(OF_BEFORE, 1)
                continue
            progress("sessions", 1)
            for finding in _session(row, begun):
                yield finding
    else:
        progress(UNREAD, 1)
    expected = Counter((one.at, one.account) for one in told.values() if one.at >= since)
    async for row in connection.cursor(SQL["signed_in"], since, prefetch=1000):
        key = (row["at"], row["account_id"])
        if expected[key]:
            expected[key] -= 1
            progress("sign-ins", 1)
        elif row["at"] < first + SIDE_BY_SIDE:
            progress(OF_BEFORE, 1)
        else:
            yield _sign_in(*key, found="a row", expected="no row: no event tells it")
    for (at, account), many in expected.items():
        for _ in range(many):
            yield _sign_in(at, account, found="no row", expected="the sign-in that an event tells")


def _told(rows: list[Any]) -> Iterator[tuple[str, SignIn]]:
    for row in rows:
        try:
            event = orjson.loads(row["body"])
            facts: Mapping[str, Any] = event["facts"]
            ends_at = parse_rfc3339(facts["ends_at"])
            yield str(facts["session"]), SignIn(at=row["at"], account=str(event["target"]), ends_at=ends_at)
        except (ValueError, KeyError, TypeError, Refusal):
            continue  # bytes that are none are told where the log is verified


def _of_before(row: Any, until: datetime) -> bool:
    return bool(row["created_at"] < until and row["ends_at"] <= row["created_at"] + ABSOLUTE)


def _session(row: Any, begun: SignIn | None) -> Iterator[Finding]:
    def wrong(what: str, found: object, expected: str) -> Finding:
        key = f"{row['account_id']} {row['created_at'].isoformat()}"
        return Finding(where="account_session", key=key, what=what, found=shown(found), expected=expected)

    if begun is None:
        yield wrong("row", "a session", "no row: no event tells that somebody signed in for it")
        return
    for column, told in (("account_id", begun.account), ("created_at", begun.at), ("ends_at", begun.ends_at)):
        if row[column] != told:
            yield wrong(column, row[column], f"{told}, as its event tells")
    if row["idle_until"] > min(row["seen_at"] + IDLE, begun.ends_at):
        yield wrong("idle_until", row["idle_until"], f"at most {IDLE} after it was used, at {row['seen_at']}")
    if row["ahead"]:
        yield wrong("seen_at", row["seen_at"], "a time that has been")


def _sign_in(at: datetime, account: str | None, *, found: str, expected: str) -> Finding:
    key = f"{at.isoformat()} {account}"
    return Finding(where="account_record", key=key, what="row", found=found, expected=expected)

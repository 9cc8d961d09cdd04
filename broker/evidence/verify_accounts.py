"""Accounts against what the newest event about each says of its row (`account_facts`).

Where this login may not read who an account belongs to (the auditor's role), the other columns are compared, and it is
counted. Accounts of a version that told nothing of this are passed over, and counted. Reads only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final

from broker.evidence.account_facts import HIDDEN, SALT, TIMES, account_facts
from broker.evidence.findings import Finding, shown
from broker.evidence.told_facts import told_facts
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.evidence", "accounts.sql")

OF_BEFORE: Final = "accounts that only events of before know"
UNREAD: Final = "accounts whose login and password this role may not read"


async def check_accounts(
    connection: Connection, *, named: Callable[[Finding], bool], progress: Callable[[str, int], None]
) -> AsyncIterator[Finding]:
    """Every account that is not as it was told, and is not `named` already."""
    bodies = [row["body"] for row in await connection.fetch(SQL["told"])]
    newest = {told.target: told.facts for told in told_facts(bodies)}
    whole: bool = await connection.fetchval(SQL["readable"])
    for row in await connection.fetch(SQL["whole" if whole else "public"]):
        facts = newest.get(row["account_id"], {})
        if SALT not in facts:
            progress(OF_BEFORE, 1)
            continue
        progress("accounts" if whole else UNREAD, 1)
        for finding in _differences(row, facts, whole=whole):
            if not named(finding):
                yield finding


def _differences(row: Any, facts: Mapping[str, Any], *, whole: bool) -> Iterator[Finding]:
    def finding(column: str, found: object, expected: str) -> Finding:
        return Finding(where="account", key=row["account_id"], what=column, found=shown(found), expected=expected)

    said = account_facts(row) if whole else account_facts(dict(row) | dict.fromkeys((*HIDDEN, SALT)))
    for column, name in (("role", "role"), ("root_id", "subtree"), *((time, time) for time in TIMES)):
        if said[name] != facts.get(name):
            yield finding(column, said[name] or "nothing", f"{facts.get(name) or 'nothing'}, as events tell")
    if not whole:
        return
    if said[SALT] != facts[SALT]:
        why = "the one that events tell of; without it login, name and OpenID subject cannot be compared"
        yield finding(SALT, "another one", why)
        return
    for column in HIDDEN:
        if said[column] != facts.get(column):
            expected = "nothing" if facts.get(column) is None else "another one"
            yield finding(column, row[column] or "nothing", f"{expected}, as events tell")

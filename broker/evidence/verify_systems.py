"""Connected systems, their secrets and kept keys against what the newest event about each says (`system_facts`).

Where this login may not read what is sealed (the auditor's role), only the systems' open columns are compared. What a
version before told is passed over, and counted. Reads only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import groupby
from typing import Any, Final

from broker.evidence.findings import Finding, shown
from broker.evidence.system_facts import HIDDEN, OF_SECRETS, PLAIN, TIMES, key_facts, secret_facts, system_facts
from broker.evidence.told_facts import told_facts
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.exchange_events import Facts

SQL: Final = load_queries("broker.evidence", "systems.sql")

OF_BEFORE: Final = "connected systems and kept keys that only events of before know"


async def check_systems(connection: Connection, *, progress: Callable[[str, int], None]) -> AsyncIterator[Finding]:
    """Everything of connected systems that is not as it was told."""
    systems, keys = _told([row["body"] for row in await connection.fetch(SQL["told"])])
    whole: bool = await connection.fetchval(SQL["readable"])
    rows = await connection.fetch(SQL["secrets"]) if whole else []
    secrets = {system_id: list(some) for system_id, some in groupby(rows, key=lambda row: row["system_id"])}
    for row in await connection.fetch(SQL["systems"]):
        facts = systems.pop(row["hub"], None)
        if facts is None:
            yield _finding("vxp_system", row["hub"], "row", "a row", "no row: no event tells it")
        elif not facts:
            progress(OF_BEFORE, 1)
        else:
            progress("connected systems", 1)
            for finding in _system(row, secrets.get(row["system_id"], []), facts, whole=whole):
                yield finding
    for hub in systems:
        yield _finding("vxp_system", hub, "row", "no row", "the system that events tell of")
    for row in await connection.fetch(SQL["keys"]) if whole else []:
        facts = keys.pop(row["thumbprint"], None)
        if facts is None:
            progress(OF_BEFORE, 1)
            continue
        for column, value in key_facts(row).items():
            if value != facts.get(column):
                yield _finding("custody_key", row["thumbprint"], column, value, facts.get(column))
    for thumbprint in keys if whole else ():
        yield _finding("custody_key", thumbprint, "row", "no row", "the key that was kept")


def _told(bodies: list[bytes]) -> tuple[dict[str, Facts], dict[str, Facts]]:
    """What the newest events say of each hub's system, nothing where it is of before, and of each kept key."""
    systems: dict[str, Facts] = {}
    keys: dict[str, Facts] = {}
    for told in told_facts(bodies):
        (keys if told.action == "key.kept" else systems)[told.target] = told.facts
    return systems, keys


def _system(row: Any, secrets: list[Any], facts: Facts, *, whole: bool) -> Iterator[Finding]:
    hub, said = row["hub"], system_facts(row, secrets)
    for column in (*PLAIN, *TIMES):
        if said[column] != facts.get(column):
            yield _finding("vxp_system", hub, column, said[column], facts.get(column))
    if not whole:
        return
    ids = sorted(int(fact[7:]) for fact in facts if fact.startswith("sealed_") and fact[7:].isdecimal())
    there = {secret["secret_id"]: secret for secret in secrets}
    for secret_id in sorted({*ids, *there}):
        key = f"{hub} secret {secret_id}"
        if secret_id not in ids:
            yield _finding("vxp_secret", key, "row", "a row", "no row: no event tells it")
        elif secret_id not in there:
            yield _finding("vxp_secret", key, "row", "no row", "the secret that events tell of")
        else:
            own = secret_facts(there[secret_id])
            for column in OF_SECRETS:
                if own[column] != (wanted := facts.get(f"{column}_{secret_id}")):
                    yield _finding("vxp_secret", key, column, own[column], wanted)
    # Without the first secret as it was, nothing can be said of what was hashed together with it.
    if ids and there.keys() and min(there) == ids[0] and said[f"sealed_{ids[0]}"] == facts[f"sealed_{ids[0]}"]:
        for column in HIDDEN:
            if said[column] != facts.get(column):
                yield _finding("vxp_system", hub, column, row[column], "another one")


def _finding(where: str, key: str, what: str, found: object, expected: object) -> Finding:
    told = "nothing" if expected is None else expected
    return Finding(
        where=where,
        key=key,
        what=what,
        found=shown("nothing" if found is None else found),
        expected=f"{told}, as events tell",
    )

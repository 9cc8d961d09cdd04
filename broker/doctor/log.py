"""The log: whether it keeps its promise, and whether what auditors search and count keeps up with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import asyncpg

from broker.audit.finding import completeness
from broker.doctor.finding import Finding
from broker.evidence.keys import LogKeys, former_key_file, read_vkeys, vkey_file
from broker.evidence.lag import log_status, oldest_writer
from broker.settings import Settings
from broker.store.pool import connect
from schemas.problem import Problem

FIGURES_BEHIND: Final = 5_000
"""Log entries that search and reports may be behind before it is worth a word: seconds of the busiest hour."""


async def check_log(settings: Settings) -> AsyncIterator[Finding]:
    """The log's key, and how far the log is behind the events (contract §9). Ask only when PostgreSQL is good."""
    try:
        keys = LogKeys.load(settings.log_key_file, settings.log_origin)
        known = read_vkeys(vkey_file(settings.log_key_file))
        yield _keys(settings, keys.public[0] in known)
        async with connect(settings) as connection:
            status = await log_status(connection)
            holder = await oldest_writer(connection)
            figures = await completeness(connection)
    except Problem as problem:
        yield Finding.of_problem("log", problem)
        return
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        yield Finding.bad("log", f"a question failed: {error}", "Run `lienthong db migrate`; look at the server's log.")
        return
    if status.origin is None:
        found = f"nothing is in it yet; {status.unsequenced} events wait"
    else:
        found = f"{status.origin} has {status.size} entries; {status.unsequenced} events wait"
    promised = settings.log_promise_seconds
    if status.lag_seconds > promised / 2:
        waits = "" if holder is None else f" A transaction of {holder.application or holder.who} has been open since"
        waits += "" if holder is None else f" {holder.since:%H:%M:%S} (server process {holder.who})."
        remedy = "See that a keeper runs and what it logs (`log`, `keeper.task_put_off`)." + waits
        behind = f"{found}; {status.lag_seconds:.0f} s behind, {promised} s are promised"
        yield (Finding.bad if status.lag_seconds > promised else Finding.warning)("log", behind, remedy)
    else:
        yield Finding.good("log", found)
    if figures.behind > FIGURES_BEHIND:
        remedy = "See that a keeper runs and what it logs (`rollups`, `keeper.task_put_off`)."
        yield Finding.warning("figures", f"search and reports are {figures.behind} log entries behind", remedy)
    else:
        yield Finding.good("figures", f"search and reports are {figures.behind} log entries behind")


def _keys(settings: Settings, known: bool) -> Finding:
    file = settings.log_key_file
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding.bad("log key", f"{file} has mode {mode:o}", f"Run `chmod 600 {file}`: others can read it.")
    if not known:
        return Finding.bad(
            "log key",
            f"the public key of {file} is not in {vkey_file(file)}",
            "Bring both files back as they belong together: nobody could verify what this key signs.",
        )
    if former_key_file(file).exists():
        return Finding.warning(
            "log key",
            "a rotation is in progress: two keys sign",
            f"When agencies and auditors have the newer key, move {former_key_file(file)} away; restart the keepers.",
        )
    return Finding.good("log key", f"{file}, readable by its owner only")

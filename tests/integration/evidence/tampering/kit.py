"""What somebody does with the rights of a database's owner or of a file system, and whether it is found and named."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from broker.evidence.findings import Finding
from broker.evidence.keys import read_vkeys
from broker.evidence.tile_files import published_notes
from broker.evidence.verify import Scope, findings
from tests.integration.evidence.story import Story

FIRST = "(SELECT min(document_id) FROM document)"
"""The first document of the day, whose statuses are many."""

LATE = 290
"""A position in the partial tile; 100 is one in the full tile."""

THE_LOG = frozenset({"log_entry", "log_node", "log_head", "checkpoint", "checkpoint file", "tile", "entries"})
"""Tampering with these is found without a look at the exchange's rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tampering:
    """One thing that somebody does with a database owner's or a file system's rights, and what must be found."""

    name: str
    sql: str = ""
    files: Callable[[Path], None] = lambda folder: None
    where: str
    what: str | tuple[str, ...]
    """Columns and the like; of several, each must be found."""
    key: str = ""
    """Part of the finding's key."""
    full: bool = False
    """Found with --full only."""


def columns(table: str, which: str, changes: dict[str, str]) -> Tampering:
    """One row with all these columns changed."""
    values = ", ".join(f"{column} = {value}" for column, value in changes.items())
    sql = f"UPDATE {table} SET {values} WHERE {which}"
    return Tampering(name=f"columns of {table}", sql=sql, where=table, what=tuple(changes))


def named_by_another(table: str, source: str) -> str:
    """Signed headers exchanged for that of a message from somebody else: `signer` is found whatever the columns say."""
    protected = 'substring(convert_from({}.jws, \'UTF8\') from \'"protected":"([^"]+)"\')'
    return (
        f"UPDATE {table} t SET jws = convert_to(replace(convert_from(t.jws, 'UTF8'), {protected.format('t')},"
        f" {protected.format('o')}), 'UTF8') FROM {source} o, agency a, agency s WHERE a.agency_id = t.sender_id"
        " AND s.agency_id = o.sender_id AND (a.code LIKE '%.H53' AND s.code LIKE '%.G01'"
        " OR a.code LIKE '%.G01' AND s.code LIKE '%.G02')"
    )


@asynccontextmanager
async def opened(story: Story) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection with the rights of the database's owner."""
    connection = await asyncpg.connect(story.database, server_settings={"jit": "off"})
    try:
        yield connection
    finally:
        await connection.close()


async def verified(
    connection: asyncpg.Connection[asyncpg.Record], story: Story, log_dir: Path, scope: Scope | None = None
) -> list[Finding]:
    """What `audit verify` finds on this connection and in these files."""
    vkeys = read_vkeys(story.home / "keys" / "log.vkey")
    return [
        finding async for finding in findings(connection, vkeys, log_dir, scope or Scope(), published_notes(log_dir))
    ]


def open_log(log_dir: Path) -> Path:
    """The folder of the log that goes on: that of the newest year."""
    return max(one for one in log_dir.iterdir() if one.name.isdigit())


class Undo(Exception):
    """Ends a transaction without its changes."""


async def found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    """Do it in a transaction or in a copy of the files; it must be found, with where and what, and is undone."""
    log_dir = story.home / "log"
    if not tampering.sql:
        log_dir = tmp_path / "log"
        shutil.copytree(story.home / "log", log_dir)
        tampering.files(open_log(log_dir))
    found: list[Finding] = []
    async with opened(story) as connection:
        try:
            async with connection.transaction():
                await connection.execute(tampering.sql or "SELECT")
                scope = Scope(full=tampering.full, records=tampering.where not in THE_LOG or tampering.what == "at")
                found = await verified(connection, story, log_dir, scope)
                raise Undo
        except Undo:
            pass
    for what in (tampering.what,) if isinstance(tampering.what, str) else tampering.what:
        hits = [
            finding
            for finding in found
            if finding.where == tampering.where and what in finding.what and tampering.key in finding.key
        ]
        assert hits, [what, *(finding.sentence() for finding in found)]
        assert all(finding.found != finding.expected for finding in hits)


def each(tamperings: list[Tampering]) -> pytest.MarkDecorator:
    """A test for each of them, by its name."""
    return pytest.mark.parametrize("tampering", tamperings, ids=lambda tampering: tampering.name)

"""The database's history: numbered SQL files, each applied once, in order, and never changed afterwards.

A file is ``NNNN_what_it_does.sql`` in the folder ``migrations``. Each runs in a transaction of its own together with
the row that records it, all of them under one advisory lock, so that several machines may start at once. What was
applied is recorded with its SHA-256; a file whose text changed after it was applied is refused, for nobody could tell
any more what the database looks like. New tables grant their rights to the roles of 0002 in their own migration.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable

import asyncpg

from broker.store.pool import HasDatabaseUrl, connect
from schemas.problem import Problem

#: Taken for the whole run; any fixed number does, as long as nothing else in this database uses it.
MIGRATION_LOCK = 0x6C74_0001

_FILE = re.compile(r"^(?P<number>\d{4})_[a-z0-9_]+\.sql$")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Migration:
    """One step of the database's history, as the program carries it."""

    number: int
    #: File name without the ending, e.g. ``0001_exchange``.
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Lower-case hex SHA-256 of the file's text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One step as the database recorded it."""

    number: int
    name: str
    checksum: str
    applied_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class MigrationStatus:
    """What a database has and what it still needs."""

    applied: tuple[Recorded, ...]
    pending: tuple[str, ...]
    #: Sentences about recorded history that the program's files contradict; empty when all is well.
    contradictions: tuple[str, ...]


def available(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """The program's migrations in their order.

    Raises Problem if a file's name does not fit or a number is used twice.
    """
    found: dict[int, Migration] = {}
    for entry in sorted((folder or files("broker.store") / "migrations").iterdir(), key=lambda item: item.name):
        if not entry.name.endswith(".sql"):
            continue
        match = _FILE.match(entry.name)
        if match is None or int(match["number"]) in found:
            raise Problem(
                found=f"the migration file {entry.name}",
                expected="NNNN_what_it_does.sql in lower case, each number once",
                remedy="rename the file; numbers that are already applied somewhere must stay as they are",
            )
        number = int(match["number"])
        found[number] = Migration(
            number=number, name=entry.name.removesuffix(".sql"), sql=entry.read_text(encoding="utf-8")
        )
    return tuple(found[number] for number in sorted(found))


def contradictions(migrations: Sequence[Migration], recorded: Sequence[Recorded]) -> tuple[str, ...]:
    """What in the recorded history does not agree with the files: changed, missing, or slipped in afterwards."""
    by_number = {migration.number: migration for migration in migrations}
    applied = {row.number for row in recorded}
    newest = max(applied, default=0)
    sentences = []
    for row in recorded:
        migration = by_number.get(row.number)
        if migration is None:
            sentences.append(
                f"{row.name} was applied to this database, but this version of the program has no such file"
            )
        elif migration.checksum != row.checksum:
            sentences.append(f"{migration.name} was changed after it was applied on {row.applied_at:%Y-%m-%d}")
    sentences += [
        f"{migration.name} has a lower number than {newest:04d}, which is already applied"
        for migration in migrations
        if migration.number not in applied and migration.number < newest
    ]
    return tuple(sentences)


async def migrate(database: str | HasDatabaseUrl, *, folder: Traversable | None = None) -> list[str]:
    """Bring the database up to date; returns the names of the migrations applied now, in order.

    Waits for another machine that is migrating. Warnings that a migration raises go to the log. Raises Problem when
    recorded history and files contradict each other (nothing is applied then), or when a migration fails (it leaves
    no trace; earlier ones stay).
    """
    migrations = available(folder)
    async with connect(database) as connection:
        connection.add_log_listener(_pass_on_warning)
        await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)  # released with the session
        await connection.execute(
            """CREATE TABLE IF NOT EXISTS schema_migration (
                   number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,
                   applied_at timestamptz NOT NULL DEFAULT now())"""
        )
        recorded = await _recorded(connection)
        faults = contradictions(migrations, recorded)
        if faults:
            raise Problem(
                found="; ".join(faults),
                expected="applied migrations exactly as they were, and new ones with higher numbers",
                remedy="restore the file as it was and put the change into a new migration,"
                " or run the version of the program that this database belongs to",
            )
        applied = {row.number for row in recorded}
        names = []
        for migration in migrations:
            if migration.number not in applied:
                await _apply(connection, migration)
                names.append(migration.name)
        return names


async def status(database: str | HasDatabaseUrl, *, folder: Traversable | None = None) -> MigrationStatus:
    """What is applied, what is pending, and whether the two contradict each other. Changes nothing."""
    migrations = available(folder)
    async with connect(database) as connection:
        known = await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")
        recorded = await _recorded(connection) if known else ()
    applied = {row.number for row in recorded}
    return MigrationStatus(
        applied=recorded,
        pending=tuple(migration.name for migration in migrations if migration.number not in applied),
        contradictions=contradictions(migrations, recorded),
    )


async def _recorded(connection: asyncpg.Connection[asyncpg.Record]) -> tuple[Recorded, ...]:
    rows = await connection.fetch("SELECT number, name, checksum, applied_at FROM schema_migration ORDER BY number")
    return tuple(Recorded(**dict(row)) for row in rows)


async def _apply(connection: asyncpg.Connection[asyncpg.Record], migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.sql)
            await connection.execute(
                "INSERT INTO schema_migration (number, name, checksum) VALUES ($1, $2, $3)",
                migration.number,
                migration.name,
                migration.checksum,
            )
    except asyncpg.PostgresError as error:
        raise Problem(
            found=f"migration {migration.name} failed: {error}",
            expected="an exchange's database, owned by the connecting user, PostgreSQL 15 or newer",
            remedy="put right what the sentence names and run `lienthong db migrate` again; nothing of it was applied",
        ) from error


def _pass_on_warning(_connection: object, message: asyncpg.PostgresLogMessage) -> None:
    if getattr(message, "severity_en", "") == "WARNING":
        _log.warning("%s", message)

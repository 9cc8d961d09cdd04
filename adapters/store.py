"""The agency's own durable memory: one SQLite database that holds outbox, inbox, statuses and notices.

WAL with synchronous=FULL: what a commit has promised survives a loss of power. Everything that waits to be written
when a commit begins goes into that one commit (each job in a savepoint of its own, so that one that fails takes
nothing with it): many small promises cost one fsync. This module knows no meaning of what it stores.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from schemas.problem import Problem

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

# How long a write waits for another process on the same files (a CLI beside a running service).
BUSY_TIMEOUT_MS = 15_000

# Each entry brings the file from version n to n + 1 (PRAGMA user_version). Never edit one that was released: append.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    -- What must reach the exchange: signed bytes, kept as they are. 'due' is to be published; 'sent' is confirmed by
    -- the exchange and waits for its notice; documents end as accepted or rejected, the others are done when confirmed.
    CREATE TABLE outbox (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        kind          TEXT NOT NULL,
        speaker       TEXT NOT NULL,
        id            TEXT NOT NULL,
        digest        TEXT NOT NULL,
        urgent        INTEGER NOT NULL,
        body          BLOB NOT NULL,
        state         TEXT NOT NULL CHECK (state IN ('due', 'sent', 'accepted', 'rejected', 'done')),
        attempts      INTEGER NOT NULL DEFAULT 0,
        next_try_at   REAL NOT NULL DEFAULT 0,
        message_id    TEXT,
        trouble       TEXT,
        created_at    REAL NOT NULL,
        confirmed_at  REAL,
        answered_at   REAL,
        answer        TEXT,
        UNIQUE (speaker, id, digest)
    );
    CREATE INDEX outbox_waiting ON outbox (next_try_at) WHERE state IN ('due', 'sent');
    CREATE INDEX outbox_message_id ON outbox (message_id);

    -- A document that came, once, whoever it came for.
    CREATE TABLE document (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        sender        TEXT NOT NULL,
        id            TEXT NOT NULL,
        digest        TEXT NOT NULL,
        jws           BLOB NOT NULL,
        slip          TEXT NOT NULL,
        certificate   BLOB NOT NULL,
        verdict       TEXT NOT NULL,
        action        TEXT NOT NULL,
        priority      INTEGER NOT NULL,
        subject       TEXT NOT NULL,
        natural_key   BLOB,
        accepted_at   TEXT NOT NULL,
        stored_at     REAL NOT NULL,
        UNIQUE (sender, id)
    );
    CREATE INDEX document_natural_key ON document (natural_key);

    CREATE TABLE part (
        document_no   INTEGER NOT NULL REFERENCES document,
        ordinal       INTEGER NOT NULL,
        name          TEXT NOT NULL,
        media_type    TEXT NOT NULL,
        role          TEXT NOT NULL,
        size          INTEGER NOT NULL,
        sha256        TEXT NOT NULL,
        PRIMARY KEY (document_no, ordinal)
    ) WITHOUT ROWID;

    -- Small parts live here; larger ones in files named by their digest, written before the row that names them.
    CREATE TABLE content (sha256 TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;

    -- One row for each (from, id, recipient): the effect that a document has, exactly once.
    CREATE TABLE inbox (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        document_no   INTEGER NOT NULL REFERENCES document,
        sender        TEXT NOT NULL,
        id            TEXT NOT NULL,
        recipient     TEXT NOT NULL,
        addressed_as  TEXT NOT NULL,
        state         TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'taken', 'done', 'refused')),
        urgent        INTEGER NOT NULL,
        attempts      INTEGER NOT NULL DEFAULT 0,
        next_try_at   REAL NOT NULL DEFAULT 0,
        trouble       TEXT,
        copies        INTEGER NOT NULL DEFAULT 1,
        arrival_no    INTEGER REFERENCES outbox (no),
        stored_at     REAL NOT NULL,
        finished_at   REAL,
        UNIQUE (sender, id, recipient)
    );
    CREATE INDEX inbox_waiting ON inbox (urgent DESC, no) WHERE state = 'waiting';

    -- What a recall, an update or a replacement concerns: remembered also when it comes before its document.
    CREATE TABLE change (
        document_no   INTEGER NOT NULL REFERENCES document,
        sender        TEXT NOT NULL,
        id            TEXT,
        digest        TEXT,
        natural_key   BLOB
    );
    CREATE INDEX change_id ON change (sender, id);
    CREATE INDEX change_natural_key ON change (natural_key);

    -- Statuses to be gathered into the next signed message.
    CREATE TABLE status_due (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        speaker       TEXT NOT NULL,
        sender        TEXT NOT NULL,
        test          INTEGER NOT NULL,
        item          TEXT NOT NULL
    );

    CREATE TABLE status_message (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        sender        TEXT NOT NULL,
        id            TEXT NOT NULL,
        digest        TEXT NOT NULL,
        jws           BLOB NOT NULL,
        slip          TEXT NOT NULL,
        verdict       TEXT NOT NULL,
        received_at   REAL NOT NULL,
        UNIQUE (sender, id, digest)
    );
    CREATE TABLE status (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        message_no    INTEGER NOT NULL REFERENCES status_message,
        item          INTEGER NOT NULL,
        sender        TEXT NOT NULL,
        id            TEXT NOT NULL,
        digest        TEXT NOT NULL,
        agency        TEXT NOT NULL,
        code          TEXT NOT NULL,
        at            TEXT NOT NULL,
        body          TEXT NOT NULL,
        audience      TEXT NOT NULL CHECK (audience IN ('sender', 'recipient', 'nobody')),
        handed_at     REAL,
        UNIQUE (message_no, item)
    );
    CREATE INDEX status_waiting ON status (audience, no) WHERE handed_at IS NULL;
    CREATE INDEX status_document ON status (sender, id);

    CREATE TABLE notice (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        id            TEXT NOT NULL,
        item          INTEGER NOT NULL,
        event         TEXT NOT NULL,
        body          TEXT NOT NULL,
        ours          INTEGER NOT NULL,
        received_at   REAL NOT NULL,
        handed_at     REAL,
        UNIQUE (id, item)
    );
    CREATE INDEX notice_waiting ON notice (no) WHERE handed_at IS NULL AND ours = 1;

    -- What came and cannot be believed or understood: kept whole, with the reason.
    CREATE TABLE aside (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        at            REAL NOT NULL,
        code          TEXT NOT NULL,
        why           TEXT NOT NULL,
        message_id    TEXT NOT NULL,
        sha256        TEXT NOT NULL UNIQUE,
        body          BLOB NOT NULL,
        times         INTEGER NOT NULL DEFAULT 1
    );

    -- Documents whose larger parts could not be had yet; no 01 has gone out for them.
    CREATE TABLE parked (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        at            REAL NOT NULL,
        why           TEXT NOT NULL,
        attempts      INTEGER NOT NULL DEFAULT 0,
        next_try_at   REAL NOT NULL,
        sha256        TEXT NOT NULL UNIQUE,
        body          BLOB NOT NULL
    );
    """,
    """
    -- Of the folder adapter: what was dropped into its outbox and is in ours, written in the same transaction. `mark`
    -- is the digest of the files' names and bytes: the same again is not sent again, unless the exchange rejected it.
    CREATE TABLE dropped (
        no            INTEGER PRIMARY KEY AUTOINCREMENT,
        mark          TEXT NOT NULL,
        -- The folder below the adapter's working folder in which the files lay when this was written.
        job           TEXT NOT NULL UNIQUE,
        -- What its folder is called in sent/ or refused/.
        folder        TEXT NOT NULL,
        kind          TEXT NOT NULL,
        outbox_no     INTEGER REFERENCES outbox (no),
        sender        TEXT,
        id            TEXT,
        digest        TEXT,
        dropped_at    REAL NOT NULL,
        rejected      INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX dropped_mark ON dropped (mark) WHERE rejected = 0;
    CREATE INDEX dropped_id ON dropped (id);
    CREATE INDEX dropped_outbox_no ON dropped (outbox_no);

    -- Of the folder adapter: a folder that is written completely and about to appear in inbox/ under its name.
    CREATE TABLE laid_down (
        key           TEXT PRIMARY KEY,
        prepared      TEXT NOT NULL,
        folder        TEXT NOT NULL,
        appeared      INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID;
    """,
)


@dataclass(slots=True)
class _Waiting:
    job: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


class Store:
    """One agency's database, used from one event loop; jobs run one group at a time in the executor's threads."""

    def __init__(self, connection: sqlite3.Connection, executor: Executor, *, path: Path) -> None:
        self._connection = connection
        self._executor = executor
        self._waiting: deque[_Waiting] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False
        self.path = path

    @classmethod
    async def open(cls, path: Path, executor: Executor) -> Store:
        """Open or make the database and bring it to the newest version. Raises Problem for a newer or foreign file."""
        loop = asyncio.get_running_loop()
        connection = await loop.run_in_executor(executor, open_database, path)
        return cls(connection, executor, path=path)

    async def run(self, job: Job[T]) -> T:
        """Run `job(connection)` inside a transaction; returns after its commit is on the disk.

        What `job` raises is raised here and leaves nothing behind. `job` must not commit or roll back itself.
        """
        if self._closed:
            raise RuntimeError("the store is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(job, future))
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._drain())
        return await future

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        self._closed = True
        if self._runner is not None:
            await asyncio.shield(self._runner)
        await asyncio.get_running_loop().run_in_executor(self._executor, self._connection.close)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            group = list(self._waiting)
            self._waiting.clear()
            try:
                results = await loop.run_in_executor(
                    self._executor, run_group, self._connection, [waiting.job for waiting in group]
                )
            except BaseException as why:
                for waiting in group:
                    if not waiting.future.done():
                        waiting.future.set_exception(why)
                if not isinstance(why, Exception):
                    raise
                continue
            for waiting, result in zip(group, results, strict=True):
                if waiting.future.done():  # whoever asked has been cancelled; the work is done all the same
                    continue
                if isinstance(result, _Failed):
                    waiting.future.set_exception(result.why)
                else:
                    waiting.future.set_result(result)


@dataclass(frozen=True, slots=True)
class _Failed:
    why: Exception


def open_database(path: Path) -> sqlite3.Connection:
    """A connection with the pragmas that durability needs, at the newest schema version. Raises Problem."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _migrate(connection, path)
    except sqlite3.DatabaseError as why:
        connection.close()
        raise Problem(
            found=f"{path}: {why}",
            expected="the agency's own SQLite database, or no file",
            remedy="Restore the file from a backup, or move it away: the exchange sends again what has no 01.",
        ) from why
    path.chmod(0o600)
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise Problem(
            found=f"{path}: schema version {version}",
            expected=f"at most {len(MIGRATIONS)}",
            remedy="Use the newer program that wrote it.",
        )
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while this one waited for the lock.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for step in MIGRATIONS[version:]:
            for statement in _statements(step):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """`executescript` would commit by itself, so the script is cut where SQLite sees a complete statement."""
    statements: list[str] = []
    gathered = ""
    for line in script.splitlines(keepends=True):
        gathered += line
        if sqlite3.complete_statement(gathered):
            statements.append(gathered)
            gathered = ""
    return statements


def commit(connection: sqlite3.Connection) -> None:
    """The only place where anything becomes durable."""
    connection.execute("COMMIT")


def run_group(connection: sqlite3.Connection, jobs: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
    """Run jobs in one transaction, each in a savepoint; a job that raised is undone and reported as failed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        results: list[Any] = []
        for job in jobs:
            connection.execute("SAVEPOINT job")
            try:
                results.append(job(connection))
            except Exception as why:
                connection.execute("ROLLBACK TO job")
                results.append(_Failed(why))
            connection.execute("RELEASE job")
        commit(connection)
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the cause is what is raised, not that the rollback failed too
            connection.execute("ROLLBACK")
        raise
    return results


def get_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """A single remembered value, such as the exchange's newest time seen."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Remember a single value."""
    connection.execute(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )

"""Connections to the exchange's PostgreSQL.

Opens pools and single connections and says in a sentence why a server could not be reached. Sets no type codecs:
``jsonb`` travels as text, so every room reads what the wire says. May not contain a query of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol, TypeAlias
from urllib.parse import urlsplit

import asyncpg

from schemas.problem import Problem, said

#: A connection, opened for itself or borrowed from a pool.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

#: Shown in pg_stat_activity, so that an operator can tell the exchange's sessions from others.
APPLICATION_NAME = "lienthong"
#: How long a server may take to answer a new connection, in seconds.
CONNECT_TIMEOUT = 10.0
#: How long one statement may take, in seconds; a pool's users may set a longer limit for themselves.
COMMAND_TIMEOUT = 120.0


class HasDatabaseUrl(Protocol):
    """What a settings object must offer to be given instead of a DSN."""

    @property
    def database_url(self) -> str: ...


def dsn_of(database: str | HasDatabaseUrl) -> str:
    """The DSN, given itself or settings that carry it."""
    return database if isinstance(database, str) else database.database_url


async def open_pool(
    database: str | HasDatabaseUrl, *, size: int, session: Mapping[str, str] | None = None, plain: bool = False
) -> asyncpg.Pool[asyncpg.Record]:
    """Open a pool of at most ``size`` connections, the first of them at once; ``session`` are server settings for each.

    A ``plain`` pool is for users that leave nothing in a session (no settings beyond a transaction, no listening, no
    advisory lock of the session): its connections are not reset between two users, which saves a round trip each time.

    Raises Problem (exit code 4) when the server cannot be reached or refuses the login.
    """
    dsn = dsn_of(database)
    try:
        return await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            timeout=CONNECT_TIMEOUT,
            command_timeout=COMMAND_TIMEOUT,
            reset=_left_as_it_is if plain else None,
            server_settings={"application_name": APPLICATION_NAME, **(session or {})},
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unreachable(dsn, error) from error


@asynccontextmanager
async def connect(database: str | HasDatabaseUrl) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """One connection for a command or a migration, closed at the end of the block.

    Raises Problem (exit code 4) when the server cannot be reached or refuses the login.
    """
    dsn = dsn_of(database)
    try:
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT, server_settings={"application_name": APPLICATION_NAME}
        )
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise unreachable(dsn, error) from error
    try:
        yield connection
    finally:
        await connection.close()


async def _left_as_it_is(connection: Connection) -> None:
    """An open transaction is rolled back by the pool in any case."""


def unreachable(dsn: str, error: BaseException) -> Problem:
    """The sentence for a server that did not let us in; never shows the DSN's password."""
    return Problem(
        found=f"PostgreSQL at {_place(dsn)} cannot be used: {said(error)}",
        expected="a running PostgreSQL 15 or newer with the exchange's database and login",
        remedy="start it with `lienthong services up`, or set LIENTHONG_DATABASE_URL to an existing database",
        exit_code=4,
    )


def _place(dsn: str) -> str:
    parts = urlsplit(dsn)
    if not parts.hostname:
        return f"a local socket{parts.path and f' ({parts.path})'}"
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"

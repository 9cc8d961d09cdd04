"""What went wrong, as a person must hear it: what was found, what was expected, what to do, and an exit code.

Decides which words fit the errors of the exchange and its servers; the rest is `schemas.command_line`.
"""

from __future__ import annotations

import sys
from typing import Final

from schemas import command_line
from schemas.command_line import Failure
from schemas.problem import UNREACHABLE, Problem, said

SERVER_ERRORS: Final = (
    ("aiormq.exceptions", "AMQPConnectionError", "RabbitMQ"),
    ("aiormq.exceptions", "ConnectionClosed", "RabbitMQ"),
    ("aiohttp", "ClientConnectionError", "RabbitMQ's management API"),
    ("asyncpg", "PostgresConnectionError", "PostgreSQL"),
    ("asyncpg", "CannotConnectNowError", "PostgreSQL"),
    ("asyncpg", "InvalidAuthorizationSpecificationError", "PostgreSQL"),
    ("asyncpg", "InvalidCatalogNameError", "PostgreSQL"),
    ("asyncpg", "TooManyConnectionsError", "PostgreSQL"),
    ("asyncpg", "AdminShutdownError", "PostgreSQL"),
    ("asyncpg", "CrashShutdownError", "PostgreSQL"),
    ("asyncpg", "InsufficientResourcesError", "PostgreSQL"),
    ("asyncpg", "ReadOnlySQLTransactionError", "PostgreSQL"),
    ("asyncpg", "ConnectionDoesNotExistError", "PostgreSQL"),
)
"""Errors that mean a server cannot be used: module, class, which server. Looked up only if the module is loaded."""

DATABASE_ERRORS: Final = (
    (
        "InsufficientPrivilegeError",
        "a database login that has the role for this command",
        "Take another login; docs/operators.md has a table of who needs which (“What runs where”)",
    ),
    (
        "UndefinedTableError",
        "a database that has every migration",
        "Run `lienthong db migrate` as the database's owner",
    ),
    (
        "UndefinedColumnError",
        "a database that has every migration",
        "Run `lienthong db migrate` as the database's owner",
    ),
    (
        "UndefinedFunctionError",
        "a database that has every migration",
        "Run `lienthong db migrate` as the database's owner",
    ),
)
"""What PostgreSQL answers when the database, not the command, is not as it should be: class, expected, remedy."""


def failure_of(error: BaseException) -> Failure:
    """What to tell of an exception, in the language of the command as far as that is known in it."""
    language = command_line.language_of_errors()
    if language == "en":
        return command_line.failure_of(error, _problem)
    from broker.cli.problem_sentences import SENTENCES  # many tables, for who reads them only

    return command_line.failure_of(error, _problem, language=language, sentences=SENTENCES)


def _problem(error: BaseException) -> Problem | None:
    for name, expected, remedy in DATABASE_ERRORS:
        if _is(error, "asyncpg", name):
            return Problem(f"PostgreSQL answers: {said(error)}", expected, remedy)
    server = _server_behind(error)
    if server is None:
        return None
    return Problem(
        f"{server} cannot be used: {said(error)}",
        "a server that answers and lets this program in",
        "Check it with `lienthong doctor`; start private servers with `lienthong services up`",
        exit_code=UNREACHABLE,
    )


def _server_behind(error: BaseException) -> str | None:
    """Which server could not be used, or None if that is not what `error` says."""
    for module, name, server in SERVER_ERRORS:
        if _is(error, module, name):
            return server
    if isinstance(error, ConnectionError | TimeoutError | OSError):
        return "A server"
    return None


def _is(error: BaseException, module: str, name: str) -> bool:
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(error, kind)

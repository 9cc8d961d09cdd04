"""What went wrong, as a person must hear it: what was found, what was expected, what to do, and an exit code.

Pure but for the environment: decides which words fit an exception; who tells them is `broker.cli.output`.
"""

from __future__ import annotations

import errno
import sys
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import Refusal
from schemas.problem import BAD_INPUT, UNREACHABLE, Problem, said

OUR_FAULT: Final = 70
"""Exit code when the program itself is at fault (EX_SOFTWARE of sysexits.h)."""

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

TYPED: Final = ("LT-SCHEMA", "LT-SHAPE")
"""Refusals that mean a badly written value; at a terminal a person has typed it, and no message has to be sent anew."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is told of an error: a paragraph for people, its parts for programs, and the exit code."""

    text: str
    parts: dict[str, Any]
    exit_code: int


def failure_of(error: BaseException) -> Failure:
    """What to tell of an exception."""
    error = first_of_group(error)
    if isinstance(error, Refusal) and error.code not in TYPED:
        parts = {"code": error.code, "field": error.field, "found": error.found or error.entry.en}
        rest = {"expected": error.expected, "candidates": list(error.candidates), "remedy": error.entry.remedy_en}
        return Failure(text=error.diagnostics(), parts=parts | rest, exit_code=BAD_INPUT)
    problem = _problem(error)
    if problem is None:
        remedy = "Run the command again with LIENTHONG_DEBUG=1 in the environment and report what it prints."
        found = f"This is a fault of the program: {type(error).__name__}: {said(error)}."
        parts = {"found": found, "expected": None, "remedy": remedy}
        return Failure(text=f"{found} {remedy}", parts=parts, exit_code=OUR_FAULT)
    parts = {"found": problem.found, "expected": problem.expected, "remedy": problem.remedy}
    return Failure(text=problem.diagnostics(), parts=parts, exit_code=problem.exit_code)


def first_of_group(error: BaseException) -> BaseException:
    """The error that a person should be told of when a task group collected several: a `Problem` before others."""
    while isinstance(error, BaseExceptionGroup):
        error = next((inner for inner in error.exceptions if isinstance(inner, Problem)), error.exceptions[0])
    return error


def _problem(error: BaseException) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refusal):
        return Problem(
            f"“{error.found}”{f' as {error.field}' if error.field else ''}",
            error.expected or error.entry.en,
            "Correct it and run the command again",
        )
    if isinstance(error, OSError) and (error.filename is not None or error.errno in NO_ROOM):
        place = f"{error.filename}: " if error.filename is not None else ""
        return Problem(
            f"{place}{said(error)}", "a file or folder that can be used", "Check its path, permissions and disk"
        )
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

"""What went wrong, as a person must hear it: what was found, what was expected, what to do, and an exit code.

Decides which words fit an exception; who tells them is `adapters.cli.output`.
"""

from __future__ import annotations

import errno
import sqlite3
from dataclasses import dataclass
from typing import Any, Final

from adapters.letter import Rejected
from schemas.errors import Refusal
from schemas.problem import BAD_INPUT, NOT_GOOD, UNREACHABLE, Problem, said

OUR_FAULT: Final = 70
"""Exit code when the program itself is at fault (EX_SOFTWARE of sysexits.h)."""

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
    if isinstance(error, Rejected):
        refused = {"code": error.code, "field": error.field, "found": error.found, "expected": error.expected}
        parts: dict[str, Any] = refused | {"remedy": error.detail.get("en"), "document": error.document.as_dict()}
        return Failure(text=f"The exchange rejected the document: {error}", parts=parts, exit_code=NOT_GOOD)
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
    match error:
        case Problem():
            return error
        case Refusal():
            return Problem(
                f"“{error.found}”{f' as {error.field}' if error.field else ''}",
                error.expected or error.entry.en,
                "Correct it and run the command again",
            )
        case OSError() if error.filename is not None or error.errno in NO_ROOM:
            place = f"{error.filename}: " if error.filename is not None else ""
            return Problem(
                f"{place}{said(error)}", "a file or folder that can be used", "Check its path, permissions and disk"
            )
        case sqlite3.DatabaseError() if not isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
            return Problem(
                f"the agency's database cannot be used: {said(error)}",
                "the file agency.sqlite3 in data_dir, whole, writable and on a disk with room",
                "Check the folder's permissions and disk; if the file is broken bring its backup back, then "
                "`lienthong-agency replay`",
            )
        case ConnectionError() | TimeoutError() | OSError():
            return Problem(
                f"the exchange cannot be reached: {said(error)}",
                "the address in amqp_url (and content_url) to answer",
                "Check the network and the address; what was to be sent is kept and goes out later",
                exit_code=UNREACHABLE,
            )
    return None

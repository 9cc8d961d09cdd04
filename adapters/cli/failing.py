"""What went wrong, as a person must hear it: what was found, what was expected, what to do, and an exit code.

Decides which words fit an agency's own errors; the rest is `schemas.command_line`.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from adapters.cli.problem_sentences import SENTENCES
from adapters.cli.words import REJECTED
from adapters.letter import Rejected
from schemas import command_line
from schemas.command_line import Failure
from schemas.problem import NOT_GOOD, UNREACHABLE, Problem, said


def failure_of(error: BaseException) -> Failure:
    """What to tell of an exception, in the language of the command."""
    language = command_line.language_of_errors()
    if isinstance(error, Rejected):
        refused = {"code": error.code, "field": error.field, "found": error.found, "expected": error.expected}
        parts: dict[str, Any] = refused | {"remedy": error.detail.get("en"), "document": error.document.as_dict()}
        told = str(error) if language == "en" else _in_vietnamese(error)
        return Failure(text=f"{REJECTED.told(language)}: {told}", parts=parts, exit_code=NOT_GOOD)
    return command_line.failure_of(error, _problem, language=language, sentences=SENTENCES)


def _in_vietnamese(rejected: Rejected) -> str:
    """What the exchange said, for a person: the code, the place, and what to do."""
    place = f" tại {rejected.field}" if rejected.field else ""
    found = f": thấy {SENTENCES.told(rejected.found, 'vi')}" if rejected.found else ""
    expected = f", cần {SENTENCES.told(rejected.expected, 'vi')}" if rejected.expected else ""
    explained = str(rejected.detail.get("vi") or "")
    return f"{rejected.code}{place}{found}{expected}. {explained}".strip()


def _problem(error: BaseException) -> Problem | None:
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(
        error, sqlite3.ProgrammingError | sqlite3.InterfaceError
    ):
        return Problem(
            f"the agency's database cannot be used: {said(error)}",
            "the file agency.sqlite3 in data_dir, whole, writable and on a disk with room",
            "Check the folder's permissions and disk; if the file is broken bring its backup back, then "
            "`lienthong-agency replay`",
        )
    if isinstance(error, OSError):
        return Problem(
            f"the exchange cannot be reached: {said(error)}",
            "the address in amqp_url (and content_url) to answer",
            "Check the network and the address; what was to be sent is kept and goes out later",
            exit_code=UNREACHABLE,
        )
    return None

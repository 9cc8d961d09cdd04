"""`Problem`: something that a person has to put right before a program can go on.

For the command lines, the configuration and the local services. What is wrong with a *message* is a
`schemas.errors.Refusal`, because that has to be told to the agency at the other end; a `Problem` is told to the
person at this one. Nothing here prints or exits: the command line decides that.
"""

import os
import re
import ssl
from typing import Final

_ERRNO: Final = re.compile(r"\[Errno -?\d+\] ")

GOOD: Final = 0
"""The command did what it was asked."""

NOT_GOOD: Final = 1
"""The command worked, and the thing that it examined is not good (a verdict, a check, a stale file)."""

USAGE: Final = 2
"""The command was called in a way it does not know."""

BAD_INPUT: Final = 3
"""A file, a value or a name that was given is bad, or what was asked for does not exist."""

UNREACHABLE: Final = 4
"""RabbitMQ, PostgreSQL or another server cannot be reached."""

INTERRUPTED: Final = 130
"""A person pressed Ctrl-C."""


class Problem(Exception):
    """Something that a person must put right.

    `found` and `expected` are clauses, `remedy` an instruction; each without a full stop at its end. `exit_code` is
    one of the constants of this module.
    """

    def __init__(self, found: str, expected: str, remedy: str, *, exit_code: int = BAD_INPUT) -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.remedy = remedy
        self.exit_code = exit_code

    def diagnostics(self) -> str:
        """One paragraph for a person: what was found, what was expected, what to do."""
        return f"Found: {_clause(self.found)}. Expected: {_clause(self.expected)}. {_sentence(self.remedy)}"

    def __str__(self) -> str:
        return self.diagnostics()


def said(error: BaseException) -> str:
    """What an exception says of itself, for a person: one line of bounded length, no number of an error, no object."""
    error = getattr(error, "os_error", error)  # aiohttp's wrapping says where, which our sentences say themselves
    text = str(error)
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        text = os.strerror(error.errno) if error.errno > 0 else error.strerror or text
    return " ".join(_ERRNO.sub("", text).split())[:300] or type(error).__name__


def _clause(text: str) -> str:
    return text.strip().removesuffix(".")


def _sentence(text: str) -> str:
    stripped = text.strip()
    stripped = stripped[:1].upper() + stripped[1:]
    return stripped if stripped.endswith((".", "!", "?")) else f"{stripped}."

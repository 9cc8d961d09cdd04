"""What every command of `lienthong-agency` does alike: print a result, and turn what went wrong into sentences.

The one place where an exception becomes a sentence on standard error and an exit code (`schemas.problem`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import unicodedata
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar

import typer
import uvloop

from adapters.cli.failing import failure_of
from adapters.cli.words import INTERRUPTED
from schemas import command_line
from schemas.command_line import say

T = TypeVar("T")

__all__ = ["JsonOption", "emit", "emit_line", "exit_code_of", "run", "say"]

_MOVING: Final = ("Cc", "Cf", "Zl", "Zp", "Cs")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


def emit(value: T, *, as_json: bool, text: Callable[[T], str]) -> None:
    """One result on standard output."""
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write(_harmless(text(value).rstrip("\n")) + "\n")
    sys.stdout.flush()


def emit_line(value: T, *, as_json: bool, text: Callable[[T], str]) -> None:
    """One of many results: a JSON object a line, or a line for a person."""
    line = json.dumps(value, ensure_ascii=False) if as_json else _harmless(text(value).rstrip("\n"))
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _harmless(text: str) -> str:
    """What of a stranger's words would move the cursor or turn the writing round is shown by its number."""
    return "".join(
        one if one in "\n\t" or unicodedata.category(one) not in _MOVING else f"\\u{ord(one):04x}" for one in text
    )


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def exit_code_of(command: Callable[[], object]) -> int:
    """Run `command` and explain what it raises; see `schemas.command_line`. Returns the exit code."""
    interrupted = INTERRUPTED.told(command_line.language_of_errors())
    return command_line.exit_code_of(command, explained=failure_of, interrupted=interrupted)

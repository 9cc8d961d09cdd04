"""What every command of `lienthong-agency` does alike: print a result, and turn what went wrong into sentences.

The one place where an exception becomes a sentence on standard error and an exit code (`schemas.problem`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, TypeVar

import typer
import uvloop

from adapters.letter import Rejected
from schemas.errors import Refusal
from schemas.problem import BAD_INPUT, GOOD, INTERRUPTED, NOT_GOOD, Problem

T = TypeVar("T")

OUR_FAULT: Final = 70
"""Exit code when the program itself is at fault (EX_SOFTWARE of sysexits.h)."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]


def emit(value: T, *, as_json: bool, text: Callable[[T], str]) -> None:
    """One result on standard output."""
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write(text(value).rstrip("\n") + "\n")
    sys.stdout.flush()


def emit_line(value: T, *, as_json: bool, text: Callable[[T], str]) -> None:
    """One of many results: a JSON object a line, or a line for a person."""
    sys.stdout.write((json.dumps(value, ensure_ascii=False) if as_json else text(value).rstrip("\n")) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell the person at the terminal what is going on; on standard error, so that results can be piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def exit_code_of(command: Callable[[], object]) -> int:
    """Run `command`; whatever it raises becomes a sentence on standard error and an exit code."""
    try:
        command()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else GOOD
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("Interrupted. What was sent or received is kept.")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except Exception as error:
        return _explain(error)
    return GOOD


def _explain(error: BaseException) -> int:
    while isinstance(error, BaseExceptionGroup):
        error = next((one for one in error.exceptions if isinstance(one, Problem)), error.exceptions[0])
    if os.environ.get("LIENTHONG_DEBUG"):
        traceback.print_exception(error)
    match error:
        case Problem():
            say(error.diagnostics())
            return error.exit_code
        case Refusal():
            say(error.diagnostics())
            return BAD_INPUT
        case Rejected():
            say(f"The exchange rejected the document: {error}")
            return NOT_GOOD
        case OSError(filename=str() as name):
            say(Problem(f"{name}: {error.strerror}", "a file that can be used", "Check path and rights").diagnostics())
            return BAD_INPUT
    say(
        f"This is a fault of the program: {type(error).__name__}: {error}. "
        "Run the command again with LIENTHONG_DEBUG=1 in the environment and report what it prints."
    )
    return OUR_FAULT

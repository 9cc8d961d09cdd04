"""What every command of `lienthong-agency` does alike: print a result, and turn what went wrong into sentences.

The one place where an exception becomes a sentence on standard error and an exit code (`schemas.problem`).
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Annotated, Any, Final, TypeVar

import typer
import uvloop

from adapters.cli.failing import Failure, failure_of, first_of_group
from schemas.problem import GOOD, INTERRUPTED, USAGE

T = TypeVar("T")

CLOSED: Final = 141
"""Exit code when whoever was to read the output has closed it, as a shell reports it (128 + SIGPIPE)."""

USAGE_ERROR: Final = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What the command line's library raises about a command that was not written as it must be."""

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
    """Run `command`; return its exit code: what it returns, if that is a number.

    Whatever it raises becomes a sentence on standard error, and with --json also a value on standard output.
    """
    try:
        code = command()
        sys.stdout.flush()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, OSError) and leaving.__context__.errno == errno.EPIPE:
            return _closed()
        return leaving.code if isinstance(leaving.code, int) else GOOD
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        return _closed()
    except Exception as error:
        return _explain(error)
    if code == INTERRUPTED:
        return _interrupted()
    return code if isinstance(code, int) else GOOD


def _closed() -> int:
    """Nobody reads the output: whatever was to be said has not been said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED


def _interrupted() -> int:
    say("Interrupted. What was sent or received is kept.")
    return INTERRUPTED


def _explain(error: Exception) -> int:
    if isinstance(error, USAGE_ERROR):
        from typer.rich_utils import rich_format_error  # with the help that it belongs to

        error.message = error.message.removeprefix("Value error, ")  # type: ignore[attr-defined]
        rich_format_error(error)  # type: ignore[arg-type]
        failure = Failure(text="", parts={"found": error.format_message()}, exit_code=USAGE)  # type: ignore[attr-defined]
        failure.parts.update(expected="a command as its --help shows it", remedy="See its --help")
    else:
        if os.environ.get("LIENTHONG_DEBUG"):
            traceback.print_exception(first_of_group(error))
        failure = failure_of(error)
        say(failure.text)
    if "--json" in sys.argv[1:]:
        told = {"error": failure.parts | {"exit_code": failure.exit_code}}
        with suppress(BrokenPipeError):
            emit_line(told, as_json=True, text=str)
    return failure.exit_code

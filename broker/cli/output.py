"""What every command does alike: show a result, run a coroutine, show progress, and turn errors into sentences.

The one place where an exception becomes a sentence on standard error and an exit code. Commands raise; they do not
print errors or choose exit codes themselves, except `typer.Exit(NOT_GOOD)` after showing what is not good.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import typer
from rich.console import Console, RenderableType

from broker.cli.failing import Failure, failure_of, first_of_group
from schemas.problem import GOOD, INTERRUPTED, USAGE
from schemas.times import rfc3339

Value = TypeVar("Value")

UNBROKEN: Final = 500
"""Columns to write for a file or a pipe, so that no line of a table is broken."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
"""The `--json` of every command that reads."""

CLOSED: Final = 141
"""Exit code when whoever was to read the output has closed it, as a shell reports it (128 + SIGPIPE)."""

USAGE_ERROR: Final = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What the command line's library raises about a command that was not written as it must be."""


def emit(value: Value, *, as_json: bool, render: Callable[[Value], RenderableType]) -> None:
    """Show one result on standard output: as one JSON value, or as `render` makes it readable for a person."""
    if as_json:
        sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else UNBROKEN).print(render(value))
    sys.stdout.flush()  # a pipe that nobody reads is met here, not after the exit code was decided


def say(text: str) -> None:
    """Tell the person at the terminal what is going on. On standard error, so that results can be piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a command's coroutine to its end on an event loop of its own."""
    import uvloop  # here and below: loaded by what needs it, so that `lienthong --help` does not wait

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


@contextmanager
def progress(what: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show the progress of a long job on standard error; call what you get with the number of steps just done.

    A moving bar on a terminal; elsewhere one line at the start, at the end, and every ten seconds.
    """
    if sys.stderr.isatty():
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=total)

            def move(steps: int = 1) -> None:
                bar.advance(task, steps)

            yield move
        return
    done, shown, started = 0, monotonic(), monotonic()
    of = f" of {total}" if total is not None else ""

    def advance(steps: int = 1) -> None:
        nonlocal done, shown
        done += steps
        if monotonic() - shown >= 10:
            shown = monotonic()
            say(f"{what}: {done}{of}")

    say(f"{what} …")
    yield advance
    say(f"{what}: {done}{of} in {monotonic() - started:.1f} s" if done else f"{what}: done")


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
    say("Interrupted.")
    return INTERRUPTED


def _explain(error: Exception) -> int:
    """Print what a person needs to know about `error`; return the exit code."""
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
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    return failure.exit_code


def _plain(value: object) -> object:
    """What `json` cannot write by itself."""
    if isinstance(value, datetime):
        return rfc3339(value)
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date | UUID | Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be shown as JSON")

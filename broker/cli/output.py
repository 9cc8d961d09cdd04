"""What every command does alike: show a result, run a coroutine, show progress, and turn errors into sentences.

The one place where an exception becomes a sentence on standard error and an exit code. Commands raise; they do not
print errors or choose exit codes themselves, except `typer.Exit(NOT_GOOD)` after showing what is not good.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import typer
import uvloop
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.errors import Refusal
from schemas.problem import BAD_INPUT, GOOD, INTERRUPTED, UNREACHABLE, Problem
from schemas.times import rfc3339

Value = TypeVar("Value")

OUR_FAULT: Final = 70
"""Exit code when the program itself is at fault (EX_SOFTWARE of sysexits.h)."""

UNBROKEN: Final = 500
"""Columns to write for a file or a pipe, so that no line of a table is broken."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
"""The `--json` of every command that reads."""

SERVER_ERRORS: Final = (
    ("aiormq.exceptions", "AMQPConnectionError", "RabbitMQ"),
    ("aiormq.exceptions", "ConnectionClosed", "RabbitMQ"),
    ("aiohttp", "ClientConnectionError", "RabbitMQ's management API"),
    ("asyncpg", "PostgresConnectionError", "PostgreSQL"),
    ("asyncpg", "CannotConnectNowError", "PostgreSQL"),
    ("asyncpg", "InvalidAuthorizationSpecificationError", "PostgreSQL"),
    ("asyncpg", "InvalidCatalogNameError", "PostgreSQL"),
    ("asyncpg", "TooManyConnectionsError", "PostgreSQL"),
)
"""Errors that mean a server cannot be used: module, class, which server. Looked up only if the module is loaded."""


def emit(value: Value, *, as_json: bool, render: Callable[[Value], RenderableType]) -> None:
    """Show one result on standard output: as one JSON value, or as `render` makes it readable for a person."""
    if as_json:
        sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else UNBROKEN)
    console.print(render(value))


def say(text: str) -> None:
    """Tell the person at the terminal what is going on. On standard error, so that results can be piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a command's coroutine to its end on an event loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


@contextmanager
def progress(what: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show the progress of a long job on standard error; call what you get with the number of steps just done.

    A moving bar on a terminal; elsewhere one line at the start, at the end, and every ten seconds.
    """
    if sys.stderr.isatty():
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
    """Run `command`; return its exit code. Whatever it raises becomes a sentence on standard error."""
    try:
        command()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else GOOD
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("Interrupted.")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except Exception as error:
        return _explain(error)
    return GOOD


def _explain(error: BaseException) -> int:
    """Print what a person needs to know about `error`; return the exit code."""
    error = first_of_group(error)
    if os.environ.get("LIENTHONG_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, Problem):
        say(error.diagnostics())
        return error.exit_code
    if isinstance(error, Refusal):
        say(error.diagnostics())
        return BAD_INPUT
    server = _server_behind(error)
    if server is not None:
        problem = Problem(
            f"{server} cannot be used: {_one_line(error)}",
            "a server that answers and lets this program in",
            "Check it with `lienthong doctor`; start private servers with `lienthong services up`.",
            exit_code=UNREACHABLE,
        )
        say(problem.diagnostics())
        return UNREACHABLE
    if isinstance(error, OSError) and error.filename is not None:
        say(
            Problem(
                _one_line(error), "a file or folder that can be used", "Check its path and permissions"
            ).diagnostics()
        )
        return BAD_INPUT
    say(
        f"This is a fault of the program: {type(error).__name__}: {_one_line(error)}. "
        "Run the command again with LIENTHONG_DEBUG=1 in the environment and report what it prints."
    )
    return OUR_FAULT


def first_of_group(error: BaseException) -> BaseException:
    """The error that a person should be told of when a task group collected several: a `Problem` before others."""
    while isinstance(error, BaseExceptionGroup):
        error = next((inner for inner in error.exceptions if isinstance(inner, Problem)), error.exceptions[0])
    return error


def _server_behind(error: BaseException) -> str | None:
    """Which server could not be used, or None if that is not what `error` says."""
    for module, name, server in SERVER_ERRORS:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return server
    if isinstance(error, ConnectionError | TimeoutError) or (isinstance(error, OSError) and error.filename is None):
        return "A server"
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _plain(value: object) -> object:
    """What `json` cannot write by itself."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, BaseModel):
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

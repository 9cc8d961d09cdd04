"""What every command does alike: show a result, run a coroutine, show progress, and turn errors into sentences.

The one place where an exception becomes a sentence on standard error and an exit code. Commands raise; they do not
print errors or choose exit codes themselves, except `typer.Exit(NOT_GOOD)` after showing what is not good.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import typer
from rich.console import Console, RenderableType

from broker.cli.failing import failure_of
from schemas import command_line
from schemas.command_line import say
from schemas.languages import Language, Words
from schemas.times import rfc3339

__all__ = ["JsonOption", "emit", "exit_code_of", "progress", "run", "say"]

Value = TypeVar("Value")

UNBROKEN: Final = 500
"""Columns to write for a file or a pipe, so that no line of a table is broken."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of text for people.")]
"""The `--json` of every command that reads."""


def emit(value: Value, *, as_json: bool, render: Callable[[Value], RenderableType]) -> None:
    """Show one result on standard output: as one JSON value, or as `render` makes it readable for a person."""
    if as_json:
        sys.stdout.write(json.dumps(value, default=_plain, ensure_ascii=False, indent=2) + "\n")
    else:
        _print(render(value))
    sys.stdout.flush()  # a pipe that nobody reads is met here, not after the exit code was decided


def _print(shown: RenderableType) -> None:
    """On a terminal as wide as it is; into a file or a pipe without broken lines and without blanks at their ends."""
    if sys.stdout.isatty():
        Console(highlight=False).print(shown)
        return
    written = StringIO()
    Console(file=written, highlight=False, width=UNBROKEN).print(shown)
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in written.getvalue().split("\n")[:-1])


def run(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """Run a command's coroutine to its end on an event loop of its own."""
    import uvloop  # here and below: loaded by what needs it, so that `lienthong --help` does not wait

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


@contextmanager
def progress(what: str, *, total: int | None = None, language: Language = "en") -> Iterator[Callable[[int], None]]:
    """Show the progress of a long job on standard error; call what you get with the number of steps just done.

    A moving bar on a terminal; elsewhere one line at the start, at the end, and every ten seconds. `what` is in
    `language`.
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
    vi = language == "vi"
    of = f"{' trên' if vi else ' of'} {total}" if total is not None else ""

    def advance(steps: int = 1) -> None:
        nonlocal done, shown
        done += steps
        if monotonic() - shown >= 10:
            shown = monotonic()
            say(f"{what}: {done}{of}")

    say(f"{what} …")
    yield advance
    took = f"{'trong' if vi else 'in'} {monotonic() - started:.1f} {'giây' if vi else 's'}"
    say(f"{what}: {done}{of} {took}" if done else f"{what}: {'xong' if vi else 'done'}")


def exit_code_of(command: Callable[[], object]) -> int:
    """Run `command` and explain what it raises; see `schemas.command_line`. Returns the exit code."""
    interrupted = Words("Interrupted.", "Đã ngắt.").told(command_line.language_of_errors())
    return command_line.exit_code_of(command, explained=failure_of, interrupted=interrupted)


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

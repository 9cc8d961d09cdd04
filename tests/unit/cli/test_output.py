"""Errors become a sentence and an exit code; results become text or JSON. No traceback reaches a user."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import aiohttp
import aiormq.exceptions
import asyncpg
import pytest
import typer
from rich.table import Table

from adapters.cli import output as adapters_output
from broker.cli.output import emit, exit_code_of, progress, run
from schemas.agency_codes import canonical_code
from schemas.errors import Refusal
from schemas.problem import Problem


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Problem("a cat", "a dog", "Call one"), 3, "Found: a cat. Expected: a dog. Call one."),
        (Problem("x", "y", "z", exit_code=4), 4, "Found: x."),
        (Refusal(code="LT-ALGORITHM", found="RSA-1024"), 3, "LT-ALGORITHM"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (asyncio.CancelledError(), 130, "Interrupted"),
        (ConnectionRefusedError(111, "Connection refused"), 4, "lienthong doctor"),
        (TimeoutError(), 4, "cannot be used"),
        (aiormq.exceptions.AMQPConnectionError("no"), 4, "RabbitMQ cannot be used"),
        (aiohttp.ClientConnectionError("no"), 4, "management API cannot be used"),
        (asyncpg.CannotConnectNowError("starting up"), 4, "PostgreSQL cannot be used: starting up"),
        (asyncpg.InvalidPasswordError("wrong"), 4, "PostgreSQL cannot be used"),
        (PermissionError(13, "Permission denied", "/x"), 3, "Found: /x: Permission denied. Expected: a file"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "Found: No space left on device. Expected: a file"),
        (asyncpg.InsufficientPrivilegeError("permission denied for table log_entry"), 3, "docs/operators.md"),
        (asyncpg.UndefinedTableError('relation "x" does not exist'), 3, "lienthong db migrate"),
        (asyncpg.AdminShutdownError("terminating connection"), 4, "PostgreSQL cannot be used: terminating"),
        (ZeroDivisionError("division by zero"), 70, "fault of the program: ZeroDivisionError"),
        (ExceptionGroup("several", [ValueError("v"), Problem("p", "q", "r")]), 3, "Found: p."),
        (ExceptionGroup("one", [ExceptionGroup("inner", [ConnectionResetError("gone")])]), 4, "gone"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_error_is_one_sentence_and_a_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(error)) == code
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_who_wants_the_traceback_gets_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_DEBUG", "1")
    assert exit_code_of(raising(ZeroDivisionError())) == 70
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("explain", [exit_code_of, adapters_output.exit_code_of])
def test_a_mistyped_value_is_no_message_to_be_sent_again(
    explain: Callable[[Callable[[], object]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(lambda: canonical_code("a/b", field="CODE")) == 3
    told = capsys.readouterr().err
    assert "Found: “a/b” as CODE. Expected: groups of A-Z" in told and "such as H53" in told
    assert "message" not in told and "LT-" not in told


@pytest.mark.parametrize("explain", [exit_code_of, adapters_output.exit_code_of])
@pytest.mark.parametrize(
    ("error", "code", "found"),
    [
        (Problem("a cat", "a dog", "Call one"), 3, "a cat"),
        (Refusal(code="LT-ALGORITHM", found="RSA-1024"), 3, "RSA-1024"),
        (ZeroDivisionError("division"), 70, "This is a fault of the program: ZeroDivisionError: division."),
        (typer.BadParameter("no such day"), 2, "no such day"),
    ],
    ids=["problem", "refusal", "fault", "usage"],
)
def test_with_json_an_error_is_json_as_well(
    explain: Callable[[Callable[[], object]], int],
    error: Exception,
    code: int,
    found: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["lienthong", "anything", "--json"])
    assert explain(raising(error)) == code
    printed = capsys.readouterr()
    (line,) = printed.out.splitlines()
    told = json.loads(line)["error"]
    assert found in told["found"] and told["exit_code"] == code and "remedy" in told
    assert found in printed.err  # a person reads it as before


@pytest.mark.parametrize("program", ["lienthong", "lienthong-agency"])
def test_what_nobody_reads_was_not_said(program: str, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / program), "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as unread:
        assert unread.stdout is not None and unread.stderr is not None
        unread.stdout.close()
        assert unread.stderr.read() == b""
    assert unread.returncode == 141


@pytest.mark.parametrize("module", ["adapters.cli.output", "broker.cli.output"])
def test_a_letter_that_cannot_be_shown_does_not_undo_what_was_done(module: str) -> None:
    shown = "text=str" if module.startswith("adapters") else "render=str"
    done = f"import {module} as o; raise SystemExit(o.exit_code_of(lambda: o.emit('Đã gửi.', as_json=False, {shown})))"
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    ended = subprocess.run([sys.executable, "-c", done], capture_output=True, env=environment, check=False)
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, b"\\u0110\xe3 g\\u1eedi.", b"")


def test_a_command_that_exits_by_itself_keeps_its_code() -> None:
    assert exit_code_of(raising(SystemExit(1))) == 1
    assert exit_code_of(raising(SystemExit(None))) == 0
    assert exit_code_of(lambda: None) == 0


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    at: datetime
    id: UUID
    digest: bytes
    colour: Colour
    codes: frozenset[str]


def test_results_are_json_that_a_program_can_read(capsys: pytest.CaptureFixture[str]) -> None:
    thing = Thing(
        at=datetime(2026, 1, 2, 3, 4, 5, 600, UTC),
        id=UUID(int=1),
        digest=b"\x00\xff",
        colour=Colour.RED,
        codes=frozenset({"b", "a"}),
    )
    emit((thing, "Tây Ninh"), as_json=True, render=str)
    text = capsys.readouterr().out
    assert json.loads(text) == [
        {
            "at": "2026-01-02T03:04:05.000600Z",
            "id": "00000000-0000-0000-0000-000000000001",
            "digest": "00ff",
            "colour": "red",
            "codes": ["a", "b"],
        },
        "Tây Ninh",
    ]
    assert "Tây Ninh" in text


def test_a_long_line_is_not_broken_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    emit("x" * 300, as_json=False, render=lambda value: value)
    assert capsys.readouterr().out == "x" * 300 + "\n"


def test_progress_goes_beside_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("Counting", total=3) as step:
        for _ in range(3):
            step(1)
    printed = capsys.readouterr()
    assert "Counting: 3 of 3" in printed.err
    assert printed.out == ""


def test_a_coroutine_runs_to_its_end() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert run(answer()) == 42


def test_a_pipe_gets_whole_lines_without_blanks_at_their_ends(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("code", "name", box=None, pad_edge=False)
    table.add_row("H53", "x" * 300)
    table.add_row("H53.25459", "y")
    emit(None, as_json=False, render=lambda _: table)
    assert capsys.readouterr().out.split("\n") == ["code       name", f"H53        {'x' * 300}", "H53.25459  y", ""]

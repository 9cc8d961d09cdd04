"""Keeps the parts of an exchange running on one machine: starts them, starts them again when they end, ends them.

For `lienthong run`: development and small sites. Knows programs and exit codes, nothing of what the parts do. Larger
sites leave this to systemd or Kubernetes, which do the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.problem import BAD_INPUT, GOOD, USAGE, Problem

FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 15.0
STEADY_AFTER: Final = 30.0
"""Seconds after which a part counts as well: its next restart is quick again."""

STOP_PATIENCE: Final = 30.0
"""Seconds a part may take to finish what it has in hand."""

HOPELESS: Final = frozenset({USAGE, BAD_INPUT})
"""Exit codes that a restart cannot help: a person has to put something right first."""

_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process to keep running."""

    name: str
    """For people: "worker 2"."""
    command: Sequence[str]


def part(name: str, *arguments: str) -> Part:
    """A part that is a command of `lienthong` itself, run by the same Python."""
    return Part(name=name, command=(sys.executable, "-m", "broker.cli", *arguments))


def wait_before_restart(failures: int) -> float:
    """Seconds to wait before the next start, after this many quick ends in a row: doubling, bounded."""
    return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(max(failures - 1, 0), 16)))


async def supervise(parts: Sequence[Part], *, tell: Callable[[str], None]) -> None:
    """Run all parts until SIGINT or SIGTERM, then end them and wait for them.

    Raises `Problem` (with that part's exit code) when a part says that a person has to put something right; the other
    parts have been ended then.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopping.set)
    try:
        async with asyncio.TaskGroup() as group:
            for one in parts:
                group.create_task(_keep_running(one, stopping, tell))
    finally:
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sign)


async def _keep_running(one: Part, stopping: asyncio.Event, tell: Callable[[str], None]) -> None:
    failures = 0
    while not stopping.is_set():
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *one.command,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches us only: the parts are ended in order
            preexec_fn=_end_with_parent,
        )
        tell(f"{one.name} started (process {process.pid})")
        code = await _until_it_ends(process, stopping, one, tell)
        if stopping.is_set():
            break
        if code in HOPELESS:
            stopping.set()
            raise Problem(
                f"{one.name} ended with code {code} and said why above",
                "a part that can start",
                "Put right what it named, then start again",
                exit_code=code,
            )
        failures = 1 if time.monotonic() - started >= STEADY_AFTER else failures + 1
        pause = wait_before_restart(failures)
        tell(f"{one.name} ended {_how(code)}; starting it again in {pause:.1f} s")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopping.wait()
    tell(f"{one.name} has ended")


async def _until_it_ends(
    process: asyncio.subprocess.Process, stopping: asyncio.Event, one: Part, tell: Callable[[str], None]
) -> int:
    """Wait for the process; when we are stopping, or are cancelled, end it first. Returns its exit code."""
    ended = asyncio.create_task(process.wait())
    asked = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((ended, asked), return_when=asyncio.FIRST_COMPLETED)
        return await _end(process, ended, one, tell)
    except asyncio.CancelledError:
        await _end(process, ended, one, tell)
        raise
    finally:
        asked.cancel()


async def _end(
    process: asyncio.subprocess.Process, ended: asyncio.Task[int], one: Part, tell: Callable[[str], None]
) -> int:
    if ended.done():
        return ended.result()
    process.send_signal(signal.SIGTERM)
    await asyncio.wait((ended,), timeout=STOP_PATIENCE)
    if not ended.done():
        tell(f"{one.name} did not end within {STOP_PATIENCE:.0f} s and is killed; what it held is delivered again")
        process.send_signal(signal.SIGKILL)
    return await ended


def _how(code: int) -> str:
    if code == GOOD:
        return "by itself"
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"


def _end_with_parent() -> None:
    """In the child, before its program: ask the kernel to end it when we die without having ended it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == 1:  # we died in between
        os.kill(os.getpid(), signal.SIGTERM)

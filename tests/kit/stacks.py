"""What the tasks of a program are doing: for a program that does not end, so that its failure says why."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

TELLS_WITHIN: Final = 10.0
"""Seconds that a stuck program gets to write its stacks."""


def stacks() -> str:
    """The tasks of the running loop, each with all that it waits in (`print_stack` shows one function)."""
    told = []
    for task in asyncio.all_tasks():
        told.append(repr(task))
        step: Any = task.get_coro()
        while frame := getattr(step, "cr_frame", None) or getattr(step, "gi_frame", None):
            code = frame.f_code
            told.append(f'  File "{code.co_filename}", line {frame.f_lineno}, in {code.co_qualname}')
            step = getattr(step, "cr_await", None) or getattr(step, "gi_yieldfrom", None)
    return "\n".join(told)


def run(main: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run` for a program that writes its tasks' stacks to stderr, and ends, when it gets SIGUSR1."""

    def tell() -> None:
        print(stacks(), file=sys.stderr, flush=True)
        os._exit(1)

    async def telling() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
        await main

    asyncio.run(telling())


async def end_of(process: asyncio.subprocess.Process, *, within: float) -> tuple[bytes, bytes]:
    """Wait for a program that was started with `run`; returns what it wrote to stdout and stderr where they are piped.

    One that has not ended `within` seconds is asked for its stacks, and fails the test with them.
    """
    talking = asyncio.create_task(process.communicate())
    await asyncio.wait({talking}, timeout=within)
    if talking.done():
        return await talking
    process.send_signal(signal.SIGUSR1)
    await asyncio.wait({talking}, timeout=TELLS_WITHIN)
    with suppress(ProcessLookupError):
        process.kill()
    _, errors = await talking
    raise AssertionError(f"the program had not ended after {within:g} s:\n{errors.decode(errors='replace')}")

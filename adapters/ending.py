"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

T = TypeVar("T")

AGAIN_AFTER: Final = 1.0
"""Seconds after which a task that is still running is cancelled once more."""


def outcome(task: asyncio.Task[T]) -> T:
    """What a task that nobody here has cancelled has ended with; RuntimeError if it was cancelled all the same.

    Awaited, such a task would look as if the one that awaits it had been cancelled: everything would end silently.
    """
    if task.cancelled():
        raise RuntimeError(f"{task.get_coro()!r} was cancelled by what it called")
    return task.result()


async def together(*works: Coroutine[Any, Any, None], again_after: float = AGAIN_AFTER) -> None:
    """Do works side by side until all are done, or this is cancelled; if one fails the others are ended, as `end` does.

    No TaskGroup: that cancels its tasks once, also if it is cancelled itself again.
    """
    tasks = {asyncio.create_task(work) for work in works}
    running = tasks
    try:
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                outcome(task)
    finally:
        await end(tasks, again_after=again_after)


async def end(tasks: Iterable[asyncio.Task[Any]], *, again_after: float = AGAIN_AFTER) -> None:
    """Cancel tasks and wait until they have ended, whatever they ended of.

    `again_after` is longer, in seconds, than what a task may take to clear up. A library may swallow a cancellation
    that comes at the very moment when what it waits for happens (asyncio.wait_for does before Python 3.12), so it is
    repeated. Who is cancelled while waiting here goes on waiting, cancels them once more, and is cancelled then.
    """
    running = set(tasks)
    cancelled: asyncio.CancelledError | None = None
    while running:
        for task in running:
            task.cancel()
        try:
            _, running = await asyncio.wait(running, timeout=again_after)
        except asyncio.CancelledError as why:
            cancelled = why
            running = {task for task in running if not task.done()}
    if cancelled is not None:
        raise cancelled

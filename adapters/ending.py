"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

AGAIN_AFTER: Final = 1.0
"""Seconds after which a task that is still running is cancelled once more."""


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

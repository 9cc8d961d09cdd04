"""What is asked to end, ends: also if it is asked at the very moment when what it waited for happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from adapters.ending import end, together
from adapters.pace import Signal


class Stubborn:
    """Swallows some cancellations, as `asyncio.wait_for` may."""

    def __init__(self, swallows: int) -> None:
        self.left = swallows

    async def work(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.left -= 1
                if self.left < 0:
                    raise


async def test_a_wait_that_is_cancelled_while_its_signal_comes_is_cancelled() -> None:
    signal = Signal()

    async def wait_for_ever() -> None:
        while True:
            await signal.wait(signal.version, 60.0)

    waiting = asyncio.create_task(wait_for_ever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    signal.set()
    await asyncio.sleep(0)
    waiting.cancel()
    done, _ = await asyncio.wait({waiting}, timeout=5)
    assert done and waiting.cancelled()


async def ending(work: Coroutine[Any, Any, None]) -> None:
    """Ends `work` when it is cancelled itself."""
    task = asyncio.create_task(work)
    try:
        await asyncio.Event().wait()
    finally:
        await end([task], again_after=60)


async def beside(work: Coroutine[Any, Any, None]) -> None:
    await together(work, asyncio.Event().wait(), again_after=60)  # type: ignore[arg-type]


@pytest.mark.parametrize("around", [None, ending, beside])
async def test_a_task_that_swallows_cancellations_ends_all_the_same(
    around: Callable[[Coroutine[Any, Any, None]], Coroutine[Any, Any, None]] | None,
) -> None:
    """Also where it is ended by one that is cancelled again while it waits for that."""
    stubborn = Stubborn(2)
    task = asyncio.create_task(stubborn.work() if around is None else around(stubborn.work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await end([task], again_after=0.01)
    assert task.cancelled() and stubborn.left == -1


async def test_works_side_by_side_end_with_the_first_that_fails() -> None:
    stubborn = Stubborn(1)

    async def done() -> None: ...

    async def failing() -> None:
        await asyncio.sleep(0)
        raise OSError("broken")

    async with asyncio.timeout(30):
        with pytest.raises(OSError, match="broken"):
            await together(stubborn.work(), done(), failing(), again_after=0.01)
    assert stubborn.left == -1


async def test_a_work_that_is_cancelled_by_what_it_called_has_failed() -> None:
    async def given_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="given_up"):
        await together(Stubborn(0).work(), given_up())

"""What is asked to end, ends: also if it is asked at the very moment when what it waited for happens."""

from __future__ import annotations

import asyncio

from adapters.ending import end
from adapters.pace import Signal


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


async def test_a_task_that_swallows_one_cancellation_ends_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end([task], again_after=0.01)
    assert task.cancelled() and swallowed == 2


async def test_who_is_cancelled_again_while_ending_others_leaves_none_of_them_running() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 2:
                    raise

    inner = asyncio.create_task(stubborn())
    await asyncio.sleep(0)

    async def outer() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await end([inner], again_after=60)

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    await end([task], again_after=0.01)
    assert inner.done() and task.cancelled()

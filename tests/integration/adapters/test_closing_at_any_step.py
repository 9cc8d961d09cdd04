"""An agency is closed before any step of its work: it ends, leaves nothing running, loses and doubles nothing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters import Agency, Letter, Part, ending, mailbox, pump, running
from adapters.agency import DATABASE
from adapters.pace import Pace
from tests.conftest import Vhost
from tests.integration.adapters.standin import PROVINCE, StandIn
from tests.kit.stacks import stacks

STEPS = [*range(70), *range(70, 700, 21)]
"""Connecting takes about 60 steps, and is tried before every one of them; then messages come and go."""
LETTERS = 50
PACE = Pace(batch=1, linger_seconds=0, gather_seconds=0, poll_seconds=0.001)  # it never rests
NEVER = 1e6
PATIENCE = 60.0
"""Seconds for what takes a hundredth of one."""


class Loop(asyncio.SelectorEventLoop):
    """Does something right before one of its next callbacks."""

    _left = -1
    _then: Callable[[], None]

    def before(self, step: int, then: Callable[[], None]) -> None:
        self._left, self._then = step, then

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        return super().call_soon(self._step, callback, args, context=context)

    def _step(self, callback: Callable[..., object], args: Iterable[Any]) -> None:
        self._left -= 1
        if self._left == -1:
            self._then()
        callback(*args)


@asynccontextmanager
async def ending_soon(what: str) -> AsyncIterator[None]:
    """Show what all tasks are doing if the block does not end."""
    told: list[str] = []
    alarm = asyncio.get_running_loop().call_later(PATIENCE - 1, lambda: told.append(stacks()))
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError:
        pytest.fail("\n".join([what, *told]))
    finally:
        alarm.cancel()


async def end_once(tasks: Iterable[asyncio.Task[Any]], *, again_after: float = 0.0, end: Any = ending.end) -> None:
    """`end`, without its net: a task that loses its cancellation goes on."""
    await end(tasks, again_after=NEVER)


@pytest.mark.parametrize(
    "steps", [STEPS, pytest.param(range(900), marks=[pytest.mark.long, pytest.mark.timeout(900)])], ids=["some", "all"]
)
def test_an_agency_that_is_closed_before_any_step_ends(
    vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Iterable[int]
) -> None:
    for module in (ending, mailbox, pump, running):
        monkeypatch.setattr(module, "end", end_once)
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(_close_before_every_step(StandIn(vhost=vhost, folder=tmp_path), steps))


async def _close_before_every_step(exchange: StandIn, steps: Iterable[int]) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop)
    await exchange.start()
    settings = await exchange.agency(PROVINCE)
    ids = await _letters(Agency.open(replace(settings, amqp_url="amqp://127.0.0.1:1/nowhere")))
    tasks = asyncio.all_tasks()
    connected = []
    with ThreadPoolExecutor(3) as threads:
        for step in steps:
            me = Agency(settings, executor=threads, pace=PACE)
            now = asyncio.Event()
            async with ending_soon(f"closed before step {step}"):
                async with me:
                    loop.before(step, now.set)
                    await now.wait()
                    connected.append(me.connected)
                while left := asyncio.all_tasks() - tasks:
                    await asyncio.wait(left)
    assert set(connected) == {False, True} and not any(connected[:5]) and all(connected[-5:])
    async with Agency.open(settings) as me:
        await me.answered(timeout=PATIENCE)
        await exchange.until(lambda: all(exchange.reported[id, PROVINCE] for id in ids), seconds=PATIENCE)
        await me.flushed(timeout=PATIENCE)
    await exchange.stop()
    with sqlite3.connect(settings.data_dir / DATABASE) as connection:
        inbox = connection.execute("SELECT id, state FROM inbox").fetchall()
        open_work = connection.execute("SELECT count(*) FROM outbox WHERE state IN ('due', 'sent')").fetchone()
    assert Counter(inbox) == Counter((id, "waiting") for id in ids) and open_work == (0,)
    assert all(len({digest for _, digest in exchange.reported[id, PROVINCE]}) == 1 for id in ids)


async def _letters(me: Agency) -> list[str]:
    """Put letters to itself into the outbox of an agency that cannot reach the exchange."""
    async with me:
        return [
            (
                await me.put(
                    await me.sign(
                        Letter(
                            number=str(number),
                            notation="TB",
                            subject="Thông báo",
                            to=[PROVINCE],
                            parts=[Part.data("a.pdf", b"%PDF-1.7")],
                        )
                    )
                )
            ).id
            for number in range(LETTERS)
        ]

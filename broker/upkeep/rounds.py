"""Stand by, take the lease, run every task in its own rhythm, stand by again when the lease is lost.

Knows tasks only by name, period and `run`; `broker.keeper` says which there are. A task that fails is logged with its
traceback and tried again at its next round: one broken duty must not end the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Protocol

import structlog

from broker.dispatch.patience import is_away
from broker.upkeep.lease import Lease, LeaseLost
from schemas.problem import Problem

RENEWALS_PER_LEASE: Final = 3
"""A lease is renewed this many times before it would run out, so that one slow answer does not lose it."""

STOP_GRACE: Final = 10.0
"""Seconds that rounds in progress get to end when the keeper is asked to stop, at most half a lease."""

log = structlog.get_logger(__name__)


class Task(Protocol):
    """One duty of the keeper."""

    @property
    def name(self) -> str:
        """For the log."""
        ...

    @property
    def period(self) -> float:
        """Seconds between the end of one round and the beginning of the next."""
        ...

    async def run(self, lease: Lease) -> int:
        """Do what is due now, in bounded chunks, writing only inside `lease.writing()`.

        Returns how many things were done. MUST be safe to stop at any await and to begin anew by another keeper.
        Raises LeaseLost when the lease is gone.
        """
        ...


def nothing(name: str, count: int) -> None:
    """For who does not want to hear of rounds."""


class Rounds:
    """The keeper's life until `stop` is set."""

    def __init__(
        self,
        lease: Lease,
        tasks: Sequence[Task],
        *,
        standby_seconds: float,
        after_round: Callable[[str, int], None] = nothing,
    ) -> None:
        self._lease = lease
        self._tasks = tuple(tasks)
        self._standby_seconds = standby_seconds
        self._after_round = after_round
        self.active = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: be the active keeper when the lease can be had, else stand by. Gives it up at the end."""
        log.info("keeper.standby", holder=self._lease.holder)
        while not stop.is_set():
            if await self._taken():
                await self._be_active(stop)
            else:
                await _pause(stop, self._standby_seconds)
        log.info("keeper.stopped", holder=self._lease.holder)

    async def _taken(self) -> bool:
        try:
            return await self._lease.take()
        except Exception as error:
            # A standby's whole duty is to still be here when the database is back.
            why = str(error) or type(error).__name__
            log.warning("keeper.cannot_ask_for_lease", why=why, exc_info=not is_away(error))
            return False

    async def _be_active(self, stop: asyncio.Event) -> None:
        log.info("keeper.active", holder=self._lease.holder, epoch=self._lease.epoch)
        self.active.set()
        duties = [asyncio.create_task(self._repeat(task, stop), name=task.name) for task in self._tasks]
        watch = asyncio.create_task(self._keep_lease(stop), name="lease")
        try:
            done, _ = await asyncio.wait([watch, *duties], return_when=asyncio.FIRST_COMPLETED)
            if watch not in done and not stop.is_set():
                # A duty ends early only because it found the lease gone.
                log.warning("keeper.lease_lost", holder=self._lease.holder)
            if stop.is_set():
                await asyncio.wait(duties, timeout=min(STOP_GRACE, self._lease.seconds / 2))
        finally:
            self.active.clear()
            await _end([watch, *duties])
            await self._give_up()

    async def _keep_lease(self, stop: asyncio.Event) -> None:
        while not await _pause(stop, self._lease.seconds / RENEWALS_PER_LEASE):
            try:
                await self._lease.renew()
            except LeaseLost as lost:
                log.warning("keeper.lease_lost", why=str(lost))
                return
            except Exception:
                if not self._lease.holds():
                    log.exception("keeper.lease_not_renewed")
                    return
                log.warning("keeper.renewal_failed", holder=self._lease.holder, exc_info=True)

    async def _repeat(self, task: Task, stop: asyncio.Event) -> None:
        while True:
            count = 0
            try:
                count = await task.run(self._lease)
            except LeaseLost:
                return
            except Exception as error:
                if is_away(error) or isinstance(error, Problem):
                    log.warning("keeper.task_put_off", task=task.name, why=str(error) or type(error).__name__)
                else:
                    log.exception("keeper.task_failed", task=task.name)
            if count:
                log.info("keeper.round", task=task.name, count=count)
            self._after_round(task.name, count)
            if await _pause(stop, task.period):
                return

    async def _give_up(self) -> None:
        try:
            await self._lease.release()
        except Exception:
            # It runs out by itself; a standby then waits a little longer.
            log.warning("keeper.lease_not_released", holder=self._lease.holder, exc_info=True)


async def _pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait `seconds`, or less if `stop` is set meanwhile. True if it is."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
    return stop.is_set()


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

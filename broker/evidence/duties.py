"""What the keeper does for the log, as duties of its rounds: sequence and sign, and write the files.

Two duties, so that writing a million files does not keep events from their places. Wires; decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from broker.evidence.checkpoints import Signer
from broker.evidence.keys import LogKeys, read_vkeys, vkey_file
from broker.evidence.lag import log_status, oldest_writer
from broker.evidence.merkle import EvidenceFault
from broker.evidence.publishing import FilePublisher
from broker.evidence.sequencer import Sequencer, utc_now
from broker.settings import Settings
from broker.upkeep.lease import Lease
from schemas.problem import Problem

SIGN_EVERY: Final = 1.0
"""Seconds between two checkpoints while a backlog is worked off."""

COUNTED: Final = 10_000
"""Waiting events that the keeper looks at in a round to see how old they are."""

DANGER: Final = 0.5
"""Part of the promise `log_by` after which a warning is given."""

log = structlog.get_logger(__name__)


class KeepLog:
    """Gives events their positions and signs a checkpoint over them, about once a second while there are new ones.

    Without new events there is nothing to sign: the text of a checkpoint holds no time, so that it would be the same.
    """

    name = "log"

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._working: tuple[Sequencer, Signer] | None = None
        self.period = settings.keeper_log_seconds

    async def run(self, lease: Lease) -> int:
        """Sequence and sign what has come. Returns how many events got their positions."""
        sequencer, signer = self._parts()
        await signer.check(lease)
        added, signed_at = 0, time.monotonic()
        while True:
            step = await sequencer.add(lease)
            added += step.count
            if not step.more or time.monotonic() - signed_at >= SIGN_EVERY:
                await signer.check(lease)
                await signer.sign(lease, known=sequencer.head)
                signed_at = time.monotonic()
            if not step.more:
                break
        await self._watch_the_promise()
        return added

    def _parts(self) -> tuple[Sequencer, Signer]:
        """Made at the first round: without keys the keeper's other duties must go on. Raises Problem."""
        if self._working is None:
            settings = self._settings
            keys = LogKeys.load(settings.log_key_file, settings.log_origin)
            vkeys = read_vkeys(vkey_file(settings.log_key_file))
            sequencer = Sequencer(settings.log_origin, clock=self._clock)
            self._working = sequencer, Signer(self._pool, keys, vkeys, settings.log_dir)
        return self._working

    async def _watch_the_promise(self) -> None:
        async with self._pool.acquire() as connection:
            status = await log_status(connection, counted=COUNTED)
            if status.lag_seconds <= DANGER * self._settings.log_promise_seconds:
                return
            holder = await oldest_writer(connection)
        log.warning(
            "log.promise_in_danger",
            lag_seconds=round(status.lag_seconds, 1),
            promised_seconds=self._settings.log_promise_seconds,
            unsequenced=status.unsequenced,
            waiting_for=None if holder is None else f"{holder.application} {holder.who} since {holder.since:%H:%M:%S}",
        )


class PublishLog:
    """Keeps the log's static files up to its newest recorded checkpoint."""

    name = "log files"

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._publisher: FilePublisher | None = None
        self.period = settings.keeper_log_seconds

    async def run(self, lease: Lease) -> int:
        """Write what is missing. Returns how many files were written. Raises Problem if rows or keys are missing."""
        if self._publisher is None:
            vkeys = read_vkeys(vkey_file(self._settings.log_key_file))
            self._publisher = FilePublisher(self._pool, vkeys, self._settings.log_dir)
        try:
            return await self._publisher.publish(lease)
        except EvidenceFault as fault:
            raise Problem(
                f"the log's files cannot be written: {fault}",
                "every entry of the log, with its event",
                "Look with `lienthong audit verify` which rows are missing, and bring them back.",
            ) from None

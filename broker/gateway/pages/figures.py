"""Today's figures for the home page: counted once for all who may see the same, however many look on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from broker.audit.period import Period, day_of
from broker.audit.report import COUNTS, report
from broker.audit.scope import Scope
from broker.store.pool import Connection

FRESH_SECONDS: Final = 3.0
"""Figures so young are shown again without counting."""

Figures = Mapping[str, int]


async def count_today(connection: Connection, scope: Scope) -> Figures:
    """What was sent, delivered, confirmed, refused and is overdue today (a day of Viet Nam)."""
    today = day_of(datetime.now(UTC))
    total = (await report(connection, by="tier", period=Period(first=today, last=today), scope=scope)).total()
    return {name: getattr(total, name) for name in COUNTS}


@dataclass(kw_only=True)
class Remembered:
    """The last figures of each scope; whoever asks while they are being counted waits for the same count."""

    found: dict[Scope, tuple[float, Figures]] = field(default_factory=dict)
    locks: dict[Scope, asyncio.Lock] = field(default_factory=dict)

    async def today(self, connection: Connection, scope: Scope) -> Figures:
        """The figures of today, a few seconds old at most."""
        async with self.locks.setdefault(scope, asyncio.Lock()):
            at, figures = self.found.get(scope, (float("-inf"), {}))
            if time.monotonic() - at > FRESH_SECONDS:
                figures = await count_today(connection, scope)
                self.found[scope] = time.monotonic(), figures
            return figures

"""Figures that many look at, counted once for all who may see the same and shown again while they are fresh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import asyncpg

from broker.audit.overview import Overview, by_province
from broker.audit.period import Period, day_of
from broker.audit.report import COUNTS, Report, report
from broker.audit.scope import Scope, visible
from broker.evidence.lag import LogStatus, log_status
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")
TODAY_SECONDS: Final = 3.0
LOG_SECONDS: Final = 3.0
FORTNIGHT_SECONDS: Final = 30.0
"""How old each may be: today's figures move while one looks on, those of two weeks hardly do."""
WAITING_COUNTED: Final = 10_000
"""Events without a place in the log that are counted, at most."""
KEPT: Final = 500
LOG_PATIENCE_MS: Final = 500
"""A page does not wait longer for the state of the log …"""
LOG_AGAIN_SECONDS: Final = 30.0
"""… and asks again only after a while."""

T = TypeVar("T")
Figures = Mapping[str, int]


@dataclass(kw_only=True)
class Remembered:
    """What was counted last; whoever asks while it is being counted waits for the same count."""

    found: dict[Hashable, tuple[float, Any]] = field(default_factory=dict)
    locks: dict[Hashable, asyncio.Lock] = field(default_factory=dict)

    async def today(self, connection: Connection, scope: Scope) -> Figures:
        """What was sent, delivered, confirmed, refused and is overdue today (a day of Viet Nam)."""

        async def count() -> Figures:
            today = day_of(datetime.now(UTC))
            total = (await report(connection, by="tier", period=Period(first=today, last=today), scope=scope)).total()
            return {name: getattr(total, name) for name in COUNTS}

        return await self._recent(("today", scope), TODAY_SECONDS, count)

    async def days(self, connection: Connection, period: Period, scope: Scope) -> Report:
        """What was sent and received on each day of a period."""
        key = ("days", period, scope)
        return await self._recent(
            key, FORTNIGHT_SECONDS, lambda: report(connection, by="day", period=period, scope=scope)
        )

    async def provinces(self, connection: Connection, period: Period, scope: Scope) -> Overview:
        """What was delivered in each province in a period."""
        key = ("provinces", period, scope)
        return await self._recent(key, FORTNIGHT_SECONDS, lambda: by_province(connection, period=period, scope=scope))

    async def codes(self, connection: Connection, scope: Scope) -> frozenset[str]:
        """The codes of a subtree. For links only: what may be seen is decided by every statement itself."""

        async def look() -> frozenset[str]:
            rows = await connection.fetch(SQL["codes_of"], await visible(connection, scope))
            return frozenset(row["code"] for row in rows)

        return await self._recent(("codes", scope), FORTNIGHT_SECONDS, look)

    async def log(self, connection: Connection) -> LogStatus | None:
        """The state of the log; None if so much is waiting that it cannot be told in time for a page."""

        async def look() -> LogStatus | None:
            try:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL statement_timeout = {LOG_PATIENCE_MS}")
                    return await log_status(connection, counted=WAITING_COUNTED)
            except asyncpg.QueryCanceledError:
                return None

        known = self.found.get("log", (0.0, None))[1]
        return await self._recent("log", LOG_SECONDS if known is not None else LOG_AGAIN_SECONDS, look)

    async def _recent(self, key: Hashable, seconds: float, count: Callable[[], Awaitable[T]]) -> T:
        async with self.locks.setdefault(key, asyncio.Lock()):
            at, value = self.found.get(key, (float("-inf"), None))
            if time.monotonic() - at > seconds:
                if len(self.found) > KEPT:
                    self.found.clear()
                value = await count()
                self.found[key] = time.monotonic(), value
            counted: T = value
            return counted

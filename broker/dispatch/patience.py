"""Waiting for PostgreSQL when it is away: nothing is decided, no attempt is counted, work goes on when it is back.

Says which errors mean "away" or "try again", in contrast to those that a message itself has caused.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import structlog

T = TypeVar("T")
log = structlog.get_logger(__name__)

AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # used after the server's last word and before its end of the connection was read
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.QueryCanceledError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)
"""Errors that say nothing about what was asked: the same question can succeed later."""

FIRST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 5.0
"""Seconds between tries; doubled each time, and spread so that many workers do not return at once."""


def is_away(error: BaseException) -> bool:
    """True if the error means that the database could not do its work, whatever it was asked."""
    return isinstance(error, AWAY) and not isinstance(error, ValueError)  # ValueError: a wrong configuration


def wait_before(try_number: int) -> float:
    """Seconds to wait before the `try_number`-th try (from 1)."""
    longest = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(try_number - 1, 20))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - spreading, not secrecy


async def insist(
    call: Callable[[], Awaitable[T]], *, what: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> T:
    """Await `call` until the database is there to do it. Raises whatever is not about the database being away."""
    tries = 0
    while True:
        try:
            return await call()
        except Exception as error:
            if not is_away(error):
                raise
            tries += 1
            seconds = wait_before(tries)
            log.warning(
                "database away", waiting_to=what, tries=tries, seconds=round(seconds, 2), reason=type(error).__name__
            )
            await sleep(seconds)

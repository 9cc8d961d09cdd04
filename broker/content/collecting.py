"""Garbage: content that no accepted document names and that nobody has stored lately goes (contract §6).

One bucket at a time, under its lock; `broker.content.record` says how this and naming content keep apart. The order is
record first, bytes second: what dies in between leaves bytes that nobody can reach, and those are found here too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final

import asyncpg

from broker.content.record import BUCKET_LOCKS, SQL
from broker.content.store import ContentStore
from broker.store.pool import Connection

PAGE: Final = 100
"""Contents removed under one hold of a bucket's lock; whoever stores in that bucket waits as long."""

COMPARED: Final = 1000
"""Digests that are compared with the record at a time."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


async def _nothing(step: str) -> None:
    """For who does not want to hear of steps."""


class Collector:
    """Removes what is unused since before a moment.

    `writing` opens the transaction in which the record may be changed. `step` is awaited between any two steps, for
    tests that interleave.
    """

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        store: ContentStore,
        *,
        writing: Callable[[], AbstractAsyncContextManager[Connection]],
        step: Callable[[str], Awaitable[None]] = _nothing,
    ) -> None:
        self._pool = pool
        self._store = store
        self._writing = writing
        self._step = step

    async def collect(self, bucket: int, before: datetime) -> int:
        """Remove what of this bucket nobody has used since `before`; how many. A busy bucket is left for later."""
        span = bytes([bucket]) + bytes(31), bytes([bucket]) + b"\xff" * 31
        removed = 0
        async with self._pool.acquire() as connection:
            while rows := await connection.fetch(SQL["collectable"], *span, before, PAGE):
                await self._step("chosen")
                if not await connection.fetchval(SQL["try_bucket"], BUCKET_LOCKS, bucket):
                    break
                try:
                    gone = await self._page(connection, [row["digest"] for row in rows], before)
                finally:
                    await connection.execute(SQL["release_bucket"], BUCKET_LOCKS, bucket)
                removed += gone
                # What somebody holds just now would be found again and again: only a page that went is a reason to
                # look for the next.
                if gone < PAGE:
                    break
        return removed

    async def _page(self, connection: Connection, digests: Sequence[bytes], before: datetime) -> int:
        async with self._writing() as writing:
            locked = [row["digest"] for row in await writing.fetch(SQL["lock_content"], digests)]
            await self._step("locked")
            await writing.execute(SQL["forget_uploads"], locked, before)
            gone = [row["digest"].hex() for row in await writing.fetch(SQL["forget_content"], locked)]
            await self._step("forgotten")
        for sha256 in gone:
            await self._remove(sha256)
        return len(gone)

    async def strays(self, bucket: int, before: datetime) -> int:
        """Remove bytes of this bucket that the record does not know: whoever brought them died before it was recorded.

        Looks at everything that the bucket has.
        """
        old = [name async for name in self._store.older_than(before, bucket) if _DIGEST.fullmatch(name)]
        removed = 0
        for start in range(0, len(old), COMPARED):
            page = [bytes.fromhex(sha256) for sha256 in old[start : start + COMPARED]]
            async with self._pool.acquire() as connection:
                if not await connection.fetch(SQL["unrecorded"], page):
                    continue
                if not await connection.fetchval(SQL["try_bucket"], BUCKET_LOCKS, bucket):
                    continue
                try:
                    # Under the lock, and with their age looked at again: they may have been stored meanwhile.
                    still = {name async for name in self._store.older_than(before, bucket)}
                    for row in await connection.fetch(SQL["unrecorded"], page):
                        if row["digest"].hex() in still:
                            await self._remove(row["digest"].hex())
                            removed += 1
                finally:
                    await connection.execute(SQL["release_bucket"], BUCKET_LOCKS, bucket)
        return removed

    async def _remove(self, sha256: str) -> None:
        """Remove bytes that the record does not know, which is looked at once more: the lock may have been lost."""

        async def recorded() -> bool:
            return bool(await self._pool.fetchval(SQL["is_kept"], bytes.fromhex(sha256)))

        await self._step("removing")
        removing = asyncio.ensure_future(self._store.remove(sha256, unless=recorded))
        try:
            await asyncio.shield(removing)
        except asyncio.CancelledError:
            # The lock must not be given back while bytes are still being removed.
            await asyncio.wait({removing})
            raise

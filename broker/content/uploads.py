"""An agency stores content: bytes checked as they come, counted against its quota, and then recorded (contract §6).

The whole body is always read and verified, whatever is kept already, so that knowing a digest gains nothing. No
database connection is held while bytes travel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from broker.content.record import QUOTA_LOCKS, SQL, share_buckets
from broker.content.store import ContentStore
from broker.store.pool import Connection
from schemas.errors import Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What became of an upload."""

    size: int
    # False if this agency had stored the same bytes before.
    is_new: bool


class Uploads:
    """Takes uploads of all agencies, in any number at a time and at any number of gateways."""

    def __init__(
        self,
        pool: asyncpg.Pool[asyncpg.Record],
        store: ContentStore,
        *,
        quota: int,
        largest: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._pool = pool
        self._store = store
        self._quota = quota
        self._largest = largest
        self._clock = clock
        # Bytes of each agency that are on their way here: they lie on the disk before they are found to be good.
        self._coming: Counter[int] = Counter()

    async def take(self, agency_id: int, sha256: str, chunks: AsyncIterable[bytes], *, size: int | None) -> Stored:
        """Read, verify and keep an upload; it is there for good when this returns, and not at all if it raises.

        What is announced to be too large (`size`) is refused before any of it is read.
        Raises Refusal LT-PART-DIGEST, LT-SIZE, LT-QUOTA, whatever `chunks` raises, OSError if the store fails.
        """
        async with self._pool.acquire() as asked:
            waiting = await self._waiting(asked, agency_id, sha256)
        self._check(size or 0, waiting)

        def heard(length: int, so_far: int) -> None:
            self._coming[agency_id] += length
            self._check(so_far, waiting + self._coming[agency_id] - so_far)

        counted = _Counted(chunks, heard)
        async with AsyncExitStack() as stack:
            stack.callback(lambda: self._coming.subtract({agency_id: counted.size}))
            connections: list[Connection] = []

            async def wanted() -> bool:
                """Verified: from here to the commit nobody removes this content or counts for this agency."""
                connection = await stack.enter_async_context(self._pool.acquire())
                await stack.enter_async_context(connection.transaction())
                connections.append(connection)
                await connection.execute(SQL["lock_quota"], QUOTA_LOCKS, agency_id % 2**31)
                self._check(counted.size, await self._waiting(connection, agency_id, sha256))
                await share_buckets(connection, [sha256])
                return not await connection.fetchval(SQL["is_kept"], bytes.fromhex(sha256))

            place = await self._store.put(sha256, counted, size=size, wanted=wanted)
            connection, now = connections[0], self._clock()
            digest = bytes.fromhex(sha256)
            await connection.execute(SQL["insert_content"], digest, counted.size, place, now)
            is_new = await connection.fetchval(SQL["insert_upload"], agency_id, digest, now)
        return Stored(size=counted.size, is_new=is_new)

    async def _waiting(self, connection: Connection, agency_id: int, sha256: str) -> int:
        """Bytes of other content that the agency has stored and that no document has named yet."""
        return int(await connection.fetchval(SQL["waiting_bytes"], agency_id, bytes.fromhex(sha256)))

    def _check(self, size: int, waiting: int) -> None:
        if size > self._largest:
            raise Refusal(
                code="LT-SIZE", field="content", found=f"{size} bytes or more", expected=f"at most {self._largest}"
            )
        if waiting + size > self._quota:
            raise Refusal(
                code="LT-QUOTA",
                field="content",
                found=f"{size} bytes or more, and {waiting} bytes under way, or stored and not named yet",
                expected=f"at most {self._quota} bytes together",
            )


class _Counted:
    """Chunks that are counted as they pass; too many end them."""

    def __init__(self, chunks: AsyncIterable[bytes], heard: Callable[[int, int], None]) -> None:
        self._chunks = chunks
        self._heard = heard
        self.size = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            self.size += len(chunk)
            self._heard(len(chunk), self.size)
            yield chunk

"""The content store in an object store: any S3, or what else `obstore` can speak to.

Bytes go up in parts while they are verified; the store makes them visible only when the last part was confirmed, which
does not happen if the digest is another. Parts of broken uploads stay hidden in an S3 bucket until a lifecycle rule
(AbortIncompleteMultipartUpload) removes them: set one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import ObjectStore

from broker.content.folder import read_opened, shared_file
from broker.content.store import CHUNK, LARGEST, ContentMissing, ContentUnavailable, Measure, pieces
from schemas.content_layout import accepted_path

PART: Final = 8 * CHUNK
"""Bytes of one request: S3 takes 10,000 parts of an upload, of 5 MiB or more. Reading in parts too, no request to the
store lasts as long as a slow agency takes for the whole."""

PARTS_AT_A_TIME: Final = 2
"""Parts of one upload on their way at a time; together with the one being filled they are what it holds in memory."""


LONGEST_REASON: Final = 300
"""Characters of what an object store says about a failure."""


class _NotWanted(Exception):
    """Ends an upload whose bytes are good, but here already."""


class ObjectContent:
    """Content as objects. See `broker.content.store.ContentStore`.

    `shared` is the folder in which agencies on the same machine leave parts; others use the gateway.
    """

    def __init__(self, store: ObjectStore, *, shared: Path, largest: int = LARGEST) -> None:
        self._store = store
        self._shared = shared
        self._largest = largest

    async def put(
        self,
        sha256: str,
        chunks: AsyncIterable[bytes],
        *,
        size: int | None = None,
        wanted: Callable[[], Awaitable[bool]] | None = None,
    ) -> str:
        """See `ContentStore.put`."""
        place = _place(sha256)
        measure = Measure(sha256, size)

        async def verified() -> AsyncIterator[bytes]:
            async for piece in pieces(chunks):
                await asyncio.to_thread(measure.take, piece)
                yield piece
            measure.check()
            if wanted is not None and not await wanted():
                raise _NotWanted

        with _available(), suppress(_NotWanted):
            await obstore.put_async(
                self._store,
                place,
                verified(),
                use_multipart=True,
                chunk_size=PART,
                max_concurrency=PARTS_AT_A_TIME,
            )
        return place

    async def adopt(self, codes: Sequence[str], sha256: str, size: int) -> str | None:
        """See `ContentStore.adopt`."""
        source = await asyncio.to_thread(shared_file, self._shared, codes, sha256, size, self._largest)
        return None if source is None else await self.put(sha256, read_opened(source, 0, size + 1), size=size)

    async def size_of(self, sha256: str) -> int | None:
        """See `ContentStore.size_of`."""
        with _available():
            try:
                return (await obstore.head_async(self._store, _place(sha256)))["size"]
            except (FileNotFoundError, NotFoundError):
                return None

    async def read(self, sha256: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `ContentStore.read`."""
        for position in range(start, stop, PART):
            with _available():
                try:
                    piece = await obstore.get_range_async(
                        self._store, _place(sha256), start=position, end=min(position + PART, stop)
                    )
                except (FileNotFoundError, NotFoundError):
                    raise ContentMissing(f"{sha256} is not in the object store") from None
            yield bytes(piece)

    async def remove(self, sha256: str, *, unless: Callable[[], Awaitable[bool]]) -> None:
        """See `ContentStore.remove`."""
        if await unless():
            return
        with _available():
            try:
                await obstore.delete_async(self._store, _place(sha256))
            except (FileNotFoundError, NotFoundError):
                return

    async def older_than(self, moment: datetime, bucket: int) -> AsyncIterator[str]:
        """See `ContentStore.older_than`."""
        prefix = _place(f"{bucket:02x}".ljust(64, "0")).rpartition("/")[0]
        with _available():
            async for page in obstore.list(self._store, prefix=prefix):
                for one in page:
                    if one["last_modified"] < moment:
                        yield one["path"].rpartition("/")[2]

    async def tidy(self, moment: datetime) -> int:
        """The bucket's lifecycle rule does it."""
        return 0


def _place(sha256: str) -> str:
    return accepted_path(Path(), sha256).as_posix()


@contextmanager
def _available() -> Iterator[None]:
    """Every failure of the store is one that may pass."""
    try:
        yield
    except BaseError as error:
        why = str(error).partition("\n")[0][:LONGEST_REASON]
        raise ContentUnavailable(f"the object store failed: {why or type(error).__name__}") from error

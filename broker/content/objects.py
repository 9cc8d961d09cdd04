"""The content store in an object store: any S3, or what else `obstore` can speak to.

Bytes go up in parts while they are verified; the store makes them visible only when the last part was confirmed, which
does not happen if the digest is another. An upload that is refused or breaks off is aborted at the store; only parts of
one whose program was killed stay there, hidden, until a lifecycle rule (AbortIncompleteMultipartUpload) removes them.
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

from broker.content.shared import read_opened, shared_file
from broker.content.store import CHUNK, LARGEST, ContentMissing, ContentUnavailable, Measure, pieces
from schemas.content_layout import accepted_path

PART: Final = 8 * CHUNK
"""Bytes that go up with one request, at least: an S3 takes no parts below 5 MiB."""

READ: Final = 2 * CHUNK
"""Bytes that come down with one request. `obstore` and what sends them on hold them several times, and no request to
the store lasts as long as a slow agency takes for the whole."""

PARTS: Final = 1000
"""Parts of one upload, at most: what every S3 takes. (Amazon and Ceph take 10,000; Swift, as it comes, 1,000.)"""

PARTS_AT_A_TIME: Final = 2
"""Parts of one upload on their way at a time; together with the one being filled they are what it holds in memory."""

LETTING_GO: Final = 10.0
"""Seconds that the store gets to abort an upload which was cancelled."""

LONGEST_REASON: Final = 300
"""Characters of what an object store says about a failure."""


class _NotWanted(Exception):
    """Ends an upload whose bytes are good, but here already."""


class _GivenUp(Exception):
    """Ends an upload that nobody waits for any more."""


class ObjectContent:
    """Content as objects. See `broker.content.store.ContentStore`.

    `shared` is the folder in which agencies on the same machine leave parts; others use the gateway.
    """

    def __init__(self, store: ObjectStore, *, shared: Path, largest: int = LARGEST, part: int = PART) -> None:
        self._store = store
        self._shared = shared
        self._largest = largest
        self._part = part

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
        part = max(self._part, -(-(self._largest if size is None else size) // PARTS))
        with suppress(_NotWanted):
            await self._send(place, verified(chunks, Measure(sha256, size), wanted), part)
        return place

    async def _send(self, place: str, chunks: AsyncIterable[bytes], part: int) -> None:
        """Upload to `place`, where nothing appears if `chunks` raises; that is raised here then.

        Who cancels this waits until the store has let go of the upload, if it does so in time: `obstore` alone would
        leave it where it is, and go on reading `chunks`.
        """
        given_up = asyncio.Event()
        sending = asyncio.ensure_future(
            obstore.put_async(
                self._store,
                place,
                _until(given_up, chunks),
                use_multipart=True,
                chunk_size=part,
                max_concurrency=PARTS_AT_A_TIME,
            )
        )
        with _available():
            try:
                await asyncio.shield(sending)
            except asyncio.CancelledError:
                given_up.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LETTING_GO):
                        await asyncio.gather(sending, return_exceptions=True)
                raise
            finally:
                given_up.set()

    async def adopt(self, codes: Sequence[str], sha256: str, size: int) -> str | None:
        """See `ContentStore.adopt`."""
        source = await asyncio.to_thread(shared_file, self._shared, codes, sha256, size, self._largest)
        return None if source is None else await self.put(sha256, read_opened(source, size + 1), size=size)

    async def size_of(self, sha256: str) -> int | None:
        """See `ContentStore.size_of`."""
        with _available():
            try:
                return (await obstore.head_async(self._store, _place(sha256)))["size"]
            except (FileNotFoundError, NotFoundError):
                return None

    async def read(self, sha256: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `ContentStore.read`."""
        for position in range(start, stop, READ):
            with _available():
                try:
                    piece = await obstore.get_range_async(
                        self._store, _place(sha256), start=position, end=min(position + READ, stop)
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


async def verified(
    chunks: AsyncIterable[bytes], measure: Measure, wanted: Callable[[], Awaitable[bool]] | None = None
) -> AsyncIterator[bytes]:
    """The same bytes in larger pieces, as an upload that ends well only if they are the right ones, and wanted.

    Raises Refusal LT-PART-DIGEST, _NotWanted, and whatever `chunks` and `wanted` raise.
    """
    async for piece in pieces(chunks):
        await asyncio.to_thread(measure.take, piece)
        yield piece
    measure.check()
    if wanted is not None and not await wanted():
        raise _NotWanted


async def _until(given_up: asyncio.Event, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same chunks until `given_up`, which cancels the one that is waited for. Raises _GivenUp then."""
    ending = asyncio.ensure_future(given_up.wait())
    source = aiter(chunks)
    try:
        while True:
            coming = asyncio.ensure_future(anext(source, None))
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
                raise _GivenUp
            if (chunk := coming.result()) is None:
                return
            yield chunk
    finally:
        ending.cancel()


def _place(sha256: str) -> str:
    return accepted_path(Path(), sha256).as_posix()


@contextmanager
def _available() -> Iterator[None]:
    """Every failure of the store is one that may pass, a bucket that is not there too."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        why = str(error).partition("\n")[0][:LONGEST_REASON]
        raise ContentUnavailable(f"the object store failed: {why or type(error).__name__}") from error

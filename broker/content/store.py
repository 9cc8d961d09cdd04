"""Where content lies, behind an interface (contract §6): a local folder, or any store that `obstore` can speak to.

Decides nothing about who may name or read what: that is `broker.content.record` and `broker.intake.parts`. Locks
nothing either; who may make content visible or remove it, and when, is said in `broker.content.locks`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from hashlib import sha256 as new_sha256
from typing import Final, Protocol

from schemas.errors import Refusal

CHUNK: Final = 1024 * 1024
"""Bytes that are hashed, written or read at a time."""

LARGEST: Final = 16 * 1024**3
"""Bytes of one content, where nothing else is said."""

BUCKETS: Final = 256
"""Content is looked through for what can go in this many portions, by the first byte of the digest."""


class ContentUnavailable(OSError):
    """The content store cannot be used just now; whoever needed it waits and tries again."""


class ContentMissing(Exception):
    """The content store does not have these bytes, though the record says so: an operator has to look."""


class ContentStore(Protocol):
    """A place for content. Everything is addressed by SHA-256 in lower-case hex.

    Every method raises OSError (ContentUnavailable, for a store that is not a file system) if the store cannot be used.
    """

    async def put(
        self,
        sha256: str,
        chunks: AsyncIterable[bytes],
        *,
        size: int | None = None,
        wanted: Callable[[], Awaitable[bool]] | None = None,
    ) -> str:
        """Keep the bytes of `chunks`, reading all of them; returns their place.

        MUST verify the digest (and `size`, if given) of the very bytes that it keeps, MUST have them on stable storage,
        and only then make them visible, all at once. Just before that, `wanted` is awaited; when it says no, nothing
        is kept. Whatever goes wrong leaves nothing visible. Holds a bounded part of the bytes in memory.
        Raises Refusal LT-PART-DIGEST if the bytes are others, and whatever `chunks` or `wanted` raise.
        """
        ...

    async def adopt(self, codes: Sequence[str], sha256: str, size: int) -> str | None:
        """Take over what one of `codes` has put under `sha256` into the folder that it shares with the exchange, so
        that no later change can touch it. None if none of `codes` has. Otherwise like `put`."""
        ...

    async def size_of(self, sha256: str) -> int | None:
        """Bytes of what is kept under this digest; None if there is nothing."""
        ...

    def read(self, sha256: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to and without `stop`, in pieces. Raises ContentMissing."""
        ...

    async def remove(self, sha256: str, *, unless: Callable[[], Awaitable[bool]]) -> None:
        """Remove what is kept under this digest, if there is anything.

        MUST await `unless` as late as can be, and MUST keep the bytes if it says yes or raises.
        """
        ...

    def older_than(self, moment: datetime, bucket: int) -> AsyncIterator[str]:
        """The digests beginning with this byte that were last written before `moment`."""
        ...

    async def tidy(self, moment: datetime) -> int:
        """Remove what uploads that broke off before `moment` have left behind; returns how many."""
        ...


class Measure:
    """Digest and size of bytes as they pass, and the verdict on them at the end."""

    def __init__(self, sha256: str, size: int | None) -> None:
        self._expected = sha256, size
        self._digest = new_sha256()
        self.size = 0

    def take(self, data: bytes | bytearray) -> None:
        """Bytes that follow those before."""
        self._digest.update(data)
        self.size += len(data)

    def check(self) -> None:
        """Raises Refusal LT-PART-DIGEST if what has passed has another digest or size than expected."""
        sha256, size = self._expected
        found = self._digest.hexdigest()
        if found != sha256 or (size is not None and size != self.size):
            raise Refusal(
                code="LT-PART-DIGEST",
                found=f"{self.size} bytes with SHA-256 {found}",
                expected=f"{f'{size} bytes' if size is not None else 'bytes'} with SHA-256 {sha256}",
            )


async def pieces(chunks: AsyncIterable[bytes], length: int = CHUNK) -> AsyncIterator[bytes]:
    """The same bytes in pieces of about `length`, however small or large they come."""
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        if len(gathered) >= length:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def whole(data: bytes) -> AsyncGenerator[bytes]:
    """Bytes in memory as chunks."""
    yield data

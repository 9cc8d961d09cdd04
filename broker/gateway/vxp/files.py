"""Files of the REST façade on their way in and out: little of them lies in memory, however slowly they travel."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from broker.content.store import CHUNK
from broker.gateway.vxp.answers import Answer

IN_MEMORY: Final = CHUNK
"""Bytes of a file that lie in memory, at most; what is larger is in the folder of temporary files (TMPDIR)."""
PIECE: Final = 256 * 1024
"""Bytes of a temporary file that are read at a time."""
LARGE: Final = 2 * CHUNK
"""Bytes from which a file is large …"""
LARGE_AT_ONCE: Final = 2
"""… and how many of those are worked on at a time."""


class AtWork:
    """Large files that are being read or written: few at a time."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    def on(self, size: int) -> AbstractAsyncContextManager[None]:
        """Work on a file of this size, waiting for others if it is large."""
        return self._large if size >= LARGE else nullcontext()


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketFile:
    """The edXML file of a packet, to be sent once."""

    size: int
    pieces: AsyncGenerator[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class OnDisk:
    """A part in a temporary file, to be written into a message; a `schemas.edxml.content.Content`."""

    file: IO[bytes] = field(repr=False)
    size: int
    sha256: str
    wrapped: bool = True

    def pieces(self) -> Iterator[bytes]:
        """The bytes, from the first."""
        self.file.seek(0)
        while piece := self.file.read(PIECE):
            yield piece


@asynccontextmanager
async def spooled(pieces: AsyncIterator[bytes]) -> AsyncIterator[IO[bytes]]:
    """These pieces as a file that stands at its end and is gone after the block. Raises what `pieces` raises."""
    with SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        async for piece in pieces:
            file.write(piece)
        yield file


def written(pieces: Iterator[bytes]) -> IO[bytes]:
    """A temporary file with these pieces, standing at its end. Raises what `pieces` raises."""
    file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - `sent_from` closes it
    try:
        file.writelines(pieces)
    except BaseException:
        file.close()
        raise
    return file


async def sent_from(file: IO[bytes]) -> AsyncGenerator[bytes]:
    """The bytes of a temporary file, which is gone then."""
    with file:
        file.seek(0)
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


async def begun(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The same pieces, of which the first has been read: what cannot be read at all is known before the answer."""
    first = await anext(pieces, b"")

    async def whole() -> AsyncGenerator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return whole()


def as_answer(file: PacketFile) -> PacketFile:
    """The answer of `getEdoc`: the JSON object with the file in base64."""
    head, tail = Answer(more={"data": ""}).body[:-2], b'"}'

    async def pieces() -> AsyncGenerator[bytes]:
        yield head
        rest = b""
        async for piece in file.pieces:
            rest += piece
            whole = len(rest) // 3 * 3
            yield b64encode(rest[:whole])
            rest = rest[whole:]
        yield b64encode(rest) + tail

    return PacketFile(size=len(head) + (file.size + 2) // 3 * 4 + len(tail), pieces=pieces())

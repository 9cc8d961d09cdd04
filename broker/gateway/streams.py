"""Bodies in and out, a piece at a time, with an end to patience: slow clients cost a connection, not memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

SILENCE: Final = 30.0
"""Seconds that a client may send or take nothing."""
GRACE: Final = 30.0
"""Seconds before an upload's average pace counts …"""
SLOWEST: Final = 4096.0
"""… and the bytes a second that it must have then."""
SLICE: Final = int(SILENCE * SLOWEST)
"""Bytes that are given to a client at once: one that takes `SLOWEST` bytes a second is not silent."""
DRAINED: Final = 4 * 1024 * 1024
"""Bytes of a refused body that are read, so that a client that did not ask first hears the answer; when
more would come, the connection is closed."""


class TooSlow(Exception):
    """The client sends nothing, or next to nothing: 408."""


async def body_of(request: Request, heard: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The request's body as it comes; `heard` is told of bytes. Raises TooSlow, and ClientDisconnect when it breaks
    off."""
    loop = asyncio.get_running_loop()
    started, total = loop.time(), 0
    chunks = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise TooSlow(f"nothing came for {SILENCE:.0f} s") from None
        if chunk is None:
            return
        total += len(chunk)
        heard(len(chunk))
        seconds = loop.time() - started
        if seconds > GRACE and total / seconds < SLOWEST:
            raise TooSlow(f"{total} bytes came in {seconds:.0f} s")
        yield chunk


async def drain(request: Request) -> bool:
    """Read what is left of a body that is not wanted, up to `DRAINED` bytes; whether that was all."""
    left = DRAINED
    try:
        async for chunk in body_of(request, lambda length: None):
            left -= len(chunk)
            if left < 0:
                return False
    except RuntimeError:
        return True  # it has been read already
    return True


class Streamed(Response):
    """An answer whose body comes in pieces; a client that takes nothing for `SILENCE` seconds is left."""

    def __init__(self, pieces: AsyncGenerator[bytes], *, status_code: int, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status_code, headers=dict(headers))
        self._pieces = pieces

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """The length of the body is among the given headers."""
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self._pieces:
                if gone.done():
                    return  # nobody takes the rest
                for start in range(0, len(piece), SLICE):
                    body = piece[start : start + SLICE]
                    async with asyncio.timeout(SILENCE):
                        await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await self._pieces.aclose()


async def _until_gone(receive: Receive) -> None:
    """Until the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass

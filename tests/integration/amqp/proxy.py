"""A TCP proxy that misbehaves on request: cuts, stalls, half-closes, and puts words into the server's mouth."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class Proxy:
    """Forwards TCP connections to the server behind `amqp_url`; `url` is the same address by way of this proxy."""

    def __init__(self, amqp_url: str) -> None:
        parts = urlsplit(amqp_url)
        assert parts.hostname is not None
        self._target = (parts.hostname, parts.port or 5672)
        self._parts = parts
        self._pipes: set[_Pipe] = set()
        self._open = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.accepted = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        netloc = f"{self._parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}"
        self.url = urlunsplit(self._parts._replace(netloc=netloc))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for pipe in list(self._pipes):
            await pipe.finished()

    def cut(self) -> None:
        """Reset all connections, as when a cable is pulled and the router says so."""
        for pipe in self._pipes:
            pipe.abort()

    def stall(self) -> None:
        """Forward nothing more in either direction, and keep the sockets open: nobody is told anything."""
        self._flowing.clear()

    def resume(self) -> None:
        """End a stall, for connections that are still there and for new ones."""
        self._flowing.set()

    def half_close(self) -> None:
        """Tell the clients that the server will send no more, and swallow what they send."""
        for pipe in self._pipes:
            pipe.half_close()

    def refuse(self) -> None:
        """Cut all connections and drop new ones at once, as when a server is restarted."""
        self._open = False
        self.cut()

    def admit(self) -> None:
        """End `refuse`."""
        self._open = True

    def say(self, frame: bytes) -> None:
        """Send the clients these bytes as if the server had; only between frames, so on quiet connections."""
        for pipe in self._pipes:
            pipe.say(frame)

    def cut_after(self, octets: int) -> None:
        """Reset the connections as soon as the clients have sent so many more bytes: in the middle of a frame."""
        for pipe in self._pipes:
            pipe.cut_after(octets)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        self.accepted += 1
        pipe = _Pipe(self._flowing, reader, writer)
        self._pipes.add(pipe)
        try:
            await pipe.run(self._target)
        finally:
            self._pipes.discard(pipe)


class _Pipe:
    """One client's connection and its counterpart."""

    def __init__(self, flowing: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._flowing = flowing
        self._reader = reader
        self._writer = writer
        self._server: asyncio.StreamWriter | None = None
        self._swallow = False
        self._left: int | None = None
        self._done = asyncio.Event()

    async def run(self, target: tuple[str, int]) -> None:
        try:
            server_reader, self._server = await asyncio.open_connection(*target)
            up = asyncio.ensure_future(self._forward(self._reader, self._server, upwards=True))
            down = asyncio.ensure_future(self._forward(server_reader, self._writer, upwards=False))
            await asyncio.wait({up, down})
        finally:
            self.abort()
            self._done.set()

    async def finished(self) -> None:
        await self._done.wait()

    def abort(self) -> None:
        self._writer.transport.abort()
        if self._server is not None:
            self._server.transport.abort()

    def half_close(self) -> None:
        self._swallow = True
        with suppress(OSError, RuntimeError):
            self._writer.write_eof()

    def say(self, frame: bytes) -> None:
        self._writer.write(frame)

    def cut_after(self, octets: int) -> None:
        self._left = octets

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, upwards: bool) -> None:
        with suppress(OSError, RuntimeError):
            while data := await source.read(65536):
                await self._flowing.wait()
                if self._swallow:
                    continue
                if upwards and self._left is not None:
                    data, self._left = data[: self._left], self._left - len(data)
                sink.write(data)
                await sink.drain()
                if self._left is not None and self._left <= 0:
                    break
        if not self._swallow:
            self.abort()

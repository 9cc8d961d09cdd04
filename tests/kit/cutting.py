"""A TCP proxy that cuts connections after so many bytes, or holds them: what networks do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class CuttingProxy:
    """Forwards to `target_port`. While `cuts` has entries each connection takes one: bytes of both directions together
    after which it is cut. While `open` is not set, nothing comes back to clients."""

    def __init__(self) -> None:
        self.port = 0
        self.target_port = 0
        self.cuts: list[int] = []
        self.open = asyncio.Event()
        self.open.set()
        self.back = 0
        """Bytes that came back so far."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        budget = [self.cuts.pop(0)] if self.cuts else [1 << 62]
        beyond_reader, beyond = await asyncio.open_connection("127.0.0.1", self.target_port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, back: bool) -> None:
            while data := await source.read(65536):
                if back:
                    await self.open.wait()
                    self.back += len(data)
                sink.write(data[: max(budget[0], 0)])
                budget[0] -= len(data)
                await sink.drain()
                if budget[0] <= 0:
                    return

        ways = [
            asyncio.create_task(pump(reader, beyond, back=False)),
            asyncio.create_task(pump(beyond_reader, writer, back=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for one in (writer, beyond):
                one.transport.abort()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[CuttingProxy]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*self._tasks, return_exceptions=True)

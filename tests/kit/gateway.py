"""The fixture `gateway`: a gateway in this process, on a free port of the loopback, beside an exchange.

Import `gateway` (and `exchange` of `tests.kit.fixtures`) into a room's conftest.py, or serve one of another shape with
`running_gateway`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from broker.gateway.app import Gateway
from broker.gateway.listening import bind
from broker.gateway.server import opened, run
from tests.kit.exchange import Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A gateway that answers."""

    url: str
    """Its name: `gateway_url`, and where it answers, unless another name was asked for."""
    port: int
    parts: Gateway
    exchange: Exchange
    """The exchange beside it: agencies are added there; call `refresh` before they are used."""

    async def refresh(self) -> None:
        """Let the gateway know the newest directory now."""
        await self.parts.directory.refresh()


@asynccontextmanager
async def running_gateway(exchange: Exchange, **settings: Any) -> AsyncIterator[Running]:
    """A gateway on the servers, database and home of `exchange`; `settings` override."""
    bound = bind("127.0.0.1", 0)
    port = bound.getsockname()[1]
    configured = exchange.settings.model_copy(update={"gateway_url": f"http://127.0.0.1:{port}"} | settings)
    stop = asyncio.Event()
    listening = asyncio.Event()
    try:
        async with opened(configured) as parts:
            serving = asyncio.create_task(run(parts, bound, stop, ready=listening.set))
            answering = asyncio.create_task(listening.wait())
            try:
                await asyncio.wait({serving, answering}, return_when=asyncio.FIRST_COMPLETED)
                if not serving.done():
                    yield Running(url=configured.gateway_url, port=port, parts=parts, exchange=exchange)
            finally:
                stop.set()
                answering.cancel()
                await serving
    finally:
        bound.close()


@pytest.fixture
async def gateway(exchange: Exchange) -> AsyncIterator[Running]:
    """A running gateway, and behind it an exchange with one worker and no agencies yet."""
    async with running_gateway(exchange) as running:
        yield running

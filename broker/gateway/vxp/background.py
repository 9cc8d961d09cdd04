"""What the REST façade does beside answering requests."""

from __future__ import annotations

import asyncio

from broker.gateway.app import Gateway


async def background(gateway: Gateway, stop: asyncio.Event) -> None:
    """Run beside the server until `stop` is set."""
    await stop.wait()

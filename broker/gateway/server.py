"""The gateway's process: opens what the paths need, serves them, runs what rooms do beside, and ends in order.

Wiring only. Stateless: as many gateways as wanted, on any number of machines.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog

from broker.amqp.connection import Link
from broker.amqp.publishing import Publisher
from broker.content.opening import open_content
from broker.directory.live import LiveDirectory
from broker.gateway.app import Gateway, create_app
from broker.gateway.listening import bind, server_for
from broker.gateway.pages.routes import background as pages_background
from broker.gateway.pages.routes import prepare as prepare_pages
from broker.gateway.vxp.background import background as vxp_background
from broker.identity import BrokerIdentity
from broker.settings import Settings, gateway_url_of
from broker.store.pool import open_pool

CONNECTIONS: Final = 10
"""Database connections; none is held while a body travels."""
BRIEF_CONNECTIONS: Final = 2
"""Connections that only answer short questions for many requests at once."""
STOP_GRACE: Final = 20
"""Seconds that requests in progress get to end when the gateway is asked to stop."""
BACKGROUND: Final = (vxp_background, pages_background)
"""What rooms do beside answering requests, until they are told to stop."""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Gateway]:
    """What the paths need, with its connections open; they are closed at the end of the block.

    Raises Problem if a key, a server or the database is not there.
    """
    identity = BrokerIdentity.load(settings)
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings, size=CONNECTIONS, plain=True)
        stack.push_async_callback(pool.close)
        brief = await open_pool(settings, size=BRIEF_CONNECTIONS, plain=True)
        stack.push_async_callback(brief.close)
        link = await stack.enter_async_context(Link(settings.amqp_url, name=f"lienthong gateway {os.getpid()}"))
        publisher = await stack.enter_async_context(Publisher(link))
        directory = await LiveDirectory.open(pool)
        stack.push_async_callback(directory.close)
        yield Gateway(
            settings=settings,
            pool=pool,
            brief=brief,
            directory=directory,
            identity=identity,
            publisher=publisher,
            link=link,
            content=open_content(settings),
        )


async def run(
    gateway: Gateway, bound: socket.socket, stop: asyncio.Event, *, ready: Callable[[], None] = lambda: None
) -> None:
    """Serve on a bound socket until `stop` is set; then take no more, and let requests in progress end.

    A fault in what a room does beside ends the gateway with its exception.
    """
    settings = gateway.settings
    # Before anybody is let in: beside requests, a second of pure Python would make all of them wait.
    await asyncio.to_thread(prepare_pages)
    tls = settings.gateway_tls_certificate_file, settings.gateway_tls_key_file
    server = server_for(
        create_app(gateway),
        certificate=str(tls[0]) if tls[0] else None,
        key=str(tls[1]) if tls[1] else None,
        grace=STOP_GRACE,
    )
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.serve(sockets=[bound]), name="http")
        beside = [tasks.create_task(duty(gateway, stop), name=duty.__module__) for duty in BACKGROUND]
        try:
            await server.listening.wait()
            ready()
            await stop.wait()
        finally:
            server.should_exit = True
            stop.set()
        await asyncio.wait({serving, *beside})


def own_address(settings: Settings, host: str, port: int) -> str:
    """The gateway's name where none is configured."""
    return gateway_url_of({**settings.model_dump(), "gateway_host": host, "gateway_port": port})


async def serve(
    settings: Settings, host: str, port: int, *, ready: Callable[[str, int], None] = lambda host, port: None
) -> None:
    """Run a gateway until SIGTERM or SIGINT. `ready` hears the address as soon as it answers. Raises as `opened`."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    bound = bind(host, port)
    address = bound.getsockname()[1]
    if settings.gateway_url == own_address(settings, settings.gateway_host, settings.gateway_port):
        settings = settings.model_copy(update={"gateway_url": own_address(settings, host, address)})
    try:
        async with opened(settings) as gateway:

            def told() -> None:
                log.info("gateway ready", host=host, port=address, name=settings.gateway_url)
                ready(host, address)

            await run(gateway, bound, stop, ready=told)
    finally:
        bound.close()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)
    log.info("gateway stopped")

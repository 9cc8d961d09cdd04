"""A management API that fails for a moment costs a moment; one that keeps failing is told in a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from broker.amqp import management
from broker.amqp.management import Management, ManagementError
from schemas.problem import UNREACHABLE


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "RETRY_WAITS", (0.0, 0.0))


@asynccontextmanager
async def server(answer: Callable[[web.Request], Awaitable[web.Response]]) -> AsyncIterator[Management]:
    """A management API that answers what the test wants."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with Management(f"http://u:p@127.0.0.1:{port}", vhost="x") as client:
            yield client
    finally:
        await runner.cleanup()


async def test_a_call_that_failed_for_a_moment_is_made_again() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.json_response([{"name": "/"}]) if len(asked) > 2 else web.Response(status=500)

    async with server(answer) as client:
        assert await client.virtual_hosts() == ["/"]
    assert asked == ["GET"] * 3


@pytest.mark.parametrize(("method", "times"), [("GET", 3), ("DELETE", 1)])
async def test_a_server_that_keeps_failing_is_told_and_nothing_is_deleted_twice(method: str, times: int) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(status=503)

    async with server(answer) as client:
        with pytest.raises(ManagementError, match="HTTP 503") as told:
            await (client.virtual_hosts() if method == "GET" else client.delete_virtual_host())
    assert asked == [method] * times
    assert told.value.exit_code == UNREACHABLE


async def test_a_refusal_is_final() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return web.Response(status=401)

    async with server(answer) as client:
        with pytest.raises(ManagementError, match="HTTP 401"):
            await client.virtual_hosts()
    assert asked == ["GET"]

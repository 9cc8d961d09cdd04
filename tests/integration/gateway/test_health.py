"""Whoever balances load or watches processes learns from the gateway itself whether it can serve."""

from __future__ import annotations

import aiohttp

from tests.kit.gateway import Running


async def test_a_running_gateway_says_that_it_lives_and_is_ready(gateway: Running) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{gateway.url}/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with http.get(f"{gateway.url}/readyz") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "ok")

"""Is this gateway alive, can it serve, and how much does it do? `GET /healthz`, `/readyz`, and `/metrics`.

Without authentication and without secrets. Counts are given to addresses of `gateway_metrics_from` only, and only to
who asks the gateway itself: through a proxy everybody comes from the proxy's address, and how much agencies send is not
everybody's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import asyncpg
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from broker.amqp.connection import LinkState
from broker.evidence.lag import log_status
from broker.gateway.addresses import Network, networks, read, within
from broker.gateway.app import Gateway
from broker.gateway.authentication import SQL
from broker.gateway.measures import Measures

DATABASE_PATIENCE: Final = 2.0
"""Seconds that the database may take to answer before this gateway counts as not ready."""

THROUGH_PROXIES: Final = ("forwarded", "via", "x-real-ip")
"""Headers that proxies add, beside those that begin with `x-forwarded-`."""


def router(gateway: Gateway) -> APIRouter:
    """The health paths, for this gateway."""
    routes = APIRouter()

    @routes.get("/healthz", include_in_schema=False)
    async def alive() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @routes.get("/readyz", include_in_schema=False)
    async def ready() -> JSONResponse:
        """The servers behind the gateway answer; 503 with what does not, otherwise."""
        checks = {"database": await _database(gateway), "rabbitmq": _rabbitmq(gateway)}
        good = all(state == "ok" for state in checks.values())
        return JSONResponse({"status": "ok" if good else "not ready", **checks}, status_code=200 if good else 503)

    allowed = networks(gateway.settings.gateway_metrics_from)

    @routes.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        """Counts for Prometheus; 404 for who may not see them."""
        if not (_is_in(request, allowed) and _is_direct(request)):
            return Response(status_code=404)
        text = Measures.of(request).text([*await _content_waiting(gateway), *await _log_lag(gateway)])
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _is_in(request: Request, allowed: Sequence[Network]) -> bool:
    address = read(request.client.host if request.client else None)
    return address is not None and within(address, allowed)


def _is_direct(request: Request) -> bool:
    """Whether nothing tells of a proxy: no header that proxies add, and who is on this machine asks this machine.

    A proxy on this machine that adds nothing and asks for a local name cannot be told from a local program.
    """
    if any(name in THROUGH_PROXIES or name.startswith("x-forwarded-") for name in request.headers):
        return False
    try:
        asked_for = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    return not _is_local(request.client.host if request.client else "") or _is_local(asked_for)


def _is_local(name: str) -> bool:
    address = read(name)
    return name.lower() == "localhost" if address is None else address.is_loopback


async def _content_waiting(gateway: Gateway) -> list[tuple[str, str, float]]:
    row = await gateway.pool.fetchrow(SQL["waiting_content"])
    assert row is not None
    return [
        ("lienthong_content_waiting", "Contents stored and not named by a document yet.", float(row["contents"])),
        ("lienthong_content_waiting_bytes", "Bytes of these.", float(row["bytes"])),
    ]


async def _log_lag(gateway: Gateway) -> list[tuple[str, str, float]]:
    """How far the log is behind; nothing where it has not begun."""
    async with gateway.pool.acquire() as connection:
        status = await log_status(connection)
    return [
        ("lienthong_log_unsequenced", "Events that have no place in the log yet.", float(status.unsequenced)),
        *(
            [("lienthong_log_lag_seconds", "Age of the oldest event without a checkpoint.", status.lag_seconds)]
            if status.lag_seconds is not None
            else []
        ),
    ]


async def _database(gateway: Gateway) -> str:
    try:
        async with asyncio.timeout(DATABASE_PATIENCE):
            await gateway.pool.fetchval("SELECT 1")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return f"does not answer ({type(error).__name__})"
    return "ok"


def _rabbitmq(gateway: Gateway) -> str:
    state = gateway.link.status().state
    return "ok" if state is LinkState.UP else str(state.value)

"""Is this gateway alive, and can it serve? `GET /healthz` and `GET /readyz`, without authentication or secrets."""

from __future__ import annotations

import asyncio
from typing import Final

import asyncpg
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from broker.amqp.connection import LinkState
from broker.gateway.app import Gateway

DATABASE_PATIENCE: Final = 2.0
"""Seconds that the database may take to answer before this gateway counts as not ready."""


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

    return routes


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

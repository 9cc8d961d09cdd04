"""The gateway's web application: what it is made of, and which rooms' paths it serves.

Wiring only. Each room has a module with `router(gateway) -> APIRouter` and knows the rest of the exchange through
`Gateway` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError

from broker.amqp.connection import Link
from broker.amqp.publishing import Publisher
from broker.content.store import ContentStore
from broker.directory.live import LiveDirectory
from broker.gateway.answers import not_allowed
from broker.gateway.measures import Measures
from broker.gateway.watching import Watch
from broker.identity import BrokerIdentity
from broker.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Everything that a path may use: opened once, shared by all requests, closed by `broker.gateway.server`."""

    settings: Settings
    pool: asyncpg.Pool[asyncpg.Record]
    brief: asyncpg.Pool[asyncpg.Record]
    """For short questions that many requests wait for: a signature or a commit never stands in their way."""
    directory: LiveDirectory
    identity: BrokerIdentity
    publisher: Publisher
    link: Link
    content: ContentStore


def create_app(gateway: Gateway) -> FastAPI:
    """The application with the paths of every room."""
    # The rooms' modules name `Gateway`, so they can only be loaded when this module has been.
    from broker.gateway import content, directory, health
    from broker.gateway.elsewhere import elsewhere
    from broker.gateway.pages import routes as pages
    from broker.gateway.vxp import routes as vxp

    app = FastAPI(title="Lienthong", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.measures = Measures()
    facade = vxp.router(gateway)
    others = [room.router(gateway) for room in (health, content, directory, pages)]
    routers = [facade, *others]
    routes = [route for router in routers for route in router.routes]
    app.add_middleware(Watch, measures=app.state.measures, routes=routes)
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(RequestValidationError, not_allowed)
    page, drained = pages.elsewhere(gateway), gateway.settings.vxp_file_bytes
    nowhere = elsewhere(routes, facade=facade.routes, page=page, drained=drained)
    for status in (404, 405):
        app.add_exception_handler(status, nowhere)
    return app

"""The pages' paths: every page of every module, behind one door."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakKeyDictionary

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from broker.directory.live import LiveDirectory
from broker.gateway.addresses import networks
from broker.gateway.app import Gateway
from broker.gateway.pages import (
    agencies,
    country,
    documents,
    evidence_log,
    home,
    lists,
    live,
    oidc,
    operating,
    proofs,
    reporting,
    searching,
    signin,
)
from broker.gateway.pages.figures import Remembered
from broker.gateway.pages.guard import Access, Page, Site, Visit, guarded, with_headers
from broker.gateway.pages.hexes import country as country_outlines
from broker.gateway.pages.render import MEDIA_TYPES, renderer
from broker.gateway.pages.stories import Stories

PAGES: Final[tuple[Page, ...]] = (
    *signin.PAGES,
    *oidc.PAGES,
    *home.PAGES,
    *searching.PAGES,
    *lists.PAGES,
    *proofs.PAGES,
    *operating.PAGES,
    *documents.PAGES,
    *agencies.PAGES,
    *country.PAGES,
    *reporting.PAGES,
    *evidence_log.PAGES,
    *live.PAGES,
)
"""Every page there is. Paths with fixed words stand before those with a part in the same place."""

_STREAMS: Final[WeakKeyDictionary[LiveDirectory, live.Streams]] = WeakKeyDictionary()
"""The open streams of each gateway of this process, for `background` to end."""


def router(gateway: Gateway) -> APIRouter:
    """All pages, for this gateway."""
    routes = APIRouter()
    site = _site(gateway)
    routes.add_route("/static/{name}", _static(site), methods=["GET"], include_in_schema=False)
    by_path: dict[str, dict[str, Callable[[Request], Awaitable[Response]]]] = defaultdict(dict)
    for page in PAGES:
        by_path[page.path][page.method] = guarded(site, page)
    for path, handlers in by_path.items():
        for method, handler in handlers.items():
            routes.add_route(path, handler, methods=[method], include_in_schema=False)
    return routes


def _site(gateway: Gateway) -> Site:
    return Site(
        gateway=gateway,
        renderer=renderer(),
        figures=Remembered(),
        stories=Stories(),
        streams=_streams_of(gateway),
        openid=oidc.configured(gateway.settings),
        proxies=networks(gateway.settings.vxp_trusted_proxies),
    )


def elsewhere(gateway: Gateway) -> Callable[[Request, Exception], Awaitable[Response]]:
    """The page for a person at an address that is none, or that takes forms only."""
    site = _site(gateway)
    pages = {kind: guarded(site, _error_page(kind)) for kind in (404, 405)}

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await pages[error.status_code](request)

    return answer


def _error_page(kind: int) -> Page:
    async def show(visit: Visit) -> Response:
        return visit.show("error.html", status=kind, kind=kind, problem=None)

    return Page(path="/{rest:path}", handler=show, access=Access.anyone)


async def background(gateway: Gateway, stop: asyncio.Event) -> None:
    """When the gateway is to stop, open streams end, so that nobody waits for them."""
    streams = _streams_of(gateway)
    await stop.wait()
    streams.stop.set()


def prepare() -> None:
    """Make what is the same for everybody: the country's outlines and the templates, a second of work for a process."""
    country_outlines()
    renderer()


def _streams_of(gateway: Gateway) -> live.Streams:
    return _STREAMS.setdefault(gateway.directory, live.Streams())


def _static(site: Site) -> Callable[[Request], Awaitable[Response]]:
    """The stylesheet, the script and the emblem. Their addresses change with their content."""

    async def answer(request: Request) -> Response:
        name = str(request.path_params["name"])
        body = site.renderer.static.get(name)
        if body is None:
            return with_headers(site, Response(status_code=404))
        fresh = request.query_params.get("v") == site.renderer.version
        media_type = MEDIA_TYPES[name.rpartition(".")[2]]
        age = "public, max-age=31536000, immutable" if fresh else "no-cache"
        return with_headers(site, Response(body, media_type=media_type, headers={"Cache-Control": age}))

    return answer

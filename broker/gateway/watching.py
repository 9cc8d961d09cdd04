"""Around every request: its line in the log, its place in the counts, and an honest answer when something fails.

The log names the path's pattern and never the path itself, headers or a query: links may carry one-time secrets.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.dispatch.patience import is_away
from broker.gateway.answers import refused
from broker.gateway.measures import IN_PROGRESS, REQUESTS, Measures
from schemas.errors import Refusal

UNKNOWN: Final = "(none)"
"""Path of requests that no room serves: not one label for each thing that a scanner tries."""
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines: counted, and not written into the log."""

log = structlog.get_logger(__name__)


class Watch:
    """ASGI middleware of the whole application, whose `routes` it knows requests by."""

    def __init__(self, app: ASGIApp, *, measures: Measures, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._measures = measures
        found = [route for route in routes if isinstance(route, Route)]
        self._patterns: Mapping[object, str] = {route.endpoint: route.path for route in found}
        # Paths without parameters are their own patterns; several of them may be answered by one function.
        self._plain = frozenset(route.path for route in found if "{" not in route.path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched = _Watched(send)
        scope.setdefault("state", {})
        started = time.perf_counter()
        try:
            with self._measures.during(IN_PROGRESS):
                await self._answer(scope, receive, watched)
        finally:
            self._record(scope, watched, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, watched: _Watched) -> None:
        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if is_away(error) or isinstance(error, TimeoutError):
                log.warning("a request failed for now", path=self._path(scope), why=f"{type(error).__name__}: {error}")
            else:
                log.exception("a request failed", path=self._path(scope))
            if watched.status is not None:
                return  # the answer has begun: the server closes the connection, which tells the client
            answer = refused(Refusal(code="LT-BROKER"), headers={"Retry-After": "5", "Connection": "close"})
            await answer(scope, receive, watched)

    def _record(self, scope: Scope, watched: _Watched, seconds: float) -> None:
        path, method, status = self._path(scope), scope["method"], watched.status or 499
        self._measures.add(REQUESTS, 1, (("method", _known(method)), ("path", path), ("status", str(status))))
        self._measures.took(seconds, (("path", path),))
        if path not in QUIET:
            client: Any = scope.get("client") or ("",)
            log.info(
                "request",
                method=method,
                path=path,
                status=status,
                seconds=round(seconds, 4),
                bytes_out=watched.bytes,
                client=client[0],
                agency=scope["state"].get("caller"),
            )

    def _path(self, scope: Scope) -> str:
        """The pattern of the path that the request came to."""
        if scope["path"] in self._plain:
            return str(scope["path"])
        return self._patterns.get(scope.get("endpoint"), UNKNOWN)


class _Watched:
    """A `send` that remembers what went."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None
        self.bytes = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.bytes += len(message.get("body", b""))
        await self._send(message)


def _known(method: str) -> str:
    return method if method in {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"} else "other"

"""What changes while somebody looks on: server-sent events for the first page and for a document.

A stream belongs to a session, of which each may hold a few; it looks at the session again and again and ends with it,
with the gateway, and after a while by itself (the browser then asks anew). It carries figures, or the word that
something has changed; what has changed the page asks for, through the same door as everything else.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from broker.audit.scope import visible
from broker.gateway.pages import sessions
from broker.gateway.pages.documents import pulse_of, seen_id
from broker.gateway.pages.guard import Page, Visit, page
from broker.gateway.pages.render import number
from broker.store.pool import Connection

PER_SESSION: Final = 4
"""Streams that one session may hold."""
ALTOGETHER: Final = 500
"""Streams that one gateway holds."""
EVERY_SECONDS: Final = 2.0
AT_MOST_SECONDS: Final = 300.0


@dataclass(kw_only=True)
class Streams:
    """The streams that are open now."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    open: Counter[bytes] = field(default_factory=Counter)

    def admit(self, session: bytes) -> bool:
        """Whether one more may be opened; it is counted if so."""
        if self.stop.is_set() or self.open[session] >= PER_SESSION or self.open.total() >= ALTOGETHER:
            return False
        self.open[session] += 1
        return True

    def release(self, session: bytes) -> None:
        """One has ended."""
        self.open[session] -= 1
        if self.open[session] <= 0:
            del self.open[session]


Look = Callable[[Connection], Awaitable[str]]


async def _stream(visit: Visit, event: str, look: Look) -> Response:
    streams, session = visit.site.streams, visit.session
    assert session is not None
    if visit.request.method == "HEAD":  # nobody would read it, and it would hold a place all the same
        return Response(media_type="text/event-stream")
    if not streams.admit(session.key):
        return Response(status_code=429, headers={"Retry-After": "30"})
    return EventSourceResponse(_events(visit, event, look), ping=3600, headers={"Cache-Control": "no-store"})


async def _events(visit: Visit, event: str, look: Look) -> AsyncIterator[ServerSentEvent]:
    streams, session = visit.site.streams, visit.session
    assert session is not None
    last: str | None = None
    try:
        for _ in range(int(AT_MOST_SECONDS / EVERY_SECONDS)):
            async with visit.site.gateway.pool.acquire() as connection:
                if await sessions.resume(connection, session.token, in_use=False) is None:
                    yield ServerSentEvent(event="ended", data="")
                    return
                seen = await look(connection)
            if seen != last:
                yield ServerSentEvent(event=event, data=seen, retry=3000)
                last = seen
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await streams.stop.wait()
                return
            except TimeoutError:
                continue
    finally:
        streams.release(session.key)


async def home(visit: Visit) -> Response:
    """Today's figures, whenever one of them has changed."""

    async def look(connection: Connection) -> str:
        figures = await visit.site.figures.today(connection, visit.scope)
        return json.dumps({name: number(value, visit.language) for name, value in figures.items()}, sort_keys=True)

    return await _stream(visit, "figures", look)


async def document(visit: Visit) -> Response:
    """A word whenever something has happened to a document."""
    async with visit.reading() as connection:
        document_id, whole = await seen_id(visit, connection)

    async def look(connection: Connection) -> str:
        # Who may see a part only is told of changes of that part only; and the scope is asked anew each time.
        agencies = None if whole else await visible(connection, visit.scope)
        return await pulse_of(connection, document_id, agencies)

    return await _stream(visit, "changed", look)


PAGES: tuple[Page, ...] = (
    page("/live/home", home),
    page("/live/documents/{sender}/{id}", document),
)

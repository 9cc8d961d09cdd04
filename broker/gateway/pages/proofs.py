"""The proof of a document as a file: what `lienthong audit prove` makes, for whoever may see the whole document.

Who sees a part of a document gets the proof of what concerns his subtree, if it is silent about everybody else
(`shares`); if it is not, a page says why and whom to ask.
"""

from __future__ import annotations

from starlette.responses import Response

from broker.audit.scope import visible
from broker.evidence.bundle.prove import prove
from broker.gateway.pages.documents import Seen, seen_document
from broker.gateway.pages.guard import Denied, Page, Visit, page
from broker.gateway.pages.shares import SQL, share_of
from broker.store.pool import Connection


async def document(visit: Visit) -> Response:
    """The proof of everything that happened to a document."""
    return await _bundle(visit, None)


async def delivery(visit: Visit) -> Response:
    """The proof of one delivery of a document."""
    return await _bundle(visit, visit.path("recipient"))


async def _bundle(visit: Visit, recipient: str | None) -> Response:
    async with visit.reading() as connection:
        seen = await seen_document(visit, connection)
    if recipient is not None and all(d.recipient != recipient for d in seen.story.deliveries):
        raise Denied(status=404)
    gateway = visit.site.gateway
    sender, identifier = visit.path("sender"), visit.path("id")
    async with gateway.pool.acquire() as connection:
        made: bytes | None
        if seen.whole:
            made = await prove(connection, identifier, identity=gateway.identity, sender=sender, recipient=recipient)
        else:
            made = await _share(visit, connection, seen, recipient)
    if made is None:
        # Not a denial to be recorded: the page itself led here.
        return visit.show("withheld.html", status=403, d=seen.document, recipient=recipient, story=seen.story)
    name = f"{sender}-{identifier}" + (f"-{recipient}" if recipient else "")
    safe = "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "_" for c in name)
    return Response(
        made,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{safe}.bundle"'},
    )


async def _share(visit: Visit, connection: Connection, seen: Seen, recipient: str | None) -> bytes | None:
    agencies = await visible(connection, visit.scope)
    own = frozenset(row["code"] for row in await connection.fetch(SQL["codes_of"], agencies))
    if recipient is None and not seen.alone:
        return None
    return await share_of(connection, visit.site.gateway, seen, agencies=agencies or [], own=own, recipient=recipient)


PAGES: tuple[Page, ...] = (
    page("/documents/{sender}/{id}/proof", document),
    page("/documents/{sender}/{id}/deliveries/{recipient}/proof", delivery),
)

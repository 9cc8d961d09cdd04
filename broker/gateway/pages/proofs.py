"""The proof of a document as a file: what `lienthong audit prove` makes, for whoever may see the whole document.

Not for who sees a part: what was logged and signed speaks of other recipients too, and no byte of it can be left out.
"""

from __future__ import annotations

from starlette.responses import Response

from broker.evidence.bundle.prove import prove
from broker.gateway.pages.documents import seen_document
from broker.gateway.pages.guard import Denied, Page, Visit, page


async def document(visit: Visit) -> Response:
    """The proof of everything that happened to a document."""
    return await _bundle(visit, None)


async def delivery(visit: Visit) -> Response:
    """The proof of one delivery of a document."""
    return await _bundle(visit, visit.path("recipient"))


async def _bundle(visit: Visit, recipient: str | None) -> Response:
    async with visit.reading() as connection:
        seen = await seen_document(visit, connection)
    if not seen.whole or (recipient is not None and all(d.recipient != recipient for d in seen.story.deliveries)):
        raise Denied(status=404)
    gateway = visit.site.gateway
    sender, identifier = visit.path("sender"), visit.path("id")
    async with gateway.pool.acquire() as connection:
        made = await prove(connection, identifier, identity=gateway.identity, sender=sender, recipient=recipient)
    name = f"{sender}-{identifier}" + (f"-{recipient}" if recipient else "")
    safe = "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "_" for c in name)
    return Response(
        made,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{safe}.bundle"'},
    )


PAGES: tuple[Page, ...] = (
    page("/documents/{sender}/{id}/proof", document),
    page("/documents/{sender}/{id}/deliveries/{recipient}/proof", delivery),
)

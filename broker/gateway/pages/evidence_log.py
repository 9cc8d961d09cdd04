"""The log's page: how large it is, what was signed last, how far behind it is, and the keys with which to check it."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response

from broker.evidence.keys import read_vkeys, vkey_file
from broker.gateway.pages.guard import Denied, Page, Visit, page
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")
SHOWN: Final = 20


async def show(visit: Visit) -> Response:
    """The log as it stands."""
    async with visit.reading() as connection:
        status = await visit.site.figures.log(connection)
        origins = await connection.fetch(SQL["log_origins"])
        checkpoints = await connection.fetch(SQL["checkpoints"], SHOWN)
    newest = checkpoints[0] if checkpoints else None
    return visit.show(
        "log.html",
        log=status,
        origins=origins,
        checkpoints=checkpoints,
        note=bytes(newest["note"]).decode("utf-8", "backslashreplace") if newest else None,
        vkeys=await _vkeys(visit),
    )


async def _vkeys(visit: Visit) -> str:
    """The log's public keys, one a line; empty where this machine does not have them."""
    file = vkey_file(visit.site.gateway.settings.log_key_file)
    if not await asyncio.to_thread(file.exists):
        return ""
    await asyncio.to_thread(read_vkeys, file)
    return await asyncio.to_thread(file.read_text, encoding="utf-8")


async def checkpoint(visit: Visit) -> Response:
    """The newest checkpoint, byte for byte as it was signed."""
    async with visit.reading() as connection:
        rows = await connection.fetch(SQL["checkpoints"], 1)
    if not rows:
        raise Denied(status=404)
    return _file(bytes(rows[0]["note"]), "checkpoint.txt")


async def keys(visit: Visit) -> Response:
    """The log's public keys as a file."""
    text = await _vkeys(visit)
    if not text:
        raise Denied(status=404)
    return _file(text.encode(), "log.vkey")


def _file(body: bytes, name: str) -> Response:
    return Response(
        body,
        media_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


PAGES: tuple[Page, ...] = (
    page("/log", show),
    page("/log/checkpoint", checkpoint),
    page("/log/keys", keys),
)

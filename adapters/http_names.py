"""One question to the gateway's public directory: `GET /v1/agencies/{code}` (contract §6), without a token."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

import aiohttp

from adapters.http_content import tls_context
from adapters.naming import Fetch

ANSWER_LIMIT: Final = 16 * 1024
"""Bytes of an answer; a true one has a few hundred."""


def fetching(url: str, ca_file: Path | None) -> Fetch:
    """What asks the gateway of that name; `ca_file` is a further root for its TLS. How long is the caller's matter."""

    tls: ssl.SSLContext | bool = True

    async def fetch(code: str) -> tuple[int, bytes]:
        nonlocal tls
        if tls is True and url.startswith("https:"):
            tls = await asyncio.to_thread(tls_context, ca_file)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls),
                auto_decompress=False,
            ) as session,
            session.get(
                f"{url.rstrip('/')}/v1/agencies/{code}",
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                allow_redirects=False,
            ) as answer,
        ):
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > ANSWER_LIMIT:
                    raise ValueError(f"more than {ANSWER_LIMIT} bytes")
            return answer.status, bytes(body)

    return fetch

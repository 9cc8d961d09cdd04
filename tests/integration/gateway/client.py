"""An agency at the content store's paths, as a program without our SDK would be."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from schemas.manifest import NoticeItem
from tests.kit.exchange import End, Exchange, Letter, part
from tests.kit.gateway import Running
from tests.kit.tokens import bearer, token


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Client:
    """Requests with a good token of `end`, unless another one is given."""

    def __init__(self, gateway: Running, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.http = http

    def url(self, sha256: str) -> str:
        return f"{self.gateway.url}/v1/content/{sha256}"

    async def ask(
        self,
        method: str,
        end: End | None,
        sha256: str,
        *,
        data: Any = None,
        authorization: Mapping[str, str] | None = None,
        at: Running | None = None,
        **headers: str,
    ) -> Answer:
        url = self.url(sha256)
        given = authorization
        if given is None:
            given = bearer(token(end, method, url, audience=self.gateway.url)) if end is not None else {}
        sent = {**given, **{name.replace("_", "-"): value for name, value in headers.items()}}
        target = url if at is None else url.replace(self.gateway.url, f"http://127.0.0.1:{at.port}")
        body = io.BytesIO(data) if isinstance(data, bytes) else data
        async with self.http.request(method, target, data=body, headers=sent) as answer:
            return Answer(status=answer.status, body=await answer.read(), headers=answer.headers)

    async def put(self, end: End, data: bytes, **more: Any) -> Answer:
        return await self.ask("PUT", end, sha(data), data=data, **more)

    async def get(self, end: End, data: bytes, **more: Any) -> Answer:
        return await self.ask("GET", end, sha(data), **more)


def naming(x: Exchange, sender: End, to: list[End], data: bytes, *, by: End | None = None, **fields: Any) -> Letter:
    """A document whose one part lies in the content store."""
    manifest = x.manifest(sender, to, parts={}, **fields) | {"parts": [part("lớn.pdf", data)]}
    body = x.body(manifest, by or sender)
    return Letter(manifest=manifest, body=body, digest=x.digest(body))


async def sent(x: Exchange, sender: End, to: list[End], data: bytes, *, by: End | None = None, **fields: Any) -> Letter:
    """A document that names `data`, accepted."""
    letter = naming(x, sender, to, data, by=by, **fields)
    await x.send(letter, by or sender)
    await x.notice_at(by or sender, letter, "accepted")
    return letter


async def refused(x: Exchange, sender: End, to: list[End], data: bytes, *, by: End | None = None) -> NoticeItem:
    """The refusal of a document that names `data`."""
    letter = naming(x, sender, to, data, by=by)
    await x.send(letter, by or sender)
    return await x.notice_at(by or sender, letter, "rejected")

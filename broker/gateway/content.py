"""The content store's paths: `PUT`, `HEAD` and `GET /v1/content/{sha256}` (contract §6).

Who may read what is decided by the record, in one question with one answer for what is missing and what is not theirs.
Bodies never lie in memory whole.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from broker.content.record import Readable, readable
from broker.content.store import ContentMissing, whole
from broker.content.uploads import Uploads
from broker.gateway.answers import refused
from broker.gateway.app import Gateway
from broker.gateway.authentication import Doorkeeper
from broker.gateway.measures import BYTES_IN, BYTES_OUT, UPLOADS, Measures
from broker.gateway.ranges import Span, Unsatisfiable, names, span_of
from broker.gateway.streams import Streamed, TooSlow, body_of, drain
from schemas.errors import Refusal

AGAIN_AFTER: Final = "5"
"""Seconds after which a client that was turned away for lack of room may come again."""
KEPT_BY_CLIENTS: Final = "private, max-age=31536000, immutable"
"""Content never changes under its digest; only who may read it keeps it."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LENGTH: Final = re.compile(r"[0-9]{1,15}", re.ASCII)

log = structlog.get_logger(__name__)


def router(gateway: Gateway) -> APIRouter:
    """The content store's paths, for this gateway."""
    routes = APIRouter()
    paths = _Paths(gateway)
    routes.add_api_route("/v1/content/{sha256}", paths.put, methods=["PUT"], response_model=None)
    routes.add_api_route("/v1/content/{sha256}", paths.get, methods=["GET", "HEAD"], response_model=None)
    return routes


class _Paths:
    """The three methods, with what they share."""

    def __init__(self, gateway: Gateway) -> None:
        settings = gateway.settings
        self._gateway = gateway
        self._door = Doorkeeper(gateway)
        self._uploads = Uploads(
            gateway.pool,
            gateway.content,
            quota=settings.content_quota_bytes,
            largest=settings.content_largest_bytes,
        )
        self._room = _Room(total=settings.content_uploads, each=settings.content_uploads_each)

    async def put(self, sha256: str, request: Request) -> Response:
        """Store content: 201 if this agency had not stored it, 200 if it had; the body is read and verified alike."""
        try:
            return await self._put(sha256, request)
        except Refusal as refusal:
            return await _turned_away(request, refused(refusal, status=_status(refusal)))
        except TooSlow as slow:
            log.info("upload too slow", why=str(slow))
            return Response(status_code=408, headers={"Connection": "close"})
        except ClientDisconnect:
            log.info("upload broke off")
            return Response(status_code=400)  # nobody hears it

    async def _put(self, sha256: str, request: Request) -> Response:
        caller = self._door.caller(request)
        size = _check_request(sha256, request)
        measures = Measures.of(request)
        with self._room.taken(caller.agency.id):
            await self._door.use_up(caller)
            with measures.during(UPLOADS):
                chunks = body_of(request, lambda length: measures.add(BYTES_IN, length))
                stored = await self._uploads.take(caller.agency.id, sha256, chunks, size=size)
        return JSONResponse(
            {"sha256": sha256, "size": stored.size},
            status_code=201 if stored.is_new else 200,
            headers={"ETag": _etag(sha256)},
        )

    async def get(self, sha256: str, request: Request) -> Response:
        """Content, or a range of it, or (HEAD) what would come; 404 for what is missing and what is not theirs."""
        try:
            caller = self._door.caller(request)
            found = await self._readable(caller.agency.id, sha256)
        except Refusal as refusal:
            return refused(refusal, status=_status(refusal))
        etag = _etag(sha256)
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": KEPT_BY_CLIENTS,
            "ETag": etag,
            "Repr-Digest": f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:",
            "Vary": "Authorization",
        }
        if names(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        try:
            span = span_of(
                found.size,
                range_header=request.headers.get("range") if request.method == "GET" else None,
                if_range=request.headers.get("if-range"),
                etag=etag,
            )
        except Unsatisfiable:
            return Response(
                status_code=416, headers={"Content-Range": f"bytes */{found.size}", "Accept-Ranges": "bytes"}
            )
        headers |= {
            "Content-Disposition": "attachment",
            "Content-Length": str(span.length),
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
        }
        if span.partial:
            headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{found.size}"
        pieces = whole(b"") if request.method == "HEAD" else await self._pieces(sha256, found, span, request)
        return Streamed(pieces, status_code=206 if span.partial else 200, headers=headers)

    async def _readable(self, agency_id: int, sha256: str) -> Readable:
        found = None
        if _DIGEST.fullmatch(sha256):
            async with self._gateway.pool.acquire() as connection:
                found = await readable(connection, agency_id, sha256)
        if found is None:
            raise Refusal(code="LT-NOT-FOUND", field="sha256", expected="content that this agency may read")
        return found

    async def _pieces(self, sha256: str, found: Readable, span: Span, request: Request) -> AsyncGenerator[bytes]:
        """The bytes to send. The first is read before anything is answered, so that a failing store is a 503."""
        inside = found.inline
        source = (
            whole(inside[span.start : span.stop])
            if inside is not None
            else self._gateway.content.read(sha256, span.start, span.stop)
        )
        try:
            first = await anext(source, b"")
        except ContentMissing as missing:
            raise OSError(f"recorded content is missing: {missing}") from missing
        return _counted(first, source, span.length, Measures.of(request))


async def _counted(first: bytes, rest: AsyncIterator[bytes], length: int, measures: Measures) -> AsyncGenerator[bytes]:
    """These pieces, which must be `length` bytes together: a connection is broken off rather than filled wrongly."""
    sent = 0
    piece = first
    while piece:
        sent += len(piece)
        if sent > length:
            break
        measures.add(BYTES_OUT, len(piece))
        yield piece
        piece = await anext(rest, b"")
    if sent != length:
        raise OSError(f"the content store gave {sent} bytes instead of {length}")


class _Room:
    """How many uploads there may be at a time: altogether, and for one agency."""

    def __init__(self, *, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._taken: Counter[int] = Counter()

    @contextmanager
    def taken(self, agency_id: int) -> Iterator[None]:
        """One upload's place. Raises Refusal LT-BUSY."""
        if self._taken.total() >= self._total or self._taken[agency_id] >= self._each:
            raise Refusal(
                code="LT-BUSY",
                field="content",
                found=f"{self._taken[agency_id]} uploads of this agency, {self._taken.total()} of all",
                expected=f"at most {self._each} and {self._total} at this gateway",
            )
        self._taken[agency_id] += 1
        try:
            yield
        finally:
            self._taken[agency_id] -= 1
            if not self._taken[agency_id]:
                del self._taken[agency_id]


def _check_request(sha256: str, request: Request) -> int | None:
    """The announced length of the body, if it is. Raises Refusal LT-SHAPE for what is no plain upload."""
    if not _DIGEST.fullmatch(sha256):
        raise Refusal(code="LT-SHAPE", field="sha256", found=sha256, expected="SHA-256 in 64 lower-case hex digits")
    for name, expected in (("content-encoding", "the bytes as they are"), ("content-range", "the whole content")):
        if name in request.headers:
            raise Refusal(code="LT-SHAPE", field=name, found=request.headers[name], expected=expected)
    length = request.headers.get("content-length")
    if length is None:
        return None
    if not _LENGTH.fullmatch(length):
        raise Refusal(code="LT-SHAPE", field="content-length", found=length, expected="a number of bytes")
    return int(length)


def _status(refusal: Refusal) -> int:
    """Whatever is wrong with a token or its signature is one answer: it does not prove who asks."""
    return (
        401
        if refusal.code == "LT-AUTH" or refusal.code.startswith(("LT-SIGN", "LT-ALGORITHM"))
        else _STATUS.get(refusal.code, refusal.entry.http)
    )


_STATUS: Final = {"LT-SIZE": 413}


async def _turned_away(request: Request, answer: Response) -> Response:
    """The answer to an upload that is not taken; the client hears it whether or not it has sent its body."""
    if answer.status_code == 503:
        answer.headers["Retry-After"] = AGAIN_AFTER
    try:
        drained = "100-continue" not in request.headers.get("expect", "").lower() and await drain(request)
    except (TooSlow, ClientDisconnect):
        drained = False
    if not drained:
        answer.headers["Connection"] = "close"
    return answer


def _etag(sha256: str) -> str:
    return f'"{sha256}"'

"""The REST façade's paths: existing office software points at them and changes nothing but address, id and secret.

Every path of the protocol exists once, for GET and POST, because clients differ; parameters are headers. All answers
are HTTP 200 with an error code inside, but for a file that cannot be given: whatever comes then is written out as the
file by existing clients, so nothing comes.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from os import SEEK_END
from typing import IO, Any, Final
from uuid import UUID

import asyncpg
import structlog
from fastapi import APIRouter
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from broker.content.store import ContentMissing
from broker.dispatch.patience import is_away
from broker.gateway.app import Gateway
from broker.gateway.streams import Streamed
from broker.gateway.vxp.agencies import BODY_LIMIT, Agencies
from broker.gateway.vxp.answers import (
    DENIED,
    INTERNAL,
    INVALID_FILE,
    NOT_PROCESSED,
    NOT_SIGNED_IN,
    Answer,
    failed,
    refused,
)
from broker.gateway.vxp.entry import Caller, Door, TooLarge, body_of, drain, pieces_of
from broker.gateway.vxp.files import AtWork, PacketFile, as_answer, spooled
from broker.gateway.vxp.making import file_in
from broker.gateway.vxp.packets import MESSAGE_TYPES, Packets, not_readable, unknown
from broker.gateway.vxp.signing import Denied
from broker.gateway.vxp.submission import Kind, Submitter
from broker.gateway.vxp.systems import Systems
from schemas.edxml.values import VIET_NAM
from schemas.errors import Refusal
from schemas.problem import Problem

log = structlog.get_logger(__name__)
JSON: Final = "application/json; charset=utf-8"
METHODS: Final = ["GET", "POST"]
PREFIXES: Final = ("", "/vxp", "/", "/vxp/")
"""Where the paths stand: at the root, and below a name for gateways behind a shared address. Clients append the path to
the address they were given, which may end with a slash."""
FORM_ROOM: Final = 64 * 1024
"""Bytes of a form around its file."""
STATUSES: Final = ("processing", "done", "fail")
REASONS: Final = ("reason", "description", "desc", "status_desc")
"""Headers in which clients say why a packet failed; the protocol names none."""
DATES: Final = ("%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Handler = Callable[[Request, Caller], Awaitable[Answer | bytes | Response]]


class Invalid(Exception):
    """A parameter that cannot be used; carries the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.description)
        self.answer = answer


def router(gateway: Gateway) -> APIRouter:
    """All paths of the façade, for this gateway."""
    systems = Systems(gateway.brief, gateway.settings)
    facade = Facade(
        gateway=gateway,
        door=Door(gateway, systems),
        submitter=Submitter(gateway, systems),
        packets=Packets(gateway, systems),
        agencies=Agencies(gateway),
    )
    routes = APIRouter()
    named: dict[str, Handler] = {
        "/getAgenciesList": facade.agencies_list,
        "/getAgenciesListQD20": facade.agencies_by_tier,
        "/getSynchronizeUnit": facade.units,
        "/registerAgency": facade.register,
        "/deleteAgency": facade.delete,
        "/sendEdoc": facade.send,
        "/getReceivedEdocList": facade.received,
        "/getSentEdocList": facade.sent,
        "/getEdoc": facade.get,
        "/updateStatus": facade.update,
        "/countReceiveEdoc": facade.count_documents,
        "/countReceiveStatus": facade.count_statuses,
    }
    for prefix in PREFIXES:
        for path, handler in named.items():
            routes.add_route(prefix + path, facade.signed(handler), METHODS, include_in_schema=False)
        routes.add_route(prefix + "/downloadEdoc", facade.download, METHODS, include_in_schema=False)
    provincial: dict[str, Handler] = {
        "/v1/sendEdoc": facade.send_form,
        "/v1/syncReceivedEdocList": facade.received_by_query,
        "/v1/getEdoc": facade.get_by_query,
        "/v1/updateStatus": facade.update_by_body,
    }
    for path, handler in provincial.items():
        routes.add_route(path, facade.with_secret(handler), METHODS, include_in_schema=False)
    return routes


@dataclass(frozen=True, slots=True, kw_only=True)
class Facade:
    """What the paths do, each in a few lines; the rooms behind it do the work."""

    gateway: Gateway
    door: Door
    submitter: Submitter
    packets: Packets
    agencies: Agencies
    sending: AtWork = field(default_factory=AtWork)

    def signed(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A path whose requests are signed."""
        return self._guarded(handler, self.door.by_signature)

    def with_secret(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A path of the provincial flavour, whose requests carry the secret."""
        return self._guarded(handler, self.door.by_secret)

    def _guarded(
        self, handler: Handler, enter: Callable[[Request], Awaitable[Caller]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            answer = await self._answer(request, handler, enter)
            if isinstance(answer, Response):
                return answer
            return Response(answer if isinstance(answer, bytes) else answer.body, media_type=JSON)

        return endpoint

    async def _answer(
        self, request: Request, handler: Handler, enter: Callable[[Request], Awaitable[Caller]]
    ) -> Answer | bytes | Response:
        try:
            caller = await enter(request)
            request.state.caller = caller.system.name
            return await handler(request, caller)
        except Denied as denied:
            log.warning("not let in", path=request.url.path, why=denied.why)
            await drain(request, self.gateway.settings.vxp_file_bytes)
            return Answer(code=NOT_SIGNED_IN, description=DENIED)
        except Invalid as invalid:
            return invalid.answer
        except TooLarge:
            limit = self.gateway.settings.vxp_file_bytes
            return failed(INVALID_FILE, f"Tệp lớn hơn {limit} byte", f"The file is larger than {limit} bytes")
        except Refusal as refusal:
            return refused(refusal)
        except ClientDisconnect:
            raise
        except Exception as error:
            if not (is_away(error) or isinstance(error, asyncpg.PostgresError | Problem | ContentMissing)):
                log.exception("a request failed", path=request.url.path)
            else:
                log.error("a request failed", path=request.url.path, error=type(error).__name__)
            return failed(INTERNAL, "Lỗi hệ thống, xin gửi lại sau", "The exchange cannot do this now; try again later")

    # ── The directory ──
    async def agencies_list(self, request: Request, caller: Caller) -> bytes:
        return self.agencies.listing()

    async def agencies_by_tier(self, request: Request, caller: Caller) -> bytes:
        return self.agencies.by_tier(caller.parameter("level"))

    async def units(self, request: Request, caller: Caller) -> bytes:
        return self.agencies.synchronized(caller.system)

    async def register(self, request: Request, caller: Caller) -> Answer:
        return await self.agencies.register(caller.system, await body_of(request, BODY_LIMIT))

    async def delete(self, request: Request, caller: Caller) -> Answer:
        return await self.agencies.delete(caller.system, caller.parameter("AgencyCode"))

    # ── Sending ──
    async def send(self, request: Request, caller: Caller) -> Answer:
        kind = _kind(caller.parameter("messagetype"))
        claimed = caller.parameter("from")
        hash_file = caller.parameter("hash-file")
        if not hash_file:
            await drain(request, self.gateway.settings.vxp_file_bytes)
            return failed(INVALID_FILE, "Thiếu hash-file", "The header hash-file is missing")
        # More than the file: the CRLF behind it.
        async with spooled(pieces_of(request, self.gateway.settings.vxp_file_bytes + 2)) as body:
            return await self._submitted(caller, body, kind, claimed, hash_file)

    async def send_form(self, request: Request, caller: Caller) -> Answer:
        """The provincial flavour: a form with the file, and no hash of it."""
        pieces = pieces_of(request, self.gateway.settings.vxp_file_bytes + FORM_ROOM)
        try:
            form = await MultiPartParser(request.headers, pieces, max_files=2, max_fields=20).parse()
        except (MultiPartException, KeyError):
            return failed(
                INVALID_FILE,
                "Không đọc được biểu mẫu; cần multipart/form-data với edocFile và messageType",
                "The form cannot be read; multipart/form-data with edocFile and messageType is needed",
            )
        try:
            file = form.get("edocFile")
            kind = _kind(_plain(form.get("messageType")))
            if not isinstance(file, UploadFile):
                return failed(INVALID_FILE, "Thiếu edocFile", "The form has no file edocFile")
            file.file.seek(0, SEEK_END)
            return await self._submitted(caller, file.file, kind, _plain(form.get("from")) or None, None)
        finally:
            await form.close()

    async def _submitted(
        self, caller: Caller, body: IO[bytes], kind: str, claimed: str | None, hash_file: str | None
    ) -> Answer:
        """Submit the file in a body, which stands at its end. Few large ones are in memory at a time."""
        async with self.sending.on(body.tell()):
            file = await asyncio.to_thread(file_in, body, hash_file)
            if file is None:
                return failed(
                    INVALID_FILE,
                    "Tệp không khớp với hash-file",
                    "The file does not fit hash-file: it was changed or cut off",
                )
            meant: Kind = "status" if kind == "status" else "document"
            return await self.submitter.submit(caller.system, file, kind=meant, claimed=claimed)

    # ── Fetching ──
    async def received(self, request: Request, caller: Caller) -> Answer:
        return await self.packets.received(caller.system, _kind(caller.parameter("messagetype")))

    async def received_by_query(self, request: Request, caller: Caller) -> Answer:
        return await self.packets.received(caller.system, _kind(request.query_params.get("messageType")))

    async def sent(self, request: Request, caller: Caller) -> Answer:
        doc_id = caller.parameter("docId")
        return await self.packets.sent(
            caller.system,
            _kind(caller.parameter("messagetype")),
            _id(doc_id) if doc_id else None,
            _date(caller.parameter("fromDate"), "fromDate"),
            _date(caller.parameter("toDate"), "toDate", inclusive=True),
        )

    async def count_documents(self, request: Request, caller: Caller) -> Answer:
        return await self.packets.count(caller.system, "edoc")

    async def count_statuses(self, request: Request, caller: Caller) -> Answer:
        return await self.packets.count(caller.system, "status")

    async def get(self, request: Request, caller: Caller) -> Answer | Response:
        return await self._get(caller, caller.parameter("docId"))

    async def get_by_query(self, request: Request, caller: Caller) -> Answer | Response:
        return await self._get(caller, request.query_params.get("docId"))

    async def _get(self, caller: Caller, text: str | None) -> Answer | Response:
        doc_id = _id(text)
        try:
            file = await self.packets.file(caller.system, doc_id)
        except (OSError, ContentMissing) as error:
            log.error("a file cannot be given", doc_id=str(doc_id), error=type(error).__name__)
            return not_readable(type(error).__name__)
        return unknown(doc_id) if file is None else _streamed(as_answer(file), JSON)

    async def download(self, request: Request) -> Response:
        """The file itself. Existing clients write out whatever comes, so an error has no body."""

        async def handler(request: Request, caller: Caller) -> Answer | Response:
            doc_id = _id(caller.parameter("docId"))
            file = await self.packets.file(caller.system, doc_id)
            return unknown(doc_id) if file is None else _streamed(file, "application/octet-stream")

        answer = await self._answer(request, handler, self.door.by_signature)
        if isinstance(answer, Response):
            return answer
        assert isinstance(answer, Answer)
        status = 403 if answer.code == NOT_SIGNED_IN else 503 if answer.code == INTERNAL else 404
        return Response(status_code=status, headers={"XroadVnpt-ErrorCode": str(answer.code)})

    # ── The transport's own status ──
    async def update(self, request: Request, caller: Caller) -> Answer:
        reason = next((text for name in REASONS if (text := caller.parameter(name))), "")
        return await self._update(caller, caller.parameter("docId"), caller.parameter("status"), reason)

    async def update_by_body(self, request: Request, caller: Caller) -> Answer:
        said = _object(await body_of(request, BODY_LIMIT))
        reason = next((text for name in REASONS if (text := _plain(said.get(name)))), "")
        return await self._update(caller, _plain(said.get("docId")), _plain(said.get("status")), reason)

    async def _update(self, caller: Caller, text: str | None, status: str | None, reason: str) -> Answer:
        doc_id = _id(text)
        wanted = (status or "").strip().lower()
        if wanted not in STATUSES:
            return failed(
                NOT_PROCESSED,
                f"status phải là {', '.join(STATUSES)}; trạng thái văn bản gửi bằng sendEdoc (messagetype status)",
                f"status has to be one of {', '.join(STATUSES)}; what becomes of the document itself is told by"
                " sendEdoc with messagetype status",
            )
        return await self.packets.update(caller.system, doc_id, wanted, reason)


def _streamed(file: PacketFile, media_type: str) -> Response:
    headers = {"Content-Type": media_type, "Content-Length": str(file.size)}
    return Streamed(file.pieces, status_code=200, headers=headers)


def _kind(text: str | None) -> str:
    """`edoc` or `status`; without one `edoc`. Raises Invalid."""
    kind = (text or "edoc").strip().lower()
    if kind not in MESSAGE_TYPES:
        raise Invalid(
            failed(NOT_PROCESSED, "messagetype phải là edoc hoặc status", "messagetype has to be edoc or status")
        )
    return kind


def _id(text: str | None) -> UUID:
    """A docId. Raises Invalid."""
    if not text:
        raise Invalid(failed(NOT_PROCESSED, "Thiếu docId", "The docId is missing"))
    if _ID.fullmatch(text.strip()) is None:
        raise Invalid(failed(NOT_PROCESSED, f"docId “{text}” không hợp lệ", f"“{text}” is no docId of this exchange"))
    return UUID(text.strip())


def _date(text: str | None, name: str, *, inclusive: bool = False) -> datetime | None:
    """A day or a moment in Vietnamese time; a day that is inclusive ends with it. Raises Invalid."""
    if not text or not text.strip():
        return None
    for form in DATES:
        try:
            read = datetime.strptime(text.strip(), form).replace(tzinfo=VIET_NAM)
        except ValueError:
            continue
        return read + timedelta(days=1) if inclusive and "%H" not in form else read
    raise Invalid(failed(NOT_PROCESSED, f"{name} phải có dạng yyyy/MM/dd", f"{name} has to be written as yyyy/MM/dd"))


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Invalid."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Invalid(failed(NOT_PROCESSED, "Nội dung không phải JSON", "The body is not a JSON object"))
    return said


def _plain(value: object) -> str:
    return value if isinstance(value, str) else ""

"""The directory over HTTP: `GET /v1/certificates/{sha256}` and `GET /v1/agencies` (contract §6).

Public, without a token: which agencies there are is published anyway, and whoever checks a signature years later must
find the certificate without having an account here. Nothing personal is in it. Answers from memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from hashlib import sha256 as new_sha256
from typing import Annotated, Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from broker.directory.live import today_in_vietnam
from broker.directory.records import Agency, Level
from broker.directory.snapshot import Directory
from broker.gateway.answers import refused
from broker.gateway.app import Gateway
from broker.gateway.authentication import SQL
from broker.gateway.ranges import names
from schemas.certificates import load_certificate
from schemas.errors import Refusal
from schemas.times import rfc3339_or_none

PAGE: Final = 200
LARGEST_PAGE: Final = 1000
"""Agencies in one answer, by default and at most."""
SUGGESTED: Final = 3

PEM: Final = "application/pem-certificate-chain"
DER: Final = "application/pkix-cert"
PKCS7: Final = "application/pkcs7-mime"
JSON: Final = "application/json"
FORMS: Final = (PEM, DER, PKCS7, JSON)
"""How a certificate can be had, the first where nothing is asked for: PEM with its chain, DER alone, DER with its chain
as a certs-only PKCS #7, and everything that is known of it."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_CURSOR: Final = re.compile(r"(.{1,35})~([0-9]{1,18})", re.ASCII)

State = Literal["open", "active", "suspended", "closed", "all"]


def router(gateway: Gateway) -> APIRouter:
    """The directory's paths, for this gateway."""
    routes = APIRouter()
    paths = _Paths(gateway)
    routes.add_api_route("/v1/certificates/{sha256}", paths.certificate, methods=["GET", "HEAD"], response_model=None)
    routes.add_api_route("/v1/agencies", paths.agencies, methods=["GET", "HEAD"], response_model=None)
    routes.add_api_route("/v1/agencies/{code}", paths.agency, methods=["GET", "HEAD"], response_model=None)
    return routes


class _Paths:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._sorted: tuple[tuple[int, date], tuple[Agency, ...]] | None = None

    async def certificate(self, sha256: str, request: Request) -> Response:
        """An enrolled certificate, past or present, in the form that Accept asks for."""
        form = form_of(request.headers.get("accept"))
        if form is None:
            return Response(status_code=406, headers={"Accept": ", ".join(FORMS)})
        found = await self._certificate(sha256) if _DIGEST.fullmatch(sha256) else None
        if found is None:
            refusal = Refusal(
                code="LT-NOT-FOUND", field="sha256", found=sha256, expected="SHA-256 of an enrolled certificate's DER"
            )
            return refused(refusal)
        etag = f'"{sha256}-{form.rpartition("/")[2]}"'
        # What is signed in a certificate never changes; whether it was revoked does.
        headers = {"ETag": etag, "Vary": "Accept", "Cache-Control": "public, max-age=86400"}
        if form == JSON:
            body = _told(found)
            headers |= {"Cache-Control": "public, no-cache", "ETag": _etag_of(repr(sorted(body.items())))}
            if names(request.headers.get("if-none-match"), headers["ETag"]):
                return Response(status_code=304, headers=headers)
            return JSONResponse(body, headers=headers)
        if names(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        return Response(_written(found, form), media_type=form, headers=headers)

    async def agencies(
        self,
        request: Request,
        level: Level | None = None,
        parent: str | None = None,
        state: State = "open",
        has_mailbox: bool | None = None,
        text: Annotated[str | None, Query(max_length=200)] = None,
        after: Annotated[str | None, Query(max_length=60)] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = PAGE,
    ) -> Response:
        """Agencies by code; `after` is the `next` of the answer before."""
        directory = self._gateway.directory.current
        etag = _etag_of(f"{directory.revision} {today_in_vietnam()} {request.url.query}")
        headers = {"ETag": etag, "Cache-Control": "public, no-cache"}
        if names(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        superior = directory.find(parent) if parent is not None else None
        if parent is not None and superior is None:
            return refused(
                Refusal(
                    code="LT-RECIPIENT-UNKNOWN",
                    field="parent",
                    found=parent,
                    expected="the code of an agency",
                    candidates=directory.suggestions(parent, SUGGESTED),
                )
            )
        cursor = _CURSOR.fullmatch(after) if after is not None else None
        if after is not None and cursor is None:
            return refused(Refusal(code="LT-SCHEMA", field="after", found=after, expected="the next of an answer"))
        start = (cursor[1], int(cursor[2])) if cursor is not None else ("", 0)
        wanted = text.casefold().strip() if text else None
        found: list[Agency] = []
        for agency in self._by_code(directory):
            if (
                (agency.code, agency.id) > start
                and _in_state(agency, state, directory)
                and (level is None or agency.level == level)
                and (superior is None or agency.parent_id == superior.id)
                and (has_mailbox is None or agency.has_mailbox == has_mailbox)
                and (wanted is None or wanted in agency.name.casefold() or agency.code.casefold().startswith(wanted))
            ):
                found.append(agency)
                if len(found) > limit:
                    break
        page = found[:limit]
        return JSONResponse(
            {
                "revision": directory.revision,
                "agencies": [_shown(agency, directory) for agency in page],
                "next": f"{page[-1].code}~{page[-1].id}" if len(found) > limit else None,
            },
            headers=headers,
        )

    async def agency(self, code: str, request: Request) -> Response:
        """One agency, by code or alias; a closed one with its successors."""
        directory = self._gateway.directory.current
        found = directory.find(code) or directory.closed(code)
        if found is None:
            candidates = directory.suggestions(code, SUGGESTED)
            expected = "the code of an agency"
            return refused(
                Refusal(code="LT-NOT-FOUND", field="code", found=code, expected=expected, candidates=candidates)
            )
        etag = _etag_of(f"{directory.revision} {today_in_vietnam()} {found.id}")
        headers = {"ETag": etag, "Cache-Control": "public, no-cache"}
        if names(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        successors = [one.code for one in directory.successors(found.id)]
        return JSONResponse({**_shown(found, directory), "successors": successors}, headers=headers)

    def _by_code(self, directory: Directory) -> tuple[Agency, ...]:
        """All agencies in the order of answers, sorted once for each revision and day."""
        state = directory.revision, today_in_vietnam()
        if self._sorted is None or self._sorted[0] != state:
            self._sorted = state, tuple(sorted(directory.agencies(), key=lambda one: (one.code, one.id)))
        return self._sorted[1]

    async def _certificate(self, sha256: str) -> dict[str, Any] | None:
        identity = self._gateway.identity
        if bytes.fromhex(sha256) == identity.thumbprint:
            own = identity.certificate
            return {
                "der": own.public_bytes(Encoding.DER),
                "chain": [],
                "code": identity.code,
                "name": None,
                "custody": "broker",
                "not_before": own.not_valid_before_utc,
                "not_after": own.not_valid_after_utc,
                "enrolled_at": None,
                "revoked_at": None,
                "revoked_why": None,
            }
        row = await self._gateway.pool.fetchrow(SQL["certificate"], bytes.fromhex(sha256))
        return None if row is None else dict(row)


def form_of(accept: str | None) -> str | None:
    """The best of `FORMS` for an Accept header; None if it takes none of them."""
    if not accept or not accept.strip():
        return FORMS[0]
    best: tuple[float, int] | None = None
    for entry in accept.split(","):
        kind, _, parameters = entry.strip().lower().partition(";")
        weight = _weight(parameters)
        for position, form in enumerate(FORMS):
            if weight > 0 and kind.strip() in (form, "*/*", f"{form.partition('/')[0]}/*"):
                candidate = weight, -position
                best = candidate if best is None else max(best, candidate)
    return None if best is None else FORMS[-best[1]]


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _written(found: dict[str, Any], form: str) -> bytes:
    if form == DER:
        return bytes(found["der"])
    certificates = list(_chain(found))
    if form == PKCS7:
        return pkcs7.serialize_certificates(certificates, Encoding.DER)
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def _chain(found: dict[str, Any]) -> Iterator[x509.Certificate]:
    """The certificate, then the intermediates up to the root."""
    for der in (found["der"], *found["chain"]):
        yield load_certificate(bytes(der))


def _told(found: dict[str, Any]) -> dict[str, Any]:
    times = {name: found[name] for name in ("not_before", "not_after", "enrolled_at", "revoked_at")}
    return {
        "agency": found["code"],
        "name": found["name"],
        "custody": found["custody"],
        **{name: rfc3339_or_none(moment) for name, moment in times.items()},
        "revoked_why": found["revoked_why"],
        "certificates": [one.public_bytes(Encoding.PEM).decode() for one in _chain(found)],
    }


def _shown(agency: Agency, directory: Directory) -> dict[str, Any]:
    state = _state(agency, directory)
    owner = directory.owner_of(agency.id) if state != "closed" else None
    return {
        "code": agency.code,
        "name": agency.name,
        "level": agency.level,
        "tier": agency.tier,
        "parent": directory.by_id(agency.parent_id).code if agency.parent_id is not None else None,
        "state": state,
        "has_mailbox": agency.has_mailbox,
        "mailbox": owner.code if owner is not None else None,
        "derived": agency.derived,
        "valid_from": agency.valid_from.isoformat(),
        "valid_until": agency.valid_until.isoformat() if agency.valid_until is not None else None,
    }


def _in_state(agency: Agency, wanted: State, directory: Directory) -> bool:
    state = _state(agency, directory)
    return wanted == "all" or state == wanted or (wanted == "open" and state != "closed")


def _state(agency: Agency, directory: Directory) -> str:
    """Today's: one whose last day is over is closed, whether or not somebody has marked it so."""
    return agency.state if agency.open_on(directory.today) else "closed"


def _etag_of(text: str) -> str:
    return f'"{new_sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]}"'

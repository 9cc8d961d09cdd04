"""What an address or a method that the gateway does not have is answered with: never the framework's own words.

A person's browser gets a page, existing software (REST façade) an answer of its protocol, every other program the
gateway's own form of an error. The nearest path is named, for most of these are a slip of the pen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from difflib import get_close_matches
from typing import Final

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from broker.gateway.answers import NEVER_KEPT
from broker.gateway.vxp.answers import NOT_PROCESSED, failed
from broker.gateway.vxp.entry import drain

CODE: Final = "LT-NOT-FOUND"
LIKENESS: Final = 0.7
SHOWN: Final = 100
"""Characters of an unknown path that are repeated."""
PROGRAMS: Final = "/v1/content/{sha256}, /v1/agencies, /v1/agencies/{code}, /v1/certificates/{sha256}"
"""What programs ask for that do not speak the protocol of existing software (contract §6)."""
REFERENCE: Final = "docs/reference/content.md, docs/connect/rest.md"

Answering = Callable[[Request, Exception], Awaitable[Response]]


def elsewhere(
    routes: Collection[BaseRoute], *, facade: Iterable[BaseRoute], page: Answering, drained: int
) -> Answering:
    """The handler of 404 and 405. Of a body `drained` bytes are read before the answer: a client that is still sending
    would miss it."""
    names, spoken = sorted(_paths(routes)), _paths(facade)

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
            return await page(request, error)
        await drain(request, drained)
        path = request.url.path
        allowed = sorted(_methods(routes, request)) if error.status_code == 405 else []
        near = [] if allowed else _near(path, names)
        if path in spoken or _is_existing_software(request):
            return Response(
                _to_existing_software(request.method, path, allowed, near),
                media_type="application/json; charset=utf-8",
                headers=dict(NEVER_KEPT),
            )
        return _to_program(request.method, path, error.status_code, allowed, near)

    return answer


def _paths(routes: Iterable[BaseRoute]) -> set[str]:
    return {path for route in routes if (path := getattr(route, "path", None)) is not None}


def _methods(routes: Iterable[BaseRoute], request: Request) -> set[str]:
    """The methods that this path has."""
    fitting = (route for route in routes if route.matches(request.scope)[0] is Match.PARTIAL)
    return {method for route in fitting for method in getattr(route, "methods", None) or ()}


def _near(path: str, names: list[str]) -> list[str]:
    """The known path that was probably meant, whatever the case."""
    known = {name.lower(): name for name in reversed(names)}
    return [known[one] for one in get_close_matches(path.lower()[:SHOWN], known, n=1, cutoff=LIKENESS)]


def _is_existing_software(request: Request) -> bool:
    return any(name == "x-systemid" or name.startswith("xroadvnpt-") for name in request.headers)


def _to_existing_software(method: str, path: str, allowed: list[str], near: list[str]) -> bytes:
    """In the façade's form, HTTP 200 as all its answers: clients take any other status for a lost connection."""
    shown = path[:SHOWN]
    if allowed:
        ways = ", ".join(allowed)
        vi, en = f"{shown} không nhận {method}; hãy dùng {ways}", f"{shown} takes no {method}; use {ways}"
    else:
        vi, en = f"Không có đường dẫn {shown}", f"There is no path {shown}"
        if near:
            vi, en = f"{vi}; gần nhất: {near[0]}", f"{en}; the nearest is {near[0]}"
    return failed(NOT_PROCESSED, vi, en).body


def _to_program(method: str, path: str, status: int, allowed: list[str], near: list[str]) -> JSONResponse:
    """In the form of every other error of the gateway."""
    if allowed:
        said: dict[str, object] = {
            "field": "method",
            "found": f"{method} {path[:SHOWN]}",
            "expected": ", ".join(allowed),
            "en": "This path does not take this method. Use one of those that are expected.",
            "vi": "Đường dẫn này không nhận phương thức này. Hãy dùng một trong các phương thức được nêu.",
        }
    else:
        said = {
            "field": "path",
            "found": f"{method} {path[:SHOWN]}",
            "expected": PROGRAMS,
            **({"candidates": near} if near else {}),
            "en": f"There is no such path here. Correct it; capitals count. All paths: {REFERENCE}.",
            "vi": f"Không có đường dẫn này. Hãy sửa lại, chú ý chữ hoa, chữ thường. Các đường dẫn: {REFERENCE}.",
        }
    headers = {**NEVER_KEPT, **({"Allow": ", ".join(allowed)} if allowed else {})}
    return JSONResponse({"error": CODE, **said}, status_code=status, headers=headers)

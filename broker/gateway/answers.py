"""Refusals as HTTP answers: status and texts from the error catalogue, in both languages (contract §8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.requests import Request

from schemas.errors import Refusal

CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="lienthong"'}
NEVER_KEPT: Final = {"Cache-Control": "no-store"}


def refused(refusal: Refusal, *, status: int | None = None, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that is refused; `status` instead of the catalogue's."""
    code = refusal.entry.http if status is None else status
    return JSONResponse(
        {"error": refusal.code, **refusal.detail()},
        status_code=code,
        headers={**NEVER_KEPT, **(CHALLENGE if code == 401 else {}), **(headers or {})},
    )


async def not_allowed(request: Request, error: Exception) -> JSONResponse:
    """The answer to a parameter of the query that has a value which is not allowed."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    found = str(first["input"])
    return refused(Refusal(code="LT-SCHEMA", field=str(first["loc"][-1]), found=found, expected=first["msg"]))

"""Who asks: the request's token checked, and that a token for PUT works once at all gateways together (contract §6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from starlette.requests import Request

from broker.gateway.app import Gateway
from broker.gateway.tokens import Caller, verify_token
from broker.store.queries import load_queries
from schemas.errors import Refusal

SCHEME: Final = "bearer"
SQL: Final = load_queries("broker.gateway", "gateway.sql")


class Doorkeeper:
    """Checks the tokens of requests to one gateway."""

    def __init__(self, gateway: Gateway, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._gateway = gateway
        self._audience = gateway.settings.gateway_url
        self._clock = clock

    def caller(self, request: Request) -> Caller:
        """Who asks, by the token of this request. Raises Refusal as `verify_token` does.

        The address is the gateway's configured name and the path as it came, never what a Host header says.
        """
        caller = verify_token(
            _token(request),
            method=request.method,
            url=self._audience.rstrip("/") + _raw_path(request),
            audience=self._audience,
            directory=self._gateway.directory.current,
            now=self._clock(),
        )
        request.state.caller = caller.agency.code
        return caller

    async def use_up(self, caller: Caller) -> None:
        """Use the caller's token, which works once. Raises Refusal LT-AUTH if it was used before."""
        jti = sha256(caller.jti.encode("utf-8", "surrogatepass")).digest()
        if not await self._gateway.pool.fetchval(SQL["use_token"], caller.thumbprint, jti, caller.expires_at):
            raise Refusal(
                code="LT-AUTH",
                field="token.jti",
                found="a token that was used before",
                expected="a new one for each PUT",
            )


def _token(request: Request) -> str:
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != SCHEME or not token.strip():
        found = f"{len(given)} Authorization headers" if len(given) != 1 else "another kind of Authorization header"
        raise Refusal(code="LT-AUTH", field="Authorization", found=found, expected="Authorization: Bearer <token>")
    return token.strip()


def _raw_path(request: Request) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("ascii", "replace")

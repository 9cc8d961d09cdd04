"""Letting requests in: who asks is established from the headers alone, before a byte of a body is read."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request

from broker.gateway.addresses import Network, address_of, networks
from broker.gateway.app import Gateway
from broker.gateway.vxp.signing import (
    Clock,
    Denied,
    Headers,
    check_address,
    check_fresh,
    check_secret,
    check_signature,
    read_signature,
)
from broker.gateway.vxp.systems import System, Systems

NAME_LIMIT: Final = 64
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A request whose system is known."""

    system: System
    headers: Headers
    signed: frozenset[str] | None
    """Names of the signed parameters; None in the provincial flavour, which signs nothing."""

    def parameter(self, name: str) -> str | None:
        """A parameter to be acted upon. Raises Denied if the system has to sign it and did not."""
        value = self.headers.parameter(name)
        if value is not None and self.system.sign_all and self.signed is not None and name.lower() not in self.signed:
            raise Denied(f"the parameter {name} is not signed, and this system has to sign all")
        return value


class TooLarge(Exception):
    """The body is longer than it may be."""


class Door:
    """Says who asks; one for a gateway."""

    def __init__(self, gateway: Gateway, systems: Systems) -> None:
        self._settings = gateway.settings
        self._systems = systems
        self._proxies: tuple[Network, ...] = networks(gateway.settings.vxp_trusted_proxies)
        self._offsets = tuple(timedelta(hours=hours) for hours in gateway.settings.vxp_utc_offsets)

    async def by_signature(self, request: Request) -> Caller:
        """The system that signed the request. Raises Denied, and what the database raises."""
        headers = Headers.of(request.scope["headers"])
        signature = read_signature(headers)
        system = await self._systems.named(signature.system[:NAME_LIMIT])
        check_signature(signature, system.secrets if system is not None else ())
        assert system is not None
        check_fresh(signature.timestamp, self._clock(system))
        check_address(address_of(request, self._proxies), system.allowed)
        return Caller(system=system, headers=headers, signed=signature.names)

    async def by_secret(self, request: Request) -> Caller:
        """The system whose secret the request carries (the provincial flavour). Raises as `by_signature`."""
        headers = Headers.of(request.scope["headers"])
        name = headers.text("x-systemid")
        system = await self._systems.named(name[:NAME_LIMIT]) if name else None
        check_secret(headers.one("x-secretkey"), system.secrets if system is not None else ())
        assert system is not None
        if system.sign_all:
            raise Denied("this system has to sign, and the provincial flavour does not")
        check_address(address_of(request, self._proxies), system.allowed)
        return Caller(system=system, headers=headers, signed=None)

    def _clock(self, system: System) -> Clock:
        return Clock(
            now=datetime.now(UTC),
            past=system.fresh_for or timedelta(seconds=self._settings.vxp_fresh_seconds),
            ahead=timedelta(seconds=self._settings.vxp_ahead_seconds),
            offsets=self._offsets,
        )


async def pieces_of(request: Request, limit: int) -> AsyncGenerator[bytes]:
    """The request's body as it comes. Raises TooLarge beyond `limit` bytes, ClientDisconnect if it breaks off."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            raise TooLarge
        yield piece


async def body_of(request: Request, limit: int) -> bytes:
    """The request's body, for small ones. Raises as `pieces_of`."""
    return b"".join([piece async for piece in pieces_of(request, limit)])


async def drain(request: Request, limit: int) -> None:
    """Read a body that nobody wants, up to `limit` bytes: a client that is still sending would miss its answer.

    A client that waits to be told to go on is not told so, and sends nothing.
    """
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    with suppress(TooLarge, ClientDisconnect):
        async for _ in pieces_of(request, limit):
            continue

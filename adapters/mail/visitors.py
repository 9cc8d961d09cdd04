"""Who is connected at a time: so many altogether, so many from one address, and nobody who takes nothing.

For both servers of the mail adapter, whose clients may be anybody. Knows sockets, nothing of what is said on them.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Collection
from typing import Any

# Milliseconds for which what we wrote may wait untaken, until the kernel ends the connection.
UNTAKEN_MILLISECONDS = 45_000
# The network of one customer of an IPv6 provider (RFC 6177): all its addresses count as one.
IPV6_CUSTOMER = 64


class Visitors:
    """Counts connections; `without_limit` are addresses of which any number may be connected, within `together`."""

    def __init__(self, *, together: int, each: int, without_limit: Collection[str] = ()) -> None:
        self._together = together
        self._each = each
        self._without_limit = frozenset(without_limit)
        self._here: Counter[str] = Counter()

    def enter(self, transport: asyncio.BaseTransport) -> str | None:
        """Count a new connection; returns what `leave` wants, or None if it is one too many."""
        address = _address(transport.get_extra_info("peername"))
        who = _household(address)
        limited = address not in self._without_limit
        if self._here.total() >= self._together or (limited and self._here[who] >= self._each):
            return None
        self._here[who] += 1
        _impatient(transport)
        return who

    def leave(self, who: str) -> None:
        """A connection that was counted has ended."""
        self._here[who] -= 1
        if self._here[who] <= 0:
            del self._here[who]


def _address(peer: Any) -> str:
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def _household(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((ip, IPV6_CUSTOMER), strict=False))
    return str(ip)


def _impatient(transport: asyncio.BaseTransport) -> None:
    """Let the kernel end a connection whose other end takes nothing: neither close() nor a full buffer hold it then."""
    sock = transport.get_extra_info("socket")
    if sock is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MILLISECONDS)

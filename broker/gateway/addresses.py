"""Where a request comes from, behind proxies too."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request

from schemas.problem import Problem

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks that an operator wrote in CIDR form. Raises Problem for anything else."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ip_network(text.strip()))
        except ValueError as error:
            raise Problem(
                f"the address {text!r}: {error}",
                "an address or a network such as 10.1.2.3 or 10.1.0.0/16",
                "write the network with its first address",
            ) from error
    return tuple(found)


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """The address of who asks; None if it cannot be told.

    `peer` is the other end of the connection. `forwarded` is what X-Forwarded-For says, all of it in order; it counts
    only as far as trusted proxies have written it: from the right, up to the first that is none of them.
    """
    address = read(peer)
    if address is None or not within(address, trusted):
        return address
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    for hop in reversed(hops):
        told = read(hop)
        if told is None:
            return None
        address = told
        if not within(address, trusted):
            break
    return address


def address_of(request: Request, trusted: Sequence[Network]) -> Address | None:
    """The address of who made this request; None if it cannot be told."""
    peer = request.client.host if request.client is not None else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), trusted)


def read(text: str | None) -> Address | None:
    """The address that this text is, an IPv4 address as such also where IPv6 carries it; None if it is none."""
    try:
        address = ip_address((text or "").strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def within(address: Address, wanted: Sequence[Network]) -> bool:
    """Whether the address is in one of the networks."""
    return any(address.version == network.version and address in network for network in wanted)

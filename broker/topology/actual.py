"""What there is on the server, in the terms of `broker.topology.model`. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from broker.topology.model import Arguments, Binding, Exchange, Queue, Topology
from broker.topology.permissions import Rights
from schemas import wire

OUR_PREFIXES = ("lt.", wire.MAILBOX_PREFIX)
"""Names with another beginning are somebody else's and never looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user with rights on the virtual host."""

    name: str
    tags: tuple[str, ...]
    rights: Rights
    """Without a topic permission on `lt.submit` both topic patterns are `.*`, which is what the server does then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    topology: Topology
    odd_bindings: tuple[str, ...]
    """Bindings of ours that we never make: to an exchange, or with arguments; as sentences."""
    users: Mapping[str, User]


class ShowsServer(Protocol):
    """The part of the management API that is read here."""

    async def definitions(self) -> dict[str, Any]: ...
    async def users(self) -> list[dict[str, Any]]: ...
    async def permissions(self) -> list[dict[str, Any]]: ...
    async def topic_permissions(self) -> list[dict[str, Any]]: ...


async def read_actual(management: ShowsServer) -> Actual:
    """Read the virtual host. A user without rights there is not found: to the virtual host it does not exist."""
    topology, odd_bindings = parse_definitions(await management.definitions())
    users = parse_users(await management.users(), await management.permissions(), await management.topic_permissions())
    return Actual(topology=topology, odd_bindings=odd_bindings, users=users)


def parse_definitions(exported: Mapping[str, Any]) -> tuple[Topology, tuple[str, ...]]:
    """Our part of a virtual host's exported definitions, and the bindings of ours that do not fit the model."""
    bindings: set[Binding] = set()
    odd: list[str] = []
    for one in exported.get("bindings", ()):
        source, target, key = one["source"], one["destination"], one["routing_key"]
        if not (_is_ours(source) or _is_ours(target)):
            continue
        if one["destination_type"] != "queue" or one.get("arguments"):
            odd.append(f"{source} → {one['destination_type']} {target} (key {key!r}, arguments {one['arguments']})")
        else:
            bindings.add(Binding(exchange=source, queue=target, key=key))
    topology = Topology(
        exchanges={
            one["name"]: Exchange(name=one["name"], type=one["type"], arguments=one.get("arguments") or {})
            for one in exported.get("exchanges", ())
            if _is_ours(one["name"])
        },
        queues={
            one["name"]: Queue(name=one["name"], arguments=_queue_arguments(one))
            for one in exported.get("queues", ())
            if _is_ours(one["name"])
        },
        bindings=frozenset(bindings),
    )
    return topology, tuple(odd)


def parse_users(
    users: Iterable[Mapping[str, Any]],
    permissions: Iterable[Mapping[str, Any]],
    topic_permissions: Iterable[Mapping[str, Any]],
) -> dict[str, User]:
    """The users of the virtual host, by name."""
    tags = {one["name"]: _tags(one.get("tags")) for one in users}
    topics = {one["user"]: one for one in topic_permissions if one["exchange"] == wire.SUBMIT}
    return {
        one["user"]: User(
            name=one["user"],
            tags=tags.get(one["user"], ()),
            rights=Rights(
                configure=one["configure"],
                write=one["write"],
                read=one["read"],
                topic_write=topics.get(one["user"], {}).get("write", ".*"),
                topic_read=topics.get(one["user"], {}).get("read", ".*"),
            ),
        )
        for one in permissions
    }


def _is_ours(name: str) -> bool:
    return name.startswith(OUR_PREFIXES)


def _queue_arguments(exported: Mapping[str, Any]) -> Arguments:
    """Arguments with the type always named: servers differ in whether they export the default."""
    return {"x-queue-type": exported.get("type") or "classic"} | (exported.get("arguments") or {})


def _tags(found: Any) -> tuple[str, ...]:
    parts = found.split(",") if isinstance(found, str) else found or ()
    return tuple(part for part in parts if part)

"""RabbitMQ's management API, as far as the exchange needs it: queues, definitions, users, rights.

For setting up and looking, never in the path of a document. A client is bound to one virtual host. Passwords go in as
arguments and leave only as salted hashes; none is logged or put into an error. Works with RabbitMQ 3.10 to 4.x.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from schemas.problem import BAD_INPUT, UNREACHABLE, Problem, said

if TYPE_CHECKING:
    import aiohttp  # else loaded when a client is opened: a third of what a command takes to start

ANSWER_TIMEOUT = 300.0
"""Seconds for one call; declaring thousands of replicated queues takes a while."""

RETRY_WAITS = (0.2, 0.5, 1.0)
"""Seconds before a call is made again that the server failed to answer (HTTP 5xx): 3.10 does so while users are being
deleted by somebody else. All calls but DELETE may be repeated; a DELETE may have been the one that took effect."""


class ManagementError(Problem):
    """The management API refused a call."""

    def __init__(self, method: str, path: str, status: int, reason: str) -> None:
        super().__init__(
            found=f"RabbitMQ's management API refused {method} {path}: HTTP {status}, {reason}",
            expected="a user with the tag `administrator`, and names that exist",
            remedy="look into RabbitMQ's own log, and try again"
            if status >= 500
            else "check user and password in LIENTHONG_MANAGEMENT_URL, and the virtual host in LIENTHONG_AMQP_URL",
            exit_code=UNREACHABLE if status in (401, 403) or status >= 500 else BAD_INPUT,
        )
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """One queue as the server's statistics show it: counts are some seconds old, under load more."""

    name: str
    type: str
    messages: int
    counted: bool
    """False for some seconds after the server has started: `messages` is 0 then, and means nothing."""
    unacknowledged: int
    consumers: int


def virtual_host_of(amqp_url: str) -> str:
    """The virtual host that an AMQP address names; `/` if it names none."""
    return unquote(urlsplit(amqp_url).path[1:]) or "/"


class Management:
    """The management API at `url` (http or https, with user and password), for one virtual host.

    Every method raises `ManagementError` when the server refuses, `Problem` (exit code 4) when it cannot be reached.
    """

    def __init__(self, url: str, *, vhost: str) -> None:
        parts = urlsplit(url)
        self.vhost = vhost
        self.place = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        self._base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
        self._user = unquote(parts.username or "")
        login = base64.b64encode(f"{self._user}:{unquote(parts.password or '')}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers=self._headers, timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # ── The server ──
    async def version(self) -> str:
        """RabbitMQ's version, as in `4.0.5`."""
        return str((await self._get("/api/overview"))["rabbitmq_version"])

    async def virtual_hosts(self) -> list[str]:
        return [str(one["name"]) for one in await self._get("/api/vhosts")]

    async def create_virtual_host(self) -> None:
        """Create this client's virtual host, if it is not there, with all rights on it for this client's user."""
        await self._call("PUT", f"/api/vhosts/{self._vhost}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self._call("PUT", f"/api/permissions/{self._vhost}/{_part(self._user)}", everything)

    async def delete_virtual_host(self) -> None:
        """Delete this client's virtual host and everything in it."""
        await self._call("DELETE", f"/api/vhosts/{self._vhost}")

    # ── Definitions ──
    async def definitions(self) -> dict[str, Any]:
        """Exchanges, queues, bindings and policies of the virtual host, without statistics, hence quickly."""
        found: dict[str, Any] = await self._get(f"/api/definitions/{self._vhost}")
        return found

    async def import_definitions(self, definitions: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Create exchanges, queues and bindings of this virtual host. What exists already is left as it is."""
        await self._call("POST", f"/api/definitions/{self._vhost}", definitions)

    async def import_users(self, definitions: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Create or replace `users`, `permissions` and `topic_permissions`; the last two name their virtual host."""
        await self._call("POST", "/api/definitions", definitions)

    # ── Queues ──
    async def queues(self) -> list[QueueInfo]:
        """All queues of the virtual host with their counts."""
        columns = "name,type,arguments,messages,messages_unacknowledged,consumers"
        found = await self._get(f"/api/queues/{self._vhost}?columns={columns}")
        return [_queue_info(one) for one in found]

    async def queue(self, name: str) -> QueueInfo | None:
        """One queue, or None if there is none of that name."""
        try:
            return _queue_info(await self._get(f"/api/queues/{self._vhost}/{_part(name)}"))
        except ManagementError as error:
            if error.status == 404:
                return None
            raise

    async def connected_users(self) -> set[str]:
        """Users that have a connection to this virtual host."""
        found = await self._get(f"/api/vhosts/{self._vhost}/connections?columns=user")
        return {str(one["user"]) for one in found if "user" in one}

    async def delete_queue(self, name: str, *, only_if_unused_and_empty: bool) -> None:
        """Delete a queue. With the condition the server itself refuses (ManagementError) if it does not hold.

        Replicated queues know no such condition on RabbitMQ 3.10: for them the caller has to know.
        """
        condition = "?if-empty=true&if-unused=true" if only_if_unused_and_empty else ""
        await self._call("DELETE", f"/api/queues/{self._vhost}/{_part(name)}{condition}")

    async def delete_exchange(self, name: str) -> None:
        """Delete an exchange and its bindings."""
        await self._call("DELETE", f"/api/exchanges/{self._vhost}/{_part(name)}")

    async def unbind(self, exchange: str, queue: str, key: str) -> None:
        """Remove one binding without arguments."""
        path = f"/api/bindings/{self._vhost}/e/{_part(exchange)}/q/{_part(queue)}"
        for binding in await self._get(path):
            if binding["routing_key"] == key:
                await self._call("DELETE", f"{path}/{_part(binding['properties_key'])}")

    # ── Users and rights ──
    async def users(self) -> list[dict[str, Any]]:
        """All users of the server: name, tags, password hash."""
        found: list[dict[str, Any]] = await self._get("/api/users")
        return found

    async def permissions(self) -> list[dict[str, Any]]:
        """Rights on this virtual host: user, configure, write, read."""
        found: list[dict[str, Any]] = await self._get(f"/api/vhosts/{self._vhost}/permissions")
        return found

    async def topic_permissions(self) -> list[dict[str, Any]]:
        """Rights on routing keys in this virtual host: user, exchange, write, read."""
        found: list[dict[str, Any]] = await self._get(f"/api/vhosts/{self._vhost}/topic-permissions")
        return found

    async def delete_user(self, name: str) -> None:
        """Delete a user with all its rights; its connections are closed."""
        await self._call("DELETE", f"/api/users/{_part(name)}")

    async def revoke_permissions(self, user: str) -> None:
        """Take a user's rights on this virtual host away."""
        await self._call("DELETE", f"/api/topic-permissions/{self._vhost}/{_part(user)}")
        await self._call("DELETE", f"/api/permissions/{self._vhost}/{_part(user)}")

    @property
    def _vhost(self) -> str:
        return _part(self.vhost)

    async def _get(self, path: str) -> Any:
        return json.loads(await self._call("GET", path))

    async def _call(self, method: str, path: str, body: object = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        for wait in (*RETRY_WAITS, None):
            status, answer = await self._ask(method, path, data)
            if status < 500 or method == "DELETE" or wait is None:
                break
            await asyncio.sleep(wait)
        if status >= 400:
            raise ManagementError(method, path.partition("?")[0], status, _reason(answer))
        return answer

    async def _ask(self, method: str, path: str, data: bytes | None) -> tuple[int, bytes]:
        import aiohttp

        if self._session is None:
            raise RuntimeError("use the management client in an `async with` block")
        try:
            async with self._session.request(method, self._base + path, data=data) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise Problem(
                found=f"the management API at {self.place} cannot be reached: {said(error)}",
                expected="RabbitMQ with the management plugin there",
                remedy="start it (`lienthong services up`), or set LIENTHONG_MANAGEMENT_URL to where it is",
                exit_code=UNREACHABLE,
            ) from error


def _part(text: str) -> str:
    return quote(text, safe="")


def _queue_info(found: Mapping[str, Any]) -> QueueInfo:
    return QueueInfo(
        name=found["name"],
        type=found.get("type") or found.get("arguments", {}).get("x-queue-type") or "classic",
        messages=found.get("messages", 0),
        counted="messages" in found,
        unacknowledged=found.get("messages_unacknowledged", 0),
        consumers=max(found.get("consumers", 0), len(found.get("consumer_details", ()))),
    )


def _reason(answer: bytes) -> str:
    try:
        told = json.loads(answer)
    except ValueError:
        return answer[:200].decode(errors="replace") or "no reason given"
    return str(told.get("reason") or told.get("error") or told)[:300] if isinstance(told, dict) else str(told)[:300]

"""What every test may ask for: real servers, a virtual host of its own, a database of its own.

Servers are those in the environment, else the private ones of this checkout, started once if they do not run.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings

from broker.services import Endpoints, up
from broker.store.migrations import migrate

REPOSITORY = Path(__file__).resolve().parents[1]
# One profile for all properties, as the one loaded last holds everywhere. How long an example takes says more about
# the machine's other work than about the code, and to explain the failure of a message field by field takes longer than
# to read it.
hypothesis_settings.register_profile(
    "lienthong",
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
hypothesis_settings.load_profile("lienthong")
VARIABLES_THAT_WOULD_LEAK_IN = ("LIENTHONG_CONFIG", "LIENTHONG_HOME", "LIENTHONG_DEBUG")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vhost:
    """A virtual host of RabbitMQ that belongs to one test."""

    name: str
    amqp_url: str
    management_url: str


@pytest.fixture(scope="session")
def servers() -> Endpoints:
    """RabbitMQ and PostgreSQL, as the broker's own user: `amqp_url`, `management_url`, `database_url`."""
    return up(REPOSITORY / ".local")


@pytest.fixture(scope="session", autouse=True)
def _only_the_servers_come_from_the_environment() -> None:
    for name in VARIABLES_THAT_WOULD_LEAK_IN:
        os.environ.pop(name, None)


@pytest.fixture
def vhost(servers: Endpoints) -> Iterator[Vhost]:
    """A fresh virtual host, deleted afterwards."""
    with fresh_vhost(servers) as made:
        yield made


@contextmanager
def fresh_vhost(servers: Endpoints) -> Iterator[Vhost]:
    """A virtual host of its own until the end of the block; for fixtures that live longer than one test."""
    name = f"test-{secrets.token_hex(6)}"
    user = unquote(urlsplit(servers.amqp_url).username or "guest")
    manage(servers.management_url, "PUT", f"/api/vhosts/{name}")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    manage(servers.management_url, "PUT", f"/api/permissions/{name}/{quote(user, safe='')}", everything)
    amqp_url = urlunsplit(urlsplit(servers.amqp_url)._replace(path=f"/{name}"))
    try:
        yield Vhost(name=name, amqp_url=amqp_url, management_url=servers.management_url)
    finally:
        manage(servers.management_url, "DELETE", f"/api/vhosts/{name}")


@contextmanager
def fresh_database(servers: Endpoints) -> Iterator[str]:
    """The address of an empty database until the end of the block; for fixtures that live longer than one test."""
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(_execute(servers.database_url, f'CREATE DATABASE "{name}"'))
    try:
        yield with_database(servers.database_url, name)
    finally:
        asyncio.run(_execute(servers.database_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def database(servers: Endpoints) -> AsyncIterator[str]:
    """The address of a fresh, empty database, dropped afterwards."""
    async for dsn in _database(servers.database_url):
        yield dsn


@pytest.fixture
async def migrated_database(servers: Endpoints, _template: str) -> AsyncIterator[str]:
    """The address of a fresh database with the exchange's tables, dropped afterwards."""
    async for dsn in _database(servers.database_url, template=_template):
        yield dsn


@pytest.fixture(scope="session")
def _template(servers: Endpoints) -> Iterator[str]:
    """The name of a database that was migrated once; copying it takes a tenth of the time."""
    name = f"template_{secrets.token_hex(6)}"
    asyncio.run(_execute(servers.database_url, f'CREATE DATABASE "{name}"'))
    asyncio.run(migrate(with_database(servers.database_url, name)))
    yield name
    asyncio.run(_execute(servers.database_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _database(server_url: str, *, template: str = "template1") -> AsyncIterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    # A copy goes through the server's log, and to compress it there takes longer than all else. Only a superuser may
    # say so; the private servers' user is one.
    connection = await asyncpg.connect(server_url)
    try:
        with suppress(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SET wal_compression = off")
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    finally:
        await connection.close()
    try:
        yield with_database(server_url, name)
    finally:
        await _execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def with_database(url: str, name: str) -> str:
    """The same PostgreSQL server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def manage(management_url: str, method: str, path: str, body: object = None) -> None:
    """One call of RabbitMQ's management API; raises `urllib.error.HTTPError` when it is refused."""
    parts = urlsplit(management_url)
    credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    request = urllib.request.Request(
        urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", "")),
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": "Basic " + base64.b64encode(credentials.encode()).decode(),
            "Content-Type": "application/json",
        },
    )
    for wait in (0.2, 0.5, 1.0, None):
        try:
            with urllib.request.urlopen(request, timeout=60):
                return
        except urllib.error.HTTPError as error:
            # RabbitMQ 3.10 answers so while other tests delete their users.
            if error.code < 500 or wait is None:
                raise
            time.sleep(wait)

"""A virtual host to set up, and a directory with a few agencies in a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import aiormq
import asyncpg
import pytest
from aiormq.abc import AbstractChannel

from broker.amqp.connection import Link
from broker.amqp.management import Management
from broker.topology.actual import read_actual
from broker.topology.apply import Applied, apply
from broker.topology.model import Topology, desired
from broker.topology.plan import plan


class HasVhost(Protocol):
    name: str
    amqp_url: str
    management_url: str


@dataclass(frozen=True)
class Owner:
    code: str
    level: str


@dataclass(frozen=True)
class Types:
    mailbox_type_by_level: dict[str, str] = field(default_factory=lambda: {"ministry": "quorum", "province": "quorum"})


OWNERS = (Owner("G01", "ministry"), Owner("H53", "province"), Owner("H53.1", "commune"))
WANTED = desired(OWNERS, Types())


@pytest.fixture
async def management(vhost: HasVhost) -> AsyncIterator[Management]:
    async with Management(vhost.management_url, vhost=vhost.name) as management:
        yield management


@pytest.fixture
async def pruning(vhost: HasVhost) -> AsyncIterator[Link]:
    async with Link(vhost.amqp_url, name="pruning") as link:
        yield link


@pytest.fixture
async def channel(vhost: HasVhost) -> AsyncIterator[AbstractChannel]:
    connection = await aiormq.connect(vhost.amqp_url)
    yield await connection.channel()
    await connection.close(ConnectionError("test over"))


@pytest.fixture
async def directory(migrated_database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A database in which the agencies of `OWNERS` have mailboxes, and one agency has none."""
    connection = await asyncpg.connect(migrated_database)
    for owner in (*OWNERS, Owner("H53.2", "commune")):
        await connection.execute(
            "INSERT INTO agency (code, name, level, has_mailbox) VALUES ($1, $1, $2, $3)",
            owner.code,
            owner.level,
            owner in OWNERS,
        )
    yield connection
    await connection.close()


async def make_it_so(
    management: Management,
    wanted: Topology = WANTED,
    *,
    prune: Link | None = None,
    connection: asyncpg.Connection[asyncpg.Record] | None = None,
) -> Applied:
    """Plan and apply in one go; prune over the link that is given for it."""
    pruning = prune is not None
    planned = plan(wanted, await read_actual(management), prune=pruning)
    return await apply(wanted, planned, management, prune=pruning, link=prune, connection=connection)

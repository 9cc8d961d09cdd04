"""The servers: reachable, new enough, healthy, with tables and clocks as they should be."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import aio_pika
import aiohttp
import asyncpg

from broker.amqp.management import Management, virtual_host_of
from broker.doctor.finding import Finding
from broker.settings import Settings, without_credentials
from broker.store import migrations
from broker.store.pool import connect
from broker.topology.actual import read_actual
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import desired
from broker.topology.plan import plan
from schemas.problem import Problem

OLDEST_RABBITMQ: Final = (3, 10)
OLDEST_POSTGRESQL: Final = 15
CLOCKS_APART: Final = 2.0
"""Seconds by which this machine and the database server may differ: deadlines and `sent_at` are judged by clocks."""
ANSWER_WITHIN: Final = 10.0

DURABLE: Final = ("fsync", "full_page_writes", "synchronous_commit")
"""Settings of PostgreSQL without which a document that was accepted may be lost."""


async def check_rabbitmq(settings: Settings) -> AsyncIterator[Finding]:
    """Whether RabbitMQ lets the broker in, and its version and alarms."""
    place = without_credentials(settings.amqp_url)
    try:
        connection = await aio_pika.connect(settings.amqp_url, timeout=ANSWER_WITHIN)
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
        yield Finding.bad(
            "RabbitMQ", f"{place} cannot be used: {_brief(error)}", "Start it, or correct amqp_url and its password."
        )
        return
    await connection.close()
    yield Finding.good("RabbitMQ", f"{place} lets the broker in")
    async for finding in _management(settings):
        yield finding


async def check_postgresql(settings: Settings) -> AsyncIterator[Finding]:
    """Whether PostgreSQL lets the broker in; its version, durability, migrations and clock."""
    try:
        async with connect(settings) as connection:
            version = str(await connection.fetchval("SHOW server_version")).partition(" ")[0]
            found = f"{without_credentials(settings.database_url)} is PostgreSQL {version}"
            if connection.get_server_version().major < OLDEST_POSTGRESQL:
                yield Finding.bad("PostgreSQL", found, f"Use PostgreSQL {OLDEST_POSTGRESQL} or newer.")
            else:
                yield Finding.good("PostgreSQL", found)
            yield await _durability(connection)
            yield await _clock(connection)
        yield await _migrations(settings)
    except Problem as problem:
        yield Finding.of_problem("PostgreSQL", problem)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        yield Finding.bad("PostgreSQL", f"a question failed: {_brief(error)}", "Look at the server's log.")


async def check_topology(settings: Settings) -> AsyncIterator[Finding]:
    """Whether exchanges, queues and rights are what the directory asks for. Ask only when both servers are good."""
    try:
        async with connect(settings) as connection:
            wanted = desired(await load_mailbox_owners(connection), settings)
        async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
            found = plan(wanted, await read_actual(management))
    except Problem as problem:
        yield Finding.of_problem("topology", problem)
        return
    except (OSError, TimeoutError, asyncpg.PostgresError, aiohttp.ClientError) as error:
        yield Finding.bad("topology", f"a question failed: {_brief(error)}", "Look at `lienthong topology plan`.")
        return
    if found.to_do:
        yield Finding.bad(
            "topology", f"{len(found.to_do)} things missing or different", "Run `lienthong topology apply`."
        )
    if found.for_operator:
        yield Finding.warning(
            "topology", f"{len(found.for_operator)} things for a person to decide", "Look at `lienthong topology plan`."
        )
    if found.good:
        yield Finding.good("topology", f"as the directory asks for: {found.mailboxes} mailboxes")


async def _management(settings: Settings) -> AsyncIterator[Finding]:
    place = without_credentials(settings.management_url)
    try:
        overview = await _ask(settings.management_url, "/api/overview")
        nodes = await _ask(settings.management_url, "/api/nodes")
    except (OSError, TimeoutError, ValueError, aiohttp.ClientError) as error:
        yield Finding.bad(
            "management",
            f"{place} cannot be used: {_brief(error)}",
            "Enable the plugin rabbitmq_management; correct management_url and its password.",
        )
        return
    text = str(overview.get("rabbitmq_version", "?"))
    version = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    if version < OLDEST_RABBITMQ:
        yield Finding.bad("management", f"{place} is RabbitMQ {text}", "Use RabbitMQ 3.10 or newer.")
    else:
        yield Finding.good("management", f"{place} is RabbitMQ {text}")
    alarmed = [
        f"{node.get('name')}: {what}"
        for node in nodes
        for what, key in (("memory", "mem_alarm"), ("disk", "disk_free_alarm"))
        if node.get(key)
    ]
    if alarmed:
        yield Finding.bad(
            "alarms", "; ".join(alarmed), "Free memory or disk on that node: until then it takes no more documents."
        )
    else:
        yield Finding.good("alarms", "none")


async def _ask(management_url: str, path: str) -> Any:
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(management_url + path) as response:
        response.raise_for_status()
        return await response.json()


async def _durability(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    loose = [name for name in DURABLE if await connection.fetchval("SELECT current_setting($1)", name) == "off"]
    if loose:
        return Finding.bad(
            "durability",
            f"{', '.join(loose)} off",
            "Turn it on: without it a power cut loses documents that were accepted.",
        )
    return Finding.good("durability", "what is committed survives a power cut")


async def _clock(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    before, asked = datetime.now(UTC), time.monotonic()
    theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    took = time.monotonic() - asked
    apart = (theirs - before).total_seconds() - took / 2
    found = f"{abs(apart):.3f} s {'behind' if apart > 0 else 'ahead of'} the database server"
    if abs(apart) - took / 2 > CLOCKS_APART:
        return Finding.bad("clock", found, "Synchronise both machines' clocks (NTP).")
    return Finding.good("clock", found)


async def _migrations(settings: Settings) -> Finding:
    state = await migrations.status(settings)
    if state.contradictions:
        return Finding.bad(
            "migrations", "; ".join(state.contradictions), "Run the version that this database belongs to."
        )
    if state.pending:
        return Finding.bad("migrations", f"pending: {', '.join(state.pending)}", "Run `lienthong db migrate`.")
    return Finding.good("migrations", f"{len(state.applied)} applied, none pending")


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

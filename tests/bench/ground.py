"""A fresh ground for each contender: its own virtual host and database, the same queues, the same directory.

Everything is quorum, mailboxes too. The directory is made once, in a database that is then copied. Loading publishes as
the senders themselves, with their own AMQP users, and waits for every confirm.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import aiormq
import asyncpg
from aiormq.abc import AbstractChannel, DeliveredMessage

from broker.amqp.connection import Link
from broker.amqp.management import Management
from broker.amqp.messages import OutgoingMessage
from broker.amqp.publishing import Publisher
from broker.directory.changes import Author, NewAgency, add_agency, enrol_certificate, load_roots
from broker.directory.exchange import ensure_exchange
from broker.evidence.keys import make_log_key
from broker.pki.authority import Home, init, issue
from broker.services import Endpoints
from broker.settings import EVERY_LEVEL, Settings
from broker.store.migrations import migrate
from broker.store.pool import connect
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import definitions, desired
from broker.topology.permissions import ensure_agency_users
from schemas.wire import SUBMIT, document_key, mailbox
from tests.bench.country import Country, Office, SignedDocument, Signer, signer
from tests.conftest import with_database

AUTHOR = Author(actor="bench", reason="made to measure")
ALL_QUORUM: dict[str, str] = {level: "quorum" for level in EVERY_LEVEL}


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """The country in the exchange's directory: signers, keys of the broker, and a database to copy."""

    country: Country
    signers: Mapping[str, Signer]
    home: Path
    template: str
    servers: Endpoints

    def settings(self, amqp_url: str, database_url: str) -> Settings:
        """The exchange's settings on this virtual host and database."""
        return Settings.model_validate(
            {
                "amqp_url": amqp_url,
                "management_url": self.servers.management_url,
                "database_url": database_url,
                "home": self.home,
                "mailbox_type_by_level": ALL_QUORUM,
            }
        )


@asynccontextmanager
async def registered(country: Country, servers: Endpoints, folder: Path) -> AsyncIterator[Registry]:
    """Add the country's offices to a directory, in a database that is there to be copied until the end of the block."""
    template = f"bench_template_{secrets.token_hex(4)}"
    home = folder / "exchange"
    now = datetime.now(UTC) - timedelta(minutes=1)
    async with _database(servers, template):
        dsn = with_database(servers.database_url, template)
        await migrate(dsn)
        registry = Registry(country=country, signers={}, home=home, template=template, servers=servers)
        settings = registry.settings(servers.amqp_url, dsn)
        authority = Home.below(home)
        init(authority, broker_code=settings.broker_code, now=now)
        make_log_key(settings.log_key_file, settings.log_origin)
        signers: dict[str, Signer] = {}
        async with connect(dsn) as connection:
            await ensure_exchange(connection, settings, author=AUTHOR)
            roots = load_roots(settings.roots_dir)
            for office in country.offices:
                agency = NewAgency(code=office.code, name=f"Cơ quan {office.code}", level="ministry", has_mailbox=True)
                await add_agency(connection, agency, author=AUTHOR)
                pem = issue(authority, code=office.code, public_key=office.key.public_key(), now=now)
                await enrol_certificate(connection, office.code, pem, roots=roots, author=AUTHOR)
                signers[office.code] = signer(office, pem)
        try:
            yield Registry(country=country, signers=signers, home=home, template=template, servers=servers)
        finally:
            async with Management(servers.management_url, vhost="/") as management:
                for office in country.offices:
                    await management.delete_user(office.code)


class Ground:
    """One contender's virtual host and database."""

    def __init__(self, registry: Registry, settings: Settings, channel: AbstractChannel) -> None:
        self.registry = registry
        self.settings = settings
        self._channel = channel

    @property
    def environment(self) -> dict[str, str]:
        """What a contender's process is told; nothing of the caller's own exchange."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
        return inherited | {
            "LIENTHONG_AMQP_URL": self.settings.amqp_url,
            "LIENTHONG_MANAGEMENT_URL": self.settings.management_url,
            "LIENTHONG_DATABASE_URL": self.settings.database_url,
            "LIENTHONG_HOME": str(self.settings.home),
        }

    def url_of(self, office: Office) -> str:
        """The AMQP address with this office's own user."""
        parts = urlsplit(self.settings.amqp_url)
        netloc = f"{quote(office.code, safe='')}:{office.password}@{parts.netloc.rpartition('@')[2]}"
        return urlunsplit(parts._replace(netloc=netloc))

    async def load_documents(self, documents: Sequence[SignedDocument]) -> None:
        """Submit documents as their senders; all are confirmed when this returns."""
        by_sender: dict[str, list[OutgoingMessage]] = defaultdict(list)
        for one in documents:
            by_sender[one.sender].append(submission(document_key(one.sender, False), "document", one.body))
        await self.load(by_sender)

    async def load(self, by_office: Mapping[str, Sequence[OutgoingMessage]]) -> None:
        """Submit messages as the offices with these codes; all are confirmed when this returns."""
        async with asyncio.TaskGroup() as tasks:
            for code, messages in by_office.items():
                tasks.create_task(self._load(self.registry.signers[code].office, messages))

    async def _load(self, office: Office, messages: Sequence[OutgoingMessage]) -> None:
        async with Link(self.url_of(office), name="bench loads") as link, Publisher(link, lanes=1) as publisher:
            outcomes = await publisher.publish_all(messages)
        if failed := [outcome for outcome in outcomes if not outcome.confirmed]:
            raise RuntimeError(f"{len(failed)} of {len(messages)} messages could not be loaded: {failed[0]}")

    async def depth(self, queue: str) -> int:
        """Messages of a queue that nobody holds, as its leader counts them now."""
        found = await self._channel.queue_declare(queue=queue, passive=True)
        return found.message_count or 0

    async def depths(self, codes: Iterable[str]) -> dict[str, int]:
        """`depth` of the mailboxes of these offices."""
        return {code: await self.depth(mailbox(code)) for code in codes}

    async def drain(self, queue: str) -> list[bytes]:
        """Take out everything that lies in a queue now."""
        expected = await self.depth(queue)
        bodies: list[bytes] = []
        all_there = asyncio.Event()

        async def take(message: DeliveredMessage) -> None:
            bodies.append(message.body)
            if len(bodies) >= expected:
                all_there.set()

        if expected:
            begun = await self._channel.basic_consume(queue, take, no_ack=True)
            await all_there.wait()
            await self._channel.basic_cancel(begun.consumer_tag or "")
        return bodies


def submission(routing_key: str, kind: str, body: bytes) -> OutgoingMessage:
    """One message as an agency submits it; its `user_id` is its connection's."""
    return OutgoingMessage(exchange=SUBMIT, routing_key=routing_key, body=body, type=kind)


@asynccontextmanager
async def fresh_ground(registry: Registry) -> AsyncIterator[Ground]:
    """A virtual host with all queues and users, and a database with the directory; both are gone after the block."""
    servers = registry.servers
    name = f"bench-{secrets.token_hex(6)}"
    database = f"bench_{secrets.token_hex(6)}"
    amqp_url = urlunsplit(urlsplit(servers.amqp_url)._replace(path=f"/{name}"))
    async with AsyncExitStack() as stack:
        management = await stack.enter_async_context(Management(servers.management_url, vhost=name))
        await management.create_virtual_host()
        stack.push_async_callback(management.delete_virtual_host)
        await stack.enter_async_context(_database(servers, database, template=registry.template))
        settings = registry.settings(amqp_url, with_database(servers.database_url, database))
        async with connect(settings.database_url) as connection:
            owners = await load_mailbox_owners(connection)
        await management.import_definitions(definitions(desired(owners, settings)))
        await ensure_agency_users(management, {one.code: one.password for one in registry.country.offices})
        connected = await aiormq.connect(amqp_url)
        stack.push_async_callback(connected.close)
        yield Ground(registry, settings, await connected.channel())


@asynccontextmanager
async def _database(servers: Endpoints, name: str, *, template: str = "template1") -> AsyncIterator[None]:
    await _execute(servers.database_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield
    finally:
        await _execute(servers.database_url, f'DROP DATABASE "{name}" WITH (FORCE)')


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()

"""An exchange in this process: own virtual host, own database, directory, keys made at run time, and a worker task.

For tests of what the broker does with messages. Agencies connect as themselves, with users of their own and the rights
that the contract gives them; what they sign is signed here with `schemas`, and what they send are the bytes they made.
Codes are different in every exchange, because users belong to the whole server: use `end.code`, not a literal.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika
import asyncpg
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from broker.amqp.management import Management
from broker.directory.changes import Author, NewAgency, add_agency, enrol_certificate, load_roots
from broker.directory.exchange import ensure_exchange
from broker.directory.records import Enrolled, Level
from broker.evidence.keys import make_log_key
from broker.identity import BrokerIdentity
from broker.pki.authority import Home, init, issue
from broker.settings import Settings
from broker.store.pool import open_pool
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import definitions, desired
from broker.topology.permissions import ensure_agency_user
from broker.worker import Worker, opened
from schemas.certificates import load_certificate, new_private_key
from schemas.jws import MEDIA_TYPE, PrivateKey
from schemas.manifest import NoticeItem
from schemas.wire import DELIVER, SUBMIT, document_key, mailbox, request_key, status_key
from tests.conftest import Vhost, manage
from tests.kit.letters import End, Letter, digest_of, new_letter, new_manifest, part, payload_of, signed_body
from tests.kit.mailboxes import MARKER, PATIENCE, Delivered, Mailbox

__all__ = [
    "AUTHOR",
    "PATIENCE",
    "Delivered",
    "End",
    "Exchange",
    "Letter",
    "Mailbox",
    "digest_of",
    "part",
    "running_exchange",
]

AUTHOR = Author(actor="test", reason="made for a test")


class Exchange:
    """A running exchange. Make it with `running_exchange`."""

    def __init__(self, settings: Settings, vhost: Vhost, pool: asyncpg.Pool[asyncpg.Record], home: Home) -> None:
        self.settings = settings
        self.vhost = vhost
        self.pool = pool
        self.home = home
        self.identity = BrokerIdentity.load(settings)
        self.prefix = f"T{secrets.token_hex(3).upper()}"
        self.ends: dict[str, End] = {}
        self.workers: list[tuple[Worker, asyncio.Task[None], AsyncExitStack]] = []
        self._management = Management(vhost.management_url, vhost=vhost.name)
        self._connections: dict[str, tuple[AbstractConnection, AbstractChannel]] = {}
        self._mailboxes: dict[str, Mailbox] = {}

    # ── Directory ────────────────────────────────────────────────────────────────────────────────
    async def add(
        self,
        name: str,
        level: Level = "ministry",
        *,
        has_mailbox: bool = True,
        hub: End | None = None,
        parent: End | None = None,
        kind: str = "P-256",
    ) -> End:
        """Add an agency whose code ends in `name`, with a key and an enrolled certificate; with a mailbox also its
        queue and its AMQP user. `hub` gets the mandates to receive and to sign for it."""
        code = f"{self.prefix}.{name}"
        key = new_private_key(kind)
        async with self.pool.acquire() as connection:
            agency = await add_agency(
                connection,
                NewAgency(
                    code=code,
                    name=f"Cơ quan {name}",
                    level=level,
                    has_mailbox=has_mailbox,
                    hub=hub.code if hub is not None else None,
                    parent=parent.code if parent is not None else None,
                ),
                author=AUTHOR,
            )
        pem, enrolled = await self.enrol(code, key)
        end = End(
            id=agency.id,
            code=code,
            key=key,
            certificate=load_certificate(pem),
            thumbprint=enrolled.thumbprint,
            password=secrets.token_hex(12),
            has_mailbox=has_mailbox,
        )
        self.ends[code] = end
        if has_mailbox:
            await self.apply_topology()
            await ensure_agency_user(self._management, code, end.password)
        await self.refresh()
        return end

    async def enrol(
        self, code: str, key: PrivateKey, *, now: datetime | None = None, days: int = 365
    ) -> tuple[bytes, Enrolled]:
        """Issue a certificate for `key` and enrol it for the agency `code`; its PEM and its enrolment."""
        moment = now or datetime.now(UTC)
        pem = issue(self.home, code=code, public_key=key.public_key(), now=moment, days=days)
        async with self.pool.acquire() as connection:
            roots = load_roots(self.settings.roots_dir)
            return pem, await enrol_certificate(connection, code, pem, roots=roots, author=AUTHOR)

    async def apply_topology(self) -> None:
        """Declare what contract §3 wants for the directory as it is."""
        async with self.pool.acquire() as connection:
            owners = await load_mailbox_owners(connection)
        await self._management.import_definitions(definitions(desired(owners, self.settings)))

    async def refresh(self) -> None:
        """Let every running worker know the newest directory now."""
        for worker, _, _ in self.workers:
            await worker.directory.refresh()

    # ── Workers ──────────────────────────────────────────────────────────────────────────────────
    async def start_worker(self, *, concurrency: int = 2, **settings: Any) -> Worker:
        """Start one more worker in this process; `settings` override the exchange's."""
        stack = AsyncExitStack()
        configured = self.settings.model_copy(update=settings)
        worker = await stack.enter_async_context(opened(configured, concurrency=concurrency))
        self.workers.append((worker, asyncio.create_task(worker.run()), stack))
        return worker

    async def stop_workers(self) -> None:
        """Let every worker finish what it has, and end it. Raises what a worker died of."""
        while self.workers:
            worker, task, stack = self.workers.pop()
            try:
                await worker.stop()
                await task
            finally:
                await stack.aclose()

    async def kill_workers(self) -> None:
        """End every worker where it stands, as a power failure would: nothing is finished, nothing acknowledged."""
        while self.workers:
            _, task, stack = self.workers.pop()
            task.cancel()
            await asyncio.wait({task})
            await stack.aclose()

    # ── Making messages ──────────────────────────────────────────────────────────────────────────
    manifest = staticmethod(new_manifest)
    body = staticmethod(signed_body)
    letter = staticmethod(new_letter)
    payload = staticmethod(payload_of)
    digest = staticmethod(digest_of)

    # ── Sending and receiving as an agency ───────────────────────────────────────────────────────
    async def channel(self, end: End) -> AbstractChannel:
        """A confirming channel of this agency's own connection."""
        if end.code not in self._connections:
            parts = urlsplit(self.vhost.amqp_url)
            netloc = f"{quote(end.code, safe='')}:{end.password}@{parts.netloc.rpartition('@')[2]}"
            connection = await aio_pika.connect(urlunsplit(parts._replace(netloc=netloc)))
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            self._connections[end.code] = connection, channel
        return self._connections[end.code][1]

    async def submit(
        self,
        body: bytes,
        by: End,
        *,
        kind: str = "document",
        urgent: bool = False,
        routing_key: str | None = None,
        message_id: str | None = None,
        **properties: Any,
    ) -> str:
        """Publish as this agency, confirmed; returns the AMQP `message_id`. `properties` replace the usual ones."""
        keys = {
            "document": document_key(by.code, urgent),
            "status": status_key(by.code),
            "request": request_key(by.code),
        }
        unique = message_id or secrets.token_hex(12)
        usual: dict[str, Any] = {
            "content_type": MEDIA_TYPE,
            "delivery_mode": aio_pika.DeliveryMode.PERSISTENT,
            "message_id": unique,
            "type": kind,
            "user_id": by.code,
            "priority": 5 if urgent else 0,
        }
        channel = await self.channel(by)
        submit = await channel.get_exchange(SUBMIT, ensure=False)
        await submit.publish(aio_pika.Message(body, **(usual | properties)), routing_key or keys[kind], mandatory=True)
        return unique

    async def send(self, letter: Letter, by: End) -> str:
        """Submit a letter in the lane of its priority."""
        return await self.submit(letter.body, by, urgent=letter.manifest["document"].get("priority", 0) > 0)

    async def mailbox(self, end: End) -> Mailbox:
        """This agency's mailbox; reading begins with the first call and goes on."""
        if end.code not in self._mailboxes:
            channel = await self.channel(end)
            box = self._mailboxes[end.code] = Mailbox(end.code)
            queue = await channel.get_queue(mailbox(end.code), ensure=False)
            await queue.consume(box.take)
        return self._mailboxes[end.code]

    async def all_at(self, end: End) -> Mailbox:
        """This agency's mailbox after everything that is in its queue now has been read."""
        box = await self.mailbox(end)
        marker = secrets.token_bytes(8)
        await self.publish_as_broker(marker, exchange=DELIVER, routing_key=end.code, type=MARKER)
        await box.until(lambda: True if marker in box.markers else None, "the marker behind everything")
        return box

    async def document_at(self, end: End, letter: Letter, *, copies: int = 1) -> Delivered:
        """Wait for the given number of copies of a letter in a mailbox; the last of them."""
        box = await self.mailbox(end)

        def found() -> Delivered | None:
            come = [one for one in box.documents() if one.message.signed.digest == letter.digest]
            return come[-1] if len(come) >= copies else None

        return await box.until(found, f"copy {copies} of document {letter.id}")

    async def notice_at(self, end: End, letter: Letter, event: str, *, count: int = 1) -> NoticeItem:
        """Wait for the given number of notice items of one event about a letter; the last of them."""
        return await self.notice_about(end, event, digest=letter.digest, count=count)

    async def notice_about(
        self, end: End, event: str, *, digest: str | None = None, message_id: str | None = None, count: int = 1
    ) -> NoticeItem:
        """Wait for notice items of one event that name a digest or an AMQP `message_id`."""
        box = await self.mailbox(end)

        def found() -> NoticeItem | None:
            about = [
                item
                for item in box.items(event)
                if (digest is not None and getattr(item.concerns, "digest", None) == digest)
                or (message_id is not None and getattr(item.concerns, "message_id", None) == message_id)
            ]
            return about[-1] if len(about) >= count else None

        return await box.until(found, f"{event} number {count} about {digest or message_id}")

    # ── Looking behind ───────────────────────────────────────────────────────────────────────────
    async def value(self, query: str, *arguments: object) -> Any:
        """One value out of the database."""
        return await self.pool.fetchval(query, *arguments)

    async def until_value(self, query: str, expected: object, *arguments: object, seconds: float = PATIENCE) -> None:
        """Wait until a query gives `expected`: for facts that only the database tells, such as a recorded dispatch."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (found := await self.value(query, *arguments)) != expected:
            assert asyncio.get_running_loop().time() < deadline, f"{query}: {found!r} instead of {expected!r}"
            await asyncio.sleep(0.02)

    async def all_published(self) -> None:
        """Wait until nothing that was decided is left to be published and recorded."""
        await self.until_value("SELECT count(*) FROM outgoing WHERE published_at IS NULL", 0)

    async def lose_mailbox(self, end: End) -> None:
        """Delete an agency's queue with everything in it, as a broken server would."""
        await self._management.delete_queue(mailbox(end.code), only_if_unused_and_empty=False)

    async def depth(self, queue: str) -> int:
        """Messages in a queue that nobody holds, as the server counts them now."""
        _, channel = await self._own_channel()
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    async def until_depth(self, queue: str, expected: int, seconds: float = PATIENCE) -> None:
        """Wait until a queue holds so many messages that nobody has taken."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (found := await self.depth(queue)) != expected:
            assert asyncio.get_running_loop().time() < deadline, f"{queue} holds {found}, not {expected}"
            await asyncio.sleep(0.02)

    async def raw(self, queue: str, seconds: float = PATIENCE) -> AbstractIncomingMessage:
        """Take the first message out of any queue, as the broker's user; waits until there is one."""
        _, channel = await self._own_channel()
        found = await channel.get_queue(queue, ensure=False)
        async with asyncio.timeout(seconds):
            while (message := await found.get(fail=False)) is None:
                await asyncio.sleep(0.02)
        await message.ack()
        return message

    async def publish_as_broker(self, body: bytes, *, exchange: str, routing_key: str, **properties: Any) -> None:
        """Publish with the broker's own user."""
        _, channel = await self._own_channel()
        target = await channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(body, **properties), routing_key, mandatory=True)

    async def _own_channel(self) -> tuple[AbstractConnection, AbstractChannel]:
        if "" not in self._connections:
            connection = await aio_pika.connect(self.vhost.amqp_url)
            self._connections[""] = connection, await connection.channel(on_return_raises=True)
        return self._connections[""]

    async def open(self) -> None:
        """Exchange, queues and the exchange's own place in the directory."""
        await self._management.__aenter__()
        async with self.pool.acquire() as connection:
            await ensure_exchange(connection, self.settings, author=AUTHOR)
        await self.apply_topology()

    async def close(self) -> None:
        """End workers and connections, and remove the users, which belong to the whole server."""
        try:
            await self.stop_workers()
        finally:
            for connection, _ in self._connections.values():
                await connection.close()
            await self._management.close()
            if users := [code for code, end in self.ends.items() if end.has_mailbox]:
                await asyncio.to_thread(
                    manage, self.vhost.management_url, "POST", "/api/users/bulk-delete", {"users": users}
                )


@asynccontextmanager
async def running_exchange(
    vhost: Vhost, dsn: str, folder: Path, *, workers: int = 1, **settings: Any
) -> AsyncIterator[Exchange]:
    """An exchange on this virtual host and (migrated) database, its files below `folder`; `settings` override."""
    configured = Settings.model_validate(
        {
            "amqp_url": vhost.amqp_url,
            "management_url": vhost.management_url,
            "database_url": dsn,
            "home": folder / "exchange",
            "outgoing_grace_seconds": 1,
            # Most of these exchanges have no keeper that would keep the promise of a minute.
            "log_promise_seconds": 600,
        }
        | settings
    )
    home = Home.below(configured.home)
    await asyncio.to_thread(
        init, home, broker_code=configured.broker_code, now=datetime.now(UTC) - timedelta(minutes=1)
    )
    make_log_key(configured.log_key_file, configured.log_origin)
    pool = await open_pool(configured, size=4)
    exchange = Exchange(configured, vhost, pool, home)
    try:
        await exchange.open()
        for _ in range(workers):
            await exchange.start_worker()
        yield exchange
    finally:
        try:
            await exchange.close()
        finally:
            await pool.close()

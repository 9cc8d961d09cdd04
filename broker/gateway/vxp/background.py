"""What the REST façade does beside answering requests: reading mailboxes, and finishing what somebody left unfinished.

Each connected system's mailbox is read by the exchange itself, because the office has no connection of its own. Every
gateway does all of it: mailboxes are shared among readers by RabbitMQ, rows are claimed in the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import structlog

from broker.amqp.reading import BatchReader
from broker.directory.records import AgencyId
from broker.dispatch.patience import is_away
from broker.gateway.app import Gateway
from broker.gateway.vxp.ids import rejection_id, rejection_source
from broker.gateway.vxp.receiving import NewPacket, insert, take_in
from broker.gateway.vxp.submission import SQL, Taken, fate_of, publish, settle
from broker.gateway.vxp.systems import System, Systems
from schemas.edxml.records import Organization, ResponseFor, Status, StatusHeader
from schemas.edxml.writing import write
from schemas.errors import CATALOGUE
from schemas.jws import MAX_MESSAGE
from schemas.problem import Problem
from schemas.wire import mailbox

ROUND: Final = 1.0
"""Seconds between two rounds of each duty."""
PREFETCH: Final = 50
"""Messages of one mailbox that are held at a time."""
GRACE: Final = timedelta(seconds=15)
"""How old an unpublished submission must be before somebody else than its own request publishes it."""
SETTLE_AFTER: Final = timedelta(seconds=2)

log = structlog.get_logger(__name__)


async def background(gateway: Gateway, stop: asyncio.Event) -> None:
    """Run beside the server until `stop` is set."""
    systems = Systems(gateway.brief, gateway.settings)
    readers = _Readers(gateway, systems)

    async def read() -> None:
        readers.follow(await systems.all())

    async def finish() -> None:
        await publish_unpublished(gateway, systems)
        await settle_unsettled(gateway)

    try:
        await asyncio.gather(_again(read, stop, "read mailboxes"), _again(finish, stop, "finish submissions"))
    finally:
        await readers.stop()


async def _again(duty: Callable[[], Awaitable[None]], stop: asyncio.Event, what: str) -> None:
    """Round after round; a database that is away costs rounds, not the gateway."""
    while not stop.is_set():
        try:
            await duty()
        except Exception as error:
            if not (is_away(error) or isinstance(error, Problem)):
                log.exception("a duty of the REST façade failed", duty=what)
            else:
                log.warning("a duty of the REST façade waits", duty=what, why=str(error) or type(error).__name__)
        try:
            async with asyncio.timeout(ROUND):
                await stop.wait()
        except TimeoutError:
            continue


class _Readers:
    """One reader for each active system's mailbox."""

    def __init__(self, gateway: Gateway, systems: Systems) -> None:
        self._gateway = gateway
        self._systems = systems
        self._reading: dict[int, tuple[BatchReader, asyncio.Task[None]]] = {}

    def follow(self, systems: tuple[System, ...]) -> None:
        """Start reading for systems that are new or active again, and stop for others."""
        wanted = {system.id: system for system in systems if system.active}
        for system_id, (_, task) in list(self._reading.items()):
            if system_id not in wanted:
                task.cancel()
            if task.done():
                if not task.cancelled() and (error := task.exception()) is not None:
                    log.error("reading a mailbox ended", error=type(error).__name__)
                del self._reading[system_id]
        for system in wanted.values():
            if system.id not in self._reading:
                try:
                    hub = self._gateway.directory.current.by_id(system.hub_id)
                except KeyError:
                    continue  # added this very moment; the next round knows it
                reader = BatchReader(
                    self._gateway.link, mailbox(hub.code), prefetch=PREFETCH, max_count=PREFETCH, body_limit=MAX_MESSAGE
                )
                task = asyncio.create_task(self._read(system, reader), name=f"packets of {system.name}")
                self._reading[system.id] = (reader, task)

    async def stop(self) -> None:
        """Let what is being stored be stored, and end."""
        for reader, _ in self._reading.values():
            await reader.stop(grace=5.0)
        tasks = [task for _, task in self._reading.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, system: System, reader: BatchReader) -> None:
        try:
            async for batch in reader:
                await take_in(self._gateway, self._systems, system, batch)
        finally:
            await asyncio.shield(reader.stop(grace=1.0))


async def publish_unpublished(gateway: Gateway, systems: Systems) -> None:
    """Give out what was written down and not confirmed: its request's gateway has died, or RabbitMQ was away."""
    for row in await gateway.pool.fetch(SQL["unpublished"], GRACE):
        system = await systems.by_id(row["system_id"])
        if system is None:
            continue
        hub = gateway.directory.current.by_id(system.hub_id)
        if await publish(gateway, hub.code, row["kind"], row["message"], row["routing_key"]):
            await gateway.pool.execute(SQL["mark_published"], row["submission_id"], row["digest"])


async def settle_unsettled(gateway: Gateway) -> None:
    """Record the fate of what was answered before it was known; the office is told of rejections by a status packet."""
    for row in await gateway.pool.fetch(SQL["unsettled"], SETTLE_AFTER):
        taken = Taken(
            id=row["submission_id"],
            kind=row["kind"],
            doc_id=row["doc_id"],
            from_id=AgencyId(row["from_id"]),
            sender_id=AgencyId(row["from_id"] if row["kind"] == "document" else row["hub_id"]),
            digest=row["digest"],
            attempt_after=row["attempt_after"],
        )
        fate = await fate_of(gateway.pool, taken)
        if fate is None:
            continue
        if fate.accepted or taken.kind == "arrival":
            if not fate.accepted:
                log.error("a 01 was not taken", doc_id=str(taken.doc_id), code=fate.error)
            await settle(gateway.pool, taken.id, fate, answered=False)
            continue
        packet = _rejection(gateway, row, fate.error)
        async with gateway.pool.acquire() as connection, connection.transaction():
            news = await connection.fetchval(SQL["settle"], taken.id, "rejected", fate.error, None, False)
            if news is not None:
                await insert(connection, [packet])


def _rejection(gateway: Gateway, row: asyncpg.Record, code: str | None) -> NewPacket:
    """A status file that tells the office: the exchange refuses what it had submitted, and why."""
    directory = gateway.directory.current
    exchange = directory.agency(gateway.identity.code)
    agency = directory.by_id(AgencyId(row["from_id"]))
    entry = CATALOGUE.get(code or "", CATALOGUE["LT-BROKER"])
    now = datetime.now(UTC)
    message = Status(
        header=StatusHeader(
            from_=Organization(organ_id=gateway.identity.code, name="Trục liên thông"),
            response_for=ResponseFor(organ_id=agency.code, document_id=row["edxml_id"] or str(row["doc_id"])),
            status_code="02",
            description=f"{entry.code}: {entry.vi} / {entry.en}",
            timestamp=now,
        )
    )
    source = rejection_source(row["submission_id"], row["digest"])
    return NewPacket(
        doc_id=rejection_id(source),
        system_id=row["system_id"],
        agency_id=agency.id,
        kind="status",
        from_id=exchange.id if exchange is not None else agency.id,
        document_id=None,
        file=write(message),
        edxml_id=None,
        source=source,
        item=0,
    )

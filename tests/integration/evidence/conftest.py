"""A log without an exchange: a database, keys, a lease, and events that a test inserts itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from broker.evidence.checkpoints import trusted
from broker.evidence.duties import KeepLog, PublishLog
from broker.evidence.keys import make_log_key, read_vkeys, vkey_file
from broker.evidence.notes import Checkpoint, verify_checkpoint
from broker.evidence.tile_files import TileFiles
from broker.services import Endpoints
from broker.settings import Settings
from broker.upkeep.lease import Lease
from schemas.events import Event
from schemas.exchange_events import mailbox_reset
from tests.conftest import fresh_database, migrate

PATIENCE = 120.0

FREE = """SELECT count(*) FROM event AS e, exchange_epoch AS x
    WHERE (e.epoch < x.epoch OR e.xid < pg_snapshot_xmin(pg_current_snapshot()))
      AND NOT EXISTS (SELECT 1 FROM log_entry AS l WHERE (l.event_at, l.event_id) = (e.at, e.event_id))"""

INSERT = """INSERT INTO event (at, kind, body, leaf, epoch)
    SELECT at, kind, body, leaf, epoch FROM unnest($1::timestamptz[], $2::text[], $3::bytea[], $4::bytea[])
    WITH ORDINALITY AS k (at, kind, body, leaf, ordinality), exchange_epoch ORDER BY ordinality"""


@dataclass
class Log:
    """A log under test, with a clock of its own."""

    settings: Settings
    pool: asyncpg.Pool[asyncpg.Record]
    now: datetime | None = None
    made: int = 0
    keeper: KeepLog = field(init=False)
    publisher: PublishLog = field(init=False)
    lease: Lease = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A keeper process that knows nothing yet; its lease is not taken."""
        self.keeper = KeepLog(self.pool, self.settings, clock=self.clock)
        self.publisher = PublishLog(self.pool, self.settings)
        self.lease = Lease(self.pool, seconds=30)

    def clock(self) -> datetime:
        return self.now or datetime.now(UTC)

    async def take(self) -> None:
        """Take the lease, from whomever."""
        await self.pool.execute("UPDATE keeper_lease SET expires_at = clock_timestamp()")
        assert await self.lease.take()

    async def round(self, expect: int = 0) -> int:
        """One round of both duties; the number of events that got their positions.

        It begins once `expect` of them may be logged: a writing transaction in another database of the same server,
        another test's, keeps the log waiting too.
        """
        if self.lease.epoch is None:
            await self.take()
        async with asyncio.timeout(PATIENCE):
            while expect and await self.pool.fetchval(FREE) < expect:
                await asyncio.sleep(0.02)
            added = await self.keeper.run(self.lease)
            while added < expect:
                added += await self.keeper.run(self.lease)
        await self.publisher.run(self.lease)
        return added

    def events(self, count: int) -> list[Event]:
        """Events that differ from all before."""
        self.made += count
        at = self.clock()
        return [mailbox_reset(at=at, owner="H53", generation=n) for n in range(self.made - count, self.made)]

    async def insert(self, count: int = 1, connection: Any = None) -> list[Event]:
        """Insert events as a worker does, in one statement."""
        events = self.events(count)
        arguments = [[getattr(event, name) for event in events] for name in ("at", "kind", "body", "leaf")]
        await (connection or self.pool).execute(INSERT, *arguments)
        return events

    def files(self, origin: str = "lt.exchange/2026") -> TileFiles:
        return TileFiles(self.settings.log_dir, origin)

    def published(self, origin: str = "lt.exchange/2026") -> Checkpoint:
        """The checkpoint in the folder, verified with the keys in the key file."""
        note = self.files(origin).read_checkpoint()
        assert note is not None
        return verify_checkpoint(note, trusted(read_vkeys(vkey_file(self.settings.log_key_file)), origin))

    async def leaves(self, origin_id: int = 1) -> list[bytes]:
        rows = await self.pool.fetch(
            "SELECT position, leaf FROM log_entry WHERE origin_id = $1 ORDER BY position", origin_id
        )
        assert [row["position"] for row in rows] == list(range(len(rows)))
        return [row["leaf"] for row in rows]


def settings_for(database: str, home: Path, **more: Any) -> Settings:
    """Settings of an exchange that needs no RabbitMQ."""
    return Settings(amqp_url="amqp://nobody@localhost/none", database_url=database, home=home, **more)


EMPTY = """TRUNCATE event, log_entry, log_node, log_head, log_cursor, log_origin, log_put_back, checkpoint, cosignature,
    checkpoint_timestamp, keeper_lease, admin_action RESTART IDENTITY;
    UPDATE exchange_epoch SET epoch = 1; ALTER TABLE event ALTER COLUMN epoch SET DEFAULT 1"""


@pytest.fixture(scope="session")
def log_database(servers: Endpoints) -> Iterator[str]:
    """One database for all tests of a log without an exchange; it is emptied for each."""
    with fresh_database(servers) as database:
        asyncio.run(migrate(database))
        yield database


@pytest.fixture
async def log(log_database: str, tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log in the year 2026."""
    settings = settings_for(log_database, tmp_path)
    make_log_key(settings.log_key_file, settings.log_origin)
    async with asyncpg.create_pool(log_database, min_size=1, max_size=8) as pool:
        await pool.execute(EMPTY)
        yield Log(settings, pool, now=datetime(2026, 11, 22, 3, tzinfo=UTC))

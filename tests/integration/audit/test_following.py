"""Figures and search terms follow the log: exactly once, whenever it is stopped, whatever order things happen in."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from broker.audit.recounting import check
from broker.audit.report import DIMENSIONS, recount, report
from broker.audit.search import Wanted, search_documents
from broker.store.pool import open_pool
from broker.upkeep.lease import Lease, LeaseLost
from broker.upkeep.rollups import FollowLog, throw_away
from tests.kit.following import take_over

NOW = datetime(2026, 3, 30, 20, 0, tzinfo=UTC)
"""Already the next day in Viet Nam, and soon the next month."""


class Exchange:
    """Rows as the exchange writes them, each change with an event; sequencing is separate, as in life."""

    def __init__(self, connection: asyncpg.Connection, seed: int) -> None:
        self.connection = connection
        self.draw = random.Random(seed)
        self.documents: list[int] = []
        self.at = NOW

    async def prepare(self) -> None:
        for agency, parent in ((1, None), (2, 1), (3, 1), (4, None), (5, 4)):
            await self.connection.execute(
                "INSERT INTO agency (agency_id, code, name, level, tier, parent_id) OVERRIDING SYSTEM VALUE"
                " VALUES ($1::bigint, 'A' || $1::bigint, 'x', $2, $3, $4)",
                agency,
                "commune" if parent else "province",
                3 if parent else 1,
                parent,
            )
        await self.connection.execute(
            "INSERT INTO certificate (thumbprint, agency_id, der, not_before, not_after)"
            " VALUES (sha256('x'), 1, '', now(), now())"
        )
        await self.connection.execute("INSERT INTO log_origin (origin, year, opened_at) VALUES ('t', 2026, now())")

    async def event(self, document: int) -> None:
        body = self.draw.randbytes(8)
        await self.connection.execute(
            "INSERT INTO event (at, kind, body, leaf, document_id) VALUES ($1, 'x', $2, sha256($2), $3)",
            self.at, body, document,
        )  # fmt: skip

    async def something_happens(self) -> None:
        self.at += timedelta(minutes=self.draw.randint(0, 90))
        what = self.draw.random()
        async with self.connection.transaction():
            if what < 0.3 or not self.documents:
                await self.accept()
            elif what < 0.35:
                child = self.draw.choice((2, 3, 5))
                parent = self.draw.choice((1, 4))
                await self.connection.execute(
                    "UPDATE agency SET parent_id = $2, revision = nextval('directory_revision') WHERE agency_id = $1",
                    child, parent,
                )  # fmt: skip
            else:
                await self.move(self.draw.choice(self.documents))

    async def accept(self) -> None:
        sender = self.draw.randint(1, 5)
        document = await self.connection.fetchval(
            "INSERT INTO document (sender_id, id, digest, jws, action, test, number, subject, thumbprint, submitter_id,"
            " sent_at, accepted_at, leaf, log_by, recipients)"
            " VALUES ($1, $2, sha256($3), '', 'new', $4, $5, $6, sha256('x'), $1, $7, $7, '', $7, 1)"
            " RETURNING document_id",
            sender, uuid4(), self.draw.randbytes(9), self.draw.random() < 0.1, str(self.draw.randint(1, 9)),
            self.draw.choice(("Ứng phó bão", "Báo cáo", "Họp")), self.at,
        )  # fmt: skip
        others = [agency for agency in range(1, 6) if agency != sender]
        await self.deliver(document, self.draw.sample(others, self.draw.randint(1, 3)))
        if self.documents and self.draw.random() < 0.2:
            # An update adds a recipient to the document that it changes; its own event names only itself.
            changed = self.draw.choice(self.documents)
            await self.connection.execute("INSERT INTO document_concerns VALUES ($1, $2)", document, changed)
            await self.deliver(changed, [self.draw.randint(1, 5)])
        self.documents.append(document)
        await self.event(document)

    async def deliver(self, document: int, recipients: list[int]) -> None:
        await self.connection.execute(
            "INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, due_arrival)"
            " SELECT $1, k, k, '', now() FROM unnest($2::bigint[]) k ON CONFLICT DO NOTHING",
            document, recipients,
        )  # fmt: skip

    async def move(self, document: int) -> None:
        await self.connection.execute(
            "UPDATE delivery SET processing = $2, recalled = $3, arrived_at = CASE WHEN $4 THEN now() END,"
            " overdue_at = CASE WHEN $5 THEN now() END, closed_at = CASE WHEN $3 OR $2 = 'refused' THEN now() END"
            " WHERE document_id = $1 AND random() < 0.7",
            document,
            self.draw.choice(("accepted", "dispatched", "arrived", "received", "completed", "refused", "held")),
            self.draw.random() < 0.1,
            self.draw.random() < 0.6,
            self.draw.random() < 0.3,
        )
        await self.event(document)

    async def sequence(self, share: float) -> None:
        """Give some of the events that have none their positions, in their order."""
        waiting = await self.connection.fetch(
            "SELECT e.at, e.event_id, e.leaf FROM event e WHERE NOT EXISTS"
            " (SELECT FROM log_entry l WHERE l.event_at = e.at AND l.event_id = e.event_id) ORDER BY e.event_id"
        )
        size = await self.connection.fetchval("SELECT count(*) FROM log_entry")
        some = waiting[: int(len(waiting) * share) if share < 1 else None]
        for position, event in enumerate(some, start=size):
            await self.connection.execute("INSERT INTO log_entry VALUES (1, $1, $2, $3, $4)", position, *event)
        if some:
            await self.connection.execute(
                "INSERT INTO log_cursor (epoch, xid, event_id, cluster)"
                " SELECT e.epoch, e.xid, e.event_id, 1 FROM event e WHERE e.event_id = $1"
                " ON CONFLICT (singleton) DO UPDATE SET xid = excluded.xid, event_id = excluded.event_id",
                some[-1]["event_id"],
            )


class Killed(Exception):
    """For a keeper that dies before its commit."""


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_random_traffic_counts_exactly_once_however_often_the_keeper_dies(
    migrated_database: str, seed: int
) -> None:
    connection = await asyncpg.connect(migrated_database)
    exchange = Exchange(connection, seed)
    await exchange.prepare()
    keeper, compared = FollowLog(period=1, entries=7), 0
    for _ in range(60):
        for _ in range(exchange.draw.randint(1, 4)):
            await exchange.something_happens()
        await exchange.sequence(exchange.draw.random())
        if exchange.draw.random() < 0.3:
            with pytest.raises(Killed):
                async with connection.transaction():
                    await keeper.step(connection)
                    raise Killed
            keeper = FollowLog(period=1, entries=7)  # another keeper takes over
        else:
            async with connection.transaction():
                await keeper.step(connection)
        found = await check(connection)
        assert found.differences == (), "only documents in flight may differ"
        compared += found.documents
    assert compared > 100
    await exchange.sequence(1)
    await take_over(connection)
    await take_over(connection)
    found = await check(connection)
    assert (found.differences, found.documents) == ((), len(exchange.documents))
    for by in DIMENSIONS:
        assert (await report(connection, by=by)).rows == (await recount(connection, by=by)).rows, by
    before = await rollups(connection)
    async with connection.transaction():
        await throw_away(connection)
    assert (await report(connection)).total().sent == 0
    await take_over(connection)
    assert await rollups(connection) == before, "made anew from the whole log, everything is the same"
    await connection.close()


async def rollups(connection: asyncpg.Connection) -> list[object]:
    tables = ("rollup_document", "rollup_above", "rollup_position")
    rows = [await connection.fetch(f"SELECT * FROM {table} ORDER BY 1") for table in tables]
    days = await connection.fetch("SELECT * FROM rollup_day WHERE deliveries + sent <> 0 ORDER BY 1, 2")
    return [[tuple(row.values()) for row in some] for some in (*rows, days)]


async def test_every_way_of_changing_a_figure_behind_the_keepers_back_is_found(migrated_database: str) -> None:
    connection = await asyncpg.connect(migrated_database)
    exchange = Exchange(connection, 4)
    await exchange.prepare()
    for _ in range(30):
        await exchange.something_happens()
    await exchange.sequence(1)
    await take_over(connection)
    one = "document_id = (SELECT min(document_id) FROM rollup_document WHERE NOT test)"
    for change in (
        "UPDATE rollup_day SET sent = sent + 1 WHERE agency_id = 0",
        "UPDATE rollup_month SET confirmed = confirmed - 1 WHERE agency_id = 0",
        "DELETE FROM rollup_day WHERE agency_id <> 0",
        f"DELETE FROM rollup_document WHERE {one}",
        f"UPDATE rollup_document SET terms = '' WHERE {one}",
        f"UPDATE rollup_document SET standings[1] = (standings[1] + 1) % 11 WHERE {one}",
        f"UPDATE rollup_document SET day = day + 1 WHERE {one}",
        "INSERT INTO rollup_document SELECT 999999, accepted_at, day, sender_id, test, '{}', '{}', '' FROM"
        f" rollup_document WHERE {one}",
        "UPDATE rollup_above SET above = '{4}' WHERE agency_id IN (2, 3)",
    ):
        await connection.execute(change)
        assert (await check(connection)).differences, change
        async with connection.transaction():
            await throw_away(connection)
        await take_over(connection)
        assert (await check(connection)).differences == (), change
    await connection.close()


async def test_a_keeper_that_lost_its_lease_takes_nothing_over(migrated_database: str) -> None:
    pool = await open_pool(migrated_database, size=3)
    try:
        async with pool.acquire() as connection:
            exchange = Exchange(connection, 5)  # type: ignore[arg-type]
            await exchange.prepare()
            await exchange.accept()
            await exchange.sequence(1)
        first, second = Lease(pool, seconds=0.05), Lease(pool, seconds=30)
        assert await first.take()
        while not await second.take():
            await asyncio.sleep(0.02)
        with pytest.raises(LeaseLost):
            await FollowLog(period=1).run(first)
        assert await pool.fetchval("SELECT position FROM rollup_position") == -1
        assert await FollowLog(period=1).run(second) == 1
        assert await FollowLog(period=1).run(second) == 0, "nothing is taken over twice"
    finally:
        await pool.close()


async def test_an_answer_says_up_to_where_it_is_complete(migrated_database: str) -> None:
    connection = await asyncpg.connect(migrated_database)
    exchange = Exchange(connection, 6)
    await exchange.prepare()
    empty = (await report(connection)).complete
    assert (empty.position, empty.behind) == (None, 0)
    await exchange.accept()
    assert (await report(connection)).complete.behind == 1, "an event that has no place in the log yet"
    await exchange.sequence(1)
    assert (await search_documents(connection, Wanted())).complete.behind >= 1
    await take_over(connection)
    told = (await search_documents(connection, Wanted())).complete
    assert (told.origin, told.position, told.at) == ("t", 0, exchange.at)
    await connection.close()

"""The official figures of 12 March to 30 September 2019, replayed as records, give the official table to the digit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from broker.audit.period import Period
from broker.audit.report import recount, report
from broker.services import Endpoints
from tests.conftest import fresh_database
from tests.kit.following import take_over

OFFICIAL = {"1": (116_630, 343_547), "2": (44_889, 143_697), "3": (1_588, 921)}
"""Sent and received by tier: ministries and provinces; departments and districts; communes."""
PERIOD = Period(first=date(2019, 3, 12), last=date(2019, 9, 30))
OFFICES = 40
"""Agencies of each tier."""
LEVELS = {"1": "province", "2": "department", "3": "commune"}


def records(figures: dict[str, tuple[int, int]]) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Documents and deliveries that come to these figures: every document has recipients, every delivery arrived."""
    offices = {tier: [int(tier) * 1_000 + n for n in range(OFFICES)] for tier in figures}
    senders = [offices[t][n % OFFICES] for t, (sent, _) in figures.items() for n in range(sent)]
    open_places = [offices[t][n % OFFICES] for t, (_, got) in figures.items() for n in range(got)]
    recipients = iter(open_places)
    fewest, more = divmod(len(open_places), len(senders))
    begin, length = PERIOD.begin, timedelta(days=203)
    assert begin is not None
    documents, deliveries = [], []
    for number, sender in enumerate(senders, start=1):
        at = (begin + length * number / (len(senders) + 1)).astimezone(UTC)
        count = fewest + (number <= more)
        digest = number.to_bytes(32, "big")
        documents.append((number, sender, digest, at, count))
        to = [next(recipients) for _ in range(count)]
        assert len(set(to)) == len(to)
        deliveries += [(number, one, at) for one in to]
    return documents, deliveries


async def load(dsn: str, figures: dict[str, tuple[int, int]]) -> None:
    """Write them as the exchange would have, each acceptance with its event and its place in the log."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    for tier in figures:
        await connection.execute(
            "INSERT INTO agency (agency_id, code, name, level, tier) OVERRIDING SYSTEM VALUE"
            " SELECT $1::int * 1000 + n, 'T' || $1::int || '.' || n, 'x', $2, $1::int"
            " FROM generate_series(0, $3::int - 1) n",
            int(tier), LEVELS[tier], OFFICES,
        )  # fmt: skip
    documents, deliveries = records(figures)
    await connection.execute(
        "CREATE TEMP TABLE d (n bigint, sender bigint, digest bytea, at timestamptz, count int);"
        "CREATE TEMP TABLE v (n bigint, recipient bigint, at timestamptz)"
    )
    await connection.copy_records_to_table("d", records=documents)
    await connection.copy_records_to_table("v", records=deliveries)
    await connection.execute(
        """INSERT INTO document (document_id, sender_id, id, digest, jws, action, thumbprint, submitter_id, sent_at,
                                 accepted_at, leaf, log_by, recipients)
           OVERRIDING SYSTEM VALUE
           SELECT n, sender, lpad(to_hex(n), 32, '0')::uuid, digest, '', 'new', '', sender, at, at, '', at, count
           FROM d;
           INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, processing, due_arrival, arrived_at)
           SELECT n, recipient, recipient, '', 'arrived', at, at FROM v;
           INSERT INTO event (at, kind, body, leaf, document_id) SELECT at, 'accepted', '', digest, n FROM d ORDER BY n;
           INSERT INTO log_origin (origin, year, opened_at) VALUES ('t/2019', 2019, now());
           INSERT INTO log_entry SELECT 1, row_number() OVER (ORDER BY event_id) - 1, at, event_id, leaf FROM event;
           ANALYZE"""
    )
    await connection.execute("SET session_replication_role = origin")
    await connection.close()


async def table(connection: asyncpg.Connection) -> dict[str, tuple[int, int]]:
    return {row.key: (row.sent, row.received) for row in (await report(connection, period=PERIOD)).rows}


@pytest.fixture(scope="module")
def year_2019(servers: Endpoints, _template: str) -> Iterator[str]:
    """All of 2019's documents and deliveries, in the log, not yet taken over."""
    with fresh_database(servers) as dsn:
        asyncio.run(_copied(servers.database_url, dsn, _template))
        asyncio.run(load(dsn, OFFICIAL))
        yield dsn


async def _copied(server: str, dsn: str, template: str) -> None:
    admin = await asyncpg.connect(server)
    name = dsn.rpartition("/")[2]
    await admin.execute(f'DROP DATABASE "{name}"')
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    await admin.close()


async def test_a_tenth_of_the_official_figures_gives_a_tenth_of_the_table(migrated_database: str) -> None:
    tenth = {tier: (sent // 10, received // 10) for tier, (sent, received) in OFFICIAL.items()}
    await load(migrated_database, tenth)
    connection = await asyncpg.connect(migrated_database)
    await take_over(connection)
    assert await table(connection) == tenth
    outside = await report(connection, period=Period(last=date(2019, 3, 11)))
    assert outside.total().sent == outside.total().received == 0
    months = await report(connection, by="month", period=PERIOD)
    assert [row.key for row in months.rows] == [f"2019-0{month}" for month in range(3, 10)]
    assert months.total().sent == sum(sent for sent, _ in tenth.values())
    await connection.close()


@pytest.mark.long
async def test_the_records_of_2019_give_the_official_table_to_the_digit(year_2019: str) -> None:
    connection = await asyncpg.connect(year_2019)
    counted = await recount(connection, since=PERIOD.begin, until=PERIOD.end)
    assert {row.key: (row.sent, row.received) for row in counted.rows} == OFFICIAL
    await take_over(connection)
    assert await table(connection) == OFFICIAL
    total = (await report(connection, period=PERIOD)).total()
    assert (total.sent, total.received) == (163_107, 488_165)
    await connection.close()


def test_the_figures_are_those_that_were_published() -> None:
    assert sum(sent for sent, _ in OFFICIAL.values()) == 163_107
    assert sum(received for _, received in OFFICIAL.values()) == 488_165
    assert datetime(2019, 3, 12, tzinfo=UTC).date() == PERIOD.first

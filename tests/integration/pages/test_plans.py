"""The pages' own statements use their indexes: what is read of a page does not grow with the record."""

from __future__ import annotations

from typing import Final

import pytest

from broker.evidence.tree_rows import SQL as LOG
from broker.gateway.pages.documents import SQL
from tests.kit.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

ID: Final = "00000000-0000-0000-0000-000000000001"
QUESTIONS: Final = {
    "document_seen": ("'H26'", f"'{ID}'", "NULL"),
    "document_anywhere": (f"'{ID}'", "''::bytea", "NULL"),
    "status_messages": ("1", "'H26'", "NULL"),
    "pulse": ("1", "NULL"),
    "whole_pulse": ("1",),
    "related": ("1", "NULL"),
    "held": ("NULL",),
    "quarantine_count": (),
    "checkpoints": ("20",),
}
LARGE: Final = (
    "document",
    "delivery",
    "status_entry",
    "status_message",
    "event",
    "rejection",
    "outgoing",
    "checkpoint",
)


@pytest.mark.parametrize("name", QUESTIONS)
async def test_no_page_reads_a_large_table_from_end_to_end(scene: Scene, name: str) -> None:
    statement = SQL[name]
    for number, value in reversed(list(enumerate(QUESTIONS[name], start=1))):
        statement = statement.replace(f"${number}", value)
    async with scene.gateway.exchange.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")  # the test's tables are small
        plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + statement))
    for table in LARGE:
        assert f"Seq Scan on {table} " not in plan, plan


async def test_how_far_the_log_is_behind_is_told_from_the_events_behind_its_cursor(scene: Scene) -> None:
    statement = LOG["unsequenced"]
    for number, value in ((4, "10000"), (3, "7"), (2, "'9'"), (1, "1")):
        statement = statement.replace(f"${number}", value)
    async with scene.gateway.exchange.pool.acquire() as connection, connection.transaction():
        # Of the few rows here a hash is made as quickly; whether that is so depends on when they were counted.
        await connection.execute("SET LOCAL enable_seqscan = off")
        await connection.execute("SET LOCAL enable_hashjoin = off")
        plan = "\n".join(row[0] for row in await connection.fetch("EXPLAIN " + statement))
    assert "Index Cond: (ROW(epoch, xid, event_id) > ROW(1, " in plan, plan
    assert "Seq Scan" not in plan and "Hash" not in plan, plan

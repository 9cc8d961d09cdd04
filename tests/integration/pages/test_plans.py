"""The pages' own statements use their indexes: what is read of a page does not grow with the record."""

from __future__ import annotations

from typing import Final

import pytest

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

"""Every question that a bundle asks of the large tables is answered through an index, however large they grow."""

from __future__ import annotations

import asyncpg
import pytest

from broker.evidence.bundle.trees import SQL

LARGE = ("event", "document", "delivery", "outgoing", "status_message", "rejection", "log_entry", "log_node")
NOW = "'2026-03-12T00:00:00Z'::timestamptz"
ARGUMENTS = {
    "changes_of": ["'{1}'::bigint[]"],
    "documents": ["'{1}'::bigint[]"],
    "cosignatures": ["1::smallint", "1::bigint"],
    "checkpoints": [],
    "stamped": ["1::smallint", "1::bigint", "2::bigint"],
    "document_events": ["'{1}'::bigint[]"],
    "dispatches_at": [f"ARRAY[{NOW}]"],
    "statuses_at": [f"ARRAY[{NOW}]"],
    "rejections_at": [f"ARRAY[{NOW}]"],
    "rejection_times": ["'{a}'::text[]", "'{B}'::text[]"],
    "directory_events": ["'{1}'::bigint[]"],
    "statuses": ["'{B}'::text[]", "'{019ce06a-f198-79dc-b361-d94eb215e4fa}'::uuid[]", "ARRAY['\\x00'::bytea]"],
    "status_dispatches": ["'{1}'::bigint[]"],
    "notices": ["'{1}'::bigint[]", f"ARRAY[{NOW}]"],
    "certificates": ["ARRAY['\\x00'::bytea]"],
    "agency_ids": ["'{B}'::text[]"],
    "mandates": ["'{B}'::text[]", "'{C}'::text[]"],
    "successions": ["'{B}'::text[]", "'{C}'::text[]"],
    "addressed": ["'{1}'::bigint[]", "'{B}'::text[]"],
    "tile_leaves": ["1::smallint", "'{1}'::bigint[]"],
    "tile_nodes": ["1::smallint", "1::smallint", "'{1}'::bigint[]"],
    "touching": ["'{019ce06a-f198-79dc-b361-d94eb215e4fa}'::uuid[]", "'{1}'::bigint[]"],
    "period_count": [NOW, NOW, "NULL::bigint[]"],
    "period_page": [NOW, NOW, "NULL::bigint[]", NOW, "1::bigint", "100"],
    "recipients_of": ["1::bigint", "NULL::bigint[]"],
    "subtree_codes": ["'{1}'::bigint[]"],
}


def test_every_query_is_looked_at() -> None:
    assert set(ARGUMENTS) == set(SQL)


@pytest.fixture
async def connection(migrated_database: str) -> asyncpg.Connection[asyncpg.Record]:
    return await asyncpg.connect(migrated_database)


async def test_no_question_reads_a_large_table_from_end_to_end(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    try:
        # Without rows the planner would read everything; what it cannot do otherwise is what it would do with many.
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        for name, arguments in ARGUMENTS.items():
            text = SQL[name]
            for number in range(len(arguments), 0, -1):
                text = text.replace(f"${number}", f"({arguments[number - 1]})")
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}"))
            for table in LARGE:
                assert f"Seq Scan on {table} " not in plan, f"{name} reads all of {table}:\n{plan}"
            assert "Seq Scan on event_" not in plan, f"{name} reads all events:\n{plan}"
    finally:
        await connection.close()

"""No statement of a worker reads a whole table, even if it was planned while the table was still empty."""

from __future__ import annotations

import re
from collections.abc import Mapping

from broker.dispatch.unpublished import SQL as DISPATCH
from broker.intake.records import SQL as INTAKE
from broker.store.pool import open_pool
from broker.worker import PLANNER

BIG = ("document", "delivery", "content", "document_part", "document_concerns", "outgoing", "event", "change_request")
STATEMENTS: dict[str, Mapping[str, str]] = {
    name: sql for sql in (INTAKE, DISPATCH) for name in sql if not name.startswith(("insert_", "remember_"))
}
PARAMETER = re.compile(r"\$(\d+)")


async def test_every_statement_finds_its_rows_by_an_index(migrated_database: str) -> None:
    offending: dict[str, str] = {}
    pool = await open_pool(migrated_database, size=1, session={**PLANNER, "plan_cache_mode": "force_generic_plan"})
    try:
        for name, queries in STATEMENTS.items():
            statement = queries[name]
            await pool.execute(f"PREPARE {name} AS {statement}")
            arguments = ["NULL"] * len(set(PARAMETER.findall(statement)))
            plan = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN EXECUTE {name}({', '.join(arguments)})"))
            if set(re.findall(r"Seq Scan on (\w+)", plan)) & set(BIG):
                offending[name] = plan
    finally:
        await pool.close()
    assert len(STATEMENTS) > 20 and offending == {}

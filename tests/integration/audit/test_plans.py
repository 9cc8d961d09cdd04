"""Every question is answered by an index, planned for its arguments or for any: no big table is read whole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

import asyncpg
import pytest

from broker.audit.finding import PLANNER
from broker.audit.finding import SQL as FINDING
from broker.audit.lookup import SQL as LOOKUP
from broker.audit.overview import SQL as OVERVIEW
from broker.audit.period import BEGINNING, END, NO_DAY_AFTER
from broker.audit.questions import SQL as QUESTIONS
from broker.audit.read import SQL as RECORDS
from broker.audit.report import SQL as REPORT
from broker.upkeep.rollups import PLANNER as KEEPER
from broker.upkeep.rollups import SQL as ROLLUPS
from tests.integration.audit.memory import Memory

BIG = {
    "document", "delivery", "status_entry", "status_message", "event", "log_entry", "rollup_document", "outgoing",
    "change_request", "rejection", "rollup_day", "document_concerns", "event_default",
}  # fmt: skip
DAY = (datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC))
JUNE = (date(2026, 6, 1), date(2026, 7, 1))
NONE = (NO_DAY_AFTER, NO_DAY_AFTER)
YEAR = (date(2026, 1, 1), date(2027, 1, 1), *NONE, *NONE)
EVER = (BEGINNING, END)
SPOT = (datetime(2026, 11, 1, tzinfo=UTC), 5_000)
WORDS = "'bao' & '@s5'"
"""Not common, so that the index of terms is the only good way."""

# Where what is asked, its arguments, and an index that the plan must use.
STATEMENTS: tuple[tuple[Mapping[str, str], str, tuple[object, ...], str], ...] = (
    (FINDING, "walk", (BEGINNING, *SPOT, 20_000, WORDS, 51), "rollup_document_newest"),
    (FINDING, "newest", (BEGINNING, *SPOT, 51), "rollup_document_newest"),
    (FINDING, "walked", (BEGINNING, *SPOT, 20_000), "rollup_document_newest"),
    (FINDING, "gather", (WORDS, *EVER, *SPOT, 51, None), "rollup_document_terms"),
    (FINDING, "gather", ("'@s5'", *EVER, *SPOT, 51, "'ba':*"), "Index Cond: (terms @@ '''@s5'''::tsquery)"),
    (FINDING, "likely", (WORDS, *EVER), "rollup_document_terms"),
    (FINDING, "likely_any", DAY, "rollup_document_newest"),
    (FINDING, "documents", ([1, 2, 3], [5, 6]), "document_pkey"),
    (FINDING, "taken_over", (1_000,), 'Index Cond: (ROW(origin_id, "position") >'),
    (FINDING, "taken_over", (1_000,), "Index Cond: (ROW(epoch, xid, event_id) >"),
    (REPORT, "by_agency", (None, *YEAR), "rollup_month_"),
    (REPORT, "by_agency", (None, *NONE, *JUNE, *NONE), "rollup_day_day"),
    (REPORT, "by_agency", ([5, 6], *YEAR), "rollup_month_pkey"),
    (REPORT, "by_kind", (None, *YEAR), "rollup_month_"),
    (REPORT, "by_kind", (None, *NONE, *JUNE, *NONE), "rollup_day_day"),
    (REPORT, "by_kind", ([5, 6], *YEAR), "rollup_month_pkey"),
    (REPORT, "by_month", ([0], *YEAR), "rollup_month_pkey"),
    (REPORT, "by_day", ([0], *JUNE), "rollup_day_pkey"),
    (REPORT, "by_day", ([5, 6, 7], *JUNE), "rollup_day_pkey"),
    (OVERVIEW, "provinces_traffic", (None, *YEAR), "rollup_month_"),
    (OVERVIEW, "provinces_traffic", ([5, 6], *NONE, *JUNE, *NONE), "rollup_day_day"),
    (OVERVIEW, "document_by_agency", (5, None), "delivery_pkey"),
    (OVERVIEW, "document_by_province", (5, None), "delivery_pkey"),
    (QUESTIONS, "missing", (5, None, None, None), "delivery_pkey"),
    (QUESTIONS, "asked_about", (5, "commune", [1, 2], [1, 2]), "delivery_pkey"),
    (QUESTIONS, "sent_on", (5, *DAY, 501), "document_accepted_at"),
    (QUESTIONS, "received_on", (5, *DAY, 501), "delivery_"),
    (QUESTIONS, "reported_on", (5, *DAY, 501), "status_entry_recorded"),
    (QUESTIONS, "troubled", ([1, 2, 3], None, None, None, "overdue", 101, None, None), "delivery_pkey"),
    (RECORDS, "document_by_id", ("00000000-0000-0000-0000-000000000001", None), "document_id_only"),
    (RECORDS, "document_by_digest", (b"\x01" * 32,), "document_digest"),
    (RECORDS, "document_by_number", ("12", "12", *("G01-VP",) * 4, None), "document_number"),
    (RECORDS, "visible", ("{1,2}", "{5}"), "document_pkey"),
    (RECORDS, "document_row", (5,), "document_pkey"),
    (RECORDS, "deliveries", (5, None), "delivery_pkey"),
    (RECORDS, "deliveries", (5, "{1,2}"), "delivery_pkey"),
    (RECORDS, "status_entries", (5, None), "status_entry_"),
    (RECORDS, "change_requests", (5, None), "change_request_pkey"),
    (RECORDS, "asked_by", (5, None), "document_concerns_"),
    (RECORDS, "asked_by", (5, "{1,2}"), "change_request_"),
    (RECORDS, "unpublished", (5,), "outgoing_"),
    (RECORDS, "rejections_of", ("x", None, None), "rejection_id_from"),
    (RECORDS, "search_rejections", (None, *DAY, None, 51, None, None, None), "rejection_at"),
    (LOOKUP, "subtree", (5,), "agency_parent"),
    (ROLLUPS, "entries", (1, 5_000, 3_000), "log_entry_pkey"),
    (ROLLUPS, "related", ([1, 2, 3],), "document_concerns_"),
    (ROLLUPS, "facts", ([1, 2, 3],), "delivery_pkey"),
    (ROLLUPS, "queue_documents_of", (WORDS,), "rollup_document_terms"),
)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_every_question_finds_its_rows_by_an_index(filled: asyncpg.Connection, mode: str) -> None:
    offending: dict[str, str] = {}
    for queries, name, arguments, index in STATEMENTS:
        async with filled.transaction():
            await filled.execute(KEEPER if queries is ROLLUPS else PLANNER)
            if mode == "force_custom_plan":
                rows = await filled.fetch(f"EXPLAIN {queries[name]}", *arguments)
            else:
                await filled.execute(f"SET LOCAL plan_cache_mode = {mode}")
                await filled.execute(f"PREPARE asked AS {queries[name]}")
                rows = await filled.fetch(f"EXPLAIN EXECUTE asked ({', '.join(['NULL'] * len(arguments))})")
                await filled.execute("DEALLOCATE asked")
            plan = "\n".join(row[0] for row in rows)
        read_whole = set(re.findall(r"Seq Scan on (\w+)", plan)) & BIG
        # Programs ask for plans made for their arguments; otherwise which index it is is a matter of luck.
        if read_whole or (index if mode == "force_custom_plan" else "Index") not in plan:
            offending[f"{name} {arguments}"] = plan
    assert offending == {}, "\n\n".join(f"{name}\n{plan}" for name, plan in offending.items())


def test_every_statement_that_auditors_wait_for_is_in_the_list() -> None:
    named = {(id(queries), name) for queries, name, _, _ in STATEMENTS}
    small = {"agency", "agencies", "agencies_called", "provinces", "agencies_below", "of_level", "agencies_coded"}
    for queries in (FINDING, REPORT, OVERVIEW, QUESTIONS, RECORDS):
        for name in queries:
            assert (id(queries), name) in named or name in small or name == "recount", name


async def test_a_document_of_which_nobody_remembers_anything_common_is_not_walked_to(
    filled: asyncpg.Connection, memory: Memory
) -> None:
    # The planner must know how common terms are: without statistics every search would be a guess.
    common = await filled.fetchval(
        "SELECT cardinality(most_common_elems::text::text[]) FROM pg_stats"
        " WHERE tablename = 'rollup_document' AND attname = 'terms'"
    )
    assert common > 500 and len(memory.papers) > 1_000

"""What nobody changed is no finding: a day as it was, what a version before told, what a restore lost."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

from broker.evidence.verify import Scope
from schemas.exchange_events import operator_action
from tests.integration.evidence.conftest import INSERT
from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import THE_LOG, opened, verified


async def test_a_day_as_it_was_verifies(story: Story) -> None:
    async with opened(story) as connection, connection.transaction():
        found = await verified(connection, story, story.home / "log", Scope(full=True))
    assert [finding.sentence() for finding in found] == []


async def test_what_a_version_before_told_nothing_of_is_no_finding(story: Story) -> None:
    """Deadlines, addresses, promises, what is to leave and what was refused, where the events say nothing of them."""
    fields = (
        *("due_arrival", "log_by", "addressed", "added", "unresolved_sha256", "warnings_sha256", "notice", "forwards"),
        "row",
    )
    before = " - ".join(("convert_from(body, 'UTF8')::jsonb", *(f"'{field}'" for field in fields)))
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            f"UPDATE event SET body = convert_to(({before} - CASE kind WHEN 'rejected' THEN 'items' ELSE '' END)::text,"
            " 'UTF8') WHERE kind IN ('accepted', 'rejected', 'status_recorded', 'rerouted', 'overdue');"
            "UPDATE delivery SET due_arrival = now(), addressed_as = 'X';"
            "UPDATE document SET unresolved = '[]', log_by = log_by + interval '1 second';"
            "UPDATE rejection SET message_id = 'x', verdict = NULL, detail = '{}'"
        )
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    rows = [finding for finding in found if finding.where not in THE_LOG and finding.where != "event"]
    assert {(finding.where, finding.what) for finding in rows} == {("document", "log_by")}, [
        finding.sentence() for finding in rows
    ]  # as signed notices say


async def test_accounts_of_a_version_that_told_neither_role_nor_subtree_are_no_finding(story: Story) -> None:
    """Their events say no more than that an operator made them: nothing to hold the columns against."""
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        at = datetime.now(UTC)
        for number, (role, root) in enumerate((("operator", ""), ("auditor", ""), ("auditor", "%.H53"))):
            pseudonym = f"p-{number:016x}"
            await connection.execute(
                "INSERT INTO account (account_id, login, role, root_id)"
                " VALUES ($1, $1, $2, (SELECT agency_id FROM agency WHERE code LIKE $3))",
                *(pseudonym, role, root),
            )
            who, why = sha256(b"one").hexdigest()[:16], sha256(b"why").digest()
            (event,) = operator_action(at=at, actor=who, action="account.add", target=pseudonym, reason_digest=why)
            await connection.execute(INSERT, [event.at], [event.kind], [event.body], [event.leaf])
            await connection.execute(
                "INSERT INTO admin_action (at, actor, action, target, reason)"
                " VALUES ($1, 'one', 'account.add', $2, 'why')",
                *(at, pseudonym),
            )
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    assert [finding.sentence() for finding in found if finding.where in ("account", "admin_action")] == []


async def test_statuses_that_a_restore_lost_are_no_finding(story: Story) -> None:
    """Their events were put back out of the log's files; their rows come when their offices send them again."""
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO log_put_back SELECT l.event_at, l.event_id, l.origin_id, l.position FROM log_entry l"
            " JOIN event e ON (e.at, e.event_id) = (l.event_at, l.event_id) WHERE e.kind = 'status_recorded';"
            "SET LOCAL session_replication_role = replica; DELETE FROM status_entry; DELETE FROM status_message"
        )
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    assert [finding.sentence() for finding in found if finding.where in ("status_message", "status_entry")] == []

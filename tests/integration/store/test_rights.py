"""Nobody can do in the database what is not its own to do: tried with logins that have nothing but their role.

The other half of the promise is that the narrow rights are enough: an exchange whose worker, keeper, operator and
auditor log in with their own roles does its whole work.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from broker.audit.explain import explain
from broker.audit.read import story_of
from broker.directory.changes import close
from broker.directory.changing import Author
from broker.directory.live import today_in_vietnam
from broker.interventions.documents import resend
from broker.store.pool import connect, open_pool
from tests.conftest import Vhost
from tests.kit.exchange import End, Exchange, running_exchange
from tests.kit.keeping import keeping
from tests.kit.statuses import dispatched, forwarded, item, replay, report

PARTS = ("worker", "keeper", "operator", "auditor")
WHO = Author(actor="operator-1", reason="tried in a test")

SIGNED = {
    "event": ("at", "kind", "body", "leaf", "document_id", "epoch", "xid"),
    "document": (
        "sender_id",
        "id",
        "digest",
        "jws",
        "thumbprint",
        "submitter_id",
        "sent_at",
        "accepted_at",
        "leaf",
        "log_by",
    ),
    "document_part": ("digest", "name"),
    "content": ("digest", "size", "inline", "place"),
    "document_concerns": ("concerned_id",),
    "delivery": ("document_id", "recipient_id", "addressed_as"),
    "status_message": ("sender_id", "id", "digest", "jws", "thumbprint", "sent_at", "accepted_at", "leaf"),
    "status_entry": ("by_id", "code", "at", "digest", "reason", "recorded_at"),
    "rejection": ("at", "amqp_user", "claimed_from", "digest", "code", "detail", "body"),
    "admin_action": ("at", "actor", "action", "target", "reason"),
}
"""What tells what happened, table by table: after it is written, nobody but the owner may change it."""


@asynccontextmanager
async def logins(dsn: str) -> AsyncIterator[Mapping[str, str]]:
    """The address of the database for each part of the exchange, with a login that has its role and nothing else."""
    names = {part: f"test_{part}_{secrets.token_hex(4)}" for part in PARTS}
    urls: dict[str, str] = {}
    async with connect(dsn) as owner:
        for part, name in names.items():
            password = secrets.token_hex(12)
            await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE lienthong_{part}")
            there = urlsplit(dsn)
            urls[part] = urlunsplit(there._replace(netloc=f"{name}:{password}@{there.netloc.rpartition('@')[2]}"))
        try:
            yield urls
        finally:
            for name in names.values():
                await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", name)
                await owner.execute(f"DROP ROLE {name}")


async def refused(connection: asyncpg.Connection[Any], statement: str) -> bool:
    """Whether PostgreSQL refuses a statement for want of a right; it takes no effect either way."""
    attempt = connection.transaction()
    await attempt.start()
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError):
        return False  # it was let in, and failed for another reason
    finally:
        await attempt.rollback()
    return False


async def test_nobody_rewrites_history(migrated_database: str) -> None:
    statements = [f"UPDATE {table} SET {column} = {column}" for table, columns in SIGNED.items() for column in columns]
    unused_content_goes = ("DELETE FROM", "content")
    statements += [
        f"{verb} {table}"
        for table in SIGNED
        for verb in ("DELETE FROM", "TRUNCATE")
        if (verb, table) != unused_content_goes
    ]
    statements += [
        "INSERT INTO event (at, kind, body, leaf, xid) VALUES (now(), 'x', 'x', 'x', '5')",
        "INSERT INTO event (event_id, at, kind, body, leaf) OVERRIDING SYSTEM VALUE VALUES (1, now(), 'x', 'x', 'x')",
        "INSERT INTO surviving_event (at, kind, body, leaf) VALUES (now(), 'x', 'x', 'x')",
        "DELETE FROM surviving_event",
        "INSERT INTO event_default (at, kind, body, leaf) VALUES (now(), 'x', 'x', 'x')",
        "LOCK TABLE event IN SHARE MODE",
        "COPY event TO PROGRAM 'true'",
        "SELECT setval('event_event_id_seq', 1)",
        "SET session_replication_role = replica",
        "CREATE RULE nothing AS ON INSERT TO event DO INSTEAD NOTHING",
        "ALTER TABLE event DISABLE TRIGGER ALL",
        "DROP TABLE event_default",
        "CREATE TABLE elsewhere (x int)",
    ]
    allowed = []
    async with logins(migrated_database) as urls:
        for part, url in urls.items():
            async with connect(url) as connection:
                allowed += [(part, one) for one in statements if not await refused(connection, one)]
    assert allowed == []


async def test_an_auditor_reads_everything_about_documents_and_writes_nothing(migrated_database: str) -> None:
    async with (
        logins(migrated_database) as urls,
        connect(migrated_database) as owner,
        connect(urls["auditor"]) as auditor,
    ):
        rows = await owner.fetch(
            """SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
                  AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = '' AND a.attgenerated = ''"""
        )
        assert len(rows) > 150
        written = [
            statement
            for table in sorted({row["relname"] for row in rows})
            for statement in (
                *(f"UPDATE {table} SET {row[1]} = {row[1]}" for row in rows if row["relname"] == table),
                f"DELETE FROM {table}",
                f"INSERT INTO {table} DEFAULT VALUES",
                f"TRUNCATE {table}",
            )
            if not await refused(auditor, statement)
        ]
        assert written == []
        for table in SIGNED:
            await auditor.fetchval(f"SELECT count(*) FROM {table}")


async def test_the_directory_and_its_certificates_are_not_a_workers_to_change(migrated_database: str) -> None:
    async with logins(migrated_database) as urls:
        for part in ("worker", "keeper", "auditor"):
            async with connect(urls[part]) as connection:
                for statement in (
                    "UPDATE certificate SET revoked_at = NULL",
                    "INSERT INTO certificate (thumbprint, agency_id, der, not_before, not_after)"
                    " VALUES (sha256('x'), 1, 'x', now(), now())",
                    "UPDATE agency SET state = 'active'",
                    "INSERT INTO mandate (hub_id, agency_id, may_receive, may_sign) VALUES (1, 1, true, true)",
                    "UPDATE exchange_epoch SET epoch = epoch + 1",
                ):
                    assert await refused(connection, statement), f"{part}: {statement}"


async def test_an_exchange_does_its_whole_work_with_these_rights(
    vhost: Vhost, migrated_database: str, tmp_path: Path
) -> None:
    async with (
        logins(migrated_database) as urls,
        running_exchange(vhost, migrated_database, tmp_path, workers=0) as exchange,
    ):
        await exchange.start_worker(database_url=urls["worker"])
        async with keeping(exchange, database_url=urls["keeper"], keeper_partitions_seconds=0.2) as keeper:
            await the_whole_work(exchange, urls)
            for duty in ("unfinished", "mailboxes", "replay", "arrivals", "answers", "successions", "partitions"):
                await keeper.whole_rounds(duty)
        assert await exchange.value("SELECT count(*) FROM delivery WHERE overdue_at IS NOT NULL") == 1


async def the_whole_work(exchange: Exchange, urls: Mapping[str, str]) -> None:
    """Documents, statuses, a recall and its answer, a duplicate, a refusal, a lost mailbox, a replay, a deadline."""
    sender, there, silent = await exchange.add("A"), await exchange.add("B"), await exchange.add("C")
    letter = exchange.letter(sender, [there, silent])
    await exchange.send(letter, sender)
    await exchange.document_at(there, letter)
    await forwarded(exchange, sender, await report(exchange, there, item(letter, "01"), item(letter, "03")))
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted", count=2)
    wrong = exchange.letter(sender, ["NOBODY.AT.ALL"])
    await exchange.send(wrong, sender)
    await exchange.notice_at(sender, wrong, "rejected")
    recall = exchange.letter(sender, (), parts=None, action="recall", concerns=[letter.reference()], reason="nhầm")
    await exchange.send(recall, sender)
    await exchange.document_at(there, recall)
    agreed = item(letter, "15", answers=recall.reference())
    await forwarded(exchange, sender, await report(exchange, there, agreed))
    await exchange.lose_mailbox(there)
    since = datetime.now(UTC) - timedelta(hours=1)
    await exchange.submit(replay(exchange, sender, since).body, sender, kind="request")
    await exchange.until_value("SELECT count(*) FROM request_message WHERE done_at IS NOT NULL", 1)

    pool = await open_pool(urls["operator"], size=1)
    try:
        await resend(pool, WHO, str(letter.id), recipients=[silent.code])
    finally:
        await pool.close()
    async with connect(urls["auditor"]) as auditor:
        told = explain(await story_of(auditor, str(letter.id)), now=datetime.now(UTC))
    assert silent.code in told.en
    await exchange.pool.execute(
        "UPDATE delivery SET due_arrival = now() - interval '1 hour' WHERE recipient_id = $1 AND document_id ="
        " (SELECT document_id FROM document WHERE id = $2)",
        silent.id,
        letter.id,
    )
    await exchange.notice_at(sender, letter, "overdue")
    await agencies_close(exchange, sender)


async def agencies_close(exchange: Exchange, sender: End) -> None:
    """A closed agency's document, and what was asked of it, go to its successor; of another the sender is told."""
    gone, lost, heir = [await exchange.add(name) for name in ("D", "E", "F")]
    letter = exchange.letter(sender, [gone, lost])
    await exchange.send(letter, sender)
    await exchange.document_at(gone, letter)
    await dispatched(exchange, letter)
    asked = await report(exchange, sender, item(letter, "13", 1, to=[gone.code], reason="nhầm"))
    await forwarded(exchange, gone, asked)
    async with exchange.pool.acquire() as connection:
        today = today_in_vietnam()
        await close(connection, gone.code, on=today, successors=[(heir.code, "whole")], author=WHO)
        await close(connection, lost.code, on=today, author=WHO)
    await exchange.notice_at(sender, letter, "rerouted")
    await exchange.notice_at(sender, letter, "overdue")
    await exchange.document_at(heir, letter)
    await forwarded(exchange, heir, asked)

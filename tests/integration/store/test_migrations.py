"""Migrations on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from broker.store.migrations import available, migrate, status
from broker.store.pool import connect, open_pool
from schemas.problem import Problem

ALL = [migration.name for migration in available()]
ROLES = ("lienthong_worker", "lienthong_keeper", "lienthong_operator", "lienthong_auditor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two small migrations."""
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (id int);")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (id int);")
    return tmp_path


async def test_an_empty_database_is_brought_up_to_date_and_then_left_alone(database: str) -> None:
    assert (await status(database)).pending == tuple(ALL)
    assert await migrate(database) == ALL
    assert await migrate(database) == []
    found = await status(database)
    assert [row.name for row in found.applied] == ALL
    assert not found.pending and not found.contradictions


async def test_machines_that_start_together_apply_everything_once(database: str) -> None:
    applied = await asyncio.gather(*(migrate(database) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == ALL


async def test_a_changed_file_is_refused_and_nothing_is_applied(database: str, folder: Path) -> None:
    (folder / "0002_two.sql").rename(folder / "0002_two.later")
    await migrate(database, folder=folder)
    (folder / "0001_one.sql").write_text("CREATE TABLE one (id bigint);")
    (folder / "0002_two.later").rename(folder / "0002_two.sql")
    with pytest.raises(Problem, match="0001_one was changed"):
        await migrate(database, folder=folder)
    assert (await status(database, folder=folder)).pending == ("0002_two",)


async def test_a_failing_migration_leaves_no_trace_and_those_before_it_stay(database: str, folder: Path) -> None:
    (folder / "0002_two.sql").write_text("CREATE TABLE two (id int); SELECT 1 / 0;")
    with pytest.raises(Problem, match="0002_two failed: division by zero"):
        await migrate(database, folder=folder)
    async with connect(database) as connection:
        assert await connection.fetchval("SELECT to_regclass('one') IS NOT NULL AND to_regclass('two') IS NULL")
    assert [row.name for row in (await status(database, folder=folder)).applied] == ["0001_one"]


async def test_every_table_says_who_may_read_it(migrated_database: str) -> None:
    async with connect(migrated_database) as connection:
        silent = await connection.fetch(
            """SELECT relname FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
                  AND NOT EXISTS (SELECT FROM unnest($1::text[]) AS role
                                   WHERE has_table_privilege(role, pg_class.oid, 'SELECT'))""",
            list(ROLES),
        )
    assert [row["relname"] for row in silent] == [], "a migration that makes a table grants its rights too"


async def test_the_worker_may_add_events_but_never_change_or_remove_one(migrated_database: str) -> None:
    async with connect(migrated_database) as connection:
        await connection.execute("SET ROLE lienthong_worker")
        await connection.execute("INSERT INTO event (at, kind, body, leaf) VALUES (now(), 'x', 'x', 'x')")
        for forbidden in (
            "UPDATE event SET kind = 'y'",
            "DELETE FROM event",
            "TRUNCATE event",
            "UPDATE certificate SET revoked_at = NULL",
            "INSERT INTO admin_action (actor, action, target, reason) VALUES ('x', 'x', 'x', 'x')",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)


async def test_the_auditor_reads_events_and_writes_nothing(migrated_database: str) -> None:
    async with connect(migrated_database) as connection:
        await connection.execute("SET ROLE lienthong_auditor")
        assert await connection.fetchval("SELECT count(*) FROM event") == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO event (at, kind, body, leaf) VALUES (now(), 'x', 'x', 'x')")


async def test_the_keeper_makes_next_months_partition_without_owning_the_table(migrated_database: str) -> None:
    async with connect(migrated_database) as connection:
        await connection.execute("SET ROLE lienthong_keeper")
        assert await connection.fetchval("SELECT make_event_partition('2031-05-17')") == "event_2031_05"
        assert await connection.fetchval("SELECT make_event_partition('2031-05-18')") == "event_2031_05"
        await connection.execute("SET ROLE lienthong_worker")
        await connection.execute("INSERT INTO event (at, kind, body, leaf) VALUES ('2031-05-31 23:59Z', 'x', 'x', 'x')")
        await connection.execute("RESET ROLE")
        assert await connection.fetchval("SELECT count(*) FROM event_2031_05") == 1


async def test_an_owner_without_the_right_to_make_roles_gets_the_tables_and_a_warning(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Roles belong to the server and are there already: this one asks for names of its own.
    shutil.copytree(Path(available.__code__.co_filename).parent / "migrations", tmp_path, dirs_exist_ok=True)
    suffix = secrets.token_hex(4)
    roles = tmp_path / "0002_roles.sql"
    roles.write_text(roles.read_text().replace("lienthong_", f"absent_{suffix}_").replace("lienthong\\_", "absent\\_"))
    owner, name = f"owner_{suffix}", urlsplit(database).path[1:]
    async with connect(database) as connection:
        await connection.execute(f"CREATE ROLE {owner} LOGIN PASSWORD '{suffix}'")
        await connection.execute(f'ALTER DATABASE "{name}" OWNER TO {owner}')
        await connection.execute(f"GRANT ALL ON SCHEMA public TO {owner}")
    parts = urlsplit(database)
    as_owner = urlunsplit(parts._replace(netloc=f"{owner}:{suffix}@{parts.hostname}:{parts.port}"))
    try:
        with caplog.at_level(logging.WARNING):
            assert await migrate(as_owner, folder=tmp_path) == ALL
        assert caplog.text.count("may not create roles") == len(ROLES)
    finally:
        async with connect(database) as connection:
            await connection.execute(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
            await connection.execute(f"DROP OWNED BY {owner} CASCADE")
            await connection.execute(f"DROP ROLE {owner}")


async def test_a_server_that_is_not_there_is_a_sentence_without_the_password() -> None:
    for attempt in (
        open_pool("postgresql://u:geheim@127.0.0.1:1/x", size=1),
        migrate("postgresql://u:geheim@127.0.0.1:1/x"),
    ):
        with pytest.raises(Problem) as caught:
            await attempt
        assert caught.value.exit_code == 4
        assert "127.0.0.1:1/x" in caught.value.diagnostics() and "geheim" not in caught.value.diagnostics()

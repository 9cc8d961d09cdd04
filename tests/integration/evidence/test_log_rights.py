"""The keeper's role is enough for the log, the auditor's for verifying it, and neither may rewrite it."""

from __future__ import annotations

import asyncpg
import pytest

from broker.evidence.keys import read_vkeys, vkey_file
from broker.evidence.verify import Scope, verify
from broker.evidence.verify_accounts import UNREAD
from broker.gateway.pages.accounts import Role, add_account
from tests.integration.evidence.conftest import Log


async def as_role(log: Log, role: str) -> asyncpg.Pool[asyncpg.Record]:
    return await asyncpg.create_pool(log.settings.database_url, min_size=1, max_size=6, server_settings={"role": role})


async def test_the_keeper_s_role_can_keep_the_log_and_not_rewrite_it(log: Log) -> None:
    async with await as_role(log, "lienthong_keeper") as pool:
        keeper = Log(log.settings, pool, now=log.now)
        await keeper.lease.take()
        await keeper.insert(300)
        assert await keeper.round(300) == 300
        keeper.now = None if keeper.now is None else keeper.now.replace(year=2027)
        await keeper.insert(1)
        await keeper.round(1)
        for statement in (
            "UPDATE log_entry SET leaf = leaf",
            "DELETE FROM log_entry",
            "UPDATE log_node SET hash = hash",
            "UPDATE checkpoint SET note = note",
            "DELETE FROM checkpoint",
            "UPDATE log_origin SET origin = origin",
            "INSERT INTO log_put_back VALUES (now(), 1, 1, 1)",
            "UPDATE event SET body = body",
            "DELETE FROM event",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(statement)


async def test_the_auditor_s_role_can_verify_everything(log: Log) -> None:
    await log.insert(300)
    await log.round(300)
    vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
    async with await as_role(log, "lienthong_auditor") as pool, pool.acquire() as connection:
        found = [f async for f in verify(connection, vkeys, log.settings.log_dir, Scope(full=True))]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO log_head VALUES (9, 0, '', now(), 1)")
    assert {finding.where for finding in found} <= {"mailbox"}


async def test_the_auditor_s_role_learns_of_no_login_and_finds_what_else_was_changed_of_an_account(log: Log) -> None:
    async with log.pool.acquire() as connection:
        made = await add_account(
            connection, login="an", full_name="An", role=Role.auditor, root=None, password=None,
            oidc_subject="issuer an", actor="tester", reason="a test",
        )  # fmt: skip
        try:
            assert await seen(log, "lienthong_auditor") == (UNREAD, [])
            await connection.execute("UPDATE account SET login = 'binh', created_at = created_at - interval '1 day'")
            assert await seen(log, "lienthong_auditor") == (UNREAD, [(made.id, "created_at")])
            found = await seen(log, "lienthong_operator")
            assert found == ("accounts", [(made.id, "created_at"), (made.id, "login")])
        finally:
            await connection.execute("DELETE FROM account")


async def seen(log: Log, role: str) -> tuple[str, list[tuple[str, str]]]:
    """What a role is told of accounts: how they were looked at, and what was found."""
    counted: list[str] = []

    def count(what: str, steps: int) -> None:
        counted.extend([what] * ("accounts" in what))

    async with await as_role(log, role) as pool, pool.acquire() as connection:
        found = [one async for one in verify(connection, (), None, Scope(), progress=count)]
    return counted[0], [(one.key, one.what) for one in found if one.where == "account"]


async def test_a_worker_can_add_events_and_nothing_to_the_log(log: Log) -> None:
    async with await as_role(log, "lienthong_worker") as pool:
        await log.insert(1, pool)
        for statement in (
            "INSERT INTO log_entry VALUES (1, 0, now(), 1, '')",
            "INSERT INTO checkpoint VALUES (1, 0, '', now(), 1, '', 0)",
            "UPDATE log_head SET size = 0",
            "UPDATE exchange_epoch SET epoch = 7",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute(statement)

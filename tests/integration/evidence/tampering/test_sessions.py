"""Sessions and sign-ins: who acts on the pages has signed in, and the log tells that he did."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from broker.evidence.findings import Finding
from broker.evidence.verify import BEGINNING, Scope, findings, nothing
from broker.evidence.verify_sessions import OF_BEFORE, UNREAD, check_sessions
from broker.gateway.pages.accounts import Role, account_named, add_account
from broker.gateway.pages.sessions import begin, sign_in, sign_out
from broker.services import Endpoints
from broker.store.pool import connect
from tests.conftest import fresh_database, migrate
from tests.integration.evidence.tampering.kit import Tampering, each

PASSWORD = "ba con mèo trên mái nhà"
LOGINS = ("an", "binh")
NEWEST = "created_at = (SELECT max(created_at) FROM account_session)"
OTHER = "(SELECT account_id FROM account WHERE login = 'an')"


@pytest.fixture(scope="module")
def days(servers: Endpoints) -> Iterator[str]:
    """A database in which people have signed in two days ago, and today; nobody may keep a change to it."""
    with fresh_database(servers) as database:
        asyncio.run(migrate(database))
        asyncio.run(play(database))
        yield database


async def play(database: str) -> None:
    """One signed in two days ago, and twice today; one through the form, who stays; one who has left."""
    async with connect(database) as connection:
        for login in LOGINS:
            named = {"login": login, "full_name": login, "password": PASSWORD, "root": None}
            await add_account(connection, role=Role.auditor, actor="tester", reason="a test", **named)  # type: ignore[arg-type]
        an = await account_named(connection, "an")
        await begin(connection, an, now=datetime.now(UTC) - timedelta(days=2))
        gone = await begin(connection, an)
        await sign_out(connection, gone.token)
        await begin(connection, an)
        await sign_in(connection, login="binh", password="wrong", address="127.0.0.1", device=None)
        await sign_in(connection, login="binh", password=PASSWORD, address="127.0.0.1", device=None)


async def found_in(database: str, sql: str) -> list[Finding]:
    """What is found after somebody has done this, which is then taken back."""
    async with connect(database) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"SET LOCAL session_replication_role = replica; {sql}")
        found = [one async for one in check_sessions(connection, BEGINNING, progress=nothing)]
        await transaction.rollback()
    return found


async def test_days_as_they_were_verify(days: str) -> None:
    counted: Counter[str] = Counter()
    async with connect(days) as connection, connection.transaction():
        found = [
            one async for one in findings(connection, (), None, Scope(), {}, progress=lambda *n: counted.update([n[0]]))
        ]
        sessions = await connection.fetchval("SELECT count(*) FROM account_session")
    assert [finding.sentence() for finding in found] == []
    assert (counted["sessions"], counted["sign-ins"], counted[OF_BEFORE]) == (sessions, 4, 0) and sessions == 2


def session(values: str, *what: str, name: str = "") -> Tampering:
    """The newest session with other values."""
    sql = f"UPDATE account_session SET {values} WHERE {NEWEST}"
    return Tampering(name=name or values[:60], sql=sql, where="account_session", what=what)


PUT_IN = (
    "INSERT INTO account_session (token_hash, account_id, created_at, seen_at, idle_until, ends_at)"
    f" SELECT sha256('mine'), {OTHER}, now() - interval '{{}}', now(), now(), now() + interval '9 hours'"
)

TAMPERINGS = [
    Tampering(name="a session put in", sql=PUT_IN.format("1 hour"), where="account_session", what=("row",)),
    Tampering(
        name="a session put in that looks as if it had begun before anything was told",
        sql=PUT_IN.format("3 days"),
        where="account_session",
        what=("row",),
    ),
    session("token_hash = sha256('mine')", "row", name="a session that another browser holds"),
    session(f"account_id = {OTHER}", "account_id", name="a session that is somebody else's"),
    session("ends_at = ends_at + interval '1 day'", "ends_at"),
    session("created_at = created_at + interval '1 minute'", "created_at"),
    session("idle_until = ends_at", "idle_until", name="a session that is not given up"),
    session("seen_at = now() + interval '5 hours'", "seen_at"),
    Tampering(
        name="a sign-in removed",
        sql="DELETE FROM account_record WHERE what = 'signed-in' AND at = (SELECT min(at) FROM account_record)",
        where="account_record",
        what=("row",),
    ),
    Tampering(
        name="a sign-in made up",
        sql=f"INSERT INTO account_record (at, account_id, what) VALUES (now(), {OTHER}, 'signed-in')",
        where="account_record",
        what=("row",),
    ),
    Tampering(
        name="a sign-in of somebody else",
        sql="UPDATE account_record r SET account_id = a.account_id FROM account a WHERE a.account_id <> r.account_id"
        " AND what = 'signed-in'",
        where="account_record",
        what=("row",),
    ),
    Tampering(
        name="a sign-in at another time",
        sql="UPDATE account_record SET at = at + interval '1 second' WHERE what = 'signed-in'",
        where="account_record",
        what=("row",),
    ),
    Tampering(
        name="a sign-in that shall have been something else",
        sql="UPDATE account_record SET what = 'signed-out' WHERE what = 'signed-in'",
        where="account_record",
        what=("row",),
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(days: str, tampering: Tampering) -> None:
    found = await found_in(days, tampering.sql)
    named = {finding.what for finding in found if finding.where == tampering.where}
    assert named == set(tampering.what), [finding.sentence() for finding in found]


async def test_what_a_version_before_told_nothing_of_is_no_finding(days: str) -> None:
    """Neither before the first sign-in that is told, nor while gateways of both versions stand side by side."""
    untold = "DELETE FROM event WHERE convert_from(body, 'UTF8') LIKE '%session.begun%'"
    assert await found_in(days, untold) == []
    assert await found_in(days, f"{untold} AND at < (SELECT max(at) FROM event)") == []


async def test_a_session_that_cannot_be_told_is_not_begun(days: str) -> None:
    async with connect(days) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("ALTER TABLE event ADD CONSTRAINT no CHECK (kind <> 'operator_action') NOT VALID")
        before = await connection.fetchval("SELECT count(*) FROM account_session")
        with pytest.raises(asyncpg.CheckViolationError):
            await begin(connection, await account_named(connection, "an"))
        assert await connection.fetchval("SELECT count(*) FROM account_session") == before
        await transaction.rollback()


async def test_the_auditors_role_compares_sign_ins_and_is_told_that_it_sees_no_sessions(days: str) -> None:
    counted: Counter[str] = Counter()
    async with connect(days) as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE lienthong_auditor")
        found = [
            one
            async for one in check_sessions(connection, BEGINNING, progress=lambda what, steps: counted.update([what]))
        ]
    assert found == [] and counted == {UNREAD: 1, "sign-ins": 4}


async def test_a_gateway_with_the_workers_role_may_tell_a_sign_in(days: str) -> None:
    async with connect(days) as connection:
        transaction = connection.transaction()
        await transaction.start()
        an = await account_named(connection, "an")
        await connection.execute("SET LOCAL ROLE lienthong_worker")
        await begin(connection, an)
        await connection.execute("RESET ROLE")
        found = [one.sentence() async for one in check_sessions(connection, BEGINNING, progress=nothing)]
        await transaction.rollback()
    assert found == []


async def test_the_log_learns_of_no_login_and_no_address(days: str) -> None:
    async with connect(days) as connection:
        bodies = await connection.fetch(
            "SELECT convert_from(body, 'UTF8') AS b FROM event WHERE kind = $1", "operator_action"
        )
        tokens = await connection.fetch("SELECT token_hash FROM account_session")
    told = "\n".join(row["b"] for row in bodies if "session.begun" in row["b"])
    assert told and "127.0.0.1" not in told and "binh" not in told
    assert not any(row["token_hash"].hex() in told for row in tokens)

"""Accounts: who signs in, how, and what they may do and see."""

from __future__ import annotations

from pathlib import Path

from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, columns, each, found_and_named, opened, verified

MADE_AGAIN = (
    "INSERT INTO event (at, kind, body, leaf, epoch) SELECT at, kind, body, sha256('\\x00'::bytea || body), epoch"
    " FROM (SELECT at, kind, epoch, convert_to(replace(convert_from(body, 'UTF8'), '\"auditor\"', '\"operator\"'),"
    " 'UTF8') AS body FROM event WHERE kind = 'operator_action' AND convert_from(body, 'UTF8') LIKE '%\"account.add\"%'"
    " AND convert_from(body, 'UTF8')::jsonb ->> 'target' = (SELECT account_id FROM account WHERE login = 'an')) e"
)
"""An event that tells of the account "an" as an operator's, written as a worker would."""


TAMPERINGS = [
    Tampering(
        name="an account that no operator made",
        sql="INSERT INTO account (account_id, login, role) VALUES ('p-' || repeat('0', 16), 'xx', 'operator')",
        where="account",
        what="row",
        key="p-0",
    ),
    Tampering(
        name="an account removed", sql="DELETE FROM account WHERE login = 'an'", where="account", what="row", key="p-"
    ),
    columns("account", "login = 'binh'", {"disabled_at": "NULL"}),
    columns("account", "login = 'an'", {"disabled_at": "now()"}),
    columns("account", "login = 'an'", {"role": "'operator'"}),
    columns("account", "login = 'dung'", {"role": "'auditor'"}),
    columns("account", "login = 'chi'", {"root_id": "NULL", "role": "'operator'"}),
    columns("account", "login = 'chi'", {"root_id": "NULL"}),
    columns("account", "login = 'chi'", {"root_id": "(SELECT agency_id FROM agency WHERE code LIKE '%.G01')"}),
    columns("account", "login = 'binh'", {"root_id": "(SELECT agency_id FROM agency WHERE code LIKE '%.H53')"}),
    columns(
        "account",
        "login = 'chi'",
        {"login": "'khac'", "full_name": "'khác'", "created_at": "created_at - interval '1 day'"},
    ),
    columns("account", "login = 'an'", {"oidc_subject": "'issuer another'"}),
    columns("account", "login = 'an'", {"oidc_subject": "NULL", "password_at": "now()"}),
    columns("account", "login = 'dung'", {"password_at": "password_at - interval '1 day'", "full_name": "''"}),
    columns("account", "login = 'binh'", {"disabled_at": "disabled_at - interval '1 day'"}),
    Tampering(
        name="an account's password",
        sql="UPDATE account SET password_hash = overlay(password_hash placing 'AAAA' from 40) WHERE login = 'dung'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="a password for who signs in by OpenID alone",
        sql="UPDATE account a SET password_hash = b.password_hash FROM account b"
        " WHERE a.login = 'an' AND b.login = 'dung'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="an account's password taken away",
        sql="UPDATE account SET password_hash = NULL WHERE login = 'dung'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="two accounts' logins exchanged",
        sql="UPDATE account SET login = 'x-' || login WHERE login IN ('an', 'chi');"
        "UPDATE account SET login = CASE login WHEN 'x-an' THEN 'chi' ELSE 'an' END WHERE login LIKE 'x-%'",
        where="account",
        what="login",
    ),
    Tampering(
        name="the pseudonyms of two accounts exchanged",
        sql="CREATE TEMP TABLE was ON COMMIT DROP AS SELECT max(account_id) FILTER (WHERE login = 'an') AS an,"
        " max(account_id) FILTER (WHERE login = 'binh') AS binh FROM account;"
        "UPDATE account SET account_id = 'p-' || repeat('0', 16) WHERE login = 'an';"
        "UPDATE account SET account_id = was.an FROM was WHERE login = 'binh';"
        "UPDATE account SET account_id = was.binh FROM was WHERE login = 'an'",
        where="account",
        what="password_hash",
    ),
    Tampering(
        name="an operator whom a second event makes out of an auditor",
        sql="UPDATE account SET role = 'operator' WHERE login = 'an';" + MADE_AGAIN,
        where="account",
        what="role",
        key="p-",
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)


async def test_what_an_account_may_do_is_found_as_it_is_and_as_it_was_told(story: Story) -> None:
    """By the pseudonym that the log knows, with the agency's code."""
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        ((key, code),) = await connection.fetch(
            "SELECT account_id, code FROM account JOIN agency ON agency_id = root_id WHERE login = 'chi'"
        )
        await connection.execute("UPDATE account SET role = 'operator', root_id = NULL WHERE login = 'chi'")
        found = await verified(connection, story, story.home / "log")
        await transaction.rollback()
    assert [(one.where, one.key, one.what, one.found, one.expected) for one in found] == [
        ("account", key, "role", "operator", "auditor"),
        ("account", key, "root_id", "everything", code),
    ]

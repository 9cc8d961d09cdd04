"""Accounts of people: made, listed, disabled and given passwords by operators; every change is recorded.

Passwords are known by their Argon2id hash only, computed in a thread of their own so that a sign-in never stops the
gateway. May not know about cookies or pages.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import asyncpg
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from broker.directory.changing import agency_named
from broker.directory.records import AgencyId
from broker.evidence.account_facts import account_facts, is_password, no_password
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.exchange_events import operator_action
from schemas.problem import Problem

SQL: Final = load_queries("broker.gateway.pages", "accounts.sql")
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1_000
HASHING_THREADS: Final = 2
"""Each hash takes 64 MiB while it is computed (RFC 9106, second choice): so many at once, the others wait."""


def new_hasher() -> PasswordHasher:
    """Argon2id as RFC 9106 recommends it where memory is not without limit."""
    return PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)


_hasher = new_hasher()
_threads = ThreadPoolExecutor(max_workers=HASHING_THREADS, thread_name_prefix="argon2")


class Role(StrEnum):
    """What a person may do: an operator sees everything and acts, an auditor only sees."""

    operator = "operator"
    auditor = "auditor"


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A person who may sign in."""

    id: str
    """The pseudonym under which the log knows this person."""
    login: str
    full_name: str
    role: Role
    root_id: AgencyId | None
    """An auditor of a subtree sees this agency and everything below it, and nothing else."""
    root: str | None
    root_name: str | None
    has_password: bool
    oidc_subject: str | None
    created_at: datetime
    disabled_at: datetime | None

    @property
    def operates(self) -> bool:
        return self.role is Role.operator


def account_of(row: asyncpg.Record) -> Account:
    """A row of any of the account queries as a record."""
    return Account(
        id=row["account_id"],
        login=row["login"],
        full_name=row["full_name"],
        role=Role(row["role"]),
        root_id=AgencyId(row["root_id"]) if row["root_id"] is not None else None,
        root=row["root"],
        root_name=row["root_name"],
        has_password=is_password(row["password_hash"]),
        oidc_subject=row["oidc_subject"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
    )


# ── Passwords ────────────────────────────────────────────────────────────────────────────────────────────────────────
def check_password_policy(password: str, *, login: str) -> None:
    """Length is what counts; no rules about kinds of characters. Raises `Problem`."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise Problem(
            f"a password of {len(password)} characters",
            f"{SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
            "Take a longer one: several words are easy to remember.",
        )
    if login in password.lower() or len(set(password)) < 5:
        raise Problem(
            "a password that is easy to guess",
            "one that does not contain the login and has at least five different characters",
            "Take another one.",
        )


async def hash_password(password: str) -> str:
    """The Argon2id hash of a password."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, password)


async def password_fits(stored: str | None, password: str) -> bool:
    """Whether the password is the one behind `stored`. Takes as long when there is none, so that time tells nothing."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _fits, stored, password[:LONGEST_PASSWORD])


def _fits(stored: str | None, password: str) -> bool:
    known = stored if is_password(stored) else None
    try:
        return _hasher.verify(known or _nobodys_hash(), password) and known is not None
    except (Argon2Error, InvalidHashError):
        return False


def _nobodys_hash() -> str:
    if not _NOBODY:
        _NOBODY.append(_hasher.hash(secrets.token_hex(16)))
    return _NOBODY[0]


_NOBODY: list[str] = []


# ── What operators do ────────────────────────────────────────────────────────────────────────────────────────────────
async def add_account(
    connection: Connection,
    *,
    login: str,
    full_name: str,
    role: Role,
    root: str | None,
    password: str | None,
    oidc_subject: str | None = None,
    actor: str,
    reason: str,
) -> Account:
    """Make an account; `root` is the code of the agency whose subtree an auditor may see.

    Raises `Problem` if the login is taken, the agency unknown, or the password too easy.
    """
    name = login.strip().lower()
    if not 2 <= len(name) <= 100 or any(c.isspace() for c in name):
        raise Problem(f"the login {login!r}", "2 to 100 characters without spaces", "Choose another login.")
    if root is not None and role is not Role.auditor:
        raise Problem("an operator of a subtree", "a subtree goes with the role auditor", "Leave out --subtree.")
    if password is None and oidc_subject is None:
        raise Problem("neither a password nor an OpenID subject", "one of them", "Give one.")
    if password is not None:
        check_password_policy(password, login=name)
    hashed = await hash_password(password) if password is not None else no_password()
    top = await agency_named(connection, root) if root is not None else None
    account_id = f"p-{secrets.token_hex(8)}"
    async with connection.transaction():
        made = await connection.fetchval(
            SQL["add_account"],
            account_id,
            name,
            full_name.strip(),
            role.value,
            top.id if top else None,
            hashed,
            oidc_subject,
            datetime.now(UTC) if password is not None else None,
        )
        if made is None:
            raise Problem(f"the login {name} or its OpenID subject is taken", "a new one", "Choose another one.")
        await _record(connection, "account.add", account_id, actor=actor, reason=reason)
    return await account_named(connection, name)


async def account_named(connection: Connection, login: str) -> Account:
    """The account with this login. Raises `Problem` if there is none."""
    row = await connection.fetchrow(SQL["account_by_login"], login.strip().lower())
    if row is None:
        raise Problem(f"no account {login}", "the login of an account", "See them with `lienthong account list`.")
    return account_of(row)


async def list_accounts(connection: Connection) -> list[Account]:
    """All accounts, by login."""
    return [account_of(row) for row in await connection.fetch(SQL["list_accounts"])]


async def set_enabled(connection: Connection, login: str, enabled: bool, *, actor: str, reason: str) -> Account:
    """Disable an account, which ends its sessions at once, or enable it again. Raises `Problem` if there is none."""
    account = await account_named(connection, login)
    async with connection.transaction():
        await connection.execute(SQL["set_disabled"], account.id, None if enabled else datetime.now(UTC))
        if not enabled:
            await connection.execute(SQL["end_sessions"], account.id)
        action = "account.enable" if enabled else "account.disable"
        await _record(connection, action, account.id, actor=actor, reason=reason)
    return await account_named(connection, login)


async def set_password(connection: Connection, login: str, password: str, *, actor: str, reason: str) -> Account:
    """Give an account another password; its sessions end and its browsers are forgotten. Raises `Problem`."""
    account = await account_named(connection, login)
    check_password_policy(password, login=account.login)
    hashed = await hash_password(password)
    async with connection.transaction():
        await connection.execute(SQL["set_password"], account.id, hashed, datetime.now(UTC))
        await connection.execute(SQL["end_sessions"], account.id)
        await connection.execute(SQL["forget_devices"], account.id)
        await _record(connection, "account.password", account.id, actor=actor, reason=reason)
    return await account_named(connection, login)


async def describe_accounts(connection: Connection, *, actor: str, reason: str) -> int:
    """Let the log tell every account as it is now; returns how many they are."""
    async with connection.transaction():
        accounts = await list_accounts(connection)
        for account in accounts:
            await _record(connection, "account.described", account.id, actor=actor, reason=reason)
    return len(accounts)


async def _record(connection: Connection, action: str, account_id: str, *, actor: str, reason: str) -> None:
    """The action and its event, in the caller's transaction. The event holds pseudonyms and digests, no names.

    It tells how the account's row is now, so that whoever changes it by other ways is found.
    """
    at = datetime.now(UTC)
    await connection.execute(SQL["write_action"], at, actor, action, account_id, reason)
    row = await connection.fetchrow(SQL["row_told"], account_id, no_password())
    assert row is not None
    events = operator_action(
        at=at,
        actor=hashlib.sha256(actor.encode()).hexdigest()[:16],
        action=action,
        target=account_id,
        reason_digest=hashlib.sha256(reason.encode()).digest(),
        facts=account_facts(dict(row)),
    )
    for event in events:
        await connection.execute(SQL["write_event"], event.at, event.kind, event.body, event.leaf)

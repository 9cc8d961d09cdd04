"""Signing in and staying signed in: delays after failures, sessions on the server, tokens that only the browser holds.

A browser's token is random and new at each sign-in; the database knows its SHA-256. A session ends when it is idle, at
its absolute end, at sign-out, when the account is disabled, and when its password changes. The CSRF token follows from
the session's token, so it needs no storage and ends with it.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final

from broker.directory.changing import Author
from broker.evidence.session_facts import ABSOLUTE, BEGUN, IDLE, session_facts
from broker.gateway.pages.accounts import SQL, Account, account_of, password_fits
from broker.gateway.pages.patience import FORGET_AFTER, Subject, delay_after, network_of, subject_key
from broker.store.pool import Connection
from schemas.exchange_events import operator_action

NOTE_EVERY: Final = timedelta(seconds=30)
"""A session in use is written down at most so often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A signed-in browser."""

    token: str
    account: Account
    ends_at: datetime

    @property
    def csrf(self) -> str:
        """What every form of this session carries."""
        return csrf_token(self.token)

    @property
    def key(self) -> bytes:
        """Under which the server knows this session."""
        return token_hash(self.token)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A sign-in that did not succeed; nothing tells whether the account exists."""

    wait: timedelta
    """How long until the next attempt is looked at; zero: try again at once."""


def new_token() -> str:
    """256 random bits for a cookie."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> bytes:
    """How the database knows a token."""
    return sha256(token.encode()).digest()


def csrf_token(token: str) -> str:
    """The CSRF token that belongs to a cookie's token; it tells nothing about it."""
    return hmac.digest(token.encode(), b"lienthong csrf", "sha256").hex()


def csrf_fits(token: str, given: str) -> bool:
    """Whether a form's token belongs to the cookie's, compared in constant time."""
    return hmac.compare_digest(csrf_token(token).encode(), given.encode())


async def sign_in(
    connection: Connection, *, login: str, password: str, address: str, device: str | None
) -> Session | Failed:
    """Check a password and begin a session. `device` is what the browser holds from an earlier sign-in, if anything."""
    name = login.strip().lower()[:100]
    now = datetime.now(UTC)
    network = network_of(address)
    row = await connection.fetchrow(SQL["account_by_login"], name)
    known_here = (
        row is not None
        and device is not None
        and bool(await connection.fetchval(SQL["device_known"], token_hash(device), row["account_id"]))
    )
    keys = {
        Subject.pair: subject_key(Subject.pair, name, network),
        Subject.address: subject_key(Subject.address, network),
    }
    if not known_here:
        keys[Subject.account] = subject_key(Subject.account, name)
    wait = await _attempt(connection, keys, now)
    if wait is not None:
        return Failed(wait=wait)
    if await password_fits(row["password_hash"] if row is not None else None, password):
        assert row is not None
        if row["disabled_at"] is None:
            await connection.execute(SQL["forgive"], [keys[Subject.pair]])
            await connection.execute(SQL["not_failed"], list(keys.values()), now)
            return await begin(connection, account_of(row))
    await record(connection, row["account_id"] if row is not None else None, "sign-in-failed")
    behind = await connection.fetchval(SQL["longest_delay"], list(keys.values()))
    return Failed(wait=max(timedelta(0), (behind or now) - now))


async def _attempt(connection: Connection, keys: dict[Subject, bytes], now: datetime) -> timedelta | None:
    """Count an attempt as failed before its password is looked at, so that many at once gain nothing.

    None if it may go on; else how long it has to wait, and nothing is counted.
    """
    transaction = connection.transaction()
    await transaction.start()
    for subject, key in sorted(keys.items(), key=lambda item: item[1]):
        row = await connection.fetchrow(SQL["failed"], key, now, now - FORGET_AFTER)
        assert row is not None
        if row["not_before"] > now:
            await transaction.rollback()
            wait: timedelta = row["not_before"] - now
            return wait
        await connection.execute(SQL["delay_until"], key, now + delay_after(subject, row["failures"]))
    await transaction.commit()
    return None


async def begin(connection: Connection, account: Account, *, now: datetime | None = None) -> Session:
    """Begin a session for a person who has shown who he is; the log tells it in the same transaction."""
    now = now or datetime.now(UTC)
    token = new_token()
    events = operator_action(
        at=now,
        actor=Author(actor=account.id).pseudonym,
        action=BEGUN,
        target=account.id,
        facts=session_facts(token_hash(token), now + ABSOLUTE),
    )
    async with connection.transaction():
        await connection.execute(SQL["sweep_sessions"], now)
        await connection.execute(SQL["sweep_delays"], now - FORGET_AFTER)
        await connection.execute(SQL["open_session"], token_hash(token), account.id, now, now + IDLE, now + ABSOLUTE)
        await connection.execute(SQL["record"], now, account.id, "signed-in", "")
        for event in events:
            await connection.execute(SQL["write_event"], event.at, event.kind, event.body, event.leaf)
    return Session(token=token, account=account, ends_at=now + ABSOLUTE)


async def resume(connection: Connection, token: str, *, in_use: bool = True) -> Session | None:
    """The session behind a cookie, or None if there is none, or none any more. `in_use`: it stays open for longer."""
    now = datetime.now(UTC)
    row = await connection.fetchrow(SQL["session"], token_hash(token), now)
    if row is None:
        return None
    if in_use and now - row["seen_at"] > NOTE_EVERY:
        await connection.execute(SQL["seen"], token_hash(token), now, now + IDLE)
    return Session(token=token, account=account_of(row), ends_at=row["ends_at"])


async def sign_out(connection: Connection, token: str) -> None:
    """End a session; nothing happens if it has ended."""
    account_id = await connection.fetchval(SQL["end_session"], token_hash(token))
    if account_id is not None:
        await record(connection, account_id, "signed-out")


async def remember_device(connection: Connection, account: Account, device: str | None) -> str:
    """Note that the account has signed in from this browser; what the browser is to keep (a new value each time)."""
    fresh = new_token()
    if device is not None:
        await connection.execute(SQL["forget_device"], token_hash(device))
    await connection.execute(SQL["remember_device"], token_hash(fresh), account.id, datetime.now(UTC))
    return fresh


async def record(connection: Connection, account_id: str | None, what: str, target: str = "") -> None:
    """Write down a sign-in, a failure or a denial."""
    await connection.execute(SQL["record"], datetime.now(UTC), account_id, what, target[:200])

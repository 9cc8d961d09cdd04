"""The connected systems: who they are, their secrets, and the keys that the exchange keeps for them.

Gateways read (`Systems`, anew twice a second while anybody asks); operators change (`add`, `rotate`, `disable`,
`enable`), each in one transaction. A secret is shown once, when it is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import asyncpg
import structlog

from broker.directory.changing import Author, agency_named
from broker.directory.enrolment import enrol_certificate, load_roots
from broker.directory.records import Agency, AgencyId
from broker.evidence.system_facts import key_facts, system_facts
from broker.gateway.addresses import Network, networks
from broker.gateway.vxp.sealing import CustodyKey, secret_purpose
from broker.pki.authority import Home, issue
from broker.settings import Settings
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.certificates import load_certificate, load_private_key, new_private_key, private_key_pem, public_key_of
from schemas.certificates import thumbprint as thumbprint_of
from schemas.exchange_events import Facts, operator_action
from schemas.jws import PrivateKey
from schemas.problem import Problem

SQL = load_queries("broker.gateway.vxp", "systems.sql")
SECRET_BYTES: Final = 33
"""Random bytes of a secret: 44 characters, as existing software's configuration files have them."""
CURRENT_FOR: Final = 2.0
"""Seconds for which what was read of the systems counts as current; from a quarter of it on it is read anew, and nobody
waits for that."""

CHOSEN_FOR: Final = 2.0
"""Seconds for which a hub's newest key counts as its newest; acceptance judges every signature by the certificate."""
log = structlog.get_logger(__name__)

Registration = Literal["refuse", "pending", "open"]
REGISTRATIONS: Final[tuple[Registration, ...]] = ("refuse", "pending", "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One connected system, as requests are judged by it."""

    id: int
    name: str
    hub_id: AgencyId
    active: bool
    allowed: tuple[Network, ...]
    fresh_for: timedelta | None
    sign_all: bool
    registration: Registration
    secrets: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CustodySigner:
    """The key that the exchange keeps for a hub, ready to sign."""

    key: PrivateKey = field(repr=False)
    thumbprint: bytes


class Systems:
    """All systems, by name and by id; read anew when what is known is older than a second."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], settings: Settings) -> None:
        self._pool = pool
        self._settings = settings
        self._custody: CustodyKey | None = None
        self._by_name: Mapping[str, System] = {}
        self._by_id: Mapping[int, System] = {}
        self._opened: dict[bytes, bytes] = {}
        self._signers: dict[bytes, CustodySigner] = {}
        self._chosen: dict[AgencyId, tuple[CustodySigner, float]] = {}
        self._read_at = -CURRENT_FOR
        self._reading: asyncio.Task[None] | None = None

    async def named(self, name: str) -> System | None:
        """The system that calls itself so; None if there is none. Raises what the database raises, and Problem."""
        await self._refresh()
        return self._by_name.get(name)

    async def by_id(self, system_id: int) -> System | None:
        """The system with this id."""
        await self._refresh()
        return self._by_id.get(system_id)

    async def all(self) -> tuple[System, ...]:
        """All systems."""
        await self._refresh()
        return tuple(self._by_id.values())

    async def signer(self, hub_id: AgencyId) -> CustodySigner:
        """The newest good key that is kept for this hub. Raises Problem if there is none."""
        known = self._chosen.get(hub_id)
        if known is not None and time.monotonic() - known[1] < CHOSEN_FOR:
            return known[0]
        row = await self._pool.fetchrow(SQL["custody_of"], hub_id, datetime.now(UTC))
        if row is None:
            raise Problem(
                found="no key that is kept for this system and still good",
                expected="a certificate with custody `broker`, not expired and not revoked",
                remedy="`lienthong agency system rotate NAME --key` makes one",
            )
        thumbprint: bytes = row["thumbprint"]
        if thumbprint not in self._signers:
            pem = self._key().open(row["sealed"], purpose=thumbprint)
            self._signers[thumbprint] = CustodySigner(key=load_private_key(pem, None), thumbprint=thumbprint)
        self._chosen[hub_id] = self._signers[thumbprint], time.monotonic()
        return self._signers[thumbprint]

    def _key(self) -> CustodyKey:
        if self._custody is None:
            self._custody = CustodyKey.load(self._settings.custody_key_file)
        return self._custody

    async def _refresh(self) -> None:
        age = time.monotonic() - self._read_at
        if age < CURRENT_FOR / 4:
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(), name="read the systems")
            self._reading.add_done_callback(_seen)
        if age >= CURRENT_FOR:
            # One reading for all that wait: whoever gives up does not take it from the others.
            await asyncio.shield(self._reading)

    async def _read(self) -> None:
        asked_at = time.monotonic()
        rows = await self._pool.fetch(SQL["systems"])
        found = [self._system(row) for row in rows]
        self._by_name = {system.name: system for system in found}
        self._by_id = {system.id: system for system in found}
        self._read_at = asked_at

    def _system(self, row: asyncpg.Record) -> System:
        name: str = row["name"]
        opened: list[bytes] = []
        for sealed in row["sealed"] or ():
            if sealed not in self._opened:
                key = self._key()
                try:
                    self._opened[sealed] = key.open(sealed, purpose=secret_purpose(name))
                except Problem as problem:
                    # One system's trouble must not keep the others out.
                    log.error("a system's secret cannot be opened", system=name, why=problem.found)
                    continue
            opened.append(self._opened[sealed])
        seconds = row["fresh_seconds"]
        return System(
            id=row["system_id"],
            name=name,
            hub_id=AgencyId(row["hub_id"]),
            active=row["state"] == "active",
            allowed=networks(row["addresses"]),
            fresh_for=None if seconds is None else timedelta(seconds=seconds),
            sign_all=row["sign_all"],
            registration=row["registration"],
            secrets=tuple(opened),
        )


def _seen(reading: asyncio.Task[None]) -> None:
    """Whoever waits for a reading is told why it failed; if nobody does, the next one who asks tries again."""
    if not reading.cancelled():
        reading.exception()


# ── What operators do ────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True, kw_only=True)
class NewSystem:
    """What an operator says of a system that is to be connected."""

    name: str
    hub: str
    addresses: tuple[str, ...] = ()
    fresh_seconds: int | None = None
    sign_all: bool = False
    registration: Registration = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSystem:
    """What the office is told. The secret is shown this once."""

    system: str
    hub: str
    secret: str
    thumbprint: str


async def add(connection: Connection, new: NewSystem, *, settings: Settings, author: Author) -> MadeSystem:
    """Connect a system: its secret, and a key for its hub with custody `broker`; both sealed before they are written.

    The hub has to be in the directory with a mailbox. Raises Problem.
    """
    name = new.name.strip()
    if not name or len(name) > 64 or not name.isprintable() or not name.isascii():
        raise Problem(
            f"the system id {new.name!r}", "1 to 64 ASCII characters", "write it as the software's file has it"
        )
    networks(new.addresses)
    custody = CustodyKey.load(settings.custody_key_file, make=True)
    async with connection.transaction():
        hub = await agency_named(connection, new.hub)
        try:
            async with connection.transaction():
                system_id: int = await connection.fetchval(
                    SQL["add_system"],
                    name,
                    hub.id,
                    list(new.addresses),
                    new.fresh_seconds,
                    new.sign_all,
                    new.registration,
                )
        except asyncpg.UniqueViolationError as error:
            raise Problem(
                f"a system {name}, or another one of {hub.code}, exists",
                "a new name, and one system for each mailbox",
                "see `lienthong agency system list`; give it a new secret with `lienthong agency system rotate`",
            ) from error
        secret = await _write_secret(connection, custody, system_id, name)
        thumbprint = await make_key(connection, hub, custody=custody, settings=settings, author=author)
        await note_action(connection, "system.added", hub.code, author=author)
    return MadeSystem(system=name, hub=hub.code, secret=secret, thumbprint=thumbprint.hex())


async def make_key(
    connection: Connection, hub: Agency, *, custody: CustodyKey, settings: Settings, author: Author
) -> bytes:
    """Make, certify, enrol and seal a new key for a hub; returns its thumbprint. Raises Problem."""
    key = new_private_key("P-256")
    home = Home.below(
        settings.home,
        roots_dir=settings.roots_dir,
        key_file=settings.key_file,
        certificate_file=settings.certificate_file,
    )
    pem = issue(
        home, code=hub.code, public_key=key.public_key(), now=datetime.now(UTC), name="key kept by the exchange"
    )
    return await keep_key(connection, hub, pem, key, custody=custody, settings=settings, author=author)


async def keep_key(
    connection: Connection,
    hub: Agency,
    certificate: bytes,
    key: PrivateKey,
    *,
    custody: CustodyKey,
    settings: Settings,
    author: Author,
) -> bytes:
    """Enrol a certificate (PEM) with custody `broker` and keep its key, sealed; returns the thumbprint.

    Raises Problem if the two do not belong together, and as `enrol_certificate` does.
    """
    leaf = load_certificate(certificate)
    if key.public_key() != public_key_of(leaf):
        raise Problem(
            "a certificate for another key",
            "the certificate that was issued for this key",
            "name the files of one and the same request",
        )
    name = thumbprint_of(leaf)
    await enrol_certificate(
        connection, hub.code, certificate, roots=load_roots(settings.roots_dir), custody="broker", author=author
    )
    await connection.execute(SQL["keep_key"], name, custody.seal(private_key_pem(key), purpose=name))
    kept = await connection.fetchrow(SQL["key_told"], name)
    assert kept is not None
    await _note(connection, "key.kept", name.hex(), author=author, facts=key_facts(kept))
    return name


async def rotate(
    connection: Connection, name: str, *, overlap: timedelta, settings: Settings, author: Author
) -> MadeSystem:
    """Give a system a new secret; the old ones go on to be good for `overlap`. Raises Problem."""
    custody = CustodyKey.load(settings.custody_key_file)
    async with connection.transaction():
        row = await named(connection, name)
        await connection.execute(SQL["end_secrets"], row["system_id"], datetime.now(UTC) + overlap)
        secret = await _write_secret(connection, custody, row["system_id"], row["name"])
        await note_action(connection, "system.rotated", row["hub"], author=author)
    return MadeSystem(system=row["name"], hub=row["hub"], secret=secret, thumbprint="")


async def rotate_key(connection: Connection, name: str, *, settings: Settings, author: Author) -> str:
    """Make a new key for a system's hub, used from now on; the old one stays enrolled. Returns its thumbprint."""
    custody = CustodyKey.load(settings.custody_key_file)
    async with connection.transaction():
        row = await named(connection, name)
        hub = await agency_named(connection, row["hub"])
        made = await make_key(connection, hub, custody=custody, settings=settings, author=author)
    return made.hex()


async def set_state(connection: Connection, name: str, state: Literal["active", "disabled"], *, author: Author) -> str:
    """Let a system in, or keep it out, from now on; returns its hub's code. Raises Problem."""
    async with connection.transaction():
        row = await named(connection, name)
        await connection.execute(SQL["set_state"], row["system_id"], state)
        await note_action(connection, f"system.{state}", row["hub"], author=author)
    return str(row["hub"])


async def note_action(connection: Connection, action: str, hub: str, *, author: Author) -> None:
    """What an operator did to the system of `hub`, and its event, in the caller's transaction.

    The event holds a pseudonym, digests and the hub's code: there is one system for each, and names may be any text. It
    tells how the system and its secrets are now, so that whoever changes them by other ways is found.
    """
    row = await connection.fetchrow(SQL["system_told"], hub)
    assert row is not None
    secrets = await connection.fetch(SQL["secrets_told"], row["system_id"])
    facts = system_facts(row, secrets)
    await _note(connection, action, hub, author=author, facts=facts)


async def _note(connection: Connection, action: str, target: str, *, author: Author, facts: Facts) -> None:
    at = datetime.now(UTC)
    await connection.execute(SQL["note_action"], at, author.actor, action, target, author.reason)
    for event in operator_action(
        at=at,
        actor=hashlib.sha256(author.actor.encode()).hexdigest()[:16],
        action=action,
        target=target,
        reason_digest=hashlib.sha256(author.reason.encode()).digest(),
        facts=facts,
    ):
        await connection.execute(SQL["tell_action"], event.at, event.kind, event.body, event.leaf)


async def listing(connection: Connection) -> list[dict[str, Any]]:
    """Every system as an operator sees it, without anything secret."""
    return [dict(row) for row in await connection.fetch(SQL["list_systems"])]


async def named(connection: Connection, name: str) -> asyncpg.Record:
    """The row of the system with this id. Raises Problem if there is none."""
    row = await connection.fetchrow(SQL["system_named"], name)
    if row is None:
        raise Problem(f"no system {name}", "a connected system", "see `lienthong agency system list`")
    return row


async def _write_secret(connection: Connection, custody: CustodyKey, system_id: int, name: str) -> str:
    secret = secrets.token_urlsafe(SECRET_BYTES)
    sealed = custody.seal(secret.encode(), purpose=secret_purpose(name))
    await connection.execute(SQL["add_secret"], system_id, sealed)
    return secret

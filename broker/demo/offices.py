"""Makes the exchange and its offices ready: tables, directory, topology, keys, certificates, AMQP users.

Everything is kept below one folder and found again at the next run. Each office gets a folder with its key, its
certificate and the password of its AMQP user, as `agency add`, `keygen` and `cert add` would give them one by one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from broker.amqp.management import Management, virtual_host_of
from broker.directory.changes import Author, enrol_certificate, load_roots
from broker.directory.exchange import ensure_exchange
from broker.directory.live import load_directory
from broker.directory.national import load
from broker.directory.snapshot import Agency, Directory
from broker.evidence.keys import make_log_key
from broker.pki import authority
from broker.settings import Settings
from broker.store.migrations import migrate
from broker.store.pool import Connection, connect
from broker.topology.actual import read_actual
from broker.topology.apply import apply
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import desired
from broker.topology.permissions import ensure_agency_users
from broker.topology.plan import plan
from schemas.certificates import load_certificate, new_private_key, private_key_pem, thumbprint

AUTHOR = Author(actor="demo", reason="demonstration")

Tell = Callable[[str], None]
"""Takes one sentence about what is going on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficeFiles:
    """Where one office keeps what only it may know."""

    folder: Path

    @property
    def key(self) -> Path:
        """The private signing key, PEM."""
        return self.folder / "agency.key"

    @property
    def certificate(self) -> Path:
        """Its certificate, PEM."""
        return self.folder / "agency.pem"

    @property
    def password(self) -> Path:
        """The password of its AMQP user, if it has a connection of its own."""
        return self.folder / "amqp.password"

    @property
    def data(self) -> Path:
        """Inbox, outbox and parts."""
        return self.folder / "data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Offices:
    """The directory, and every office's files."""

    directory: Directory
    folder: Path

    def files(self, agency: Agency) -> OfficeFiles:
        """The files of one office."""
        return OfficeFiles(folder=self.folder / agency.code)

    def connected(self) -> tuple[Agency, ...]:
        """The offices with a mailbox of their own."""
        return self.directory.mailboxes()


async def prepare(settings: Settings, folder: Path, tell: Tell) -> Offices:
    """Bring tables, directory and topology about; return the offices, whose keys `equip` makes."""
    tell("Database and national directory")
    await migrate(settings.database_url)
    authority.init(_home(settings), broker_code=settings.broker_code, now=datetime.now(UTC))
    make_log_key(settings.log_key_file, settings.log_origin)
    async with connect(settings.database_url) as connection:
        await ensure_exchange(connection, settings, author=AUTHOR)
        await load(connection, author=AUTHOR)
        tell("Exchanges, queues and mailboxes")
        await _apply_topology(settings, connection)
        directory = await load_directory(connection)
    return Offices(directory=directory, folder=folder)


async def equip(settings: Settings, offices: Offices, signers: Iterable[Agency], tell: Tell) -> None:
    """Give keys and certificates to the connected offices and to `signers`, and AMQP users to the connected ones.

    What an office has already it keeps.
    """
    everyone = {agency.id: agency for agency in (*offices.connected(), *signers)}
    home = _home(settings)
    missing = [agency for agency in everyone.values() if not offices.files(agency).certificate.exists()]
    tell(f"Keys and certificates ({len(missing)} new offices)")
    now = datetime.now(UTC)
    for agency in missing:
        files = offices.files(agency)
        files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = new_private_key("P-256")
        _write(files.key, private_key_pem(key))
        certificate = authority.issue(home, code=agency.code, public_key=key.public_key(), now=now)
        _write(files.certificate, certificate)
    roots = load_roots(settings.roots_dir)
    async with connect(settings.database_url) as connection, connection.transaction():
        enrolled = {(one.agency_id, one.thumbprint) for one in offices.directory.certificates()}
        for agency in everyone.values():
            data = offices.files(agency).certificate.read_bytes()
            if (agency.id, thumbprint(load_certificate(data))) not in enrolled:
                await enrol_certificate(connection, agency.code, data, roots=roots, author=AUTHOR)
    passwords = {agency.code: _password(offices.files(agency)) for agency in offices.connected()}
    async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
        await ensure_agency_users(management, passwords)


def _home(settings: Settings) -> authority.Home:
    return authority.Home.below(
        settings.home,
        roots_dir=settings.roots_dir,
        key_file=settings.key_file,
        certificate_file=settings.certificate_file,
    )


async def _apply_topology(settings: Settings, connection: Connection) -> None:
    async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
        wanted = desired(await load_mailbox_owners(connection), settings)
        await apply(wanted, plan(wanted, await read_actual(management)), management, connection=connection)


def _password(files: OfficeFiles) -> str:
    if not files.password.exists():
        files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(files.password, secrets.token_urlsafe(24).encode("ascii"))
    return files.password.read_text(encoding="ascii").strip()


def _write(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)

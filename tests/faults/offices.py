"""Offices for tests that kill: made ready in an installation, given letters to send, run by the simulation.

They are split into two programs, so that one half can die while the other goes on: what one half sends the other
receives. Codes begin with letters of their own in every test, because AMQP users belong to the whole server.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from adapters.agency import DATABASE
from broker.amqp.management import Management, virtual_host_of
from broker.directory.changes import Author, NewAgency, add_agency, enrol_certificate, load_roots
from broker.directory.exchange import ensure_exchange
from broker.directory.records import Level
from broker.evidence.keys import make_log_key
from broker.pki.authority import Home, init, issue
from broker.settings import Settings
from broker.store.pool import connect
from broker.topology.actual import read_actual
from broker.topology.apply import apply
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import desired
from broker.topology.permissions import ensure_agency_users
from broker.topology.plan import plan
from schemas.certificates import new_private_key, private_key_pem
from schemas.times import new_id
from tests.kit.installation import Installation

AUTHOR: Final = Author(actor="test", reason="made for a test")
MINISTRIES: Final = "group:ministries"
LARGE: Final = 200_000
"""Bytes of a part that does not fit into its message and goes through the content store."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Office:
    """An agency as the tests know it."""

    code: str
    level: Level
    half: int
    """The program that plays it, 0 or 1."""
    hub: str | None = None
    """The hub whose mailbox and connection it uses; None if it has its own."""
    folder: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """A document that will be sent, and who must get it."""

    id: str
    sender: str
    via: str
    to: tuple[str, ...]
    recipients: frozenset[str]
    at: float
    """Seconds after the beginning of the load."""
    priority: int
    number: int
    size: int
    variant: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Offices:
    """All offices of one test, and the settings under which they take part."""

    settings: Settings
    folder: Path
    all: Mapping[str, Office]

    def connected(self) -> tuple[Office, ...]:
        """Those with a mailbox of their own."""
        return tuple(office for office in self.all.values() if office.hub is None)

    def database(self, code: str) -> Path:
        """Where an office keeps what it has and sends."""
        return self.all[code].folder / "data" / DATABASE

    def write_plan(
        self, half: int, letters: Iterable[Sending], *, late: float = 0.0, quiet_seconds: float | None = None
    ) -> Path:
        """The plan of one half's program, `late` seconds after the load began; it holds the same letters each time."""
        offices = [self._office(office) for office in self.connected() if office.half == half]
        content = {
            "seed": 1,
            "quiet_seconds": quiet_seconds,
            "agency": {
                "amqp_url": self.settings.agency_amqp_url,
                "roots_dir": str(self.settings.roots_dir),
                "broker_code": self.settings.broker_code,
                "broker_certificate_file": str(self.settings.certificate_file),
                "content_dir": str(self.settings.content_dir),
                "resend_after_seconds": 20,
                "again_after_seconds": 0.1,
            },
            "answers": {"refuse": 0.05, "processing": 0.4, "completed": 0.4, "clerk_seconds": [0.0, 0.1]},
            "offices": offices,
            "submissions": [_submission(one, late) for one in letters if self.all[one.via].half == half],
        }
        path = self.folder / f"half-{half}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def _office(self, office: Office) -> dict[str, Any]:
        return {
            "code": office.code,
            "amqp_password_file": str(office.folder / "password"),
            "key_file": str(office.folder / "agency.key"),
            "certificate_file": str(office.folder / "agency.pem"),
            "data_dir": str(office.folder / "data"),
            "served": [{"code": one.code} for one in self.all.values() if one.hub == office.code],
        }


def settings_of(installation: Installation) -> Settings:
    """What the installation's programs are told, for use in this process."""
    return Settings.model_validate(
        {
            "amqp_url": installation.amqp_url,
            "management_url": installation.management_url,
            "database_url": installation.database_url,
            "home": installation.folder / "exchange",
        }
    )


async def settle(installation: Installation) -> Offices:
    """Make keys, directory, topology and users in an installation whose database has its tables.

    Two ministries, a province that is the hub of two communes, a hub with three, and small offices whose mailboxes
    are classic queues; half of each in either program.
    """
    settings = settings_of(installation)
    prefix = f"F{secrets.token_hex(3).upper()}"
    folder = installation.folder / "offices"
    home = Home.below(settings.home)
    init(home, broker_code=settings.broker_code, now=datetime.now(UTC))
    make_log_key(settings.log_key_file, settings.log_origin)
    wanted: list[tuple[str, Level, int, str | None]] = [
        ("G01", "ministry", 0, None),
        ("G02", "ministry", 1, None),
        ("H01", "province", 0, None),
        ("H02", "hub", 1, None),
        ("D01", "department", 0, None),
        ("D02", "department", 1, None),
        ("C11", "commune", 0, "H01"),
        ("C12", "commune", 0, "H01"),
        ("C21", "commune", 1, "H02"),
        ("C22", "commune", 1, "H02"),
        ("C23", "commune", 1, "H02"),
    ]
    offices = {
        f"{prefix}.{name}": Office(
            code=f"{prefix}.{name}",
            level=level,
            half=half,
            hub=f"{prefix}.{hub}" if hub is not None else None,
            folder=folder / name,
        )
        for name, level, half, hub in wanted
    }
    async with connect(settings) as connection:
        await ensure_exchange(connection, settings, author=AUTHOR)
        for office in offices.values():
            await add_agency(
                connection,
                NewAgency(
                    code=office.code,
                    name=f"Cơ quan {office.code}",
                    level=office.level,
                    has_mailbox=office.hub is None,
                    hub=office.hub,
                ),
                author=AUTHOR,
            )
            if office.hub is None:
                pem = _make_key(office, home)
                roots = load_roots(settings.roots_dir)
                await enrol_certificate(connection, office.code, pem, roots=roots, author=AUTHOR)
        async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
            topology = desired(await load_mailbox_owners(connection), settings)
            await apply(topology, plan(topology, await read_actual(management)), management, connection=connection)
            passwords = {o.code: (o.folder / "password").read_text() for o in offices.values() if o.hub is None}
            await ensure_agency_users(management, passwords)
    return Offices(settings=settings, folder=installation.folder, all=offices)


def letters(offices: Offices, *, number: int, seconds: float, seed: int, bursts: float = 0.5) -> tuple[Sending, ...]:
    """`number` documents over `seconds`, in bursts so that batches fill: every kind of sender and recipient."""
    choice = random.Random(seed)
    senders = sorted(offices.all)
    ministries = {office.code for office in offices.all.values() if office.level == "ministry"}
    found: list[Sending] = []
    for index in range(number):
        sender = offices.all[choice.choice(senders)]
        others = [code for code in senders if code != sender.code]
        to = choice.sample(others, choice.randint(2, 6))
        if choice.random() < 0.2:
            to.append(MINISTRIES)
        recipients = {code for code in to if code != MINISTRIES} | (ministries if MINISTRIES in to else set())
        moment = seconds * index / number
        found.append(
            Sending(
                id=str(new_id(datetime.now(UTC))),
                sender=sender.code,
                via=sender.hub or sender.code,
                to=tuple(to),
                recipients=frozenset(recipients - {sender.code}),
                at=moment - moment % bursts,
                priority=choice.choice((0, 0, 0, 1, 3)),
                number=index,
                size=LARGE if choice.random() < 0.03 else 3_000,
                variant="twice" if choice.random() < 0.03 else "good",
            )
        )
    return tuple(found)


def deliveries(sent: Sequence[Sending]) -> int:
    """How many (document, recipient) there must be."""
    return sum(len(one.recipients) for one in sent)


def _make_key(office: Office, home: Home) -> bytes:
    office.folder.mkdir(parents=True)
    key = new_private_key("P-256")
    (office.folder / "agency.key").write_bytes(private_key_pem(key))
    pem = issue(home, code=office.code, public_key=key.public_key(), now=datetime.now(UTC))
    (office.folder / "agency.pem").write_bytes(pem)
    (office.folder / "password").write_text(secrets.token_urlsafe(18))
    return pem


def _submission(one: Sending, late: float) -> dict[str, Any]:
    return {
        "at": max(0.0, one.at - late),
        "from": one.sender,
        "via": one.via,
        "to": list(one.to),
        "priority": one.priority,
        "number": str(one.number),
        "notation": "UBND-VP",
        "subject": f"Văn bản số {one.number}",
        "size": one.size,
        "id": one.id,
        "variant": one.variant,
    }

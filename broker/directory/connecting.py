"""Giving an agency its connection: an AMQP user with exactly its rights, its mailbox, and the papers that it needs.

The password is made here, handed over once and kept nowhere: RabbitMQ stores a hash. Giving a connection again gives a
new password and leaves everything else.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from broker.amqp.management import Management, virtual_host_of
from broker.directory.enrolment import load_roots
from broker.directory.records import Agency
from broker.evidence.keys import read_vkeys, vkey_file
from broker.settings import Settings
from broker.store.pool import Connection
from broker.topology.actual import read_actual
from broker.topology.apply import apply
from broker.topology.model import desired
from broker.topology.permissions import ensure_agency_user
from broker.topology.plan import plan
from schemas import wire
from schemas.problem import Problem

#: Random bytes of a password; written as base64url it has a third more characters.
PASSWORD_BYTES = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Papers:
    """What an agency must be told to take part. Connection fields are None if it has no mailbox of its own."""

    code: str
    name: str
    amqp_url: str | None
    amqp_user: str | None
    #: Shown once.
    password: str | None
    mailbox: str | None
    #: The gateway: larger parts go through it.
    content_url: str
    broker_code: str
    #: PEM.
    broker_certificate: str
    #: PEM, one after the other.
    roots: str
    #: The log's verifier keys, newest first: what checks a proof that something was logged. Empty before it has one.
    log_vkeys: tuple[str, ...] = ()


def papers_without_connection(agency: Agency, settings: Settings) -> Papers:
    """What an agency is told that has no connection of its own. Raises Problem if the broker has no certificate yet."""
    return Papers(
        code=agency.code,
        name=agency.name,
        amqp_url=None,
        amqp_user=None,
        password=None,
        mailbox=None,
        content_url=settings.gateway_url,
        broker_code=settings.broker_code,
        broker_certificate=_broker_certificate(settings.certificate_file),
        roots="".join(root.public_bytes(Encoding.PEM).decode() for root in load_roots(settings.roots_dir)),
        log_vkeys=_log_vkeys(settings),
    )


async def give_connection(connection: Connection, agency: Agency, settings: Settings) -> Papers:
    """Make the agency's AMQP user (or give it a new password) and its mailbox; returns the papers.

    Raises Problem if the broker has no certificate or no root, or if RabbitMQ cannot be reached or refuses.
    """
    papers = papers_without_connection(agency, settings)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    wanted = desired([agency], settings)
    async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
        await apply(wanted, plan(wanted, await read_actual(management)), management, connection=connection)
        await ensure_agency_user(management, agency.code, password)
    return Papers(
        code=papers.code,
        name=papers.name,
        amqp_url=settings.agency_amqp_url,
        amqp_user=agency.code,
        password=password,
        mailbox=wire.mailbox(agency.code),
        content_url=papers.content_url,
        broker_code=papers.broker_code,
        broker_certificate=papers.broker_certificate,
        roots=papers.roots,
        log_vkeys=papers.log_vkeys,
    )


def _log_vkeys(settings: Settings) -> tuple[str, ...]:
    file = vkey_file(settings.log_key_file)
    return tuple(key.encode() for key in read_vkeys(file)) if file.exists() else ()


def _broker_certificate(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise Problem(
            f"no certificate of the broker at {path}",
            "the certificate that the broker signs with, in PEM, so that agencies can check its notices",
            "make a development one with `lienthong pki init`, or set certificate_file",
        ) from error

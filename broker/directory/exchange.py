"""The exchange's own place in the directory: an agency of level ``exchange`` and the certificate that it signs with.

Agencies find the broker's certificate like anybody's, by enrolment; without this entry no notice could be verified.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from broker.directory.changes import NewAgency, add_agency
from broker.directory.changing import SQL, Author
from broker.directory.enrolment import enrol_certificate, load_roots
from broker.directory.live import today_in_vietnam
from broker.store.pool import Connection
from schemas.agency_codes import canonical_code

EXCHANGE_NAME = "Trục liên thông (Lienthong)"

Standing = Literal["not migrated", "no certificate", "enrolled"]


class ExchangeSettings(Protocol):
    """What must be known of the exchange."""

    @property
    def broker_code(self) -> str: ...
    @property
    def certificate_file(self) -> Path: ...
    @property
    def roots_dir(self) -> Path: ...


async def ensure_exchange(connection: Connection, settings: ExchangeSettings, *, author: Author) -> Standing:
    """Add the exchange's agency and enrol its certificate, where they are missing; says how far that came.

    Raises Refusal or Problem if the certificate has no path to a configured root.
    """
    if not await connection.fetchval("SELECT to_regclass('agency') IS NOT NULL"):
        return "not migrated"
    code = canonical_code(settings.broker_code, field="broker_code")
    if not await connection.fetch(SQL["agency_by_code"], code, today_in_vietnam()):
        await add_agency(connection, NewAgency(code=code, name=EXCHANGE_NAME, level="exchange"), author=author)
    if not settings.certificate_file.exists():
        return "no certificate"
    data = settings.certificate_file.read_bytes()
    await enrol_certificate(connection, code, data, roots=load_roots(settings.roots_dir), author=author)
    return "enrolled"

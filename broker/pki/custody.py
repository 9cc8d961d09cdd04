"""Keys that the exchange keeps for offices whose software cannot sign: made here, certified, sealed, used by gateways.

The newest key whose certificate is good signs. A private key is never on a disk or in the database unsealed. Enrolment
and revocation go through `broker.directory.enrolment`, which records them as events with who made them and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from broker.directory.changing import Author, agency_named
from broker.directory.enrolment import certificate_named, revoke_certificate
from broker.directory.records import Agency
from broker.gateway.vxp.sealing import CustodyKey
from broker.gateway.vxp.systems import keep_key, make_key
from broker.settings import Settings
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.certificates import load_private_key, new_private_key, private_key_pem
from schemas.problem import Problem

SQL: Final = load_queries("broker.pki", "custody.sql")

State = Literal["signs", "good", "not yet good", "expired", "revoked", "key missing", "key does not open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A key that waits for its certificate."""

    code: str
    #: PKCS#10 in PEM, for the authority.
    csr: bytes
    #: The private key, sealed under the custody key for this agency; needed to enrol the certificate.
    sealed_key: bytes


async def issue(connection: Connection, text: str, *, settings: Settings, author: Author) -> tuple[Agency, str]:
    """Make a key for an agency, certified by the authority of this exchange, and keep it; from now on it signs.

    Returns the agency and the thumbprint. Raises Problem if there is no such agency or no authority here.
    """
    custody = CustodyKey.load(settings.custody_key_file, make=True)
    async with connection.transaction():
        agency = await agency_named(connection, text)
        made = await make_key(connection, agency, custody=custody, settings=settings, author=author)
    return agency, made.hex()


async def request(connection: Connection, text: str, *, settings: Settings) -> Request:
    """Make a key for an agency and a request for an authority elsewhere. Changes nothing in the database.

    Raises Problem if there is no such agency.
    """
    custody = CustodyKey.load(settings.custody_key_file, make=True)
    agency = await agency_named(connection, text)
    key = new_private_key("P-256")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    subject = [
        x509.NameAttribute(NameOID.COMMON_NAME, agency.code),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, agency.name[:64]),
    ]
    made = x509.CertificateSigningRequestBuilder(x509.Name(subject)).sign(key, hashes.SHA256())
    return Request(
        code=agency.code,
        csr=made.public_bytes(Encoding.PEM),
        sealed_key=custody.seal(private_key_pem(key), purpose=_purpose(agency)),
    )


async def take_in(
    connection: Connection, text: str, certificate: bytes, sealed_key: bytes, *, settings: Settings, author: Author
) -> tuple[Agency, str]:
    """Enrol the certificate that came back for a request, and keep its key; from now on it signs.

    Returns the agency and the thumbprint. Raises Problem if certificate, key and agency do not belong together or the
    certificate leads to no configured root.
    """
    custody = CustodyKey.load(settings.custody_key_file)
    async with connection.transaction():
        agency = await agency_named(connection, text)
        try:
            key = load_private_key(custody.open(sealed_key, purpose=_purpose(agency)), None)
        except Problem as problem:
            raise Problem(
                f"no sealed key of {agency.code} that {settings.custody_key_file} opens",
                f"the file that `lienthong custody request {agency.code}` wrote, and the custody key of that day",
                "name that file with --key, or begin anew with `custody request`",
            ) from problem
        name = await keep_key(connection, agency, certificate, key, custody=custody, settings=settings, author=author)
    return agency, name.hex()


async def listing(
    connection: Connection, text: str | None, *, settings: Settings, now: datetime
) -> list[dict[str, Any]]:
    """Every certificate whose key the exchange keeps, of all agencies or of one, with its state.

    Whether a sealed key opens is tried where the custody key is at hand. Raises Problem if there is no such agency.
    """
    agency = await agency_named(connection, text) if text is not None else None
    custody = CustodyKey.load(settings.custody_key_file) if settings.custody_key_file.exists() else None
    found = [dict(row) for row in await connection.fetch(SQL["listing"], agency and agency.id)]
    signing: set[str] = set()
    for row in found:
        sealed = row.pop("sealed")
        state = _state(row, sealed, custody, now)
        if state == "good" and row["code"] not in signing:
            signing.add(row["code"])
            state = "signs"
        row["state"] = state
    return found


async def revoke(connection: Connection, text: str, *, why: str, author: Author) -> dict[str, Any]:
    """Let a kept key sign no more, at once; `text` is the beginning of its certificate's thumbprint.

    Raises Problem if it is no certificate of such a key.
    """
    known = await certificate_named(connection, text)
    if known.custody != "broker":
        raise Problem(
            f"{known.thumbprint.hex()} belongs to a key that its agency keeps",
            "a certificate whose key the exchange keeps",
            "see `lienthong custody list`; `lienthong cert revoke` ends others",
        )
    since = await revoke_certificate(connection, known.thumbprint, why=why, author=author)
    return {"thumbprint": known.thumbprint.hex(), "revoked_at": since}


def left_without(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Agencies with a connected system of whose keys none signs."""
    signing = {row["code"] for row in rows if row["state"] == "signs"}
    return sorted({row["code"] for row in rows if row["system"] is not None} - signing)


def _state(row: dict[str, Any], sealed: bytes | None, custody: CustodyKey | None, now: datetime) -> State:
    if row["revoked_at"] is not None:
        return "revoked"
    if row["not_after"] <= now:
        return "expired"
    if sealed is None:
        return "key missing"
    if custody is not None and not _opens(custody, sealed, bytes.fromhex(row["thumbprint"])):
        return "key does not open"
    return "good" if row["not_before"] <= now else "not yet good"


def _opens(custody: CustodyKey, sealed: bytes, thumbprint: bytes) -> bool:
    try:
        custody.open(sealed, purpose=thumbprint)
    except Problem:
        return False
    return True


def _purpose(agency: Agency) -> bytes:
    return b"requested key of " + agency.code.encode()

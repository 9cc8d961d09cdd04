"""Enrolment of certificates: which certificate speaks for which agency, and from when it no longer does.

A certificate belongs to an agency by enrolment, never by its subject (contract §2.1). It must have a path to one of
the configured roots on the day of its enrolment. Revocation holds at once, for everything signed from then on and for
everything that arrives from then on (contract §4, step 8).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from broker.directory.changing import SQL, Author, agency_named, changing
from broker.directory.records import Agency, AgencyId, Custody, Enrolled
from broker.store.pool import Connection
from schemas.certificates import check_chain, load_certificates, public_key_of, thumbprint
from schemas.errors import Refusal
from schemas.problem import Problem
from schemas.times import rfc3339

#: Digits of a thumbprint that a person must write at least.
SHORTEST_PREFIX = 8

_HEX = re.compile(r"[0-9a-f]{8,64}")


def load_roots(folder: Path) -> tuple[x509.Certificate, ...]:
    """The configured roots: every certificate of every ``.pem`` and ``.crt`` file of a folder.

    Raises Problem if there is none, Refusal LT-SHAPE if a file holds something else.
    """
    paths = sorted(path for ending in ("*.pem", "*.crt") for path in folder.glob(ending))
    roots = tuple(certificate for path in paths for certificate in load_certificates(path.read_bytes()))
    if not roots:
        raise Problem(
            f"no root certificate in {folder}",
            "the roots that agencies' certificates lead to, as .pem files",
            "copy them there, or make a development authority with `lienthong pki init`",
        )
    return roots


def read_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates of a file that a person named, the signer's first. Raises Problem if it holds none."""
    try:
        return load_certificates(data)
    except Refusal as refusal:
        raise Problem(
            refusal.found or "something that cannot be read",
            "an X.509 certificate in PEM (-----BEGIN CERTIFICATE-----) or DER",
            "name the file with the certificate, not the key or the request",
        ) from refusal


async def enrol_certificate(
    connection: Connection,
    text: str,
    data: bytes,
    *,
    roots: Sequence[x509.Certificate],
    custody: Custody = "agency",
    author: Author,
) -> Enrolled:
    """Let a certificate (PEM, leaf first, intermediates after it; or DER) speak for an agency.

    Enrolling it again for the same agency changes nothing. Raises Refusal LT-ALGORITHM, LT-SIGNER-EXPIRED or
    LT-SIGNER-NOT-ALLOWED if it cannot be used, Problem if it cannot be read, is revoked, or speaks for another agency.
    """
    leaf, *intermediates = read_certificates(data)
    public_key_of(leaf)
    name = thumbprint(leaf)
    async with changing(connection, author) as change:
        check_chain(leaf, intermediates, roots, change.at)
        agency = await agency_named(connection, text)
        known = await _enrolled(connection, name)
        if known is not None:
            return await _enrolled_before(connection, known, agency)
        enrolled = Enrolled(
            thumbprint=name,
            agency_id=agency.id,
            der=leaf.public_bytes(Encoding.DER),
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            custody=custody,
        )
        await connection.execute(
            SQL["enrol_certificate"],
            enrolled.thumbprint,
            enrolled.agency_id,
            enrolled.der,
            [certificate.public_bytes(Encoding.DER) for certificate in intermediates],
            enrolled.custody,
            enrolled.not_before,
            enrolled.not_after,
            change.at,
            change.revision,
        )
        facts = {
            "thumbprint": name.hex(),
            "custody": custody,
            "not_before": rfc3339(enrolled.not_before),
            "not_after": rfc3339(enrolled.not_after),
        }
        await change.record("certificate.enrolled", [agency.code], agency_id=agency.id, facts=facts, target=name.hex())
        return enrolled


async def revoke_certificate(connection: Connection, name: bytes, *, why: str, author: Author) -> datetime:
    """Let a certificate, named by its thumbprint, speak for nobody any more; returns since when.

    A certificate revoked before stays revoked since then. Raises Problem if it was never enrolled.
    """
    async with changing(connection, author) as change:
        known = await _enrolled(connection, name)
        if known is None:
            raise Problem(
                f"no certificate {name.hex()}", "the thumbprint of an enrolled certificate", "see `lienthong cert list`"
            )
        if known.revoked_at is not None:
            return known.revoked_at
        agency = await _agency(connection, known.agency_id)
        await connection.execute(SQL["revoke_certificate"], name, change.at, why, change.revision)
        facts = {"thumbprint": name.hex(), "revoked_at": rfc3339(change.at)}
        await change.record("certificate.revoked", [agency.code], agency_id=agency.id, facts=facts, target=name.hex())
        return change.at


async def certificate_named(connection: Connection, text: str) -> Enrolled:
    """The enrolled certificate whose thumbprint begins with the hex digits that a person wrote.

    Raises Problem if there is none or more than one.
    """
    digits = text.strip().lower().replace(":", "")
    if not _HEX.fullmatch(digits):
        raise Problem(
            f"“{text}” as a thumbprint",
            f"{SHORTEST_PREFIX} to 64 hex digits of the certificate's SHA-256",
            "see `lienthong cert list`, or `openssl x509 -fingerprint -sha256`",
        )
    rows = await connection.fetch(SQL["certificates_like"], digits)
    if len(rows) != 1:
        raise Problem(
            f"{'several' if rows else 'no'} enrolled certificates whose thumbprint begins with {digits}",
            "exactly one",
            "write more digits" if rows else "see `lienthong cert list`",
        )
    return Enrolled(**dict(rows[0]))


async def _enrolled(connection: Connection, name: bytes) -> Enrolled | None:
    row = await connection.fetchrow(SQL["certificate"], name)
    return Enrolled(**dict(row)) if row is not None else None


async def _agency(connection: Connection, agency_id: AgencyId) -> Agency:
    return Agency(**dict(await connection.fetchrow(SQL["agency_by_id"], agency_id) or {}))


async def _enrolled_before(connection: Connection, known: Enrolled, agency: Agency) -> Enrolled:
    if known.agency_id != agency.id:
        holder = await _agency(connection, known.agency_id)
        raise Problem(
            f"this certificate is enrolled for {holder.code} {holder.name}",
            f"a certificate of {agency.code} alone",
            "each agency needs a key of its own; make one with `lienthong-agency keygen` or openssl",
        )
    if known.revoked_at is not None:
        raise Problem(
            f"this certificate was revoked on {known.revoked_at:%Y-%m-%d} ({known.revoked_why})",
            "a certificate that was never revoked",
            "make a new key and enrol its certificate",
        )
    return known


async def examine(
    connection: Connection, data: bytes, *, roots: Sequence[x509.Certificate], at: datetime
) -> dict[str, object]:
    """What can be said of a certificate (as for `enrol_certificate`) at a time: path, agency, revocation, verdict.

    Changes nothing. Raises Problem if it cannot be read.
    """
    leaf, *intermediates = read_certificates(data)
    try:
        check_chain(leaf, intermediates, roots, at)
        path = None
    except Refusal as refusal:
        path = refusal.diagnostics()
    known = await _enrolled(connection, thumbprint(leaf))
    agency = await _agency(connection, known.agency_id) if known is not None else None
    revoked_at = known.revoked_at if known is not None else None
    return {
        "good": path is None and known is not None and (revoked_at is None or revoked_at > at),
        "thumbprint": thumbprint(leaf).hex(),
        "subject": leaf.subject.rfc4514_string(),
        "issuer": leaf.issuer.rfc4514_string(),
        "not_before": leaf.not_valid_before_utc,
        "not_after": leaf.not_valid_after_utc,
        "path": path or "leads to a configured root",
        "agency": f"{agency.code} {agency.name}" if agency is not None else "not enrolled: speaks for nobody",
        "revocation": "not revoked" if revoked_at is None else f"revoked since {revoked_at:%Y-%m-%d %H:%M}",
    }

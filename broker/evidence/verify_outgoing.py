"""What leaves, what was refused and the texts beside, against what events tell of them without holding them.

Events hold digests of texts (contract §9): those are computed anew here from what the rows say. With `signers`, every
notice's signature is verified as well. Reads only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import orjson
from cryptography import x509

from broker.evidence.findings import Finding, shown
from broker.evidence.signers import Signers
from broker.intake.refusals import SALT, fingerprints
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.canonical import canonical_json
from schemas.certificates import load_certificate, public_key_of
from schemas.errors import Refusal
from schemas.jws import parse_stored, signature_holds
from schemas.manifest import NoticeManifest, parse_manifest

SQL: Final = load_queries("broker.evidence", "outgoing.sql")

STREAMED: Final = ("refusals", "texts_told", "signed_notices", "certificates_known")
"""Statements that stream rows for a comparison here."""

COLUMNS: Final = (
    *("amqp_user", "kind", "claimed_from", "id", "digest", "message_id", "detail", "verdict", "body", "number"),
    "notation",
)
"""Of a refusal, as `refusals` gives them."""


async def check_texts(connection: Connection, since: datetime) -> AsyncIterator[Finding]:
    """What documents' rows say of unresolved addresses and in warnings, against their digests in the acceptance."""
    async for row in connection.cursor(SQL["texts_told"], since, prefetch=500):
        for column in ("unresolved", "warnings"):
            told = orjson.loads(row[column])
            found = sha256(canonical_json(told)).hexdigest() if told else None
            if found != row[f"{column}_sha256"]:
                expected = "nothing" if row[f"{column}_sha256"] is None else f"what has {row[f'{column}_sha256']}"
                yield Finding(
                    where="document",
                    key=f"{row['sender']} {row['id']}",
                    what=column,
                    found=f"{row[column][:200]}, whose digest is {found}",
                    expected=f"{expected}, as its acceptance tells",
                )


async def check_refusals(connection: Connection, since: datetime) -> AsyncIterator[Finding]:
    """Every refusal is there, and no other, and says what its event tells of it."""
    async for group in connection.cursor(SQL["refusals"], since, prefetch=500):
        key = f"{group['at']} {group['code']} from {group['who']} {group['digest']}"
        told: list[Mapping[str, Any]] = [one for one in orjson.loads(group["told"] or "[]") if isinstance(one, dict)]
        if group["many"] != group["told_many"] and not (group["loose"] and group["many"] >= group["told_many"]):
            yield Finding(
                where="rejection",
                key=key,
                what="row",
                found=f"{group['many']} rows",
                expected=f"{group['told_many']} rows, as events tell",
            )
            continue
        for row, event in _paired(group["rows"] or (), told):
            for column, found, expected in _differences(row, event):
                yield Finding(where="rejection", key=key, what=column, found=shown(found), expected=expected)


def _paired(rows: Sequence[Sequence[Any]], told: list[Mapping[str, Any]]) -> Iterator[tuple[dict[str, Any], Any]]:
    """Rows and events of one moment that do not fit, side by side. Events of before are not among `told`."""
    left = []
    for values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        for column in ("detail", "verdict"):
            row[column] = None if row[column] is None else orjson.loads(row[column])
        fitting = next((event for event in told if not list(_differences(row, event))), None)
        if fitting is None:
            left.append(row)
        else:
            told.remove(fitting)
    return zip(left, told, strict=False)


def _differences(row: Mapping[str, Any], event: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """Columns of a refusal that are not as its event tells, with what is expected."""
    plain = event.get("plain", {})
    wanted = {name: digest for name, digest in event.items() if name != "plain"}
    # The events of refused items tell some columns in plain words, and nothing of those that such rows leave empty.
    columns = {name: row[name] for name in (("message_id", "verdict", "detail") if plain else COLUMNS)}
    detail = row["detail"] if isinstance(row["detail"], dict) else {}
    found = fingerprints(str(detail.get(SALT, "")), columns)
    different = [name for name in columns if found.get(name) != wanted.get(name)]
    if len(different) == sum(value is not None for value in columns.values()) and "detail" in different:
        different = ["detail"]  # its salt was changed, without which nothing can be said of the others
    for name in different:
        yield name, row[name], f"what has the fingerprint {wanted.get(name, 'of nothing')}, as its event tells"
    for name, value in plain.items():
        if row[name] != value:
            yield name, row[name], f"{value}, as its event tells"
    for name in ("number", "notation", "body", "amqp_user") if plain else ():
        if (row[name] is None) != (name != "amqp_user"):
            yield name, row[name], "nothing" if name != "amqp_user" else "who submitted it"


async def check_notices(connection: Connection, since: datetime, *, signers: Signers) -> AsyncIterator[Finding]:
    """Every notice is signed by the exchange, and its row was made when it was."""
    known: dict[bytes, x509.Certificate] = {}
    async for row in connection.cursor(SQL["signed_notices"], since, prefetch=500):
        key = str(row["outgoing_id"])
        why: str | None = "another message"
        try:
            signed = parse_stored(row["notice"])
            manifest = parse_manifest(signed.payload)
        except Refusal as refusal:
            manifest, why = None, refusal.diagnostics()
        if not isinstance(manifest, NoticeManifest):
            yield Finding(where="outgoing", key=key, what="notice", found=shown(why), expected="a notice")
            continue
        if signed.thumbprint not in known:
            for one in await connection.fetch(SQL["certificates_known"], [signed.thumbprint]):
                with suppress(Refusal):  # what is wrong with it is told where certificates are verified
                    known[one["thumbprint"]] = load_certificate(one["der"])
        why = _fault(signed, known.get(signed.thumbprint))
        enrolment = signers.enrolment(signed.thumbprint)
        if why is None and enrolment is not None and enrolment.code != manifest.from_:
            why = f"a signature with a certificate that was enrolled for {enrolment.code}"
        if why is not None:
            expected = f"a signature of {manifest.from_} that holds"
            yield Finding(where="outgoing", key=key, what="notice", found=why, expected=expected)
        if manifest.sent_at != row["created_at"]:
            expected = f"{shown(manifest.sent_at)}, as signed"
            found = shown(row["created_at"])
            yield Finding(where="outgoing", key=key, what="created_at", found=found, expected=expected)


def _fault(signed: Any, certificate: x509.Certificate | None) -> str | None:
    if certificate is None:
        return "a signature whose certificate is not there"
    try:
        return None if signature_holds(signed, public_key_of(certificate)) else "a signature that does not hold"
    except Refusal as refusal:
        return refusal.diagnostics()

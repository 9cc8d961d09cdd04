"""The REST façade's packets, submissions and wishes against what was logged and signed (decision 26). Reads only.

These rows serve the work, and no event tells them. But what they say has left its traces: a document that was handed
out has a signed 01, what was accepted is in the record, what was refused among the refusals. Whoever sets a packet to
`done`, gives it to somebody else, or says that something was refused, contradicts these. What contradicts nothing and
may be somebody's doing is counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any, Final

from broker.evidence.findings import Finding, shown
from broker.evidence.work_rows import Names, edxml_id_of, loose, packet, submission
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.certificates import load_certificate, public_key_of
from schemas.errors import Refusal
from schemas.jws import Signed, signature_holds

SQL: Final = load_queries("broker.evidence", "work.sql")

LOST: Final = "packets whose status a restore has lost"
SET_ASIDE: Final = "packets that were set aside as failed"
UNPACKED: Final = "documents handed to connected systems for more than a day that no packet holds"
UNKNOWN: Final = "submissions of which nothing is known for more than a day"

Certificates = dict[bytes, Any]
"""Those that were asked for, with whose they are; None for one that is not there."""
Progress = Callable[[str, int], None]


async def check_work_tables(connection: Connection, since: datetime, *, progress: Progress) -> AsyncIterator[Finding]:
    """Everything of the façade's work that contradicts what was logged and signed."""
    restored: bool = await connection.fetchval(SQL["restored"])
    names = await _names(connection)
    async for row in connection.cursor(SQL["packets"], since, prefetch=500):
        if row["kind"] == "status" and row["jws"] is None and row["refused_system"] is None:
            if restored:
                progress(LOST, 1)
            else:
                yield _of_packet(row, "source", row["source"], "the digest of a status message, or of a rejection")
        for finding in packet(row, names):
            yield finding
        if row["state"] == "failed":
            progress(SET_ASIDE, 1)
        progress("packets of connected systems", 1)
    if missing := await connection.fetchval(SQL["unpacked"], since):
        progress(UNPACKED, missing)
    async for row in connection.cursor(SQL["edxml_ids"], since, prefetch=200):
        wanted = edxml_id_of(row["jws"])
        if wanted is not None and row["edxml_id"] != wanted:
            expected = f"{wanted}, the id that its document has in edXML"
            found = shown(row["edxml_id"] or "nothing")
            yield Finding(where="vxp_packet", key=row["key"], what="edxml_id", found=found, expected=expected)
    async for finding in _submissions(connection, since, progress=progress):
        yield finding
    for name in ("unsubmitted", "registrations"):
        async for row in connection.cursor(SQL[name], since, prefetch=500):
            yield Finding(
                where=row["place"],
                key=shown(row["key"]),
                what=row["what"],
                found=shown(row["found"]),
                expected=shown(row["expected"]),
            )


async def _submissions(connection: Connection, since: datetime, *, progress: Progress) -> AsyncIterator[Finding]:
    known: Certificates = {}
    async for row in connection.cursor(SQL["submissions"], since, prefetch=100):
        for finding in submission(row):
            yield finding
        signed = loose(row)
        why = None if signed is None else await _fault(connection, signed, row["hub"], known)
        if why is not None:
            yield Finding(
                where="vxp_submission",
                key=f"{row['system']} {row['doc_id']}",
                what="message",
                found=why,
                expected=f"a signature of {row['hub']} that holds",
            )
        if row["state"] == "taken" and row["old"]:
            progress(UNKNOWN, 1)
        progress("submissions of connected systems", 1)


async def _names(connection: Connection) -> Names:
    found: dict[str, set[int]] = {}
    for row in await connection.fetch(SQL["names"]):
        found.setdefault(row["name"], set()).add(row["agency_id"])
    return {name: frozenset(ids) for name, ids in found.items()}


async def _fault(connection: Connection, signed: Signed, hub: str, known: Certificates) -> str | None:
    """Why a message is not signed by its hub; None if it is."""
    if signed.thumbprint not in known:
        known[signed.thumbprint] = await connection.fetchrow(SQL["signer"], signed.thumbprint)
    row = known[signed.thumbprint]
    if row is None:
        return "a signature whose certificate is not there"
    if row["code"] != hub:
        return f"a signature with a certificate that was enrolled for {row['code']}"
    try:
        if signature_holds(signed, public_key_of(load_certificate(row["der"]))):
            return None
    except Refusal as refusal:
        return refusal.diagnostics()
    return "a signature that does not hold"


def _of_packet(row: Any, what: str, found: object, expected: str) -> Finding:
    key = f"{row['system']} {row['doc_id']}"
    return Finding(where="vxp_packet", key=key, what=what, found=shown(found), expected=expected)

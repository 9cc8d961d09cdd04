"""`audit verify`: everything that the database and the log's files say, held against what was logged and signed.

From the signatures down: checkpoints → tree → tiles → leaves → events' bytes → columns of events → the exchange's rows
→ the messages in them. One read-only snapshot, streamed; the log goes on meanwhile. Finds, names and explains; changes
nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import asyncpg
from cryptography import x509

from broker.evidence.checkpoints import trusted
from broker.evidence.findings import Finding, shown
from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import (
    Checkpoint,
    Note,
    VerifierKey,
    parse_note,
    parse_signature_line,
    verify_checkpoint,
    verify_note,
)
from broker.evidence.tile_files import TileFiles, published_notes
from broker.evidence.timestamps import verify_timestamp
from broker.evidence.tree_rows import SQL as LOG
from broker.evidence.tree_rows import growth_at
from broker.evidence.verify_accounts import check_accounts
from broker.evidence.verify_directory import DIRECTORY, check_directory
from broker.evidence.verify_log import LogCheck
from broker.evidence.verify_messages import SQL as MESSAGES
from broker.evidence.verify_messages import (
    check_documents,
    check_quarantine,
    check_states,
    check_statuses,
    read_signers,
)
from broker.evidence.verify_outgoing import SQL as OUTGOING
from broker.evidence.verify_outgoing import STREAMED as STREAMED_OUTGOING
from broker.evidence.verify_outgoing import check_notices, check_refusals, check_texts
from broker.evidence.verify_sessions import check_sessions
from broker.evidence.verify_systems import check_systems
from broker.evidence.verify_work import check_work_tables
from broker.store.pool import Connection

RECORDS: Final = {**MESSAGES, **OUTGOING}

#: The statements that stream rows for a comparison outside the database.
STREAMED: Final = (
    *STREAMED_OUTGOING,
    "signed_documents",
    "signed_statuses",
    "quarantined",
    "delivery_facts",
    "directory_told",
    "mandates_known",
)

RECORD_CHECKS: Final = tuple(name for name in RECORDS if name not in STREAMED)
"""Statements that yield findings."""

BEGINNING: Final = datetime(1, 1, 2, tzinfo=UTC)
"""Before everything, so that nothing gets out of sight by an early date."""

Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is to be verified."""

    since_position: int = 0
    """Only from this position of the open log on; 0 is everything, all years."""
    full: bool = False
    """Also every signature of every message."""
    records: bool = True
    """Also the exchange's rows, not the log alone."""
    witnesses: tuple[VerifierKey, ...] = ()
    """Keys of witnesses whose cosignatures are verified."""
    held: tuple[bytes, ...] = ()
    """Checkpoints that the auditor holds, as signed: the log must still contain them."""
    timestamp_roots: tuple[x509.Certificate, ...] = ()
    """Roots to which timestamps must lead; without them only what they are over is looked at."""


def nothing(what: str, steps: int) -> None:
    """For who does not watch."""


async def verify(
    connection: Connection,
    vkeys: Sequence[VerifierKey],
    log_dir: Path | None,
    scope: Scope,
    *,
    progress: Progress = nothing,
) -> AsyncIterator[Finding]:
    """Everything that is not as it was logged, in one snapshot of the database.

    `vkeys` are the log's public keys of all times, `log_dir` its static files (None: leave them out). `progress` is
    told what is being looked at, and how much of it was.
    """
    notes = {} if log_dir is None else published_notes(log_dir)
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for finding in findings(connection, vkeys, log_dir, scope, notes, progress=progress):
            yield finding


async def findings(
    connection: Connection,
    vkeys: Sequence[VerifierKey],
    log_dir: Path | None,
    scope: Scope,
    notes: Mapping[str, bytes],
    *,
    progress: Progress = nothing,
) -> AsyncIterator[Finding]:
    """As `verify`, in the transaction of the caller; `notes` are `published_notes` from before it."""
    heads = await connection.fetch(LOG["heads"])
    since = BEGINNING
    for head in heads:
        if scope.since_position and head["closed_at"] is not None:
            continue
        files = None if log_dir is None else TileFiles(log_dir, head["origin"])
        if files is not None and files.folder.parent.is_dir() and not files.folder.exists():
            async for finding in _no_folder(connection, head, files):
                yield finding
        check = LogCheck(
            connection,
            head,
            vkeys,
            files,
            None if files is None else notes.get(files.folder.name),
            since=scope.since_position,
            progress=lambda steps: progress("entries of the log", steps),
        )
        async for finding in check.run():
            yield finding
        if scope.since_position:
            since = await _time_of(connection, head["origin_id"], scope.since_position) or BEGINNING
    async for finding in _around_the_log(connection, heads):
        yield finding
    for note in scope.held:
        async for finding in _held(connection, heads, vkeys, note):
            yield finding
    async for finding in _attested(connection, scope):
        yield finding
    if scope.records:
        async for finding in _records(connection, since, scope, progress):
            yield finding


async def _time_of(connection: Connection, origin_id: int, position: int) -> datetime | None:
    found: datetime | None = await connection.fetchval(LOG["time_of_position"], origin_id, position)
    return found


async def _no_folder(connection: Connection, head: Any, files: TileFiles) -> AsyncIterator[Finding]:
    """The files of a closed log are there for good; those of the open one may be about to be written."""
    signed = await connection.fetchval(LOG["long_signed"], head["origin_id"])
    if signed or (head["closed_at"] is not None and head["signed_size"]):
        yield Finding(
            where="checkpoint file",
            key=files.folder.name,
            what="folder",
            found="no folder",
            expected=f"the files of {head['origin']}, whose newest checkpoint covers {head['signed_size']} entries;"
            " `lienthong fsck --repair` writes them anew",
        )


async def _around_the_log(connection: Connection, heads: Sequence[Any]) -> AsyncIterator[Finding]:
    """Events that were passed over, rows of no origin, and a year that names another one's tree."""
    async for row in connection.cursor(LOG["behind_the_cursor"], prefetch=500):
        yield Finding(
            where="event",
            key=f"{row['at'].isoformat()} {row['event_id']}",
            what="row",
            found=f"an event ({row['kind']}, epoch {row['epoch']}, transaction {row['xid']}) that is not in the log,"
            " although later ones are",
            expected="no such row: it was inserted behind the log's back",
        )
    async for row in connection.cursor(LOG["never_sequenced"], prefetch=500):
        yield Finding(
            where="event",
            key=f"{row['at'].isoformat()} {row['event_id']}",
            what="xid",
            found=f"an event ({row['kind']}) of epoch {row['epoch']}, transaction {row['xid']}",
            expected="one of a transaction that there has been: as it stands, the log would never take it in",
        )
    for row in await connection.fetch(LOG["strangers"], [head["origin_id"] for head in heads]):
        yield Finding(
            where=row["place"],
            key=f"origin {row['origin_id']}",
            what="row",
            found=f"{row['many']} rows",
            expected="none: there is no such origin",
        )
    for before, after in pairwise(heads):
        first = await connection.fetchval(LOG["bodies"], after["origin_id"], 0, 1)
        wanted = f'"previous":{{"origin":"{before["origin"]}","root":"{before["root"].hex()}","size":{before["size"]}}}'
        if first is None or wanted.encode() not in bytes(first):
            yield Finding(
                where="log_entry",
                key=f"{after['origin']} position 0",
                what="body",
                found=shown(bytes(first or b"")[:300]),
                expected=f"the log's beginning, naming {before['origin']} with {before['size']} entries and its root",
            )


async def _held(
    connection: Connection, heads: Sequence[Any], vkeys: Sequence[VerifierKey], note: bytes
) -> AsyncIterator[Finding]:
    """Whether the log still contains the tree that somebody outside holds a signature of: it may have been cut."""
    where, key = "held checkpoint", "the file that was given"
    try:
        origin = Checkpoint.parse(parse_note(note).text).origin
        signed = verify_checkpoint(note, trusted(vkeys, origin), origin=origin)
        key = f"{origin} size {signed.size}"
        head = next((head for head in heads if head["origin"] == origin), None)
        if head is None:
            raise EvidenceFault("log_origin", found="no such log", expected=f"{signed.size} entries, as signed")
        if head["size"] < signed.size:
            found = f"{head['size']} entries: the log was cut, or the database comes from a backup"
            raise EvidenceFault("size", found=found, expected=f"at least {signed.size}, as signed")
        root = (await growth_at(connection, head["origin_id"], signed.size)).root()
        if root != signed.root:
            raise EvidenceFault("root", found=root.hex(), expected=f"{signed.root.hex()}, as signed")
    except EvidenceFault as fault:
        yield Finding(where=where, key=key, what=fault.what, found=fault.found, expected=fault.expected)


async def _attested(connection: Connection, scope: Scope) -> AsyncIterator[Finding]:
    """What witnesses and timestamp authorities said, against the checkpoints that it was said about."""
    known = {key.name: key for key in scope.witnesses}
    async for row in connection.cursor(LOG["attested"], prefetch=500):
        where = "cosignature" if row["token"] is None else "checkpoint_timestamp"
        key = f"{row['origin']} size {row['size']} by {row['witness']}"
        try:
            if row["token"] is not None:
                said: datetime | None = verify_timestamp(row["note"], row["token"], scope.timestamp_roots)
            elif row["witness"] in known:
                note = Note(parse_note(row["note"]).text, (parse_signature_line(row["line"]),))
                said = verify_note(note, [known[row["witness"]]])[0].at
            else:
                continue
        except EvidenceFault as fault:
            yield Finding(where=where, key=key, what=fault.what, found=fault.found, expected=fault.expected)
            continue
        if said != row["at"]:
            yield Finding(where=where, key=key, what="at", found=shown(row["at"]), expected=f"{shown(said)}, as signed")


async def _records(connection: Connection, since: datetime, scope: Scope, progress: Progress) -> AsyncIterator[Finding]:
    # Every statement is read to its end, and runs once: no plan that brings the first rows soonest, and none compiled.
    await connection.execute("SET LOCAL cursor_tuple_fraction = 1; SET LOCAL jit = off")
    named: set[tuple[str, str, str]] = set()

    def already(one: Finding) -> bool:
        return (one.where, one.key, one.what) in named

    for name in RECORD_CHECKS:
        arguments = (since,) if "$1" in RECORDS[name] else ()
        try:
            async with connection.transaction():
                async for row in connection.cursor(RECORDS[name], *arguments, prefetch=500):
                    finding = Finding(
                        where=row["place"],
                        key=shown(row["key"]),
                        what=row["what"],
                        found=shown(row["found"]),
                        expected=shown(row["expected"]),
                    )
                    if finding.where in DIRECTORY or finding.where == "account":
                        named.add((finding.where, finding.key, finding.what))
                    yield finding
        except asyncpg.DataError as error:
            yield _unreadable(name, error)
        progress("kinds of rows", 1)
    signers = await read_signers(connection) if scope.full else None
    checks = (
        check_directory(connection, named=already, progress=progress),
        check_accounts(connection, named=already, progress=progress),
        check_sessions(connection, since, progress=progress),
        check_systems(connection, progress=progress),
        check_work_tables(connection, since, progress=progress),
        check_documents(connection, since, signers=signers, progress=_of(progress, "documents")),
        check_statuses(connection, since, signers=signers, progress=_of(progress, "statuses")),
        check_texts(connection, since),
        check_refusals(connection, since),
        check_quarantine(connection, since),
        check_states(connection, since, progress=_of(progress, "deliveries")),
    )
    for check in (*checks, *(() if signers is None else (check_notices(connection, since, signers=signers),))):
        try:
            async with connection.transaction():
                async for finding in check:
                    yield finding
        except asyncpg.DataError as error:
            yield _unreadable(check.__name__, error)


def _unreadable(name: str, error: Exception) -> Finding:
    return Finding(
        where="event",
        key=f"as {name} reads it",
        what="body",
        found=f"a body that cannot be read: {error}",
        expected="events as they were logged; what was changed is named above, and until it is put right these"
        " rows cannot be compared",
    )


def _of(progress: Progress, what: str) -> Callable[[int], None]:
    return lambda steps: progress(what, steps)

"""`fsck`: the log's files against the database, and whether the exchange's rows and content agree with each other.

Repairs only what derives from something else: the log's static files, and only from rows that add up to what was
signed. Everything else it names, with what to do. Never touches an event, an entry or a signature.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from broker.content.store import ContentMissing, ContentStore
from broker.evidence.checkpoints import trusted
from broker.evidence.findings import Finding, shown
from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import VerifierKey, verify_checkpoint
from broker.evidence.tile_files import TileFiles, published_notes
from broker.evidence.tiles import Tile, tiles_of
from broker.evidence.tree_rows import SQL as LOG
from broker.evidence.tree_rows import growth_at, tile_bytes
from broker.evidence.verify_checkpoints import older_than_signed
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.problem import Problem

SQL: Final = load_queries("broker.evidence", "fsck.sql")

GRACE: Final = timedelta(minutes=5)
"""What is younger than this may still be on its way."""

ROW_CHECKS: Final = ("without_deliveries", "nobody_publishes", "never_leaves", "inline_content", "parts_recorded")

Progress = Callable[[str, int], None]


async def check_files(
    connection: Connection, vkeys: Sequence[VerifierKey], log_dir: Path, *, repair: bool, progress: Progress
) -> AsyncIterator[Finding]:
    """Every static file of every origin against what the database makes of it. With `repair`, writes them anew.

    Raises Problem if a repair is asked for and the rows do not add up to what was signed.
    """
    notes = published_notes(log_dir)
    for head in await connection.fetch(LOG["heads"]):
        if head["note"] is None:
            continue
        files = TileFiles(log_dir, head["origin"])
        published, fault = _published(files, notes.get(files.folder.name), head, vkeys)
        if fault is None and published is not None:
            fault = await older_than_signed(connection, head, files, published)
        if fault is not None:
            yield fault
        if repair and published is not None and published > head["signed_size"]:
            raise Problem(
                f"the files of {head['origin']} hold {published} signed entries, the database {head['signed_size']}",
                "a database that knows everything that was signed",
                "Nothing was repaired: the files are what is left of the log. Run `lienthong db restored`.",
            )
        if repair:
            await _must_add_up(connection, head, vkeys)
        size = head["signed_size"] if repair or published is None else min(published, head["signed_size"])
        expected: set[Tile] = set()
        for tile in tiles_of(size):
            expected.add(tile)
            finding = await _check_tile(connection, head, files, tile)
            if finding is not None:
                yield finding
                if repair:
                    files.write(tile, await tile_bytes(connection, head["origin_id"], tile))
            progress("files", 1)
        if repair and (fault is not None or published != head["signed_size"]):
            files.write_checkpoint(head["note"])
        for found in files.tiles():
            strange = await _strange(connection, head, files, found, expected)
            if strange is not None:
                yield strange
                if repair:
                    (files.path(found) if isinstance(found, Tile) else found).unlink(missing_ok=True)


async def check_rows(connection: Connection, now: datetime, progress: Progress) -> AsyncIterator[Finding]:
    """Rows of the exchange that do not agree with each other."""
    for name in ROW_CHECKS:
        async with connection.transaction():
            async for row in connection.cursor(SQL[name], now - GRACE, prefetch=500):
                yield Finding(
                    where=row["place"], key=row["key"], what=row["what"], found=row["found"], expected=row["expected"]
                )
        progress("kinds of rows", 1)


async def check_content(
    connection: Connection, store: ContentStore, now: datetime, progress: Progress, *, read: bool
) -> AsyncIterator[Finding]:
    """Content that accepted documents name: there, of its size, and with `read` the bytes that its digest names."""
    async with connection.transaction():
        async for row in connection.cursor(SQL["stored_content"], now - GRACE, prefetch=500):
            digest = row["digest"].hex()
            size = await store.size_of(digest)
            if size != row["size"]:
                yield Finding(
                    where="content",
                    key=digest,
                    what="bytes",
                    found="nothing in the content store" if size is None else f"{size} bytes",
                    expected=f"{row['size']} bytes: bring them back from a backup; their digest says which they are",
                )
            elif read:
                finding = await _read_through(store, digest, row["size"])
                if finding is not None:
                    yield finding
            progress("parts", 1)


async def _read_through(store: ContentStore, digest: str, size: int) -> Finding | None:
    found = sha256()
    try:
        async for piece in store.read(digest, 0, size):
            found.update(piece)
    except ContentMissing as missing:
        return Finding(where="content", key=digest, what="bytes", found=str(missing), expected=f"{size} bytes")
    if found.hexdigest() == digest:
        return None
    return Finding(where="content", key=digest, what="bytes", found=found.hexdigest(), expected=digest)


def _published(
    files: TileFiles, note: bytes | None, head: Any, vkeys: Sequence[VerifierKey]
) -> tuple[int | None, Finding | None]:
    """How far the files claim to reach; None, with a finding, if their checkpoint cannot be believed."""
    key = f"{files.folder.name}/checkpoint"
    if note is None:
        return None, Finding(
            where="checkpoint file", key=key, what="file", found="no file", expected="the newest checkpoint"
        )
    try:
        checkpoint = verify_checkpoint(note, trusted(vkeys, head["origin"]), origin=head["origin"])
    except EvidenceFault as fault:
        return None, Finding(
            where="checkpoint file", key=key, what=fault.what, found=fault.found, expected=fault.expected
        )
    if checkpoint.size > head["signed_size"]:
        return checkpoint.size, Finding(
            where="checkpoint file",
            key=key,
            what="size",
            found=f"{checkpoint.size} entries, signed",
            expected=f"{head['signed_size']}, the newest in the database: was it restored? See `lienthong db restored`",
        )
    return checkpoint.size, None


async def _must_add_up(connection: Connection, head: Any, vkeys: Sequence[VerifierKey]) -> None:
    """Files are made only out of rows that are what was signed; and never over a newer log than the database's."""
    origin = head["origin"]
    try:
        checkpoint = verify_checkpoint(head["note"], trusted(vkeys, origin), origin=origin)
        found = (await growth_at(connection, head["origin_id"], checkpoint.size)).root()
        if found != checkpoint.root:
            raise EvidenceFault(f"root of {origin}", found=found.hex(), expected=checkpoint.root.hex())
    except EvidenceFault as fault:
        raise Problem(
            f"the rows of {origin} are not what was signed: {fault}",
            "rows from which the files can be made",
            "Nothing was repaired. Look with `lienthong audit verify` which rows were changed, and bring them back.",
        ) from None


async def _check_tile(connection: Connection, head: Any, files: TileFiles, tile: Tile) -> Finding | None:
    where = "entries" if tile.level == "entries" else "tile"
    key = f"{files.folder.name}/{tile.path}"
    try:
        expected = await tile_bytes(connection, head["origin_id"], tile)
    except EvidenceFault as fault:
        return Finding(where="log_entry", key=key, what=fault.what, found=fault.found, expected=fault.expected)
    try:
        data = files.read_grown(tile)
    except EvidenceFault as fault:
        return Finding(where=where, key=key, what="file", found=fault.found, expected=fault.expected)
    if data is None:
        return Finding(where=where, key=key, what="file", found="no file", expected=f"{len(expected)} bytes")
    if data == expected:
        return None
    at = next(
        (n for n, (a, b) in enumerate(zip(data, expected, strict=False)) if a != b), min(len(data), len(expected))
    )
    return Finding(
        where=where,
        key=key,
        what="bytes",
        found=f"{len(data)} bytes, others from byte {at} on: {shown(data[at : at + 16])}",
        expected=f"{len(expected)} bytes: {shown(expected[at : at + 16])}",
    )


async def _strange(
    connection: Connection, head: Any, files: TileFiles, found: Tile | Path, expected: set[Tile]
) -> Finding | None:
    """A file that does not belong there: no tile, or one beyond the log, or a partial one that is not the log's."""
    if isinstance(found, Path):
        return Finding(
            where="tile", key=str(found), what="file", found="a file", expected="no file: it is none of the log's"
        )
    if found in expected:
        return None
    try:
        wanted = await tile_bytes(connection, head["origin_id"], found)
    except EvidenceFault:
        wanted = b""
    if wanted and files.read(found) in (wanted, None):
        # Written by the keeper meanwhile, or one of the partial ones of an earlier signed size.
        return None
    return Finding(
        where="entries" if found.level == "entries" else "tile",
        key=found.path,
        what="file",
        found="a file",
        expected="no file: the log has no such tile",
    )

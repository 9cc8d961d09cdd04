"""Write the log's static files out of the database, and the checkpoint last (C2SP tlog-tiles).

The published checkpoint says how far the files reach; everything beyond it is written before it is replaced. Partial
tiles are written for every size that was signed, unless the tile is full by now. Begins anew from nothing on a machine
whose folder is empty. Reads what is committed; the keeper's lease only says whether to bother.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg

from broker.evidence.checkpoints import trusted
from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import Checkpoint, VerifierKey, verify_checkpoint
from broker.evidence.tile_files import TileFiles
from broker.evidence.tiles import HEIGHT, Tile, tiles_between
from broker.evidence.tree_rows import SQL, tile_bytes
from broker.upkeep.lease import Lease

TILES_AT_ONCE: Final = 32
"""Files that are read and written together."""


class FilePublisher:
    """Keeps one folder of files up to what is recorded."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], vkeys: Sequence[VerifierKey], log_dir: Path) -> None:
        self._pool = pool
        self._vkeys = tuple(vkeys)
        self._log_dir = log_dir

    async def publish(self, lease: Lease | None = None) -> int:
        """Bring the files of every origin up to its newest recorded checkpoint; returns how many files were written.

        Stops early when `lease` is given and not held any more. Raises EvidenceFault if rows or events are missing.
        """
        written = 0
        for head in await self._pool.fetch(SQL["heads"]):
            if head["note"] is not None:
                written += await self._publish_origin(head, lease)
        return written

    async def _publish_origin(self, head: Any, lease: Lease | None) -> int:
        files = TileFiles(self._log_dir, head["origin"])
        note, published = await asyncio.to_thread(self._published, files, head["origin"])
        if published is not None and published.size >= head["signed_size"]:
            return 0
        begin = published.size if published is not None else 0
        if note is not None and published is None:
            # Not ours: the signer refuses to go on, and this must not hide what it found.
            return 0
        tiles = await self._wanted(head, begin)
        for at in range(0, len(tiles), TILES_AT_ONCE):
            if lease is not None and not lease.holds():
                return at
            group = tiles[at : at + TILES_AT_ONCE]
            async with self._pool.acquire() as connection:
                contents = [await tile_bytes(connection, head["origin_id"], tile) for tile in group]
            await asyncio.to_thread(_write_all, files, group, contents)
        if lease is not None and not lease.holds():
            return len(tiles)
        # Another keeper may have come further meanwhile; its checkpoint stays.
        _, newest = await asyncio.to_thread(self._published, files, head["origin"])
        if newest is None or newest.size < head["signed_size"]:
            await asyncio.to_thread(files.write_checkpoint, head["note"])
        return len(tiles) + 1

    async def _wanted(self, head: Any, begin: int) -> list[Tile]:
        """Every file between two sizes: full tiles first, and partial ones of each signed size unless full now."""
        end = head["signed_size"]
        sizes = [row[0] for row in await self._pool.fetch(SQL["signed_sizes"], head["origin_id"], begin, end)]
        wanted: dict[Tile, None] = {}
        before = begin
        for size in [*sizes, end]:
            for tile in tiles_between(before, size):
                if not tile.partial or not full_by_now(tile, end):
                    wanted[tile] = None
            before = size
        return list(wanted)

    def _published(self, files: TileFiles, origin: str) -> tuple[bytes | None, Checkpoint | None]:
        note = files.read_checkpoint()
        if note is None:
            return None, None
        try:
            return note, verify_checkpoint(note, trusted(self._vkeys, origin), origin=origin)
        except EvidenceFault:
            return note, None


def full_by_now(tile: Tile, size: int) -> bool:
    """Whether a tile is full in a tree of `size` leaves."""
    level = tile.level if isinstance(tile.level, int) else 0
    return tile.number < size >> (HEIGHT * (level + 1))


def _write_all(files: TileFiles, tiles: Sequence[Tile], contents: Sequence[bytes]) -> None:
    for tile, data in zip(tiles, contents, strict=True):
        files.write(tile, data)

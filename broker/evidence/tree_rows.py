"""Parts of a tree out of the database: the rightmost tiles at any size, and the bytes of any tile.

Reads `log_entry`, `log_node` and `event` only; writes nothing, and trusts nothing: what does not add up is an
EvidenceFault that says where.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from broker.evidence.growth import Growth, Span, rows_of
from broker.evidence.merkle import HASH_SIZE, EvidenceFault
from broker.evidence.tiles import FULL, HEIGHT, Tile, encode_entries, encode_hashes, fold
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.evidence", "log.sql")


async def read_hashes(connection: Connection, origin_id: int, span: Span) -> list[bytes]:
    """Consecutive hashes of one row of tiles. Raises EvidenceFault if some are missing."""
    if span.level == 0:
        rows = await connection.fetch(SQL["leaves"], origin_id, span.first, span.end)
    else:
        rows = await connection.fetch(SQL["nodes"], origin_id, span.level, span.first, span.end)
    hashes = [row[0] for row in rows]
    wanted = span.end - span.first
    if len(hashes) != wanted or any(len(hash_) != HASH_SIZE for hash_ in hashes):
        table = "log_entry" if span.level == 0 else f"log_node, level {span.level}"
        raise EvidenceFault(
            f"{table}, {span.first} to {span.end - 1} of origin {origin_id}",
            found=f"{len(hashes)} rows",
            expected=f"{wanted} rows with hashes of {HASH_SIZE} bytes",
        )
    return hashes


async def growth_at(connection: Connection, origin_id: int, size: int) -> Growth:
    """The tree of the first `size` leaves, ready to grow. Raises EvidenceFault if rows are missing."""
    return Growth(size, [await read_hashes(connection, origin_id, span) for span in rows_of(size)])


async def read_nodes(
    connection: Connection, origin_id: int, places: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], bytes]:
    """The hashes of complete subtrees (level, index), for proofs. Raises EvidenceFault if rows are missing."""
    nodes: dict[tuple[int, int], bytes] = {}
    for level, index in places:
        row, inside = divmod(level, HEIGHT)
        span = Span(row, index << inside, (index + 1) << inside)
        nodes[level, index] = fold(await read_hashes(connection, origin_id, span))
    return nodes


async def tile_bytes(connection: Connection, origin_id: int, tile: Tile) -> bytes:
    """What the file of a tile must hold. Raises EvidenceFault if rows or events are missing."""
    first = tile.number * FULL
    if tile.level != "entries":
        return encode_hashes(await read_hashes(connection, origin_id, Span(tile.level, first, first + tile.width)))
    bodies = [row[0] for row in await connection.fetch(SQL["bodies"], origin_id, first, first + tile.width)]
    if len(bodies) != tile.width or None in bodies:
        missing = next((at for at, body in enumerate(bodies) if body is None), len(bodies))
        raise EvidenceFault(
            f"{tile.path} of origin {origin_id}",
            found=f"no event for position {first + missing}",
            expected="an event for every position of log_entry",
        )
    return encode_entries(bodies)

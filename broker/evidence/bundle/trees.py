"""Reads the parts of the tree that proofs need from the database, a tile at a time. Reads only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from broker.evidence.merkle import HASH_SIZE, EvidenceFault, Node
from broker.evidence.tiles import FULL, HEIGHT, fold
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL = load_queries("broker.evidence.bundle", "bundle.sql")

TILES_AT_ONCE = 500
"""Tiles read by one statement: 4 MB of hashes."""


async def load_nodes(connection: Connection, origin_id: int, places: Iterable[tuple[int, int]]) -> Node:
    """The complete subtrees (level, index) of an origin's tree that proofs ask for; each is hashed up once."""
    wanted: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
    for level, index in places:
        row, inside = divmod(level, HEIGHT)
        wanted[row, (index << inside) >> HEIGHT].add((level, index))
    known: dict[tuple[int, int], bytes] = {}
    for row in sorted({row for row, _ in wanted}):
        numbers = sorted(number for other, number in wanted if other == row)
        for start in range(0, len(numbers), TILES_AT_ONCE):
            some = numbers[start : start + TILES_AT_ONCE]
            if row == 0:
                tiles = await connection.fetch(SQL["tile_leaves"], origin_id, some)
            else:
                tiles = await connection.fetch(SQL["tile_nodes"], origin_id, row, some)
            for tile in tiles:
                for place in wanted[row, tile["number"]]:
                    known[place] = _subtree(place, tile["number"], tile["hashes"])
    return lambda level, index: known[level, index]


def _subtree(place: tuple[int, int], number: int, hashes: bytes) -> bytes:
    level, index = place
    inside = level % HEIGHT
    first = (index << inside) - number * FULL
    data = hashes[first * HASH_SIZE : (first + (1 << inside)) * HASH_SIZE]
    if len(data) != HASH_SIZE << inside:
        raise EvidenceFault(
            f"subtree {index} of level {level}", found=f"{len(data) // HASH_SIZE} hashes", expected=f"{1 << inside}"
        )
    return fold([data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)])

"""C2SP tlog-tiles: which static files hold a tree and its entries, and what is in them. Pure.

A tile holds up to 256 consecutive hashes of one tree level that is a multiple of 8; `tile/0/…` are the leaf hashes. An
entry bundle holds the entries under a level-0 tile, each after its length (uint16, big-endian). A full tile has
`FULL` of them; the last one of a level may be partial (`….p/<width>`), and an empty one does not exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from broker.evidence.merkle import HASH_SIZE, EvidenceFault, node_hash

HEIGHT: Final = 8
"""Tree levels that one tile spans."""

FULL: Final = 1 << HEIGHT
"""Hashes in a full tile, entries in a full bundle."""

MAX_ENTRY: Final = 65_535
"""Bytes of an entry at most."""

MAX_LEVEL: Final = 63

Level: TypeAlias = int | Literal["entries"]

_NUMBER: Final = r"(?:x[0-9]{3}/)*[0-9]{3}"
_PATH: Final = re.compile(
    rf"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<number>{_NUMBER})(?:\.p/(?P<width>[1-9][0-9]{{0,2}}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One static file: hashes of a level, or a bundle of entries."""

    level: Level
    """0…63, or "entries"."""
    number: int
    """From the left, counted from 0."""
    width: int = FULL
    """How many hashes or entries; `FULL` unless it is partial."""

    def __post_init__(self) -> None:
        if not 1 <= self.width <= FULL or self.number < 0:
            raise ValueError(f"no tile {self.number} of width {self.width}: a width is 1 to {FULL}")
        if self.level != "entries" and not (isinstance(self.level, int) and 0 <= self.level <= MAX_LEVEL):
            raise ValueError(f"no tile of level {self.level}: a level is 0 to {MAX_LEVEL}, or entries")

    @property
    def partial(self) -> bool:
        """Whether it is not full."""
        return self.width < FULL

    @property
    def path(self) -> str:
        """Below the log's prefix: `tile/<L>/<N>[.p/<W>]`, N in groups of three digits, all but the last with an x."""
        groups = f"{self.number:03d}"
        groups = groups.zfill(-(-len(groups) // 3) * 3)
        parts = [groups[at : at + 3] for at in range(0, len(groups), 3)]
        number = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        suffix = f".p/{self.width}" if self.partial else ""
        return f"tile/{self.level}/{number}{suffix}"

    @property
    def complete(self) -> Tile:
        """The same tile when it is full."""
        return Tile(self.level, self.number)


def parse_path(path: str) -> Tile:
    """The tile that a path below the log's prefix names. Raises EvidenceFault if it names none."""
    match = _PATH.fullmatch(path)
    fault = EvidenceFault("tile path", found=repr(path), expected="tile/<level>/<x000/…/000>[.p/<1 to 255>]")
    if match is None:
        raise fault
    level: Level = "entries" if match["level"] == "entries" else int(match["level"])
    groups = match["number"].replace("x", "").split("/")
    number, width = int("".join(groups)), int(match["width"] or FULL)
    if (isinstance(level, int) and level > MAX_LEVEL) or (match["width"] and width >= FULL):
        raise fault
    tile = Tile(level, number, width)
    if tile.path != path:
        raise fault
    return tile


def tiles_of(size: int) -> Iterator[Tile]:
    """Every file of a tree of `size` leaves: hash tiles level by level, then the entry bundles."""
    count = size
    level = 0
    while count:
        yield from _row(level, 0, count)
        count >>= HEIGHT
        level += 1
    yield from _row("entries", 0, size)


def tiles_between(old_size: int, new_size: int) -> Iterator[Tile]:
    """The files that a tree of `new_size` leaves has and the one of `old_size` leaves, its prefix, has not."""
    old, new, level = old_size, new_size, 0
    while new:
        if new > old:
            yield from _row(level, old >> HEIGHT, new)
        old >>= HEIGHT
        new >>= HEIGHT
        level += 1
    if new_size > old_size:
        yield from _row("entries", old_size >> HEIGHT, new_size)


def _row(level: Level, first: int, count: int) -> Iterator[Tile]:
    full, rest = divmod(count, FULL)
    for number in range(first, full):
        yield Tile(level, number)
    if rest:
        yield Tile(level, full, rest)


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    """A hash tile's bytes."""
    return b"".join(hashes)


def decode_hashes(tile: Tile, data: bytes) -> list[bytes]:
    """The hashes in a tile's bytes. Raises EvidenceFault if there are not exactly `tile.width`."""
    if len(data) != tile.width * HASH_SIZE:
        raise EvidenceFault(tile.path, found=f"{len(data)} bytes", expected=f"{tile.width * HASH_SIZE} bytes")
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """An entry bundle's bytes. Raises ValueError for an entry beyond `MAX_ENTRY`."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise ValueError(f"an entry of {len(entry)} bytes; at most {MAX_ENTRY} fit into a bundle")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def decode_entries(tile: Tile, data: bytes) -> list[bytes]:
    """The entries in a bundle's bytes. Raises EvidenceFault if there are not exactly `tile.width`."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise EvidenceFault(
                tile.path, found=f"{len(data)} bytes", expected=f"entry {len(entries)} up to byte {end}"
            )
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != tile.width:
        raise EvidenceFault(tile.path, found=f"{len(entries)} entries", expected=f"{tile.width} entries")
    return entries


def tile_of(level: int, index: int, size: int) -> Tile:
    """The hash tile that holds, or lies just below, the complete subtree (level, index) of a tree of `size` leaves."""
    row, inside = divmod(level, HEIGHT)
    number = (index << inside) >> HEIGHT
    return Tile(row, number, min(FULL, (size >> (row * HEIGHT)) - number * FULL))


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes: of a full tile, or of a subtree inside one."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]

"""A growing tree as its rightmost tiles: what the sequencer needs to add leaves and know the root. Pure.

Row 0 are the leaf hashes in the last, partial tile; row n the hashes over full tiles of row n-1 that do not fill a tile
of their own yet. Together they are the whole state: at most 255 hashes a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from broker.evidence.merkle import EvidenceFault, root_of_tree
from broker.evidence.tiles import FULL, HEIGHT, fold


@dataclass(frozen=True, slots=True)
class FullTile:
    """A tile that has just become full: its hash stands in the row above."""

    level: int
    """Of the row in which the hash stands: 1 for a tile of leaves."""
    number: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive hashes of one row: first … end, as numbers within the row."""

    level: int
    first: int
    end: int


def rows_of(size: int) -> Iterator[Span]:
    """Which hashes of which rows stand in the partial tiles of a tree of `size` leaves."""
    level = 0
    while size:
        yield Span(level, size >> HEIGHT << HEIGHT, size)
        size >>= HEIGHT
        level += 1


class Growth:
    """The rightmost tiles of a tree, and how they change when leaves are added."""

    __slots__ = ("rows", "size")

    def __init__(self, size: int = 0, rows: Sequence[Sequence[bytes]] = ()) -> None:
        """`rows` as `rows_of(size)` names them. Raises EvidenceFault if one has not as many hashes as it must."""
        self.size = size
        self.rows = [list(row) for row in rows]
        for span, row in zip(rows_of(size), self.rows, strict=True):
            if len(row) != span.end - span.first:
                raise EvidenceFault(
                    f"tree of {size} leaves, hashes {span.first} to {span.end} of row {span.level}",
                    found=f"{len(row)} hashes",
                    expected=f"{span.end - span.first}",
                )

    def copy(self) -> Growth:
        """Another one that grows by itself."""
        return Growth(self.size, self.rows)

    def extend(self, leaves: Sequence[bytes]) -> list[FullTile]:
        """Add leaf hashes at the end; returns the tiles that became full by it, lowest first among equals."""
        filled: list[FullTile] = []
        for leaf in leaves:
            self._append(0, leaf, filled)
            self.size += 1
        return filled

    def root(self) -> bytes:
        """The root over everything added so far."""
        return root_of_tree(self.size, self._node)

    def _append(self, level: int, hash_: bytes, filled: list[FullTile]) -> None:
        if level == len(self.rows):
            self.rows.append([])
        row = self.rows[level]
        row.append(hash_)
        if len(row) == FULL:
            above = fold(row)
            filled.append(FullTile(level + 1, self.size >> (HEIGHT * (level + 1)), above))
            row.clear()
            self._append(level + 1, above, filled)

    def _node(self, level: int, index: int) -> bytes:
        """Every complete subtree that makes up the root lies in the partial tile of its row."""
        row, inside = divmod(level, HEIGHT)
        start = self.size >> (HEIGHT * (row + 1)) << HEIGHT
        first = (index << inside) - start
        return fold(self.rows[row][first : first + (1 << inside)])

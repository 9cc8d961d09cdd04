"""The tree against everything that was signed: recorded checkpoints in their order, and the published one. Reads only.

`verify_log` adds the leaves up, one after the other; here is said whether what was signed of so many is that tree.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from broker.evidence.checkpoints import trusted
from broker.evidence.findings import Finding, shown
from broker.evidence.merkle import EvidenceFault, Frontier
from broker.evidence.notes import VerifierKey, verify_checkpoint
from broker.evidence.tile_files import TileFiles
from broker.evidence.tiles import FULL, Tile
from broker.evidence.tree_rows import SQL
from broker.store.pool import Connection


class SignedTrees:
    """What was signed of one origin. `published` is how far the published checkpoint reaches, and with it the files."""

    def __init__(
        self,
        connection: Connection,
        head: Any,
        vkeys: Sequence[VerifierKey],
        files: TileFiles | None,
        note: bytes | None,
    ) -> None:
        """Arguments as for `LogCheck`."""
        self._note = note
        self._connection = connection
        self._head = head
        self._origin_id: int = head["origin_id"]
        self._origin: str = head["origin"]
        self._vkeys = trusted(vkeys, head["origin"])
        self._files = files
        self._since = 0
        self._signed: list[Any] = []
        self._last_number: int | None = None
        self._file_root: bytes | None = None
        self._good = 0
        self._contradicted = 0
        self.published = 0

    async def check_published(self) -> AsyncIterator[Finding]:
        """The published checkpoint; it says how far the other files can be asked."""
        if self._files is None:
            return
        note = self._note
        key = f"{self._files.folder.name}/checkpoint"
        if note is None:
            yield Finding(
                where="checkpoint file", key=key, what="file", found="no file", expected="the newest checkpoint"
            )
            self.published = self._head["signed_size"] or 0
            return
        try:
            checkpoint = verify_checkpoint(note, self._vkeys, origin=self._origin)
        except EvidenceFault as fault:
            yield Finding(where="checkpoint file", key=key, what=fault.what, found=fault.found, expected=fault.expected)
            self.published = self._head["signed_size"] or 0
            return
        self.published, self._file_root = checkpoint.size, checkpoint.root
        stale = await older_than_signed(self._connection, self._head, self._files, checkpoint.size)
        if stale is not None:
            yield stale
        row = await self._connection.fetchrow(SQL["checkpoints_from"], self._origin_id, checkpoint.size, 1)
        if row is None or row["size"] != checkpoint.size:
            yield Finding(
                where="checkpoint",
                key=f"{self._origin} size {checkpoint.size}",
                what="row",
                found="no row",
                expected=f"the checkpoint that {key} holds, signed by this log",
            )
        elif row["root"] != checkpoint.root:
            yield Finding(
                where="checkpoint",
                key=f"{self._origin} size {checkpoint.size}",
                what="root",
                found=shown(row["root"]),
                expected=f"{shown(checkpoint.root)}, which {key} holds, signed by this log",
            )

    async def begin(self, size: int) -> None:
        """Read the checkpoints from this size on, below which nothing is looked at."""
        self._since = size
        self._signed = list(await self._read_signed(size))

    def due(self, size: int) -> bool:
        """Whether a recorded checkpoint is over no more than so many entries, and was not looked at yet."""
        return bool(self._signed) and self._signed[0]["size"] <= size

    async def check(self, frontier: Frontier, *, known: bool, last: bool = False) -> AsyncIterator[Finding]:
        """Every recorded checkpoint that is due against the tree; with `last` those of more entries, too.

        Without `known` it is not known of every entry which one it was, so that roots say nothing.
        """
        while self._signed and (last or self.due(frontier.size)):
            row = self._signed.pop(0)
            for finding in self._check(row, frontier, known=known):
                yield finding
            if not self._signed:
                self._signed = list(await self._read_signed(row["size"] + 1))

    async def _read_signed(self, size: int) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.fetch(SQL["checkpoints_from"], self._origin_id, size, 1000)
        return rows

    def _check(self, row: Any, frontier: Frontier, *, known: bool) -> Iterator[Finding]:
        key = f"{self._origin} size {row['size']}"
        if self._last_number is not None and row["number"] != self._last_number + 1:
            yield Finding(
                where="checkpoint",
                key=key,
                what="order",
                found=f"number {row['number']} after {self._last_number}",
                expected=f"number {self._last_number + 1}: rows were removed, inserted or changed",
            )
        elif self._last_number is None and not self._since and row["number"] != 0:
            yield Finding(
                where="checkpoint", key=key, what="order", found=f"number {row['number']} first", expected="number 0"
            )
        self._last_number = row["number"]
        try:
            checkpoint = verify_checkpoint(row["note"], self._vkeys, origin=self._origin)
        except EvidenceFault as fault:
            yield Finding(
                where="checkpoint", key=key, what=f"note: {fault.what}", found=fault.found, expected=fault.expected
            )
            checkpoint = None
        for column in ("size", "root"):
            said = getattr(checkpoint, column, row[column])
            if said != row[column]:
                yield Finding(
                    where="checkpoint",
                    key=key,
                    what=column,
                    found=shown(row[column]),
                    expected=f"{shown(said)}, as signed",
                )
        size, root = (checkpoint.size, checkpoint.root) if checkpoint else (row["size"], row["root"])
        if size > frontier.size:
            yield Finding(
                where="log_entry",
                key=f"{self._origin} positions {frontier.size} to {size - 1}",
                what="row",
                found=f"{frontier.size} entries",
                expected=f"{size} entries, as checkpoint {key} says",
            )
        elif size == frontier.size and known:
            if root == frontier.root():
                self._good = size
                return
            self._contradicted += 1
            if self._contradicted == 1:
                yield Finding(
                    where="checkpoint",
                    key=key,
                    what="root",
                    found=f"{shown(root)} {'signed' if checkpoint else 'recorded'}",
                    expected=f"{shown(frontier.root())}, to which the entries add up; they agree with what was"
                    f" signed up to size {self._good}, and something from there on was changed",
                )

    def further(self) -> Iterator[Finding]:
        """How many checkpoints beyond the first are over another tree."""
        if self._contradicted > 1:
            yield Finding(
                where="checkpoint",
                key=self._origin,
                what="root",
                found=f"{self._contradicted - 1} further checkpoints over another tree",
                expected="none: they follow from the first one",
            )

    def confirm(self, tile: Tile, hashes: Sequence[bytes], before: Frontier) -> bool:
        """Whether the newest checkpoint that ends in this tile confirms these leaves."""
        first = tile.number * FULL
        ends: dict[int, bytes] = {
            row["size"]: row["root"] for row in self._signed if first < row["size"] <= first + tile.width
        }
        if self._file_root is not None and first < self.published <= first + tile.width:
            ends[self.published] = self._file_root
        if not ends:
            return False
        newest = max(ends)
        expected = ends[newest]
        frontier = Frontier(before.size, before.peaks)
        for leaf in hashes[: newest - first]:
            frontier.append(leaf)
        return frontier.root() == expected

    def reach(self) -> int:
        """How many entries the newest checkpoint is over, recorded or published."""
        return max(self._head["signed_size"] or 0, self.published)


async def older_than_signed(connection: Connection, head: Any, files: TileFiles, published: int) -> Finding | None:
    """A published checkpoint that is not the newest, although the keeper has had the time to publish that."""
    signed = await connection.fetchval(SQL["long_signed"], head["origin_id"])
    if signed is None or published >= signed:
        return None
    return Finding(
        where="checkpoint file",
        key=f"{files.folder.name}/checkpoint",
        what="size",
        found=f"a checkpoint over {published} entries",
        expected=f"one over at least {signed}, signed more than five minutes ago: an older one was put back, or nobody"
        " publishes",
    )

"""Event bytes against leaves, leaves against tree and tiles.

Streams one origin in its order, a tile of 256 leaves at a time, in memory that does not grow with the log. For every
tile several things say what its leaves are: `log_entry`, the tile's file, the entries in its bundle, and (once it is
full) one hash in the level above. What most of them say, and the signed checkpoints confirm, is taken as logged; who
says something else was changed, and is named. Reads only; the events themselves are compared with what was logged. What
was signed of it is looked at in `verify_checkpoints`, the columns beside an event's bytes in `verify_events`.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Final

from broker.evidence.findings import Finding, shown
from broker.evidence.growth import Growth
from broker.evidence.merkle import EvidenceFault, Frontier, leaf_hash
from broker.evidence.notes import VerifierKey
from broker.evidence.tile_files import TileFiles
from broker.evidence.tiles import FULL, Tile, decode_entries, decode_hashes, fold
from broker.evidence.tree_rows import SQL, growth_at
from broker.evidence.verify_checkpoints import SignedTrees
from broker.evidence.verify_events import EventOrder, changed_event, event_columns
from broker.store.pool import Connection

ROWS_AT_ONCE: Final = 16 * FULL
"""Entries read together: whole tiles."""

MISSING: Final = b""
"""Stands for a leaf that nobody has."""

Rows = dict[int, Any]
"""The rows of one tile, by position."""


class LogCheck:
    """Checks one origin."""

    def __init__(
        self,
        connection: Connection,
        head: Any,
        vkeys: Sequence[VerifierKey],
        files: TileFiles | None,
        note: bytes | None,
        *,
        since: int = 0,
        progress: Callable[[int], None] = lambda steps: None,
    ) -> None:
        """`head` is a row of `heads`; `files` None leaves the static files out; `since` is the first position.

        `note` is the published checkpoint as it was before the snapshot in which `connection` reads.
        """
        self._connection = connection
        self._head = head
        self._origin_id: int = head["origin_id"]
        self._origin: str = head["origin"]
        self._files = files if files is not None and files.folder.exists() else None
        self._since = since // FULL * FULL
        self._progress = progress
        self._signed = SignedTrees(connection, head, vkeys, self._files, note)
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._unknown: int | None = None
        self._order = EventOrder(head["origin"])

    async def run(self) -> AsyncIterator[Finding]:
        """Everything that is not as it was logged."""
        async for finding in self._signed.check_published():
            yield finding
        await self._read_nodes()
        start, fault = await self._start()
        if fault is not None:
            yield fault
        frontier, growth = start
        await self._signed.begin(frontier.size)
        async for finding in self._signed.check(frontier, known=True):
            yield finding
        position = frontier.size
        async for tile, rows in self._tiles(position):
            leaves, findings = await self._settle(tile, rows, frontier)
            for finding in findings:
                yield finding
            for leaf in leaves:
                frontier.append(leaf)
                if self._signed.due(frontier.size):
                    async for finding in self._signed.check(frontier, known=self._unknown is None):
                        yield finding
            for filled in growth.extend(leaves):
                for finding in self._check_node(filled.level, filled.number, filled.hash):
                    yield finding
            self._progress(len(leaves))
        async for finding in self._signed.check(frontier, known=self._unknown is None, last=True):
            yield finding
        for finding in self._check_head(frontier):
            yield finding
        for finding in self._signed.further():
            yield finding
        for (level, number), hash_ in self._nodes.items():
            yield Finding(
                where="log_node",
                key=f"{self._origin} level {level} number {number}",
                what="row",
                found=shown(hash_),
                expected="no row: there is no such full tile",
            )

    async def _start(self) -> tuple[tuple[Frontier, Growth], Finding | None]:
        """The tree before the first position to be checked."""
        if not self._since:
            return (Frontier(), Growth()), None
        try:
            growth = await growth_at(self._connection, self._origin_id, self._since)
        except EvidenceFault as fault:
            finding = Finding(
                where="log_node",
                key=self._origin,
                what="row",
                found=fault.found,
                expected=f"{fault.expected}: {fault.what}",
            )
            self._since = 0
            return (Frontier(), Growth()), finding
        peaks = [peak for row in reversed(growth.rows) for peak in _peaks(row)]
        return (Frontier(self._since, peaks), growth), None

    async def _tiles(self, position: int) -> AsyncIterator[tuple[Tile, Rows]]:
        """The rows of each tile in turn, up to the last row or the recorded size, whichever is further."""
        last = await self._connection.fetchval(SQL["last_position"], self._origin_id)
        end = max(self._head["size"], self._signed.reach())
        number = position // FULL
        for begin in range(position, max(end, -1 if last is None else last + 1), ROWS_AT_ONCE):
            border = begin + ROWS_AT_ONCE
            waiting = deque(await self._connection.fetch(SQL["entries_from"], self._origin_id, begin, border))
            while number * FULL < border and (number * FULL < end or waiting):
                yield self._cut(number, waiting, end)
                number += 1

    def _cut(self, number: int, waiting: deque[Any], end: int) -> tuple[Tile, Rows]:
        rows: Rows = {}
        border = (number + 1) * FULL
        while waiting and waiting[0]["position"] < border:
            row = waiting.popleft()
            rows[row["position"]] = row
        top = max([min(end, border), *(position + 1 for position in rows)])
        return Tile(0, number, min(FULL, top - number * FULL)), rows

    async def _settle(self, tile: Tile, rows: Rows, frontier: Frontier) -> tuple[list[bytes], list[Finding]]:
        """What the leaves of this tile are, and who says otherwise."""
        findings: list[Finding] = []
        first = tile.number * FULL
        positions = range(first, first + tile.width)
        voices: dict[str, list[bytes]] = {"log_entry": [rows[p]["leaf"] if p in rows else MISSING for p in positions]}
        voices |= self._files_say(tile, findings)
        bodies = [rows[p]["body"] if p in rows else None for p in positions]
        told = [MISSING if body is None else leaf_hash(body) for body in bodies]
        if all(voice == voices["log_entry"] for voice in voices.values()) and told == voices["log_entry"]:
            leaves = told
        else:
            leaves = self._decide(tile, voices, told, frontier)
            findings += await self._blame(positions, leaves, voices, told, rows)
        for at, position in enumerate(positions):
            if bodies[at] is not None:
                findings += event_columns(rows[position], told[at], self._origin)
                findings += self._order.check(rows[position])
        return leaves, findings

    def _files_say(self, tile: Tile, findings: list[Finding]) -> dict[str, list[bytes]]:
        """The leaves by the tile's file and by its entry bundle, as far as the published checkpoint reaches."""
        if self._files is None:
            return {}
        width = min(tile.width, self._signed.published - tile.number * FULL)
        if width <= 0:
            return {}
        voices: dict[str, list[bytes]] = {}
        for level in (0, "entries"):
            wanted = Tile(level, tile.number, width)
            name = "tile" if level == 0 else "entries"
            try:
                data = self._files.read_grown(wanted)
                if data is None:
                    raise EvidenceFault(wanted.path, found="no file", expected="the file")
                hashes = (
                    decode_hashes(wanted, data)
                    if level == 0
                    else [leaf_hash(entry) for entry in decode_entries(wanted, data)]
                )
            except EvidenceFault as fault:
                findings.append(
                    Finding(
                        where=name,
                        key=f"{self._files.folder.name}/{wanted.path}",
                        what="file",
                        found=fault.found,
                        expected=fault.expected,
                    )
                )
                continue
            voices[name] = hashes + [MISSING] * (tile.width - width)
        return voices

    def _decide(self, tile: Tile, voices: dict[str, list[bytes]], told: list[bytes], frontier: Frontier) -> list[bytes]:
        """The leaves that were logged: those that the level above or a checkpoint confirms, else what most say."""
        candidates = [hashes for hashes in (*voices.values(), told) if MISSING not in hashes]
        node = self._nodes.get((1, tile.number))
        for hashes in candidates:
            if not tile.partial and fold(hashes) == node:
                return hashes
        for hashes in candidates:
            if self._signed.confirm(tile, hashes, frontier):
                return hashes
        leaves: list[bytes] = []
        for at in range(tile.width):
            said = [voice[at] for voice in (*voices.values(), told) if voice[at] != MISSING]
            leaves.append(Counter(said).most_common(1)[0][0] if said else MISSING)
        return leaves

    async def _blame(
        self,
        positions: range,
        leaves: list[bytes],
        voices: dict[str, list[bytes]],
        told: list[bytes],
        rows: Rows,
    ) -> list[Finding]:
        findings: list[Finding] = []
        for at, position in enumerate(positions):
            expected, key = leaves[at], f"{self._origin} position {position}"
            row = rows.get(position)
            if expected == MISSING and self._unknown is None:
                self._unknown = position
            if row is None:
                wanted = f"leaf {shown(expected)}" if expected else "the entry: nothing says any more which one it was"
                findings.append(Finding(where="log_entry", key=key, what="row", found="no row", expected=wanted))
            elif voices["log_entry"][at] != expected and told[at] == voices["log_entry"][at]:
                findings.append(await self._moved(key, told[at], expected))
            elif voices["log_entry"][at] != expected:
                findings.append(
                    Finding(
                        where="log_entry",
                        key=key,
                        what="leaf",
                        found=shown(voices["log_entry"][at]),
                        expected=shown(expected),
                    )
                )
            for name in ("tile", "entries"):
                said = voices.get(name, leaves)[at]
                if said not in (expected, MISSING):
                    findings.append(
                        Finding(where=name, key=key, what="leaf", found=shown(said), expected=shown(expected))
                    )
            if row is not None and told[at] not in (expected, voices["log_entry"][at]):
                findings.append(changed_event(row, key, told[at], expected))
        return findings

    async def _moved(self, key: str, found: bytes, expected: bytes) -> Finding:
        """A row that names an event other than the one that was logged there."""
        stands = await self._connection.fetchval(SQL["position_of_leaf"], expected, self._origin_id)
        where = "nowhere in the log" if stands is None else f"at position {stands} now"
        return Finding(
            where="log_entry",
            key=key,
            what="order",
            found=f"the event with leaf {shown(found)}",
            expected=f"the event with leaf {shown(expected)}, which stands {where}",
        )

    async def _read_nodes(self) -> None:
        """The level above: one hash for 256 entries, so that all of them fit into memory (128 kB a million)."""
        async for row in self._connection.cursor(SQL["nodes_from"], self._origin_id, prefetch=4096):
            if row["level"] > 1 or row["number"] >= self._since // FULL:
                self._nodes[row["level"], row["number"]] = row["hash"]
        if self._since:
            for level in range(2, 8):
                covered = self._since // FULL**level
                for number in range(covered):
                    self._nodes.pop((level, number), None)

    def _check_node(self, level: int, number: int, expected: bytes) -> Iterator[Finding]:
        found = self._nodes.pop((level, number), None)
        key = f"{self._origin} level {level} number {number}"
        if found is None:
            yield Finding(where="log_node", key=key, what="row", found="no row", expected=shown(expected))
        elif found != expected:
            yield Finding(where="log_node", key=key, what="hash", found=shown(found), expected=shown(expected))
        if self._files is None or (number + 1) * FULL**level > self._signed.published:
            return
        row, at = divmod(number, FULL)
        width = min(FULL, (self._signed.published // FULL**level) - row * FULL)
        tile = Tile(level, row, width)
        data = self._files.read_grown(tile)
        key = f"{self._files.folder.name}/{tile.path}"
        if data is None:
            if at == 0:
                yield Finding(where="tile", key=key, what="file", found="no file", expected="the file")
            return
        if len(data) != width * 32:
            if at == 0:
                yield Finding(
                    where="tile", key=key, what="file", found=f"{len(data)} bytes", expected=f"{width * 32} bytes"
                )
            return
        said = data[at * 32 : at * 32 + 32]
        if said != expected:
            yield Finding(
                where="tile", key=f"{key} hash {at}", what="hash", found=shown(said), expected=shown(expected)
            )

    def _check_head(self, frontier: Frontier) -> Iterator[Finding]:
        head = self._head
        if frontier.size > head["size"]:
            yield Finding(
                where="log_entry",
                key=f"{self._origin} positions {head['size']} to {frontier.size - 1}",
                what="row",
                found=f"{frontier.size - head['size']} rows",
                expected=f"no rows: the tree has {head['size']} entries",
            )
        elif head["size"] != frontier.size:
            yield Finding(
                where="log_head", key=self._origin, what="size", found=shown(head["size"]), expected=str(frontier.size)
            )
        elif self._unknown is None and head["root"] != frontier.root():
            yield Finding(
                where="log_head",
                key=self._origin,
                what="root",
                found=shown(head["root"]),
                expected=shown(frontier.root()),
            )
        if head["closed_at"] is not None and head["signed_size"] != head["size"]:
            yield Finding(
                where="checkpoint",
                key=f"{self._origin} size {head['size']}",
                what="row",
                found=f"the newest is of size {head['signed_size']}",
                expected="a final checkpoint over the whole log: it is closed",
            )


def _peaks(row: Sequence[bytes]) -> Iterator[bytes]:
    """The complete subtrees in a partial tile, the largest first."""
    start = 0
    for level in range(len(row).bit_length() - 1, -1, -1):
        if len(row) >> level & 1:
            yield fold(row[start : start + (1 << level)])
            start += 1 << level

"""The log as static files: one folder for each origin, with `checkpoint` and `tile/…` (C2SP tlog-tiles).

Every file is written beside its place, flushed to the disk and moved there, so that a reader never sees half of one and
a crash leaves the old one or the new one. The files derive from the database and may be made again at any time. What
they say is never believed here.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from broker.evidence.merkle import HASH_SIZE, EvidenceFault
from broker.evidence.tiles import FULL, Tile, decode_entries, encode_entries, parse_path
from schemas.events import BODY_LIMIT

CHECKPOINT: Final = "checkpoint"
_BESIDE: Final = ".being-written"
_MOST: Final = FULL * (2 + BODY_LIMIT)
"""Bytes of the largest file that a log can have: a full bundle of the longest entries."""


def published_notes(log_dir: Path) -> dict[str, bytes]:
    """The published checkpoint of each origin's folder, by the folder's name.

    Who compares files with a snapshot of the database reads these first: what is published was recorded before.
    """
    notes = {file.parent.name: _read(file) for file in sorted(log_dir.glob(f"*/{CHECKPOINT}"))}
    return {name: note for name, note in notes.items() if note is not None}


class TileFiles:
    """The files of one origin."""

    def __init__(self, log_dir: Path, origin: str) -> None:
        """`origin` as in its checkpoints; its folder is the last part of it, the year."""
        self.folder = log_dir / origin.rpartition("/")[2]

    def path(self, tile: Tile) -> Path:
        """Where a tile stands."""
        return self.folder / tile.path

    def read(self, tile: Tile) -> bytes | None:
        """A tile's bytes, None if it is not there."""
        return _read(self.path(tile))

    def read_grown(self, tile: Tile) -> bytes | None:
        """As `read`; of a partial tile that is gone because it is full by now, what it held.

        Raises EvidenceFault if the full bundle cannot be read.
        """
        data = self.read(tile)
        if data is not None or not tile.partial:
            return data
        full = self.read(tile.complete)
        if full is None:
            return None
        if tile.level == "entries":
            return encode_entries(decode_entries(tile.complete, full)[: tile.width])
        return full[: tile.width * HASH_SIZE]

    def write(self, tile: Tile, data: bytes) -> None:
        """Put a tile in its place; of one that is full now, the partial ones go."""
        self._write(self.path(tile), data)
        if not tile.partial:
            shutil.rmtree(self.path(tile).with_name(f"{self.path(tile).name}.p"), ignore_errors=True)

    def read_checkpoint(self) -> bytes | None:
        """The published checkpoint's note, None if there is none."""
        return _read(self.folder / CHECKPOINT)

    def write_checkpoint(self, note: bytes) -> None:
        """Publish a checkpoint. Everything that it covers must stand on the disk before."""
        self._write(self.folder / CHECKPOINT, note)

    def tiles(self) -> Iterator[Tile | Path]:
        """Every tile that is there; as a path what is no tile and no checkpoint."""
        for file in sorted(path for path in self.folder.rglob("*") if path.is_file()):
            relative = file.relative_to(self.folder).as_posix()
            if relative == CHECKPOINT:
                continue
            try:
                yield parse_path(relative)
            except EvidenceFault:
                yield file

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.{os.getpid()}{_BESIDE}")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> bytes | None:
    """A file's bytes, None if it is not there; of what is no file none, and of one that no log has, no more than it has
    too many."""
    with suppress(FileNotFoundError, NotADirectoryError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(_MOST + 1)
        finally:
            os.close(descriptor)
    return None

"""The bytes of parts for the façade: put where acceptance looks for them, and read from where it keeps them.

Blocking; callers run it in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from schemas.content_layout import accepted_path, stored_path
from schemas.edxml.content import Content

PIECE: Final = 256 * 1024


def store(root: Path, code: str, content: Content) -> None:
    """Put a part where acceptance takes it over from, as if the agency `code` had uploaded it: whole or not at all."""
    target = stored_path(root, code, content.sha256)
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
        try:
            for piece in content.pieces():
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            os.unlink(file.name)
            raise
    os.chmod(file.name, 0o644)
    os.rename(file.name, target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A part of an accepted document in the content store."""

    path: Path
    size: int
    sha256: str
    wrapped: bool = True

    @classmethod
    def at(cls, root: Path, digest: str, size: int) -> Kept:
        """The part with this digest."""
        return cls(path=accepted_path(root, digest), size=size, sha256=digest)

    def pieces(self) -> Iterator[bytes]:
        """Its bytes. Raises OSError if they cannot be read, ValueError if they are not those that were accepted."""
        digest = sha256()
        with self.path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                yield piece
        if digest.hexdigest() != self.sha256:
            raise ValueError(f"the content store holds other bytes under {self.sha256}")

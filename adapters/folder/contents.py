"""Bytes of parts between files and edXML: on disk as the codec wants them, and unpacked onto disk. Blocking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.folder import files
from schemas.edxml.content import Content
from schemas.edxml.limits import LIMITS
from schemas.edxml.zip_entry import BadZip, OneEntry

_PIECE: Final = 1 << 20
_IN_MEMORY: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class FileContent:
    """A part whose bytes lie in a file of this machine."""

    path: Path
    size: int
    sha256: str
    wrapped: bool = True

    def pieces(self) -> Iterator[bytes]:
        """The bytes, a piece at a time."""
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


def unpacked(contents: Mapping[str, Content], folder: Path) -> dict[str, Path | bytes]:
    """The bytes of converted parts by digest: small ones in memory, the others as files below `folder`."""
    found: dict[str, Path | bytes] = {}
    for sha256, content in contents.items():
        if content.size <= _IN_MEMORY:
            found[sha256] = b"".join(content.pieces())
            continue
        folder.mkdir(exist_ok=True)
        files.write_new(folder / sha256, content.pieces())
        found[sha256] = folder / sha256
    return found


def edxml_bytes(path: Path) -> bytes:
    """The edXML file at `path`, out of its ZIP if it is in one. Raises BadZip, OSError, ValueError if too large."""
    data = files.read(path, limit=LIMITS.file)
    return unzipped(data) if path.name.lower().endswith(".zip") else data


def unzipped(data: bytes) -> bytes:
    """The one file in a ZIP. Raises BadZip, ValueError if it is larger than an edXML file may be."""
    entry = OneEntry(LIMITS)
    found = bytearray()
    for start in range(0, len(data), _PIECE):
        for piece in entry.feed(data[start : start + _PIECE]):
            found += piece
            if len(found) > LIMITS.file:
                raise ValueError(f"more than {LIMITS.file} bytes")
    entry.finish()
    return bytes(found)


__all__ = ["BadZip", "FileContent", "edxml_bytes", "unpacked", "unzipped"]

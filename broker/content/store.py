"""Where parts above the inline limit lie, behind an interface; the local folder is one implementation (contract §6).

Blocking on purpose: callers run it in a thread. Decides nothing about who may name what; that is
`broker.intake.parts`. May not delete anything.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256 as new_sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, Protocol

from schemas.content_layout import accepted_path, stored_path
from schemas.errors import Refusal

CHUNK: Final = 1024 * 1024
"""Bytes read at a time."""


class ContentStore(Protocol):
    """A place for parts. Everything is addressed by SHA-256 in lower-case hex, and nothing is ever overwritten."""

    def adopt(self, codes: Sequence[str], sha256: str, size: int) -> str | None:
        """Take over what one of `codes` has stored under `sha256`, so that no later change can touch it.

        MUST verify digest and size of the very bytes that it keeps, and MUST have them on stable storage before it
        returns their place. Returns None if none of `codes` has stored it. Raises Refusal LT-PART-DIGEST if the bytes
        are others, OSError if the store cannot be used.
        """
        ...

    def keep(self, sha256: str, data: bytes) -> str:
        """Put bytes whose digest the caller has verified beside the accepted ones; returns their place."""
        ...


class LocalContentStore:
    """Parts as files below one folder that gateways, workers and keepers share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def adopt(self, codes: Sequence[str], sha256: str, size: int) -> str | None:
        """See `ContentStore.adopt`."""
        target = accepted_path(self._root, sha256)
        for code in dict.fromkeys(codes):
            source = stored_path(self._root, code, sha256)
            if source.is_file():
                self._copy(source, target, sha256, size)
                return self._place(target)
        return None

    def keep(self, sha256: str, data: bytes) -> str:
        """See `ContentStore.keep`."""
        target = accepted_path(self._root, sha256)
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as copy:
                copy.write(data)
                copy.flush()
                _finish(copy.fileno(), Path(copy.name), target)
        return self._place(target)

    def _copy(self, source: Path, target: Path, sha256: str, size: int) -> None:
        """Hash while copying: what was verified is what is kept, even if the source changes meanwhile."""
        target.parent.mkdir(parents=True, exist_ok=True)
        digest, length = new_sha256(), 0
        with source.open("rb") as read, NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as copy:
            kept = False
            try:
                while chunk := read.read(CHUNK):
                    digest.update(chunk)
                    length += len(chunk)
                    copy.write(chunk)
                if length != size or digest.hexdigest() != sha256:
                    raise Refusal(
                        code="LT-PART-DIGEST",
                        found=f"{length} bytes with SHA-256 {digest.hexdigest()}",
                        expected=f"{size} bytes with SHA-256 {sha256}",
                    )
                copy.flush()
                _finish(copy.fileno(), Path(copy.name), target)
                kept = True
            finally:
                if not kept:
                    os.unlink(copy.name)

    def _place(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _finish(descriptor: int, temporary: Path, target: Path) -> None:
    """Make a written file durable under its name: file, then name, then the folder that holds the name."""
    os.fsync(descriptor)
    temporary.chmod(0o644)
    temporary.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

"""Larger parts: where they are put before a document names them, and where recipients take them from.

The interface is what contract §6 offers. Here is the folder that an agency and the exchange on one machine share, laid
out by `schemas.content_layout`; over the network it is `adapters.http_content`. Everything blocks and is called in a
thread.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from schemas.content_layout import accepted_path, stored_path

CHUNK = 1 << 20


class ContentMissing(Exception):
    """The content store does not have these bytes (yet), or has others under this name."""


class ContentStore(Protocol):
    """Implementations MUST verify the digest while they copy, in both directions, and MUST be safe in threads.

    `put` MUST return only when the bytes would survive a loss of power, and MUST be idempotent.
    """

    def put(self, source: Path | bytes, sha256: str) -> None:
        """Store bytes of one's own under their digest. Raises ContentMissing if the source has another digest."""
        ...

    def copy_to(self, sha256: str, target: Path, *, size: int) -> None:
        """Copy the bytes of an accepted document into the file `target`: `size` of them, as its manifest says.

        MUST NOT write more than that, whatever comes. Raises ContentMissing.
        """
        ...


class LocalFolder:
    """A content store in a shared folder: `stored/<code>/…` is written by agencies, `accepted/…` by the exchange."""

    def __init__(self, root: Path, code: str) -> None:
        self._root = root
        self._code = code

    def put(self, source: Path | bytes, sha256: str) -> None:
        """See `ContentStore.put`."""
        target = stored_path(self._root, self._code, sha256)
        if not target.exists():
            write_verified(source, sha256, target)

    def copy_to(self, sha256: str, target: Path, *, size: int) -> None:
        """See `ContentStore.copy_to`."""
        source = accepted_path(self._root, sha256)
        if not source.is_file():
            raise ContentMissing(f"the content store has no accepted bytes {sha256}")
        if (found := source.stat().st_size) != size:
            raise ContentMissing(f"the content store has {found} bytes as {sha256}, the manifest says {size}")
        write_verified(source, sha256, target)


def measure(source: Path | bytes) -> tuple[str, int]:
    """SHA-256 (hex) and size, without holding a file in memory."""
    digest = hashlib.sha256()
    size = 0
    for chunk in _chunks(source):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def write_verified(source: Path | bytes, sha256: str, target: Path) -> None:
    """Copy into `target` under a temporary name, verify, fsync, rename. Raises ContentMissing for another digest."""
    make_folder(target.parent)
    digest = hashlib.sha256()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".incoming-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in _chunks(source):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != sha256:
                raise ContentMissing(f"the bytes have the digest {digest.hexdigest()}, not {sha256}")
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def rename(temporary: Path, target: Path) -> None:
    """The moment from which a file exists under its digest."""
    temporary.chmod(0o640)
    temporary.replace(target)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it; each new name is durable before what lies in it is."""
    if not folder.is_dir():
        make_folder(folder.parent, mode)
        folder.mkdir(mode=mode, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _chunks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def copy_durably(source: Path | bytes, target: Path) -> None:
    """Write the bytes into a new file and fsync it; its folder is not synced."""
    with target.open("xb") as file:
        for chunk in _chunks(source):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


class PartFiles:
    """The agency's own folder of larger parts, by digest; the database names what is in it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, sha256: str) -> Path:
        """Where these bytes are, if they are here."""
        return self._root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        return self.path(sha256).is_file()

    def copy(self, sha256: str, target: Path) -> None:
        """Copy the bytes into a new file, durably."""
        copy_durably(self.path(sha256), target)

    def keep(self, sha256: str, copy: Callable[[str, Path], None]) -> Path:
        """Make sure that the bytes are here, calling `copy(sha256, target)` if they are not. Raises ContentMissing."""
        target = self.path(sha256)
        if not target.is_file():
            make_folder(target.parent, mode=0o700)
            copy(sha256, target)
        return target

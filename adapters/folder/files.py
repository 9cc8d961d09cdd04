"""Files that are there whole or not at all, also after a loss of power; and what a file is just now. Blocking.

Every change that counts is a rename inside one file system, followed by an fsync of the folders whose names changed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import signal
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

CHUNK: Final = 1 << 20
_TAIL: Final = 4096


class Identity(NamedTuple):
    """What tells whether a file is still the one that was looked at."""

    inode: int
    size: int
    modified_ns: int
    regular: bool

    @classmethod
    def of(cls, path: Path) -> Identity:
        """Without following links. Raises OSError."""
        found = path.lstat()
        return cls(found.st_ino, found.st_size, found.st_mtime_ns, stat.S_ISREG(found.st_mode))


def identity(path: Path) -> Identity | None:
    """What the file is just now; None if it is gone."""
    try:
        return Identity.of(path)
    except FileNotFoundError:
        return None


def write(target: Path, data: bytes) -> None:
    """Write a file under a temporary name, fsync, rename."""
    temporary = target.with_name(f".{target.name[:80]}.tmp")
    try:
        write_new(temporary, [data])
        os.replace(temporary, target)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync(target.parent)


def write_new(target: Path, pieces: Iterable[bytes]) -> None:
    """Write a file and fsync it; its folder is not synced yet."""
    with target.open("wb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def settle(path: Path) -> None:
    """Make what another program wrote into a regular file durable; others, and what may not be read, are left alone."""
    if Identity.of(path).regular and os.access(path, os.R_OK):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def rename(source: Path, target: Path) -> None:
    """Give a file or folder another place in the same file system, durably. The new place must be free."""
    os.rename(source, target)
    sync(target.parent)
    if source.parent != target.parent:
        sync(source.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder durable, where the file system can (some network ones cannot, and say so)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as why:
        if why.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def remove(folder: Path) -> None:
    """Remove a folder of ours with what is in it; harmless if it is gone."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def read(path: Path, *, limit: int) -> bytes:
    """The bytes of a regular file, never through a link. Raises OSError; ValueError if it holds more than `limit`."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"more than {limit} bytes")
    return data


def digest(path: Path) -> str:
    """SHA-256 of a regular file, never through a link."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_being_written(path: Path) -> bool:
    """Whether a program on this machine has the file open for writing.

    The kernel grants a read lease only if nobody has. Where there are no leases (another owner's file, a network
    file system) the answer is False, and only time can tell.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Ignored by default, where a lease's own signal would end the program.
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as why:
        return why.errno in (errno.EAGAIN, errno.EBUSY)
    finally:
        os.close(handle)
    return False


def looks_whole(path: Path) -> bool:
    """Whether the end of a file is the end that its kind has; True for kinds of which that cannot be said."""
    kind = path.suffix.lower()
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0))
            tail = file.read(_TAIL)
    except OSError:
        return True
    if kind in (".edxml", ".xml"):
        return b">" in tail.rstrip(b"\0 \t\r\n")[-1:]
    if kind == ".pdf":
        return b"%%EOF" in tail
    if kind in (".zip", ".docx", ".xlsx", ".pptx", ".odt", ".ods"):
        return b"PK\x05\x06" in tail
    return size > 0

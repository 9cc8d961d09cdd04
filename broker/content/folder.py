"""The content store in a local folder that gateways, workers and keepers share, laid out by `schemas.content_layout`.

Files and `fsync` here, and not `obstore`'s local store: that one renames without `fsync`, so that what was promised to
be kept could be gone after a loss of power. Every call that may wait for the disk runs in a thread.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO, Final

from broker.content.store import CHUNK, LARGEST, ContentMissing, Measure, pieces
from schemas.content_layout import accepted_path, stored_path
from schemas.errors import Refusal

INCOMING: Final = "incoming"
"""Folder of what is being written; nobody reads from it."""

READABLE: Final = 0o644
"""Mode of kept files: agencies that share the folder read them."""

_NO_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES})
"""What opening says of something that is no file, a link, or nothing that may be read."""


class ContentFolder:
    """Content as files below one folder. See `broker.content.store.ContentStore`."""

    def __init__(self, root: Path, *, largest: int = LARGEST) -> None:
        self._root = root
        self._largest = largest

    async def put(
        self,
        sha256: str,
        chunks: AsyncIterable[bytes],
        *,
        size: int | None = None,
        wanted: Callable[[], Awaitable[bool]] | None = None,
    ) -> str:
        """See `ContentStore.put`."""
        target = accepted_path(self._root, sha256)
        measure = Measure(sha256, size)
        file, temporary = await asyncio.to_thread(self._begin)
        try:
            with file:
                async for piece in pieces(chunks):
                    await asyncio.to_thread(_write, file, piece, measure)
                measure.check()
                await asyncio.to_thread(_sync, file)
            if wanted is None or await wanted():
                await asyncio.to_thread(_show, temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return target.relative_to(self._root).as_posix()

    async def adopt(self, codes: Sequence[str], sha256: str, size: int) -> str | None:
        """See `ContentStore.adopt`."""
        source = await asyncio.to_thread(shared_file, self._root, codes, sha256, size, self._largest)
        return None if source is None else await self.put(sha256, read_opened(source, 0, size + 1), size=size)

    async def size_of(self, sha256: str) -> int | None:
        """See `ContentStore.size_of`."""
        try:
            return (await asyncio.to_thread(os.stat, accepted_path(self._root, sha256))).st_size
        except FileNotFoundError:
            return None

    async def read(self, sha256: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `ContentStore.read`."""
        try:
            async for piece in read_file(accepted_path(self._root, sha256), start, stop):
                yield piece
        except FileNotFoundError:
            raise ContentMissing(f"{sha256} is not in {self._root}") from None

    async def remove(self, sha256: str, *, unless: Callable[[], Awaitable[bool]]) -> None:
        """See `ContentStore.remove`. The file is put aside before `unless` is asked, so that the answer is the last."""
        path, aside = accepted_path(self._root, sha256), self._root / INCOMING / token_hex(16)
        try:
            await asyncio.to_thread(_put_aside, path, aside)
        except FileNotFoundError:
            return
        back = True
        try:
            back = await unless()
        finally:
            if back and not path.exists():
                aside.rename(path)
            else:
                aside.unlink()

    async def older_than(self, moment: datetime, bucket: int) -> AsyncIterator[str]:
        """See `ContentStore.older_than`."""
        folder = accepted_path(self._root, f"{bucket:02x}".ljust(64, "0")).parent
        for name in await asyncio.to_thread(_old_files, folder, moment):
            yield name

    async def tidy(self, moment: datetime) -> int:
        """See `ContentStore.tidy`."""
        folder = self._root / INCOMING
        left = await asyncio.to_thread(_old_files, folder, moment)
        for name in left:
            await asyncio.to_thread((folder / name).unlink, missing_ok=True)
        return len(left)

    def _begin(self) -> tuple[BinaryIO, Path]:
        folder = self._root / INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / token_hex(16)
        return temporary.open("xb"), temporary


def shared_file(root: Path, codes: Sequence[str], sha256: str, size: int, largest: int) -> BinaryIO | None:
    """The file, opened, that one of `codes` has put under this digest into the folder shared with the exchange.

    Links are not followed: who has a folder there must not lead the exchange to what only the exchange may read. What
    has another size, or is too large, is refused before any of it is copied. Raises Refusal LT-PART-DIGEST, LT-SIZE.
    """
    for code in dict.fromkeys(codes):
        file = _open_below(root, stored_path(root, code, sha256).relative_to(root).parts)
        if file is None:
            continue
        found = os.fstat(file.fileno()).st_size
        if found != size:
            file.close()
            raise Refusal(code="LT-PART-DIGEST", found=f"{found} bytes", expected=f"{size} bytes with SHA-256 {sha256}")
        if found > largest:
            file.close()
            raise Refusal(code="LT-SIZE", found=f"{found} bytes", expected=f"at most {largest}")
        return file
    return None


def _open_below(root: Path, names: Sequence[str]) -> BinaryIO | None:
    """The regular file at these names below `root`, none of which is a link; None if there is no such file."""
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None  # where content is in an object store there may be no such folder
    try:
        for name in names[:-1]:
            above, folder = (
                folder,
                os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder),
            )
            os.close(above)
        # Without waiting: a pipe has nobody who writes.
        handle = os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    finally:
        os.close(folder)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    return None


async def read_file(path: Path, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
    """A file's bytes from `start` up to `stop` or its end, in pieces."""
    async for piece in read_opened(await asyncio.to_thread(path.open, "rb"), start, stop):
        yield piece


async def read_opened(file: BinaryIO, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
    """The bytes of an open file from `start` up to `stop` or its end, in pieces; the file is closed at the end."""
    try:
        position = start
        while stop is None or position < stop:
            length = CHUNK if stop is None else min(CHUNK, stop - position)
            piece = await asyncio.to_thread(os.pread, file.fileno(), length, position)
            if not piece:
                return
            position += len(piece)
            yield piece
    finally:
        file.close()


def _put_aside(path: Path, aside: Path) -> None:
    aside.parent.mkdir(parents=True, exist_ok=True)
    path.rename(aside)


def _write(file: BinaryIO, piece: bytes, measure: Measure) -> None:
    measure.take(piece)
    file.write(piece)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _show(temporary: Path, target: Path) -> None:
    """Make a durable file visible under its name, and the name durable."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.chmod(READABLE)
    temporary.rename(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _old_files(folder: Path, moment: datetime) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [one.name for one in entries if one.is_file() and one.stat().st_mtime < moment.timestamp()]
    except FileNotFoundError:
        return []

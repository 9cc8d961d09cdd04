"""What agencies on the same machine put into the folder that they share with the exchange, opened without being misled.

Reads only: taking it over, so that no later change can touch it, is `put` of a content store.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from broker.content.store import CHUNK
from schemas.content_layout import stored_path
from schemas.errors import Refusal

_NO_FILE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES})
"""What opening says of something that is no file, a link, or nothing that may be read."""


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


async def read_opened(file: BinaryIO, stop: int) -> AsyncIterator[bytes]:
    """The bytes of an open file up to `stop` or its end, in pieces; the file is closed at the end."""
    try:
        position = 0
        while position < stop:
            piece = await asyncio.to_thread(os.pread, file.fileno(), min(CHUNK, stop - position), position)
            if not piece:
                return
            position += len(piece)
            yield piece
    finally:
        file.close()

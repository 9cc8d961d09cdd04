"""The content store in a local folder that gateways, workers and keepers share, laid out by `schemas.content_layout`.

`obstore` writes and reads; what it does not do is done here (docs/decisions/0010): bytes are written under a name that
nobody reads, made durable, and only then named. Every call that may wait for the disk runs in a thread.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Final

from obstore.store import LocalStore

from broker.content.objects import ObjectContent, verified
from broker.content.store import CHUNK, LARGEST, Measure
from schemas.content_layout import accepted_path

INCOMING: Final = "incoming"
"""Folder of what is being written or removed; nobody reads from it."""

READABLE: Final = 0o644
"""Mode of kept files: agencies that share the folder read them."""

_PUT_ASIDE: Final = re.compile(r"([0-9a-f]{64})\.[0-9a-f]{16}", re.ASCII)
"""Names of what is being removed; nothing that is being written is called so."""


class ContentFolder(ObjectContent):
    """Content as files below one folder, which is made if it is not there. See `broker.content.store.ContentStore`.

    Raises OSError if the folder cannot be made.
    """

    def __init__(self, root: Path, *, largest: int = LARGEST) -> None:
        _make(root)
        self._root = root.resolve()
        super().__init__(LocalStore(self._root), shared=root, largest=largest)

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
        temporary = self._root / INCOMING / token_hex(16)
        try:
            await self._send(f"{INCOMING}/{temporary.name}", verified(chunks, Measure(sha256, size)), CHUNK)
            await asyncio.to_thread(_make_durable, temporary)
            if wanted is None or await wanted():
                await asyncio.to_thread(self._show, temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        return target.relative_to(self._root).as_posix()

    async def remove(self, sha256: str, *, unless: Callable[[], Awaitable[bool]]) -> None:
        """See `ContentStore.remove`. The file is put aside before `unless` is asked, so that the answer is the last.

        Who dies in between leaves it aside under a name with its digest: `tidy` brings it back.
        """
        path, aside = accepted_path(self._root, sha256), self._root / INCOMING / f"{sha256}.{token_hex(8)}"
        try:
            await asyncio.to_thread(_put_aside, path, aside)
        except FileNotFoundError:
            return
        back = True
        try:
            back = await unless()
        finally:
            if back:
                _put_back(aside, path)
            else:
                aside.unlink(missing_ok=True)

    async def tidy(self, moment: datetime) -> int:
        """See `ContentStore.tidy`. What was put aside comes back to its place, where strays are looked for."""
        folder = self._root / INCOMING
        left = await asyncio.to_thread(_old_files, folder, moment)
        for name in left:
            if aside := _PUT_ASIDE.fullmatch(name):
                await asyncio.to_thread(_put_back, folder / name, accepted_path(self._root, aside[1]))
            else:
                await asyncio.to_thread((folder / name).unlink, missing_ok=True)
        return len(left)

    def _show(self, temporary: Path, target: Path) -> None:
        """Make a durable file visible under its name, and the name durable, with the folders that lead to it."""
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.rename(target)
        for folder in target.parents:
            _sync(folder)
            if folder == self._root:
                break


def _make(folder: Path) -> None:
    """Make a folder and those above it, durably."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _make_durable(file: Path) -> None:
    file.chmod(READABLE)
    _sync(file)


def _sync(path: Path) -> None:
    """fsync of a file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put_aside(path: Path, aside: Path) -> None:
    aside.parent.mkdir(parents=True, exist_ok=True)
    path.rename(aside)


def _put_back(aside: Path, path: Path) -> None:
    """What was put aside takes its place again, unless the same bytes came meanwhile."""
    with suppress(FileNotFoundError):
        if path.exists():
            aside.unlink()
        else:
            aside.rename(path)


def _old_files(folder: Path, moment: datetime) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [one.name for one in entries if one.is_file() and one.stat().st_mtime < moment.timestamp()]
    except FileNotFoundError:
        return []

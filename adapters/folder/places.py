"""The folders, and who may work in them. Made at the start; what cannot be used is told then, not later."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapters.folder import files
from adapters.folder.names import NOTE
from adapters.folder.texts import of_os
from schemas.problem import Problem

WORKING: Final = ".lienthong"
"""The adapter's own folder; nothing in it is for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where things lie; all in one file system, so that a rename moves a whole folder at once."""

    root: Path

    @property
    def outbox(self) -> Path:
        return self.root / "outbox"

    @property
    def sent(self) -> Path:
        return self.root / "sent"

    @property
    def refused(self) -> Path:
        return self.root / "refused"

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    @property
    def statuses(self) -> Path:
        return self.inbox / "statuses"

    @property
    def notices(self) -> Path:
        return self.inbox / "notices"

    @property
    def claimed(self) -> Path:
        return self.root / WORKING / "claimed"

    @property
    def arriving(self) -> Path:
        return self.root / WORKING / "arriving"

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.outbox, self.sent, self.refused, self.inbox, self.statuses, self.notices,
                self.claimed, self.arriving)  # fmt: skip


@contextmanager
def opened(root: Path, data_dir: Path) -> Iterator[Places]:
    """The folders, made if need be, for this process alone.

    Raises Problem if another process works there, or feeds another folder with this agency's documents, if a folder
    cannot be used, or if the one above is missing: what is misspelt or not mounted is not made.
    """
    places = Places(root=root.absolute())
    if not places.root.parent.is_dir():
        raise Problem(
            f"{places.root.parent} is not there, or not a folder",
            "a folder in which the folder to be watched is, or can be made",
            "Check its spelling and that the share is mounted, or make it",
        )
    try:
        for folder in places.all:
            folder.mkdir(parents=True, exist_ok=True)
        for folder in places.all:
            _probe(folder)
        devices = {folder.stat().st_dev for folder in places.all}
    except OSError as why:
        told = of_os(why)
        raise Problem(
            found=f"{told.en} / {told.vi}",
            expected="folders that this program may write",
            remedy="Give the program's user the right to write there / Cấp quyền ghi cho người dùng chạy chương trình.",
        ) from why
    if len(devices) > 1:
        raise Problem(
            found=f"the folders below {places.root} lie in {len(devices)} file systems",
            expected="one file system, so that files move whole",
            remedy="Mount the folder as a whole, not its subfolders.",
        )
    with ExitStack() as held:
        held.enter_context(_locked(places.root / WORKING / "lock", f"{places.root}"))
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        held.enter_context(_locked(data_dir / "watch.lock", f"this agency's documents ({data_dir})"))
        yield places


def _probe(folder: Path) -> None:
    for left in (*folder.glob(".write-*.tmp"), *folder.glob(f".*{NOTE}.tmp")):  # by a kill
        left.unlink(missing_ok=True)
    probe = folder / f".write-{os.getpid()}.tmp"
    files.write_new(probe, [b"ok"])
    probe.unlink()


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as why:
            holder = os.pread(handle, 64, 0).decode("ascii", "replace").strip() or "unknown"
            raise Problem(
                found=f"another `watch` (process {holder}) works on {what}",
                expected="one process for a folder and for an agency",
                remedy="End the other one first / Hãy dừng tiến trình kia trước.",
            ) from why
        except OSError as why:
            # A network file system without locks: the lock beside the agency's database still holds.
            if why.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS):
                raise
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)

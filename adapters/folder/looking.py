"""Looking into outbox/: which groups are complete and at rest, which wait for something. Blocking, keeps only memory.

A file is at rest when nobody on this machine has it open for writing and its size, time and inode have been the same
for `settle` seconds; one that does not end as its kind ends has to rest much longer, as copies over a network pause.
"""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.folder import drops, files, plain_yaml
from adapters.folder import sheet as sheets
from adapters.folder.drops import Drop, Waiting
from adapters.folder.files import Identity
from adapters.folder.names import NOTE, is_passed_over
from adapters.folder.plain_yaml import NotPlain
from adapters.folder.sheet import BadSheet, Sheet
from adapters.folder.texts import Told, of_os

NOT_WHOLE: Final = 15
"""How many times longer a file has to rest whose end is not the end of its kind."""

_NOT_A_FILE: Final = Told(
    "It is a link, a folder or a device; only ordinary files are sent.",
    "Đây là liên kết, thư mục hoặc thiết bị; chỉ gửi tệp thông thường.",
)
_NO_NAME: Final = Told(
    "Its name holds signs that are no text; rename it.", "Tên tệp chứa ký tự không đọc được; hãy đổi tên."
)
_NO_RIGHT: Final = Told(
    "This program may not read it; give it the right to, and drop it again.",
    "Chương trình không có quyền đọc tệp này; hãy cấp quyền đọc rồi đặt lại vào outbox/.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one look found."""

    # Groups to be taken now, each with what its files looked like.
    ready: list[tuple[Drop, dict[str, Identity]]]
    # Files that have waited longer than they should.
    overdue: list[Waiting]
    # Whether there is anything left that may become ready by itself.
    restless: bool


@dataclass(slots=True)
class _Seen:
    identity: Identity
    since: float


@dataclass(slots=True)
class Looker:
    """Remembers what it saw, so that rest can be told."""

    outbox: Path
    settle: float
    missing_after: float
    clock: Callable[[], float] = time.monotonic
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _sheets: dict[str, tuple[Identity, Sheet | Sequence[Told]]] = field(default_factory=dict)
    _waits: dict[str, float] = field(default_factory=dict)

    def look(self) -> Look:
        """One look. Raises OSError if the folder cannot be read."""
        now = self.clock()
        found: dict[str, Identity] = {}
        for path in self.outbox.iterdir():
            if not is_passed_over(path.name) and (identity := files.identity(path)) is not None:
                found[path.name] = identity
        self._seen = {
            name: known if (known := self._seen.get(name)) and known.identity == identity else _Seen(identity, now)
            for name, identity in found.items()
        }
        odd = {name: _NOT_A_FILE for name, identity in found.items() if not identity.regular}
        odd |= {name: _NO_RIGHT for name in found if name not in odd and not os.access(self.outbox / name, os.R_OK)}
        odd |= {name: _NO_NAME for name in found if not _is_text(name)}
        read = {
            name: self._sheet(name, identity)
            for name, identity in found.items()
            if name not in odd and drops.ending(name) in drops.SHEETS
        }
        self._sheets = {name: self._sheets[name] for name in read}
        groups, waiting = drops.grouped(found, read, odd)
        ready = [
            (group, {name: found[name] for name in group.names})
            for group in groups
            if all(self._rests(name, now, patient=odd.get(name) in (_NOT_A_FILE, _NO_RIGHT)) for name in group.names)
        ]
        return Look(
            ready=ready,
            overdue=self._overdue(waiting, now),
            restless=len(ready) < len(groups) or any(not self._rests(one.name, now) for one in waiting),
        )

    def _rests(self, name: str, now: float, *, patient: bool = False) -> bool:
        path, rested = self.outbox / name, now - self._seen[name].since
        if patient:
            return rested >= self.missing_after  # a folder may still be filling, rights may come last
        if rested < self.settle:
            return False
        if rested < self.settle * NOT_WHOLE and drops.ending(name) not in drops.ANSWERS and not files.looks_whole(path):
            return False
        return not files.is_being_written(path)

    def _sheet(self, name: str, identity: Identity) -> Sheet | Sequence[Told]:
        known = self._sheets.get(name)
        if known is None or known[0] != identity:
            known = identity, read_sheet(self.outbox / name)
            self._sheets[name] = known
        return known[1]

    def _overdue(self, waiting: Sequence[Waiting], now: float) -> list[Waiting]:
        self._waits = {one.name: self._waits.get(one.name, now) for one in waiting}
        return [one for one in waiting if now - self._waits[one.name] >= self.missing_after]


def read_sheet(path: Path) -> Sheet | Sequence[Told]:
    """The sheet in a YAML file, or everything that is wrong with it."""
    try:
        return sheets.read(plain_yaml.load(files.read(path, limit=plain_yaml.MAX_BYTES + 1)))
    except NotPlain as why:
        return (why.told,)
    except BadSheet as why:
        return why.told
    except ValueError as why:
        return (Told(f"The sheet holds {why}.", f"Phiếu quá lớn ({why})."),)
    except OSError as why:
        told = of_os(OSError(why.errno, why.strerror))
        return (Told(f"It cannot be read: {told.en}", f"Không đọc được: {told.vi}"),)


def note_path(outbox: Path, name: str) -> Path:
    """Where the note about a waiting file lies."""
    return outbox / f"{name}{NOTE}"


def _is_text(name: str) -> bool:
    return not any(unicodedata.category(sign) in ("Cc", "Cs") for sign in name)

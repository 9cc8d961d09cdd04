"""Names of files and folders: which are not taken, which are safe to write, which are the same. Pure.

Names come from clerks' machines (composed or decomposed Vietnamese, spaces, any case) and, in documents, from
strangers. A name made here holds no separator, is no device of Windows, fits a file system, and collides with none of
its siblings, also where case does not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container
from pathlib import PurePath
from typing import Final

MAX_BYTES: Final = 255
"""UTF-8 bytes of a name: what file systems take."""

NOTE: Final = ".CHUA-GUI.txt"
"""How a note of ours in outbox/ ends: it says what is still missing, and goes away when it has come."""

_TEMPORARY: Final = re.compile(
    r"^(\.|~\$|~wrl)|(\.tmp|\.temp|\.part|\.partial|\.crdownload|\.download|\.filepart|\.swp|\.lock|~)$", re.IGNORECASE
)
_OF_SYSTEMS: Final = frozenset({"thumbs.db", "desktop.ini", "icon\r"})
_UNSAFE: Final = re.compile('[\x00-\x1f\x7f-\x9f<>:"/\\\\|?*\u2028-\u202e\u2066-\u2069\ufffd\ud800-\udfff]')
_DEVICE: Final = re.compile(r"^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)


def is_passed_over(name: str) -> bool:
    """Whether a name in outbox/ is no drop: half-written by the conventions of its program, a system's, or a note."""
    return bool(_TEMPORARY.search(name)) or name.casefold() in _OF_SYSTEMS or name.endswith(NOTE)


def same(name: str) -> str:
    """Equal for names that people take for the same: composed or decomposed, any case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def stem(name: str) -> str:
    """The name without its last ending."""
    return PurePath(name).stem


def safe(name: str, *, fallback: str = "tep") -> str:
    """A plain file name as close to `name` as every file system takes it."""
    plain = _UNSAFE.sub("_", unicodedata.normalize("NFC", name)).strip(" ").rstrip(". ")
    if plain.startswith((".", "~$")):
        plain = f"_{plain}"
    if not plain.strip("._ "):
        plain = fallback
    if _DEVICE.match(plain):
        plain = f"_{plain}"
    return _cut(plain, MAX_BYTES)


def unused(name: str, taken: Container[str]) -> str:
    """`name`, or with a number before its ending if `taken` (of `same` names) holds it."""
    path, number, found = PurePath(name), 1, name
    while same(found) in taken:
        number += 1
        mark = f" ({number}){path.suffix}"
        found = _cut(path.stem, MAX_BYTES - len(mark.encode())) + mark
    return found


def _cut(name: str, room: int) -> str:
    if len(name.encode()) <= room:
        return name
    path = PurePath(name)
    ending = path.suffix if len(path.suffix.encode()) <= 12 else ""
    kept = name.removesuffix(ending).encode()[: room - len(ending.encode())].decode("utf-8", "ignore")
    return f"{kept.rstrip()}{ending}"

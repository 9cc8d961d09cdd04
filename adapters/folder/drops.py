"""What lies in outbox/, as groups that belong together: one document, or one answer, each. Pure.

12.edxml                      a document or status of the national format
12.yaml + what it lists       a sheet with its files; without a list the one file of the same stem
INBOX-FOLDER-OR-ID.03         an answer: the ending is the status, the text inside it the reason
anything else                 waits for its sheet
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.folder.names import same, stem
from adapters.folder.sheet import STATUSES, Sheet
from adapters.folder.texts import Told

SHEETS: Final = (".yaml", ".yml")
EDXML: Final = (".edxml", ".edxml.zip")
ANSWERS: Final = tuple(f".{code}" for code in STATUSES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drop:
    """Files that are one thing to be sent."""

    # `edxml`, `sheet`, `answer` or `refused`: with what is wrong already now.
    kind: str
    # Names in outbox/; the first is what the drop is called by.
    names: tuple[str, ...]
    sheet: Sheet | None = None
    told: tuple[Told, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A file of which something is still missing."""

    name: str
    told: Told
    holds: tuple[str, ...] = ()
    """Files of it that are there already."""


def ending(name: str) -> str:
    """The ending by which a name is judged, in small letters."""
    lower = name.lower()
    return ".edxml.zip" if lower.endswith(".edxml.zip") else f".{lower.rpartition('.')[2]}" if "." in lower else ""


def grouped(
    names: Iterable[str],
    sheets: Mapping[str, Sheet | Sequence[Told]],
    odd: Mapping[str, Told],
) -> tuple[list[Drop], list[Waiting]]:
    """Groups, and what waits. `sheets` are the read YAML files by name, or what is wrong with them; `odd` are names
    that are no regular files."""
    drops: list[Drop] = []
    waiting: list[Waiting] = []
    free: dict[str, str] = {}
    for name in sorted(names):
        if name in odd:
            drops.append(Drop(kind="refused", names=(name,), told=(odd[name],)))
        elif ending(name) in EDXML:
            drops.append(Drop(kind="edxml", names=(name,)))
        elif ending(name) in ANSWERS:
            drops.append(Drop(kind="answer", names=(name,)))
        elif name not in sheets:
            free[name] = name
    by_stem: dict[str, list[str]] = {}
    by_name: dict[str, list[str]] = {}
    for name in free:
        by_stem.setdefault(same(stem(name)), []).append(name)
        by_name.setdefault(same(name), []).append(name)
    for name in sorted(sheets):
        beside = tuple(one for one in by_stem.get(same(stem(name)), ()) if one in free)
        found = _of_sheet(name, sheets[name], beside, free, by_name)
        if isinstance(found, Waiting):
            waiting.append(found)
            continue
        drops.append(found)
        for used in found.names[1:]:
            del free[used]
    held = {name: one.name for one in waiting for name in one.holds}
    for name in free:
        like = f"{stem(name)}.yaml"
        told = Told(f"{name} waits for its sheet {like}.", f"{name} đang chờ phiếu gửi {like}.")
        if name in held:
            told = Told(f"{name} is named in {held[name]}, see there.", f"{name} thuộc phiếu {held[name]}, xem ở đó.")
        waiting.append(Waiting(name=name, told=told))
    return drops, waiting


def _of_sheet(
    name: str,
    sheet: Sheet | Sequence[Told],
    beside: tuple[str, ...],
    free: Mapping[str, str],
    by_name: Mapping[str, Sequence[str]],
) -> Drop | Waiting:
    """`beside` are the free files of the sheet's stem; `by_name` all files by what people take for the same."""
    if not isinstance(sheet, Sheet):
        return Drop(kind="refused", names=(name, *beside), told=tuple(sheet))
    if sheet.files is not None:
        return _listed(name, sheet, sheet.files, free, by_name)
    if not sheet.needs_files and not beside:
        return Drop(kind="sheet", names=(name,), sheet=sheet)
    if not beside:
        told = Told(f"{name} waits for its file.", f"{name} đang chờ tệp văn bản cùng tên.")
        return Waiting(name=name, told=told)
    if len(beside) > 1:
        listed = ", ".join(beside)
        told = Told(
            f"{name} has several files of its name ({listed}); list them under `tệp`, the document first.",
            f"{name} có nhiều tệp cùng tên ({listed}); hãy liệt kê ở `tệp`, văn bản chính trước.",
        )
        return Drop(kind="refused", names=(name, *beside), told=(told,))
    return Drop(kind="sheet", names=(name, *beside), sheet=sheet)


def _listed(
    name: str, sheet: Sheet, files: Sequence[str], free: Mapping[str, str], by_name: Mapping[str, Sequence[str]]
) -> Drop | Waiting:
    found: list[str] = []
    missing: list[str] = []
    for wanted in _one_by_one(files, by_name):
        if "/" in wanted or "\\" in wanted:
            told = Told(
                f"`{wanted}` is a path; files lie in outbox/ itself.", f"`{wanted}` là đường dẫn; tệp phải ở outbox/."
            )
            return Drop(kind="refused", names=(name,), told=(told,))
        fitting = [one for one in by_name.get(same(wanted), ()) if one in free]
        exact = [one for one in fitting if one == wanted] or fitting
        if not exact:
            missing.append(wanted)
            continue
        if len(exact) > 1:
            listed = ", ".join(exact)
            told = Told(f"`{wanted}` fits several files: {listed}.", f"`{wanted}` khớp nhiều tệp: {listed}.")
            return Drop(kind="refused", names=(name, *exact), told=(told,))
        if exact[0] in found:
            told = Told(f"`{wanted}` is listed twice.", f"`{wanted}` được liệt kê hai lần.")
            return Drop(kind="refused", names=(name, *found), told=(told,))
        found.append(exact[0])
    if missing:
        several = ", ".join(missing)
        told = Told(f"{name} waits for {several}.", f"{name} đang chờ tệp {several}.")
        return Waiting(name=name, told=told, holds=tuple(found))
    return Drop(kind="sheet", names=(name, *found), sheet=sheet)


def _one_by_one(files: Sequence[str], by_name: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The names of a sheet's files. Several on one line are several, unless a file is called like the whole line."""
    for wanted in files:
        parts = [part.strip() for part in wanted.split(",")]
        if same(wanted) not in by_name and all(ending(part) for part in parts):
            yield from parts
        else:
            yield wanted

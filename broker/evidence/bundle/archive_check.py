"""Checks an archive: its sealed table of contents, that every part is there and is the one named, and every part.

Reads files; needs no database and no configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from cryptography import x509

from broker.evidence.bundle.archive_index import COLUMNS, CONTENTS, INDEX, index_rows
from broker.evidence.bundle.check import Checked, check
from broker.evidence.bundle.lines import Fault
from broker.evidence.notes import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedArchive:
    """What the check of an archive found."""

    faults: tuple[tuple[str, Fault], ...]
    """With the file in which each is."""
    parts: int
    documents: int
    entries: int
    signatures: int
    withheld: int
    scope: dict[str, Any]

    @property
    def good(self) -> bool:
        """Whether everything holds."""
        return not self.faults


def check_archive(
    folder: Path,
    *,
    keys: Sequence[VerifierKey],
    roots: Sequence[x509.Certificate] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> CheckedArchive:
    """Check an archive's folder part by part; `advance` is told of each."""
    contents_file = folder / CONTENTS
    if not contents_file.is_file():
        return _ended([(CONTENTS, _fault("no contents.bundle", "a finished archive"))], {})
    contents = check(contents_file.read_bytes(), keys=keys, roots=roots)
    told = contents.scope.get("archive", {})
    faults: list[tuple[str, Fault]] = [(CONTENTS, fault) for fault in contents.faults]
    parts = told.get("parts")
    index = told.get("index")
    if not faults and not (_is_list_of_parts(parts) and isinstance(index, dict)):
        faults.append((CONTENTS, _fault("a bundle without parts and index", "an archive's table of contents")))
    if faults:
        return _ended(faults, dict(told))
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    for name in sorted(present - {CONTENTS, INDEX, *(part["name"] for part in parts)}):
        faults.append((name, _fault("a file that the contents do not name", "only what is sealed")))
    documents: set[str] = set()  # a large one is told in several parts
    entries = signatures = withheld = 0
    told_by_parts = sha256(f"{','.join(COLUMNS)}\n".encode())
    for number, part in enumerate(parts, 1):
        name = part["name"]
        data = (folder / name).read_bytes() if name in present else None
        if data is None or sha256(data).hexdigest() != part["sha256"]:
            found = "nothing" if data is None else f"SHA-256 {sha256(data).hexdigest()}"
            faults.append((name, _fault(found, f"SHA-256 {part['sha256']}, as the contents say")))
        if data is not None:
            checked = check(data, keys=keys, roots=roots)
            faults += ((name, fault) for fault in checked.faults)
            faults += ((name, fault) for fault in _scope_faults(checked, told, number))
            documents |= {told_of.digest for told_of in checked.story}
            entries += checked.entries
            signatures += len(checked.signatures)
            withheld += checked.withheld
            if checked.good:
                told_by_parts.update(index_rows(data, name).encode())
        advance(1)
    if INDEX not in present or _digest_of(folder / INDEX) != index.get("sha256"):
        found, expected = "another index, or none", f"SHA-256 {index.get('sha256')}, as the contents say"
        faults.append((INDEX, _fault(found, expected)))
    elif not faults and told_by_parts.hexdigest() != index.get("sha256"):
        faults.append((INDEX, _fault("an index that says something else than the parts", "what the parts say")))
    return CheckedArchive(
        faults=tuple(faults),
        parts=len(parts),
        documents=len(documents),
        entries=entries,
        signatures=signatures,
        withheld=withheld,
        scope={name: value for name, value in told.items() if name not in ("parts", "index")},
    )


def _is_list_of_parts(parts: object) -> bool:
    return isinstance(parts, list) and all(
        isinstance(part, dict) and isinstance(part.get("name"), str) and isinstance(part.get("sha256"), str)
        for part in parts
    )


def _scope_faults(checked: Checked, told: dict[str, Any], number: int) -> list[Fault]:
    archive = checked.scope.get("archive", {})
    wanted = {name: told.get(name) for name in ("since", "until", "subtree")} | {"part": number}
    found = {name: archive.get(name) for name in wanted}
    return [] if found == wanted else [_fault(f"scope {found}", f"{wanted}, as the contents say")]


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _fault(found: str, expected: str) -> Fault:
    return Fault(reason="archive", line=0, what="archive", found=found, expected=expected)


def _ended(faults: list[tuple[str, Fault]], scope: dict[str, Any]) -> CheckedArchive:
    return CheckedArchive(faults=tuple(faults), parts=0, documents=0, entries=0, signatures=0, withheld=0, scope=scope)

"""Taking what lies in outbox/ and putting it where it belongs: by renames, with a slip of what was meant. Blocking.

A claim is a folder `claimed/JOB/` with the files and, written before it, `claimed/JOB.json`, which says what was going
to be in it. After a crash the claim is completed if its files are still the ones it meant; whatever cannot be decided
is handed to the caller as refused, whole. Nothing a clerk wrote is ever deleted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from adapters.folder import files, names
from adapters.folder.drops import Drop
from adapters.folder.files import Identity
from adapters.folder.places import Places
from adapters.folder.texts import VIET_NAM, Told

STATE_TEXT: Final = "trang-thai.txt"
STATE: Final = "state.json"
REASON_TEXT: Final = "ly-do.txt"
REASON: Final = "reason.json"
_OURS: Final = frozenset({STATE_TEXT, STATE, REASON_TEXT, REASON})


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Files that are this program's alone."""

    job: str
    kind: str
    # As they were called in outbox/, and as they are called in the claim's folder; in the same order.
    names: tuple[str, ...]
    kept: tuple[str, ...]
    folder: Path
    told: tuple[Told, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the files are now."""
        return tuple(self.folder / one for one in self.kept)

    @property
    def spool(self) -> Path:
        """A folder for what has to be unpacked meanwhile."""
        return self.folder.with_name(f"{self.job}.parts")

    @property
    def slip(self) -> Path:
        return self.folder.with_name(f"{self.job}.json")


def take(places: Places, drop: Drop, seen: Mapping[str, Identity]) -> Claim | None:
    """Claim a group, if its files are still the ones that were seen. None if one has changed: they stay in outbox/."""
    job = secrets.token_hex(8)
    kept: list[str] = []
    for name in drop.names:
        kept.append(names.unused(name, {names.same(one) for one in (*_OURS, *kept)}))
    claim = Claim(
        job=job, kind=drop.kind, names=drop.names, kept=tuple(kept), folder=places.claimed / job, told=drop.told
    )
    identities = [seen[name] for name in drop.names]
    files.write(claim.slip, _slip(claim, identities))
    claim.folder.mkdir()
    moved: list[tuple[str, str]] = []
    for name, new, expected in zip(claim.names, claim.kept, identities, strict=True):
        if files.identity(places.outbox / name) != expected:
            _give_back(places, claim, moved)
            return None
        try:
            (places.outbox / name).rename(claim.folder / new)
        except FileNotFoundError:
            _give_back(places, claim, moved)
            return None
        except OSError:
            _give_back(places, claim, moved)
            raise
        moved.append((name, new))
    try:
        for path in claim.paths:
            files.settle(path)
        for folder in (claim.folder, places.claimed, places.outbox):
            files.sync(folder)
    except OSError:
        _give_back(places, claim, moved)
        raise
    return claim


def _give_back(places: Places, claim: Claim, moved: Sequence[tuple[str, str]]) -> None:
    for name, new in moved:
        if files.identity(places.outbox / name) is None:
            (claim.folder / new).rename(places.outbox / name)
    with suppress(OSError):  # not empty: another file has taken a name meanwhile; found again by `unfinished`
        claim.folder.rmdir()
        claim.slip.unlink()


def unfinished(places: Places) -> list[Claim]:
    """After a start: claims that were begun, completed as far as they can be."""
    for spool in places.claimed.glob("*.parts"):
        files.remove(spool)
    for slip in places.claimed.glob(".*.tmp"):  # of a claim that had not begun
        slip.unlink()
    found = []
    for slip in sorted(places.claimed.glob("*.json")):
        claim = _completed(places, *_read_slip(slip))
        if claim is None:
            slip.unlink()
        else:
            found.append(claim)
    return found


def _completed(places: Places, claim: Claim, identities: Sequence[Identity]) -> Claim | None:
    there = []
    for name, new, expected in zip(claim.names, claim.kept, identities, strict=True):
        if files.identity(claim.folder / new) is None and files.identity(places.outbox / name) == expected:
            claim.folder.mkdir(exist_ok=True)
            (places.outbox / name).rename(claim.folder / new)
        if files.identity(claim.folder / new) is not None:
            there.append((name, new))
    if not there:
        with suppress(FileNotFoundError):
            claim.folder.rmdir()
        return None
    files.sync(claim.folder)
    files.sync(places.outbox)
    if len(there) == len(claim.names):
        return claim
    missing = ", ".join(set(claim.names) - {name for name, _ in there})
    told = Told(
        f"{missing} changed or went away while it was being taken. Drop all files together again.",
        f"{missing} đã thay đổi hoặc biến mất trong khi được lấy. Hãy đặt lại tất cả các tệp.",
    )
    return Claim(
        job=claim.job,
        kind="refused",
        names=tuple(name for name, _ in there),
        kept=tuple(new for _, new in there),
        folder=claim.folder,
        told=(told,),
    )


def put_away(claim: Claim, target: Path) -> Path:
    """Move a claim's folder to its last place, and forget the slip. Returns the place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files.sync(target.parent.parent)
    if claim.folder.exists():
        while target.exists():
            target = target.with_name(f"{target.name} ({secrets.token_hex(2)})")
        files.rename(claim.folder, target)
    files.remove(claim.spool)
    claim.slip.unlink(missing_ok=True)
    return target


def month(at: datetime) -> str:
    """The folder of a month below sent/ and refused/."""
    return at.astimezone(VIET_NAM).strftime("%Y-%m")


def _slip(claim: Claim, identities: Sequence[Identity]) -> bytes:
    value = {
        "kind": claim.kind,
        "names": claim.names,
        "kept": claim.kept,
        "identities": identities,
        "told": claim.told,
    }
    # Names may hold bytes that are no UTF-8; JSON's escapes keep them.
    return json.dumps(value).encode()


def _read_slip(slip: Path) -> tuple[Claim, list[Identity]]:
    value = json.loads(slip.read_bytes())
    claim = Claim(
        job=slip.stem,
        kind=value["kind"],
        names=tuple(value["names"]),
        kept=tuple(value["kept"]),
        folder=slip.with_suffix(""),
        told=tuple(Told(*one) for one in value["told"]),
    )
    return claim, [Identity(*one) for one in value["identities"]]

"""Exports a period, or a subtree's share of it, as a folder of bundles with a sealed table of contents.

    FOLDER/contents.bundle      which parts there are, with their SHA-256; itself a bundle, sealed by the exchange
    FOLDER/index.csv            one row for every document: for people, and for whoever looks for one
    FOLDER/parts/000001.bundle  the stories of up to some hundred documents

Everything is proved to the checkpoints that were newest when the export began, however long it takes. What is done is
written down beside the parts; an export that was killed goes on after its last whole part. Memory is bounded by a part,
and a part by its documents, deliveries and bytes: a document that is larger alone is told in several parts, each with
its share of the recipients.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final

from broker.audit.lookup import subtree
from broker.directory.changing import agency_named
from broker.evidence.bundle.archive_index import COLUMNS, CONTENTS, INDEX, index_rows
from broker.evidence.bundle.assemble import assemble
from broker.evidence.bundle.collect import Selection, collect
from broker.evidence.bundle.heads import heads_of
from broker.evidence.bundle.lines import MAX_BYTES
from broker.evidence.bundle.material import Head
from broker.evidence.bundle.trees import SQL
from broker.identity import BrokerIdentity
from broker.store.pool import Connection
from schemas.problem import Problem
from schemas.times import parse_rfc3339, rfc3339

PROGRESS: Final = ".progress"

BESIDE: Final = re.compile(r"\.(\d{6}\.bundle|contents\.bundle|index\.csv|\.progress)(\.\d+)?", re.ASCII)
"""Names under which files are written before they are moved to their places."""

DOCUMENTS_A_PART: Final = 200
"""Documents in one part, at most."""

DELIVERIES_A_PART: Final = 4_000
"""Deliveries in one part, at most, unless one document alone has more: with their statuses some 10 MB."""

BYTES_A_PART: Final = 16 * 1024**2
"""Bytes of signed documents and statuses in one part, at most: two or three times that in all, with their proofs. Only
what one recipient alone has said of one document may be more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an archive is to hold."""

    since: datetime
    until: datetime
    """The first moment after the period."""
    subtree: str | None = None
    """Code of the agency at the top; None for everybody."""

    def value(self) -> dict[str, str]:
        """As it stands in scopes."""
        told = {"since": rfc3339(self.since), "until": rfc3339(self.until)}
        return told if self.subtree is None else told | {"subtree": self.subtree}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export did."""

    documents: int
    parts: int
    resumed_after: int
    """Parts that an earlier run had finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one part tells."""

    documents: Mapping[int, frozenset[str] | None]
    """As in a `Selection`."""
    after: datetime
    after_id: int
    """The last document that it tells of."""
    codes: Sequence[str] | None = None
    """The recipients whose story alone it tells, if its one document is told in several parts."""
    rest: Sequence[str] = ()
    """Those whose story the next parts tell."""
    first: bool = True
    """Whether no part before told of the same document."""


class Archiving:
    """One export into one folder. Make it with `opened`."""

    def __init__(
        self, folder: Path, wanted: Wanted, identity: BrokerIdentity, heads: dict[int, Head], agencies: Sequence[int]
    ) -> None:
        self._folder = folder
        self._wanted = wanted
        self._identity = identity
        self._heads = heads
        self._agencies = list(agencies) if wanted.subtree is not None else None
        self._codes: list[str] = []
        self._done: list[dict[str, Any]] = []

    @classmethod
    async def opened(cls, connection: Connection, folder: Path, wanted: Wanted, identity: BrokerIdentity) -> Archiving:
        """Begin an export, or take one up that was interrupted.

        Raises Problem if the folder holds a finished archive, one of something else, or other files.
        """
        progress = folder / PROGRESS
        if (folder / CONTENTS).exists() and not progress.exists():
            raise Problem(
                f"{folder} holds a finished archive.", "an empty or new folder.", "Name another folder with -o."
            )
        code = None
        agencies: Sequence[int] = ()
        if wanted.subtree is not None:
            top = await agency_named(connection, wanted.subtree)
            code, agencies = top.code, await subtree(connection, top.id)
        wanted = Wanted(since=wanted.since, until=wanted.until, subtree=code)
        if not progress.exists():
            _prepare(folder)
            heads = await heads_of(connection)
            begun = {"wanted": wanted.value(), "heads": [_head_value(head) for head in heads.values()]}
            _append(progress, begun)
            return await cls(folder, wanted, identity, heads, agencies)._with_codes(connection)
        lines = _whole_lines(progress)
        if lines[0]["wanted"] != wanted.value():
            raise Problem(
                f"{folder} holds the beginning of another archive: {lines[0]['wanted']}.",
                f"{wanted.value()}, or an empty folder.",
                "Name another folder with -o, or the same period and subtree.",
            )
        _sweep(folder)
        heads = {one["origin_id"]: Head(**one) for one in lines[0]["heads"]}
        archiving = cls(folder, wanted, identity, heads, agencies)
        archiving._done = lines[1:]
        return await archiving._with_codes(connection)

    async def _with_codes(self, connection: Connection) -> Archiving:
        if self._agencies is not None:
            self._codes = [row["code"] for row in await connection.fetch(SQL["subtree_codes"], self._agencies)]
        return self

    async def count(self, connection: Connection) -> int:
        """How many documents remain to be exported."""
        wanted = self._wanted
        total: int = await connection.fetchval(SQL["period_count"], wanted.since, wanted.until, self._agencies)
        done: int = sum(part["looked_at"] for part in self._done)
        return max(0, total - done)

    async def run(self, connection: Connection, advance: Callable[[int], None]) -> Exported:
        """Export what remains; `advance` is told how many documents were done.

        Raises Problem for a document of which one part alone would be too large for any checker.
        """
        resumed = len(self._done)
        while True:
            share = self._begun() or await self._next_share(connection)
            if share is None:
                break
            part = await self._write_part(connection, share)
            _append(self._folder / PROGRESS, part)
            self._done.append(part)
            advance(part["looked_at"])
        await self._finish(connection)
        return Exported(
            documents=sum(part["documents"] for part in self._done), parts=len(self._done), resumed_after=resumed
        )

    def _begun(self) -> _Share | None:
        """What remains of a document that the last part told for some of its recipients."""
        last = self._done[-1] if self._done else {}
        if not last.get("rest"):
            return None
        codes, size = last["rest"], last["share"]
        return _Share(
            documents={last["after_id"]: frozenset(codes[:size])},
            after=parse_rfc3339(last["after"]),
            after_id=last["after_id"],
            codes=codes[:size],
            rest=codes[size:],
            first=False,
        )

    async def _next_share(self, connection: Connection) -> _Share | None:
        """The next documents, or the first recipients of one that is too large alone; None at the period's end."""
        last = self._done[-1] if self._done else None
        after = (parse_rfc3339(last["after"]), last["after_id"]) if last else (self._wanted.since, 0)
        rows = await connection.fetch(
            SQL["period_page"], self._wanted.since, self._wanted.until, self._agencies, *after, DOCUMENTS_A_PART
        )
        page: list[Any] = []
        deliveries = size = 0
        for row in rows:
            deliveries += row["recipients"]
            size += row["bytes"]
            if page and (deliveries > DELIVERIES_A_PART or size > BYTES_A_PART):
                break
            page.append(row)
        if not page:
            return None
        subtree_codes = frozenset(self._codes)
        share = _Share(
            documents={row["document_id"]: None if row["whole"] else subtree_codes for row in page},
            after=page[-1]["accepted_at"],
            after_id=page[-1]["document_id"],
        )
        parts = -(-page[0]["bytes"] // BYTES_A_PART)
        if len(page) > 1 or parts == 1:
            return share
        (row,) = page
        among = None if row["whole"] else self._agencies
        codes = [one["code"] for one in await connection.fetch(SQL["recipients_of"], row["document_id"], among)]
        some = -(-len(codes) // parts)
        if some >= len(codes):
            return share
        documents = {row["document_id"]: frozenset(codes[:some])}
        return replace(share, documents=documents, codes=codes[:some], rest=codes[some:])

    async def _write_part(self, connection: Connection, share: _Share) -> dict[str, Any]:
        number = len(self._done) + 1
        selection = Selection(
            documents=share.documents,
            subtree=frozenset(self._agencies) if self._agencies is not None else None,
            share=share.codes is not None,
        )
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            material = await collect(connection, selection, self._heads, self._identity.thumbprint)
        scope: dict[str, Any] = {"archive": self._wanted.value() | {"part": number}}
        if share.codes is not None:
            scope["archive"]["agencies"] = share.codes
        elif self._agencies is not None:
            scope["archive"]["agencies"] = self._codes
        data = assemble(material, scope=scope, identity=self._identity, made_at=datetime.now(UTC))
        if len(data) > MAX_BYTES:
            raise Problem(
                f"Part {number} would have {len(data)} bytes.",
                f"at most {MAX_BYTES}, which checkers read.",
                f"Look at document {share.after_id}: `lienthong audit search` finds who has reported so much about it.",
            )
        name = f"parts/{number:06d}.bundle"
        write_whole(self._folder / name, data)
        return {
            "name": name,
            "sha256": sha256(data).hexdigest(),
            "documents": len(material.documents) if share.first else 0,
            "looked_at": len(share.documents) if share.first else 0,
            "after": rfc3339(share.after),
            "after_id": share.after_id,
            "rest": share.rest,
            "share": len(share.codes or ()),
        }

    async def _finish(self, connection: Connection) -> None:
        """Index and sealed contents; the archive is whole when the contents are there."""
        index = self._folder / INDEX
        temporary = index.with_name(f".{INDEX}")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(COLUMNS)
            for part in self._done:
                file.write(index_rows((self._folder / part["name"]).read_bytes(), part["name"]))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(index)
        with index.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        parts = [{name: part[name] for name in ("name", "sha256", "documents")} for part in self._done]
        scope = {"archive": self._wanted.value() | {"parts": parts, "index": {"name": INDEX, "sha256": digest}}}
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            nothing = Selection(documents={})
            material = await collect(connection, nothing, self._heads, self._identity.thumbprint)
        data = assemble(material, scope=scope, identity=self._identity, made_at=datetime.now(UTC))
        write_whole(self._folder / CONTENTS, data)
        (self._folder / PROGRESS).unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _prepare(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise Problem(f"{folder} is not empty.", "an empty or new folder.", "Name another folder with -o.")
    (folder / "parts").mkdir(parents=True, exist_ok=True)


def _sweep(folder: Path) -> None:
    """Take away what a kill left behind half written: nothing may stand in an archive that it does not name."""
    for file in (*folder.iterdir(), *(folder / "parts").iterdir()):
        if BESIDE.fullmatch(file.name):
            file.unlink()


def _head_value(head: Head) -> dict[str, Any]:
    return {"origin_id": head.origin_id, "origin": head.origin, "size": head.size, "note": head.note}


def _append(path: Path, value: dict[str, Any]) -> None:
    with path.open("ab") as file:
        file.write(json.dumps(value).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """What was written down whole; a last line that a kill cut off does not count, and is taken away."""
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        raise Problem(
            f"{path} is empty: the export was killed before it began.",
            "the record of an export.",
            f"Remove the folder {path.parent} and begin again.",
        )
    if whole != data:
        write_whole(path, whole)
    lines: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
    return lines

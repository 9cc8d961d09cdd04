"""Reading agencies from CSV. A bad row is set aside with its line and the reason; it never spoils the file. Pure.

Two formats, told apart by their header:

* the project's own: ``code,name`` and any of ``level,tier,parent,has_mailbox,hub,derived,valid_from,valid_until,
  nso_code,aliases,successors``. Other columns (latitude, longitude …) are left to others. ``aliases`` are separated by
  blanks; ``successors`` are codes separated by ``;``, each with ``=whole``, ``=main part`` or ``=part`` behind it if
  there are several. What a row leaves empty keeps its default, or what the directory has.
* lists of the older form: ``code_qcvn102,name``. The canonical code is derived, the older form becomes an alias, and
  level and superior are guessed from the name and the code, for want of anything better.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, Protocol

from broker.directory.records import EXTENTS, LEVELS, AliasKind, Extent, Level
from broker.directory.suggestions import folded_name, written
from schemas.agency_codes import canonical_code, from_qcvn102
from schemas.errors import Refusal
from schemas.problem import Problem

OWN_COLUMNS: tuple[str, ...] = (
    "code", "name", "level", "tier", "parent", "has_mailbox", "hub", "derived",
    "valid_from", "valid_until", "nso_code", "aliases", "successors",
)  # fmt: skip
OLD_COLUMNS: tuple[str, ...] = ("code_qcvn102", "name")
LONGEST_NAME = 300

_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
#: Level by how a name of the older lists begins; the first that fits. Other offices count as departments.
_LEVEL_BY_BEGINNING: tuple[tuple[tuple[str, ...], Level], ...] = (
    (("xa ", "phuong ", "thi tran ", "dac khu "), "commune"),
    (("huyen ", "quan ", "thi xa ", "thanh pho "), "district"),
    (("tinh ",), "province"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AgencyRow:
    """One agency as a file describes it. None: the file does not say."""

    #: Line of the file on which the row begins, the header being line 1.
    line: int
    code: str
    name: str
    level: Level | None = None
    tier: int | None = None
    parent: str | None = None
    has_mailbox: bool | None = None
    hub: str | None = None
    derived: bool | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    nso_code: str | None = None
    aliases: tuple[tuple[str, AliasKind], ...] = ()
    successors: tuple[tuple[str, Extent], ...] = ()

    def over(self, today: date) -> bool:
        """Whether the agency does not exist any more."""
        return self.valid_until is not None and self.valid_until <= today


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedRow:
    """A row that was set aside."""

    line: int
    #: What stands in its code column.
    code: str
    name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadRows:
    """What a file holds."""

    form: Literal["own", "qcvn102"]
    rows: tuple[AgencyRow, ...]
    rejected: tuple[RejectedRow, ...]
    #: Columns that say nothing to the directory.
    ignored_columns: tuple[str, ...] = field(default=())


class _Unusable(Exception):
    """A row cannot be used; the text says why."""


def read_csv(data: bytes, *, what: str) -> ReadRows:
    """Read a file's bytes (UTF-8, with or without a byte order mark; separated by commas or semicolons).

    ``what`` names the file in messages. Raises Problem only if its header fits neither format.
    """
    text = data.decode("utf-8-sig", errors="surrogateescape")
    first_line = text.partition("\n")[0]
    separator = ";" if first_line.count(";") > first_line.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = tuple(name.strip().lower() for name in next(reader, []))
    columns = next((known for known in (OLD_COLUMNS, OWN_COLUMNS) if set(known[:2]) <= set(header)), None)
    if columns is None:
        raise Problem(
            f"{what} begins with the columns {', '.join(header)[:200] or '(nothing)'}",
            "`code,name` and any of level, tier, parent, has_mailbox, hub, derived, valid_from, valid_until, nso_code,"
            " aliases, successors; or `code_qcvn102,name`",
            "give the file one of these headers",
        )
    read_row = _own_row if columns is OWN_COLUMNS else _old_row
    rows: list[AgencyRow] = []
    rejected: list[RejectedRow] = []
    for line, cells in _lines(reader):
        given = dict(zip(header, (cell.strip() for cell in cells), strict=False))
        try:
            if isinstance(cells, _Unreadable):
                raise _Unusable(cells.reason)
            if len(cells) != len(header):
                raise _Unusable(f"{len(cells)} cells under {len(header)} columns")
            rows.append(read_row(line, given))
        except _Unusable as unusable:
            code = given.get("code", given.get("code_qcvn102", ""))
            rejected.append(_rejected(line, code, given.get("name", ""), str(unusable)))
    return ReadRows(
        form="own" if columns is OWN_COLUMNS else "qcvn102",
        rows=tuple(rows),
        rejected=tuple(rejected),
        ignored_columns=tuple(name for name in header if name not in columns),
    )


class _Reader(Protocol):
    """What `csv.reader` returns."""

    @property
    def line_num(self) -> int: ...
    def __next__(self) -> list[str]: ...


class _Unreadable(list[str]):
    """Stands for a row that the CSV reader could not take apart."""

    reason = ""


def _lines(reader: _Reader) -> Iterator[tuple[int, list[str]]]:
    """The rows with the line on which each begins; empty lines are left out."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = _Unreadable()
            cells.reason = f"not CSV: {error}"
            yield line, cells
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells


def _rejected(line: int, code: str, name: str, reason: str) -> RejectedRow:
    code, name, reason = (
        text.encode("utf-8", errors="replace").decode()[:LONGEST_NAME] for text in (code, name, reason)
    )
    return RejectedRow(line=line, code=code, name=name, reason=reason)


def _own_row(line: int, given: Mapping[str, str]) -> AgencyRow:
    level = given.get("level") or None
    if level is not None and level not in LEVELS:
        raise _Unusable(f"level “{level}”; expected one of {', '.join(LEVELS)}")
    tier = given.get("tier") or None
    if tier not in (None, "1", "2", "3"):
        raise _Unusable(f"tier “{tier}”; expected 1, 2 or 3")
    valid_from, valid_until = _day(given, "valid_from"), _day(given, "valid_until")
    if valid_from and valid_until and valid_until <= valid_from:
        raise _Unusable(f"valid until {valid_until}, which is not after {valid_from}")
    return AgencyRow(
        line=line,
        code=_code(given.get("code", "")),
        name=_name(given.get("name", "")),
        level=next((known for known in LEVELS if known == level), None),
        tier=int(tier) if tier else None,
        parent=_code(given["parent"], "parent") if given.get("parent") else None,
        has_mailbox=_flag(given, "has_mailbox"),
        hub=_code(given["hub"], "hub") if given.get("hub") else None,
        derived=_flag(given, "derived"),
        valid_from=valid_from,
        valid_until=valid_until,
        nso_code=given.get("nso_code") or None,
        aliases=tuple((written(alias), _kind(alias)) for alias in given.get("aliases", "").split()),
        successors=_successors(given.get("successors", "")),
    )


def _old_row(line: int, given: Mapping[str, str]) -> AgencyRow:
    try:
        code = from_qcvn102(given.get("code_qcvn102", ""))
    except Refusal as refusal:
        raise _Unusable(f"code “{refusal.found}”; expected {refusal.expected}") from refusal
    name = _name(given.get("name", ""))
    groups = code.split(".")
    return AgencyRow(
        line=line,
        code=code,
        name=name,
        level=_guessed_level(name, groups=len(groups)),
        parent=".".join(groups[:-1]) or None,
        aliases=((written(given["code_qcvn102"]), "qcvn102"),),
    )


def _guessed_level(name: str, *, groups: int) -> Level:
    beginning = folded_name(name) + " "
    # A province is "Tỉnh …"; the central bodies are what else has a code of one group.
    for words, level in _LEVEL_BY_BEGINNING:
        if beginning.startswith(words):
            return "province" if groups == 1 else level if level != "province" else "department"
    return "ministry" if groups == 1 else "department"


def _code(text: str, column: str = "code") -> str:
    try:
        return canonical_code(text)
    except Refusal as refusal:
        raise _Unusable(f"{column} “{refusal.found}”; expected {refusal.expected}") from refusal


def _name(text: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise _Unusable("no name")
    if any(unicodedata.category(character) == "Cs" for character in name):
        raise _Unusable("a name that is not UTF-8")
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise _Unusable(f"a name with control characters or more than {LONGEST_NAME} characters")
    return name


def _flag(given: Mapping[str, str], column: str) -> bool | None:
    text = given.get(column, "").lower()
    if not text:
        return None
    if text not in _FLAGS:
        raise _Unusable(f"{column} “{text}”; expected true or false")
    return _FLAGS[text]


def _day(given: Mapping[str, str], column: str) -> date | None:
    text = given.get(column, "")
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _Unusable(f"{column} “{text}”; expected a day such as 2025-07-01") from error


def _kind(alias: str) -> AliasKind:
    try:
        from_qcvn102(alias)
    except Refusal:
        return "local"
    return "qcvn102"


def _successors(text: str) -> tuple[tuple[str, Extent], ...]:
    entries = [entry.strip() for entry in text.split(";") if entry.strip()]
    found: list[tuple[str, Extent]] = []
    for entry in entries:
        code, _, extent_text = entry.partition("=")
        wanted = extent_text.strip() or ("whole" if len(entries) == 1 else "part")
        extent = next((known for known in EXTENTS if known == wanted), None)
        if extent is None:
            raise _Unusable(f"successor “{entry}”; expected a code, =whole, =main part or =part behind it")
        found.append((_code(code, "successor"), extent))
    return tuple(found)

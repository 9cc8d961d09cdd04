"""The directory's rows against the newest events that describe them (`broker.directory.describing`).

Rows are known by their ids, so that agencies that have had the same code are told apart. A version before described
none: what it wrote last is passed over, and counted. Reads only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from broker.directory.describing import LAST_REVISION, TABLES, Described, Value, digest
from broker.evidence.findings import Finding, shown
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.directory", "described.sql")
TOLD: Final = load_queries("broker.evidence", "told.sql")

DIRECTORY: Final = frozenset(table.table for table in TABLES)
"""The tables that are looked at here."""

WHOLE: Final = "directory.described"
"""The change by which an operator lets the log tell every row there is."""

OF_BEFORE: Final = "directory rows that only events of before know"

Key = tuple[Value, ...]
Known = Callable[[Finding], bool]


@dataclass(frozen=True, slots=True)
class _Telling:
    """What the newest event says of a row."""

    names: list[str]
    row: list[Value]
    at: str

    @property
    def columns(self) -> dict[str, Value]:
        """Each column's name with what is said of it."""
        return dict(zip(self.names, self.row, strict=True))


@dataclass(slots=True)
class Told:
    """What the directory's events say, in their order."""

    rows: dict[str, dict[Key, _Telling]] = field(default_factory=dict)
    #: Revisions of changes that described nothing: of a version before.
    silent: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, bodies: Iterable[bytes]) -> Told:
        """From the surviving events; bytes that are none are told where the log is verified."""
        told = cls({table.table: {} for table in TABLES})
        tables = {table.table: table for table in TABLES}
        described: set[int] = set()
        changed: set[int] = set()
        for body in bodies:
            try:
                event = orjson.loads(body)
                revision = event["revision"]
                if "rows" in event:
                    described.add(revision)
                    told._take(tables[event["table"]], event["columns"], event["rows"], event["at"])
                elif event["change"] == WHOLE:
                    changed.clear()
                else:
                    changed.add(revision)
            except (ValueError, KeyError, TypeError):
                continue
        told.silent = changed - described
        return told

    def _take(self, table: Described, columns: list[str], rows: list[list[Value]], at: str) -> None:
        known = self.rows[table.table]
        for row in rows:
            if len(row) != len(columns):
                raise ValueError("a row of other columns")
            known[tuple(row[: table.key])] = _Telling(columns, row, at)


async def check_directory(
    connection: Connection, *, named: Known, progress: Callable[[str, int], None]
) -> AsyncIterator[Finding]:
    """Every row of the directory that is not as the newest event describes it, and is not `named` already."""
    told = Told.of([row["body"] for row in await connection.fetch(TOLD["directory"])])
    codes: dict[Value, Value] = {key[0]: one.columns.get("code") for key, one in told.rows["agency"].items()}
    for table in TABLES:
        rows = await connection.fetch(SQL[table.table], 0, LAST_REVISION)
        if table.table == "agency":
            codes |= {row["agency_id"]: row["code"] for row in rows}
        found, before = compare(table, rows, told, codes)
        progress("directory rows", len(rows) - before)
        if before:
            progress(OF_BEFORE, before)
        for finding in found:
            if not named(finding):
                yield finding


def compare(
    table: Described, rows: Iterable[Any], told: Told, codes: Mapping[Value, Value]
) -> tuple[list[Finding], int]:
    """What differs between the rows of a table and what is told of them, and how many only events of before know."""
    findings: list[Finding] = []
    before = 0
    waiting = dict(told.rows[table.table])
    names = list(table.columns)
    for row in rows:
        said = table.told(row)
        key = tuple(said[: table.key])
        telling = waiting.pop(key, None)
        if telling is not None and telling.row == said and telling.names == names:
            continue
        words = dict(zip(names, said, strict=True))
        revision = row["revision"]
        if revision in told.silent and (telling is None or revision > _number(telling.columns.get("revision"))):
            before += 1
        elif telling is None:
            expected = "no row: no event tells it"
            findings.append(
                Finding(where=table.table, key=_name(table, row, codes), what="row", found="a row", expected=expected)
            )
        else:
            findings += _columns(table, row, words, telling, _name(table, row, codes))
    for telling in waiting.values():
        findings.append(
            Finding(
                where=table.table,
                key=_name(table, telling.columns, codes),
                what="row",
                found="no row",
                expected=f"the row that was told at {telling.at}",
            )
        )
    return findings, before


def _columns(table: Described, row: Any, words: Mapping[str, Value], telling: _Telling, name: str) -> Iterator[Finding]:
    for column, value in telling.columns.items():
        if column not in words or words[column] == value:
            continue
        hidden = table.columns[column] is digest and value is not None
        yield Finding(
            where=table.table,
            key=name,
            what=column,
            found=shown("nothing" if row[column] is None else row[column]),
            expected=f"{'what has the SHA-256 ' if hidden else ''}{'nothing' if value is None else value},"
            f" as told at {telling.at}",
        )


def _name(table: Described, row: Any, codes: Mapping[Value, Value]) -> str:
    """A row, or what an event said of one, as a finding names it."""

    def code(column: str) -> str:
        return str(codes.get(row[column]) or f"agency {row[column]}")

    match table.table:
        case "agency":
            return code("agency_id")
        case "agency_code":
            return f"{code('agency_id')} {row['alias']}"
        case "mandate":
            return f"{code('hub_id')} for {code('agency_id')}"
        case "succession":
            return f"{code('old_id')} to {code('new_id')}"
        case _:
            return shown(row[next(iter(table.columns))])


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0

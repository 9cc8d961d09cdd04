"""Importing many agencies at once: decided in memory, written in one transaction with a handful of statements.

Rows are rejected one by one, with the reason; the others take effect together or not at all. Importing the same file
again changes nothing. A row that differs from the directory is rejected unless ``update`` is asked for. What was
written is told to the log in the same transaction (`import_events`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from broker.directory.changing import SQL, Author, Change, changing
from broker.directory.csv_rows import AgencyRow, RejectedRow, read_csv
from broker.directory.import_events import ImportedMandate, Written, import_tellings
from broker.directory.live import load_directory
from broker.directory.planning import Defaults, ImportPlan, plan_import, tier_of
from broker.directory.records import OPENING_DAY, AgencyId
from broker.directory.snapshot import Directory
from broker.store.pool import Connection

#: Rows written by one statement; between two of them progress is reported.
ROWS_PER_STATEMENT = 2_000

T = TypeVar("T")
#: Told how many rows were done since the last time.
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport:
    """What an import did."""

    added: int
    updated: int
    unchanged: int
    rejected: tuple[RejectedRow, ...]
    #: The directory's revision that contains it; None if nothing changed.
    revision: int | None


async def import_csv(
    connection: Connection,
    data: bytes,
    *,
    what: str,
    author: Author,
    defaults: Defaults | None = None,
    update: bool = False,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Import a CSV file's bytes (`csv_rows` says which columns); ``what`` names the file.

    Raises Problem if its header fits no format, or if a default hub does not exist.
    """
    read = read_csv(data, what=what)
    return await import_rows(
        connection,
        read.rows,
        rejected=read.rejected,
        digest=hashlib.sha256(data).hexdigest(),
        author=author,
        defaults=defaults,
        update=update,
        on_progress=on_progress,
    )


async def import_rows(
    connection: Connection,
    rows: Sequence[AgencyRow],
    *,
    digest: str,
    author: Author,
    rejected: Sequence[RejectedRow] = (),
    defaults: Defaults | None = None,
    update: bool = False,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Import rows that were read before; ``digest`` (hex SHA-256) says in the event where they came from.

    ``rejected`` are those that could not even be read; they are reported with the others.
    """
    progress = on_progress or (lambda _rows: None)
    async with changing(connection, author) as change:
        directory = await load_directory(connection)
        plan = plan_import(rows, directory, today=change.today, defaults=defaults or Defaults(), update=update)
        progress(len(rows) - len(plan.added) - len(plan.updated))
        changes = bool(plan.added or plan.updated or plan.new_aliases or plan.new_mandates)
        if changes:
            written = await _write(change, plan, directory, progress)
            told = import_tellings(plan, written, today=change.today, rows_sha256=digest)
            await change.record_all(told, target=", ".join(told[0].codes[:5]))
    return ImportReport(
        added=len(plan.added),
        updated=len(plan.updated),
        unchanged=plan.unchanged,
        rejected=tuple(sorted((*rejected, *plan.rejected), key=lambda row: row.line)),
        revision=change.revision if changes else None,
    )


async def _write(change: Change, plan: ImportPlan, directory: Directory, progress: Progress) -> Written:
    """Write the plan; returns what of it must be told."""
    connection, revision = change.connection, change.revision
    fresh_ids = [row[0] for row in await connection.fetch(SQL["allocate_agency_ids"], len(plan.added))]
    id_of_row = {id(row): AgencyId(agency_id) for row, agency_id in zip(plan.added, fresh_ids, strict=True)}
    # What a code means after this import; a row for an agency that is closed already does not give its code a meaning.
    id_of_code = {row.code: id_of_row[id(row)] for row in plan.added if not row.over(change.today)}

    def id_of(code: str) -> AgencyId:
        known = id_of_code.get(code)
        if known is None:
            agency = directory.find(code)
            if agency is None:
                raise AssertionError(f"planning let the unknown code {code} pass")
            known = id_of_code[code] = agency.id
        return known

    for ended in {row.code for row in plan.added if not row.over(change.today)} & plan.ended_codes:
        await connection.execute(SQL["close_ended"], ended, change.today, revision)
    for rows in _chunks(plan.added):
        await connection.execute(
            SQL["import_agencies"],
            [id_of_row[id(row)] for row in rows],
            [row.code for row in rows],
            [row.name for row in rows],
            [row.level for row in rows],
            [tier_of(row) for row in rows],
            [id_of(row.parent) if row.parent else None for row in rows],
            [bool(row.has_mailbox) for row in rows],
            [bool(row.derived) for row in rows],
            [row.nso_code for row in rows],
            [row.valid_from or OPENING_DAY for row in rows],
            [row.valid_until for row in rows],
            ["closed" if row.over(change.today) else "active" for row in rows],
            revision,
        )
        progress(len(rows))
    for updates in _chunks(plan.updated):
        await connection.execute(
            SQL["import_changes"],
            [agency.id for _, agency in updates],
            [row.name for row, _ in updates],
            [row.level or agency.level for row, agency in updates],
            [tier_of(row, agency) for row, agency in updates],
            [id_of(row.parent) if row.parent else agency.parent_id for row, agency in updates],
            [agency.has_mailbox if row.has_mailbox is None else row.has_mailbox for row, agency in updates],
            [agency.derived if row.derived is None else row.derived for row, agency in updates],
            [row.nso_code for row, _ in updates],
            revision,
        )
        progress(len(updates))

    def whose(row: AgencyRow) -> AgencyId:
        return id_of_row.get(id(row)) or id_of(row.code)

    aliases = [(alias, whose(row), kind, row.valid_from or OPENING_DAY) for row, alias, kind in plan.new_aliases]
    mandates = [(id_of(hub), whose(row), row.valid_from or OPENING_DAY) for row, hub in plan.new_mandates]
    successions = [
        (id_of_row[id(row)], id_of(code), extent, row.valid_until or change.today)
        for row in plan.added
        for code, extent in row.successors
    ]

    async def write(query: str, tuples: Sequence[tuple[object, ...]]) -> list[Any]:
        if not tuples:
            return []
        columns = [list(column) for column in zip(*tuples, strict=True)]
        return await connection.fetch(SQL[query], *columns, revision)

    await write("import_aliases", aliases)
    given = await write("import_mandates", mandates)
    succeeded = await write("import_successions", successions)
    code_of_id = {agency_id: row.code for row, agency_id in zip(plan.added, fresh_ids, strict=True)}

    def code_of(agency_id: AgencyId) -> str:
        return code_of_id.get(agency_id) or directory.by_id(agency_id).code

    def superior_of(row: AgencyRow) -> str:
        return code_of(id_of(row.parent)) if row.parent else ""

    return Written(
        mandates=[ImportedMandate(**dict(row)) for row in given],
        superiors=[(row.over(change.today), superior_of(row), row.code) for row in plan.added]
        + [
            (False, superior_of(row), row.code)
            for row, agency in plan.updated
            if row.parent and id_of(row.parent) != agency.parent_id
        ],
        successions=[
            (row["extent"], row["on_date"], code_of(row["old_id"]), code_of(row["new_id"])) for row in succeeded
        ],
    )


def _chunks(rows: Sequence[T]) -> list[Sequence[T]]:
    return [rows[start : start + ROWS_PER_STATEMENT] for start in range(0, len(rows), ROWS_PER_STATEMENT)]

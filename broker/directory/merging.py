"""Several agencies become one, from a day on: the step in which a reform is entered (design "Directory").

One transaction: each old agency closes with the new one as its one successor, and what it might do for others as a hub
the new one may do from that day. Codes and aliases of the old ones need nothing: they belong to agencies that have
closed, and are followed to the successor wherever they are written. What must be done by hand is counted and told.
Raises Problem, with nothing changed, where the directory does not allow it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from broker.directory.changes import check_last_day, end_agency
from broker.directory.changing import SQL, Author, Change, agency_named, changing
from broker.directory.live import load_directory
from broker.directory.records import Agency, AgencyId
from broker.store.pool import Connection
from schemas.problem import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """One agency that goes into another, with what depends on it."""

    code: str
    name: str
    #: Deliveries without 01, which the keeper moves to the successor when the day has come.
    open_deliveries: int
    #: Agencies that receive through it, or that it signs for.
    served: int
    #: Agencies directly below it, whose superior it stays until an import names another.
    below: int
    #: Certificates in force; nobody can speak with them from the day on.
    certificates: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Merger:
    """What a merger means, done or only looked at."""

    into: Agency
    on: date
    done: bool
    agencies: tuple[Merged, ...]
    #: Whose mailbox reaches the new agency today: its own code, its hub's, or None: then deliveries wait for one.
    reached_through: str | None
    #: Codes of the agencies that the new one serves from the day on.
    handed_over: tuple[str, ...]
    #: How many agencies stay without hub, because the new one has no mailbox.
    left_without_hub: int


async def merge(
    connection: Connection, olds: Sequence[str], *, into: str, on: date, author: Author, dry_run: bool = False
) -> Merger:
    """Close each of `olds` (codes or aliases) from the day `on`, with `into` as its one successor.

    With `dry_run` everything is checked and counted, and nothing written. Raises Problem for a name that is nobody's,
    a day before one of them existed, an old agency that has other successors, a new one that is closed on that day,
    and for a circle, in which codes would lead nowhere.
    """
    async with changing(connection, author) as change:
        new = await agency_named(connection, into)
        old = list({one.id: one for one in [await agency_named(connection, text) for text in olds]}.values())
        await _check(change, old, new, on)
        ids = [one.id for one in old]
        rows = await connection.fetch(SQL["merged_numbers"], ids, on, change.at)
        numbers = {row["agency_id"]: row for row in rows}
        directory = await load_directory(connection)
        owner = directory.owner_of(new.id)
        handed_over: tuple[str, ...] = ()
        if not dry_run:
            await connection.executemany(
                SQL["write_succession"], [(one.id, new.id, "whole", on, change.revision) for one in old]
            )
            for one in old:
                await end_agency(change, one, [(new, "whole")], on)
        if new.has_mailbox and not dry_run:
            handed_over = await _hand_over(change, ids, new, on)
        served = sum(row["served"] for row in rows)
        return Merger(
            into=new,
            on=on,
            done=not dry_run,
            agencies=tuple(
                Merged(
                    code=one.code,
                    name=one.name,
                    open_deliveries=numbers[one.id]["open_deliveries"],
                    served=numbers[one.id]["served"],
                    below=numbers[one.id]["below"],
                    certificates=numbers[one.id]["certificates"],
                )
                for one in old
            ),
            reached_through=owner.code if owner is not None else None,
            handed_over=handed_over,
            left_without_hub=0 if new.has_mailbox else served,
        )


async def _check(change: Change, olds: Sequence[Agency], new: Agency, on: date) -> None:
    if new.valid_from > on or (new.valid_until is not None and new.valid_until <= on):
        raise Problem(
            f"{new.code} {new.name} exists from {new.valid_from}"
            + (f" until {new.valid_until}" if new.valid_until else "")
            + f", not on {on}",
            "a successor that exists on the day on which it takes over",
            "name another successor or another day",
        )
    leads_to: dict[AgencyId, set[AgencyId]] = defaultdict(set)
    for row in await change.connection.fetch(SQL["successions"]):
        leads_to[row["old_id"]].add(row["new_id"])
    after_new = _reached(new.id, leads_to)
    for old in olds:
        if old.id == new.id:
            raise Problem(f"{old.code} merged into itself", "another agency", f"leave {old.code} out")
        if old.id in after_new:
            raise Problem(
                f"a circle: {new.code} is succeeded by {old.code} already",
                "agencies of which the last one stays",
                f"see `lienthong agency show {new.code}`",
            )
        if others := leads_to[old.id] - {new.id}:
            directory = await load_directory(change.connection)
            named = ", ".join(sorted(directory.by_id(other).code for other in others))
            raise Problem(
                f"{old.code} has other successors recorded: {named}",
                "an agency that goes into one as a whole",
                f"see `lienthong agency show {old.code}`; where it is split, use `lienthong agency close`",
            )
        check_last_day(old, on)


def _reached(start: AgencyId, leads_to: dict[AgencyId, set[AgencyId]]) -> set[AgencyId]:
    found: set[AgencyId] = set()
    waiting = [start]
    while waiting:
        fresh = leads_to.get(waiting.pop(), set()) - found
        found |= fresh
        waiting += fresh
    return found


async def _hand_over(change: Change, ids: Sequence[AgencyId], new: Agency, on: date) -> tuple[str, ...]:
    rows = await change.connection.fetch(SQL["hand_over_mandates"], ids, new.id, on, change.revision)
    codes = []
    for row in sorted(rows, key=lambda row: int(row["agency_id"])):
        served = await change.connection.fetchval(SQL["code_of"], row["agency_id"])
        await change.record(
            "mandate.given",
            [served, new.code],
            agency_id=row["agency_id"],
            facts={
                "hub": new.code,
                "receive": row["may_receive"],
                "sign": row["may_sign"],
                "from": row["valid_from"].isoformat(),
            },
        )
        codes.append(served)
    return tuple(codes)

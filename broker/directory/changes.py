"""Changes of the directory, each one transaction: agencies, codes, hubs, groups; certificates and imports beside it.

Rules: design "Directory". Every function takes a connection (a transaction of the caller's becomes the outer one) and
an `Author`, and raises Problem, with nothing changed, where the directory does not allow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain

import asyncpg

from broker.directory.changing import SQL, Author, Change, agency_named, changing
from broker.directory.describing import LAST_REVISION
from broker.directory.enrolment import enrol_certificate, load_roots, revoke_certificate
from broker.directory.importing import import_csv, import_rows
from broker.directory.records import EXTENTS, OPENING_DAY, TIER_BY_LEVEL, Agency, AgencyId, AliasKind, Extent, Level
from broker.directory.snapshot import CHILDREN_OF, LEVEL_GROUPS
from broker.directory.suggestions import written
from broker.store.pool import Connection
from schemas.agency_codes import canonical_code
from schemas.exchange_events import Facts
from schemas.problem import Problem

__all__ = [
    "Author",
    "Closed",
    "NewAgency",
    "add_agency",
    "add_alias",
    "add_mandate",
    "close",
    "define_group",
    "describe",
    "end_alias",
    "end_mandate",
    "enrol_certificate",
    "import_csv",
    "import_rows",
    "load_roots",
    "remove_group",
    "resume",
    "revoke_certificate",
    "set_mailbox",
    "suspend",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class NewAgency:
    """What is known of an agency that is to be added."""

    code: str
    name: str
    level: Level
    #: By default the tier of its level.
    tier: int | None = None
    #: Code of its superior.
    parent: str | None = None
    has_mailbox: bool = False
    #: Code of the hub that receives and signs for it.
    hub: str | None = None
    derived: bool = False
    nso_code: str | None = None
    valid_from: date = OPENING_DAY
    valid_until: date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """What closing an agency meant."""

    agency: Agency
    successors: tuple[Agency, ...]
    #: How many agencies received through it and now have no mailbox until another hub is named.
    left_without_hub: int


async def add_agency(connection: Connection, new: NewAgency, *, author: Author) -> Agency:
    """Add an agency, with its hub's mandates if a hub is named; returns it.

    Raises Problem if the code belongs to an agency that exists, or parent or hub do not, Refusal LT-SCHEMA if the
    code is none.
    """
    code = canonical_code(new.code, field="code")
    name = " ".join(new.name.split())
    if not name:
        raise Problem(f"no name for {code}", "the agency's name as it signs", "give it in quotation marks")
    tier = new.tier or TIER_BY_LEVEL[new.level]
    async with changing(connection, author) as change:
        parent = await agency_named(connection, new.parent) if new.parent else None
        hub = await _hub(change, new.hub) if new.hub else None
        await connection.execute(SQL["close_ended"], code, change.today, change.revision)
        try:
            async with connection.transaction():
                agency_id: int = await connection.fetchval(
                    SQL["insert_agency"],
                    code,
                    name,
                    new.level,
                    tier,
                    parent.id if parent else None,
                    new.has_mailbox,
                    new.derived,
                    new.nso_code,
                    new.valid_from,
                    new.valid_until,
                    change.revision,
                )
        except asyncpg.UniqueViolationError as error:
            holder = await agency_named(connection, code)
            raise Problem(
                found=f"{code} is the code of {holder.name}",
                expected="a code that no open agency has",
                remedy="choose another code, close that agency first,"
                f" or connect it with `lienthong agency connect {code}` if it is the same",
            ) from error
        facts: dict[str, str | int | bool | None] = {
            "level": new.level,
            "tier": tier,
            "superior": parent.code if parent else None,
            "mailbox": new.has_mailbox,
            "derived": new.derived,
            "hub": hub.code if hub else None,
        }
        if hub is not None:
            since: date = await connection.fetchval(
                SQL["write_mandate"], hub.id, agency_id, True, True, new.valid_from, change.revision
            )
            facts["from"] = since.isoformat()
        if new.valid_until is not None:
            facts["until"] = new.valid_until.isoformat()
        await change.record("agency.added", [code], agency_id=AgencyId(agency_id), facts=facts)
        return Agency(**dict(await connection.fetchrow(SQL["agency_by_id"], agency_id) or {}))


async def set_mailbox(connection: Connection, text: str, *, has_mailbox: bool, author: Author) -> Agency:
    """Give an agency a mailbox of its own, or take it away; returns the agency as it was."""
    async with changing(connection, author) as change:
        agency = await agency_named(connection, text)
        if agency.has_mailbox != has_mailbox:
            await connection.execute(SQL["set_mailbox"], agency.id, has_mailbox, change.revision)
            await change.record("agency.mailbox", [agency.code], agency_id=agency.id, facts={"mailbox": has_mailbox})
        return agency


async def suspend(connection: Connection, text: str, *, author: Author) -> Agency:
    """Keep an agency from sending and receiving until it is resumed. Raises Problem if it is suspended already."""
    return await _set_state(connection, text, before="active", after="suspended", author=author)


async def resume(connection: Connection, text: str, *, author: Author) -> Agency:
    """Let a suspended agency take part again. Raises Problem if it is not suspended."""
    return await _set_state(connection, text, before="suspended", after="active", author=author)


async def close(
    connection: Connection,
    text: str,
    *,
    on: date,
    successors: Sequence[tuple[str, Extent]] = (),
    author: Author,
) -> Closed:
    """Close an agency from the day ``on``, and record who takes over. Raises Problem for a day before it existed."""
    async with changing(connection, author) as change:
        agency = await agency_named(connection, text)
        check_last_day(agency, on)
        heirs: dict[AgencyId, tuple[Agency, Extent]] = {}
        for heir_text, extent in successors:
            heir = await agency_named(connection, heir_text)
            if heir.id == agency.id:
                raise Problem(
                    f"{agency.code} as its own successor", "another agency", "name the agency that takes over"
                )
            await connection.execute(SQL["write_succession"], agency.id, heir.id, extent, on, change.revision)
            heirs[heir.id] = heir, extent
        served: int = await connection.fetchval(SQL["served_by"], agency.id, change.today)
        await end_agency(change, agency, list(heirs.values()), on)
        return Closed(agency=agency, successors=tuple(heir for heir, _ in heirs.values()), left_without_hub=served)


def check_last_day(agency: Agency, on: date) -> None:
    """Raise Problem if an agency that does not exist any more from ``on`` would never have existed."""
    if on <= agency.valid_from:
        raise Problem(
            f"the last day of {agency.code} would be before {on}, but it exists since {agency.valid_from}",
            "a day after its first",
            "name the first day on which it does not exist any more",
        )


async def end_agency(change: Change, agency: Agency, heirs: Sequence[tuple[Agency, Extent]], on: date) -> None:
    """Write the last day of an agency, and the event that names its successors, whose successions are written.

    The event names them by extent, and counts how many there are of each.
    """
    by_extent = {extent: [heir.code for heir, one in heirs if one == extent] for extent in EXTENTS}
    counts = {extent.replace(" ", "-"): len(codes) for extent, codes in by_extent.items() if codes}
    await change.connection.execute(SQL["close_agency"], agency.id, on, change.today, change.revision)
    await change.record(
        "agency.closed",
        [agency.code, *chain(*by_extent.values())],
        agency_id=agency.id,
        facts={"closed": agency.code, "on": on.isoformat(), **counts},
    )


async def add_alias(connection: Connection, text: str, alias: str, *, kind: AliasKind, author: Author) -> Agency:
    """Let ``alias`` name an agency as well. Raises Problem if it already names another one that exists."""
    key = written(alias)
    if not key or len(key) > 64 or not key.isprintable():
        raise Problem(f"the alias “{alias}”", "1 to 64 printable characters", "write it as senders write it")
    async with changing(connection, author) as change:
        agency = await agency_named(connection, text)
        rows = await connection.fetch(SQL["agency_by_code"], key, change.today)
        for row in rows:
            if row["id"] != agency.id:
                raise Problem(
                    f"{key} already names {row['code']} {row['name']}",
                    "an alias that names nobody else",
                    f"end it first: `lienthong agency alias {row['code']} {key} --end`",
                )
        await connection.execute(SQL["write_alias"], key, agency.id, kind, change.today, change.revision)
        await change.record("alias.added", [agency.code], agency_id=agency.id, facts={"kind": kind}, target=key)
        return agency


async def end_alias(connection: Connection, text: str, alias: str, *, author: Author) -> Agency:
    """Let ``alias`` name that agency no longer. Raises Problem if it did not."""
    key = written(alias)
    async with changing(connection, author) as change:
        agency = await agency_named(connection, text)
        ended = await connection.fetchval(SQL["end_alias"], key, agency.id, change.today, change.revision)
        if ended is None:
            raise Problem(
                f"{key} is no alias of {agency.code}",
                "one of its aliases",
                f"see `lienthong agency show {agency.code}`",
            )
        await change.record("alias.ended", [agency.code], agency_id=agency.id, target=key)
        return agency


async def add_mandate(
    connection: Connection, hub_text: str, text: str, *, may_receive: bool, may_sign: bool, author: Author
) -> tuple[Agency, Agency]:
    """Let a hub receive for an agency, sign for it, or both; returns (hub, agency).

    Raises Problem if the hub has no mailbox, or if neither right is given (that is `end_mandate`).
    """
    if not (may_receive or may_sign):
        raise Problem("a mandate for nothing", "receive, sign, or both", "end a mandate with --end")
    async with changing(connection, author) as change:
        hub, agency = await _hub(change, hub_text), await agency_named(connection, text)
        if hub.id == agency.id:
            raise Problem(f"{hub.code} as its own hub", "two agencies", "an agency needs no mandate for itself")
        since: date = await connection.fetchval(
            SQL["write_mandate"], hub.id, agency.id, may_receive, may_sign, change.today, change.revision
        )
        facts: Facts = {"hub": hub.code, "receive": may_receive, "sign": may_sign, "from": since.isoformat()}
        await change.record("mandate.given", [agency.code, hub.code], agency_id=agency.id, facts=facts)
        return hub, agency


async def end_mandate(connection: Connection, hub_text: str, text: str, *, author: Author) -> tuple[Agency, Agency]:
    """End what a hub may do for an agency; returns (hub, agency). Raises Problem if there was no mandate."""
    async with changing(connection, author) as change:
        hub, agency = await agency_named(connection, hub_text), await agency_named(connection, text)
        ended = await connection.fetchval(SQL["end_mandate"], hub.id, agency.id, change.today, change.revision)
        if ended is None:
            raise Problem(
                f"{hub.code} has no mandate for {agency.code}",
                "a mandate that can be ended",
                f"see `lienthong agency show {agency.code}`",
            )
        await change.record("mandate.ended", [agency.code, hub.code], agency_id=agency.id, facts={"hub": hub.code})
        return hub, agency


async def define_group(
    connection: Connection, name: str, *, title: str, members: Sequence[str], author: Author
) -> tuple[Agency, ...]:
    """Define a group of recipients or give it other members; returns them. Raises Problem for a taken name."""
    key = group_name(name)
    if not members:
        raise Problem(f"{key} without members", "at least one code", "remove a group with --remove")
    async with changing(connection, author) as change:
        agencies = {agency.id: agency for agency in [await agency_named(connection, text) for text in members]}
        await connection.execute(SQL["write_group"], key, title or key, list(agencies), change.revision)
        codes = [agency.code for agency in agencies.values()]
        await change.record("group.defined", codes, target=key)
        return tuple(agencies.values())


async def remove_group(connection: Connection, name: str, *, author: Author) -> None:
    """Abolish a group that an operator has defined. Raises Problem if there is none."""
    key = group_name(name)
    async with changing(connection, author) as change:
        title = await connection.fetchval(SQL["group_title"], key)
        if title is None:
            raise Problem(f"no group {key}", "a group that an operator has defined", "see `lienthong agency group`")
        await connection.execute(SQL["write_group"], key, title, [], change.revision)
        await change.record("group.removed", [], target=key)


async def describe(connection: Connection, *, author: Author) -> int:
    """Let the log tell every row of the directory as it is now; returns how many they are.

    From then on nothing is passed over because a version before told less. What was changed until then stays as it is:
    the operator's word, as of now.
    """
    async with changing(connection, author) as change:
        many = await change.describe(0, LAST_REVISION)
        await change.record("directory.described", [], facts={"rows": many}, target="every row")
        return many


def group_name(text: str) -> str:
    """The name of an operator's group as it is stored. Raises Problem for one that means something else already."""
    name = " ".join(text.split()).lower().removeprefix("group:")
    key = f"group:{name}"
    if not name or "/" in name or " " in name or key in LEVEL_GROUPS or key == CHILDREN_OF:
        raise Problem(
            f"“{text}” as the name of a group",
            "one word without a slash, other than ministries, provinces, communes and children",
            "choose another name, such as group:disaster-committee",
        )
    return key


async def _set_state(connection: Connection, text: str, *, before: str, after: str, author: Author) -> Agency:
    async with changing(connection, author) as change:
        agency = await agency_named(connection, text)
        if agency.state != before:
            raise Problem(
                f"{agency.code} {agency.name} is {agency.state}",
                f"an agency that is {before}",
                "nothing needs to be done" if agency.state == after else "see `lienthong agency show`",
            )
        await connection.execute(SQL["set_state"], agency.id, after, change.revision)
        change_word = {"suspended": "agency.suspended", "active": "agency.resumed"}[after]
        await change.record(change_word, [agency.code], agency_id=agency.id)
        return agency


async def _hub(change: Change, text: str) -> Agency:
    hub = await agency_named(change.connection, text)
    if not hub.has_mailbox:
        raise Problem(
            f"{hub.code} {hub.name} has no mailbox of its own",
            "a hub with a connection",
            f"connect it first with `lienthong agency connect {hub.code}`",
        )
    return hub

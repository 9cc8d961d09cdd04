"""What an operator wants to see of the directory: lists and one agency's particulars, as plain values for showing.

Reads only. What a worker asks of the directory is answered by `snapshot`, not here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from broker.directory.changing import agency_named
from broker.directory.live import load_directory, today_in_vietnam
from broker.directory.records import Agency, Level
from broker.directory.suggestions import written
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.certificates import load_certificate
from schemas.problem import Problem

SQL = load_queries("broker.directory", "listing.sql")


async def list_agencies(
    connection: Connection,
    *,
    level: Level | None = None,
    parent: str | None = None,
    state: str | None = None,
    has_mailbox: bool | None = None,
    text: str | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Agencies by code. ``text``: how the code begins, or a part of the name. ``limit`` None: all of them.

    Raises Problem if the superior does not exist.
    """
    superior = await agency_named(connection, parent) if parent else None
    rows = await connection.fetch(
        SQL["agencies"],
        level,
        superior.id if superior else None,
        state,
        has_mailbox,
        _literally(written(text)) if text else None,
        _literally(text.strip()) if text else None,
        limit,
        today_in_vietnam(),
    )
    return [{name: value for name, value in row.items() if name != "agency_id"} for row in rows]


async def show_agency(connection: Connection, text: str) -> dict[str, Any]:
    """Everything the directory knows of one agency, open or (if no open one has that code) closed.

    Raises Problem if there is none.
    """
    directory = await load_directory(connection)
    agency = directory.find(text) or directory.closed(text) or await agency_named(connection, text)
    owner = directory.owner_of(agency.id)
    parent = directory.by_id(agency.parent_id) if agency.parent_id is not None else None
    today = today_in_vietnam()
    serves = await connection.fetchrow(SQL["serves"], agency.id, today)
    return {
        "code": agency.code,
        "name": agency.name,
        "level": agency.level,
        "tier": agency.tier,
        "state": agency.state,
        "parent": _short(parent),
        "has_mailbox": agency.has_mailbox,
        "mailbox_owner": _short(owner),
        "derived": agency.derived,
        "valid_from": agency.valid_from,
        "valid_until": agency.valid_until,
        "aliases": [dict(row) for row in await connection.fetch(SQL["aliases_of"], agency.id)],
        "hubs": [dict(row) for row in await connection.fetch(SQL["mandates_of"], agency.id)],
        "serves": dict(serves) if serves else {},
        "groups": [row["name"] for row in await connection.fetch(SQL["groups_of"], agency.id)],
        "successors": [dict(row) for row in await connection.fetch(SQL["successors_of"], agency.id)],
        "predecessors": [dict(row) for row in await connection.fetch(SQL["predecessors_of"], agency.id)],
        "certificates": await _certificates(connection, agency),
    }


async def list_served(connection: Connection, hub_text: str) -> list[dict[str, Any]]:
    """The agencies that a hub may receive or sign for. Raises Problem if the hub does not exist."""
    hub = await agency_named(connection, hub_text)
    return [dict(row) for row in await connection.fetch(SQL["served"], hub.id, today_in_vietnam())]


async def list_groups(connection: Connection, name: str | None = None) -> list[dict[str, Any]]:
    """The groups that operators have defined, or one of them. Raises Problem for one that does not exist."""
    rows = await connection.fetch(SQL["groups"], name)
    if name is not None and not rows:
        raise Problem(f"no group {name}", "a group that an operator has defined", "see `lienthong agency group`")
    return [dict(row) for row in rows]


async def list_certificates(
    connection: Connection, text: str | None = None, *, expiring_before: datetime | None = None
) -> list[dict[str, Any]]:
    """Enrolled certificates, past and present, of one agency or of all. Raises Problem if the agency does not exist."""
    agency = await agency_named(connection, text) if text else None
    return await _certificates(connection, agency, expiring_before=expiring_before)


async def _certificates(
    connection: Connection, agency: Agency | None, *, expiring_before: datetime | None = None
) -> list[dict[str, Any]]:
    rows = await connection.fetch(SQL["certificates"], agency.id if agency else None, expiring_before)
    found = []
    for row in rows:
        shown = dict(row)
        shown["subject"] = load_certificate(shown.pop("der")).subject.rfc4514_string()
        found.append(shown)
    return found


def _short(agency: Agency | None) -> dict[str, str] | None:
    return {"code": agency.code, "name": agency.name} if agency is not None else None


def _literally(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

"""The directory as the protocol shows it, and what systems may ask to be changed in it.

What a system may register follows its policy: `refuse`; `pending`, where an operator decides; or `open`, where a code
that nobody has is added at once, under the system's own hub. No policy lets a system take an agency that exists from
whoever serves it: that is always an operator's decision. Codes are opaque and are not parsed for where they belong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import structlog

from broker.directory.changes import Author, NewAgency, add_agency, add_mandate, end_mandate
from broker.directory.records import Agency, AgencyId, Level
from broker.directory.snapshot import Directory
from broker.gateway.vxp.answers import LOCKED, NO_SENDER, NOT_PROCESSED, Answer, failed
from broker.gateway.vxp.systems import System
from broker.store.pool import Connection
from broker.store.queries import load_queries
from schemas.agency_codes import to_qcvn102
from schemas.edxml.naming import agency as agency_code
from schemas.problem import Problem

if TYPE_CHECKING:  # the command line uses this module too, and need not load a web server for it
    from broker.gateway.app import Gateway

SQL = load_queries("broker.gateway.vxp", "agencies.sql")
LISTED: Final = 20_000
"""Agencies in one list, at most; `count` tells how many there are."""
BODY_LIMIT: Final = 64 * 1024
"""Bytes of a registration."""
NAME_LIMIT: Final = 255
REGISTERED_LEVEL: Final[Level] = "commune"
"""Level of an agency that a system has registered, until an operator says otherwise."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Agencies:
    """The directory for systems; lists are written once for each of its revisions. One for a gateway."""

    gateway: Gateway
    _written: dict[tuple[str, int, str], bytes] = field(default_factory=dict)

    def listing(self) -> bytes:
        """Answer of `getAgenciesList`."""
        return self._cached("all", "", lambda directory: [_entry(one, directory) for one in _shown(directory)])

    def by_tier(self, level: str | None) -> bytes:
        """Answer of `getAgenciesListQD20`: those of one tier (1 to 3), or all."""
        tier = level.strip() if level and level.strip() in ("1", "2", "3") else ""

        def entries(directory: Directory) -> list[dict[str, Any]]:
            return [
                {
                    "id": str(one.id),
                    "code": one.code,
                    "name": one.name,
                    "mail": "",
                    "code102": to_qcvn102(one.code) or "",
                }
                for one in _shown(directory)
                if not tier or str(one.tier) == tier
            ]

        return self._cached("tier", tier, entries)

    def synchronized(self, system: System) -> bytes:
        """Answer of `getSynchronizeUnit`: all agencies, closed ones too."""
        hub = self.gateway.directory.current.by_id(system.hub_id).code

        def entries(directory: Directory) -> list[dict[str, Any]]:
            return [
                _entry(one, directory)
                | {
                    "version": 1,
                    "centerCode": hub,
                    "deleted": one.state == "closed",
                    "modifyDate": (one.valid_until or one.valid_from).strftime("%Y/%m/%d 00:00:00"),
                    "isAgency": one.level != "hub",
                }
                for one in sorted(directory.agencies(), key=lambda one: int(one.id))
                if one.level != "exchange"
            ]

        return self._cached("units", hub, entries)

    def _cached(self, what: str, which: str, entries: Any) -> bytes:
        directory = self.gateway.directory.current
        key = (what, directory.revision, which)
        if key not in self._written:
            for old in [one for one in self._written if one[1] != directory.revision]:
                del self._written[old]
            found = entries(directory)
            self._written[key] = Answer(more={"data": found[:LISTED], "count": len(found)}).body
        return self._written[key]

    async def register(self, system: System, body: bytes) -> Answer:
        """`registerAgency`: see the module's rules. The same wish a second time is the same wish."""
        asked = _read(body)
        if isinstance(asked, Answer):
            return asked
        code, name, parent = asked
        directory = self.gateway.directory.current
        known = directory.find(code)
        if known is not None and _serves(system, known, directory):
            return Answer(description="Đơn vị đã được đăng ký / The agency is registered")
        if system.registration == "refuse":
            return failed(
                LOCKED, "Hệ thống không được đăng ký đơn vị", "This system may not register agencies; ask the operator"
            )
        hub = directory.by_id(system.hub_id)
        if parent and (named := directory.find(parent)) is not None and named.id != hub.id:
            return failed(
                NOT_PROCESSED,
                f"pcode phải là {hub.code} của hệ thống",
                f"pcode has to be the system's own hub {hub.code}",
            )
        if system.registration == "open" and known is None and directory.closed(code) is None:
            try:
                async with self.gateway.pool.acquire() as connection:
                    await _add(connection, system, hub, code, name)
                await self.gateway.directory.refresh()
                return Answer(description="Đã đăng ký đơn vị / The agency is registered")
            except asyncpg.InsufficientPrivilegeError:
                log.warning("this gateway's database role may not add agencies", system=system.name, code=code)
            except Problem as problem:
                log.warning("a registration waits for an operator", system=system.name, code=code, why=problem.found)
        await self.gateway.pool.execute(SQL["wish"], system.id, "register", code, name)
        return Answer(description="Đã ghi nhận, chờ người vận hành duyệt / Recorded; an operator has to approve it")

    async def delete(self, system: System, code: str | None) -> Answer:
        """`deleteAgency`: what the system had registered itself is no longer served by it; all else is recorded."""
        if not code:
            return failed(NOT_PROCESSED, "Thiếu AgencyCode", "The AgencyCode is missing")
        directory = self.gateway.directory.current
        agency = directory.find(code)
        if agency is None or not _serves(system, agency, directory) or agency.id == system.hub_id:
            return failed(
                NO_SENDER, f"Hệ thống không có đơn vị “{code}”", f"This system does not serve an agency “{code}”"
            )
        own = await self.gateway.pool.fetchval(SQL["registered_itself"], system.id, agency.code)
        if own and system.registration == "open":
            try:
                async with self.gateway.pool.acquire() as connection, connection.transaction():
                    hub = directory.by_id(system.hub_id).code
                    await end_mandate(connection, hub, agency.code, author=_author(system))
                    await connection.execute(SQL["decided"], system.id, "delete", agency.code, agency.name, "done")
                await self.gateway.directory.refresh()
                return Answer(description="Đã xóa đơn vị / The agency is no longer served")
            except (asyncpg.InsufficientPrivilegeError, Problem) as error:
                log.warning("a removal waits for an operator", system=system.name, why=type(error).__name__)
        await self.gateway.pool.execute(SQL["wish"], system.id, "delete", agency.code, agency.name)
        return Answer(description="Đã ghi nhận, chờ người vận hành duyệt / Recorded; an operator has to approve it")


async def approve(connection: Connection, name: str, code: str, *, author: Author) -> str:
    """Do what a system had asked for; returns the wish. Raises Problem if it had asked for no such thing."""
    row = await connection.fetchrow(SQL["pending"], name, code)
    if row is None:
        raise Problem(
            f"system {name} has asked for nothing about {code}",
            "a wish that waits",
            "see `lienthong agency system wishes`",
        )
    async with connection.transaction():
        if row["wish"] == "delete":
            await end_mandate(connection, row["hub"], code, author=author)
        elif await connection.fetchval(SQL["exists"], code):
            await add_mandate(connection, row["hub"], code, may_receive=True, may_sign=True, author=author)
        else:
            new = NewAgency(code=code, name=row["name"], level=REGISTERED_LEVEL, hub=row["hub"])
            await add_agency(connection, new, author=author)
        await connection.execute(SQL["decide"], row["registration_id"], "done")
    return str(row["wish"])


async def wishes(connection: Connection) -> list[dict[str, Any]]:
    """What systems have asked for and nobody has decided."""
    return [dict(row) for row in await connection.fetch(SQL["wishes"])]


async def _add(connection: Connection, system: System, hub: Agency, code: str, name: str) -> None:
    async with connection.transaction():
        new = NewAgency(code=code, name=name, level=REGISTERED_LEVEL, hub=hub.code)
        await add_agency(connection, new, author=_author(system))
        await connection.execute(SQL["decided"], system.id, "register", code, name, "done")


def _author(system: System) -> Author:
    return Author(actor=f"system {system.name}", reason="asked for by the REST protocol")


def _serves(system: System, agency: Agency, directory: Directory) -> bool:
    return agency.id == system.hub_id or directory.may_sign_for(system.hub_id, agency.id)


def _read(body: bytes) -> tuple[str, str, str] | Answer:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return failed(NOT_PROCESSED, "Nội dung không phải JSON", "The body is not a JSON object")
    texts = {name: value.strip() for name, value in said.items() if isinstance(value, str)}
    code = agency_code(texts.get("code") or texts.get("id") or "")
    name = " ".join(texts.get("name", "").split())
    if code is None or not name or len(name) > NAME_LIMIT or not name.isprintable():
        return failed(
            NOT_PROCESSED,
            "Thiếu mã hoặc tên đơn vị hợp lệ",
            "A code (groups of A-Z, 0-9 with dots) and a name are needed",
        )
    return code, name, texts.get("pcode") or texts.get("pid") or ""


def _shown(directory: Directory) -> Iterable[Agency]:
    open_ones = (one for one in directory.agencies() if one.level != "exchange" and one.open_on(directory.today))
    return sorted(open_ones, key=lambda one: int(one.id))


def _entry(one: Agency, directory: Directory) -> dict[str, Any]:
    parent = directory.by_id(AgencyId(one.parent_id)) if one.parent_id is not None else None
    return {
        "id": str(one.id),
        "pid": "" if parent is None else str(parent.id),
        "code": one.code,
        "name": one.name,
        "mail": "",
        "oldCode": to_qcvn102(one.code) or "",
    }

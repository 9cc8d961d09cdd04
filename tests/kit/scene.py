"""A small country for tests of the pages: two provinces with communes, a ministry, three documents, four people.

    BO → Hà Nội, two of its wards, a ward of An Giang     arrived, received, overdue, refused
    Hà Nội → its ward                                     within the subtree
    An Giang → its ward, BO                               of which Hà Nội must never hear

Agencies have real codes, so that they are on the map; a hub carries and signs for those without a connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from broker.audit.finding import completeness
from broker.directory.changes import NewAgency, add_agency
from broker.directory.records import Level
from broker.evidence.duties import KeepLog
from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import Role, account_named, add_account
from broker.upkeep.lease import Lease
from broker.upkeep.rollups import FollowLog
from schemas.wire import DEAD, SUBMIT, document_key
from tests.kit.exchange import AUTHOR, PATIENCE, End, Exchange, Letter
from tests.kit.gateway import Running
from tests.kit.statuses import eventually, item, report

PASSWORD = "phòng họp số bảy tầng ba"
HANOI, WARD, OTHER_WARD, AN_GIANG, FAR_WARD = "H26", "H26.00004", "H26.00008", "H01", "H01.30292"
SECRET = "kế hoạch riêng của An Giang"
"""Words that no page of Hà Nội's auditor may show."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What there is, by name."""

    gateway: Running
    ministry: End
    hub: End
    telegram: Letter
    """The ministry's, to both provinces' agencies."""
    inside: Letter
    """Hà Nội's, to its ward."""
    outside: Letter
    """An Giang's, to its ward and the ministry."""
    quarantined: int

    @property
    def url(self) -> str:
        return self.gateway.url

    def path(self, letter: Letter, rest: str = "") -> str:
        """Where a document's page is."""
        return f"/documents/{letter.manifest['from']}/{letter.id}{rest}"

    @asynccontextmanager
    async def signed_in(self, login: str | None) -> AsyncIterator[httpx.AsyncClient]:
        """A browser without scripts; signed in, unless `login` is None. It does not follow redirects."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            if login is not None:
                # A hashed password is slow on purpose; the tests of signing in go through the form.
                async with self.gateway.exchange.pool.acquire() as connection:
                    session = await sessions.begin(connection, await account_named(connection, login))
                client.cookies.set("lt-session", session.token, domain="127.0.0.1")
            yield client


async def sign_in(client: httpx.AsyncClient, login: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
    """Fill in the sign-in form and send it."""
    token = csrf_of(await client.get("/sign-in"))
    return await client.post("/sign-in", data={"csrf": token, "login": login, "password": password, **fields})


def csrf_of(page: httpx.Response) -> str:
    """The token of the first form on a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page.text)
    assert found is not None, page.text
    return found[1]


async def make_scene(gateway: Running) -> Scene:
    """Agencies, documents, statuses, accounts; everything taken over into search and reports."""
    exchange = gateway.exchange
    ministry = await exchange.add("BO", "ministry")
    hub = await exchange.add("TRUC", "hub")
    places: tuple[tuple[str, str, Level, str | None], ...] = (
        (HANOI, "UBND thành phố Hà Nội", "province", None),
        (WARD, "UBND phường Ba Đình", "commune", HANOI),
        (OTHER_WARD, "UBND phường Ngọc Hà", "commune", HANOI),
        (AN_GIANG, "UBND tỉnh An Giang", "province", None),
        (FAR_WARD, "UBND phường Bình Đức", "commune", AN_GIANG),
    )
    served = [await _served(exchange, hub, *place) for place in places]
    hanoi, _, _, an_giang, _ = served
    await exchange.refresh()
    await gateway.refresh()
    telegram = exchange.letter(
        ministry,
        [HANOI, WARD, OTHER_WARD, FAR_WARD],
        document={
            "number": "12",
            "notation": "CĐ-BO",
            "type": "Công điện",
            "subject": "Công điện về việc ứng phó bão số 3",
            "priority": 3,
        },
    )
    inside = exchange.letter(hanoi, [WARD], by=hub, document={"number": "7", "subject": "Về việc nước sạch"})
    outside = exchange.letter(an_giang, [FAR_WARD, ministry], by=hub, document={"number": "99", "subject": SECRET})
    await exchange.send(telegram, ministry)
    for letter in (inside, outside):
        await exchange.send(letter, hub)
    dispatched = "SELECT count(*) = 7 FROM delivery WHERE processing = 'dispatched'"
    await eventually(exchange, dispatched, what="seven deliveries to be handed over")
    for who, code, minutes, fields in (
        (HANOI, "01", 1, {}),
        (HANOI, "03", 2, {}),
        (WARD, "01", 1, {}),
        (FAR_WARD, "02", 3, {"reason": "Gửi nhầm nơi nhận"}),
    ):
        await report(exchange, hub, item(telegram, code, minutes, for_=who, **fields))
    await report(exchange, hub, item(outside, "01", 1, for_=FAR_WARD))
    told = "SELECT count(*) = 5 FROM status_entry"
    await eventually(exchange, told, what="five statuses to be recorded")
    await exchange.pool.execute(
        "UPDATE delivery SET overdue_at = now() WHERE recipient_id = (SELECT agency_id FROM agency WHERE code = $1)",
        OTHER_WARD,
    )
    quarantined: int = await exchange.pool.fetchval(
        "INSERT INTO rejection (at, amqp_user, kind, claimed_from, id, code, detail, body, quarantined) "
        "VALUES (now(), $1, 'document', $2, $3, 'LT-DUP-CONFLICT', $4, $5, true) RETURNING rejection_id",
        hub.code,
        AN_GIANG,
        str(outside.id),
        '{"field": "id", "found": "other bytes", "expected": "those accepted"}',
        "văn bản khác".encode(),
    )
    key = document_key("NOBODY", urgent=False)
    await exchange.publish_as_broker(b"nothing", exchange=SUBMIT, routing_key=key, type="document")
    await exchange.until_depth(DEAD, 1)
    await _people(exchange)
    await keep_up(exchange)
    return Scene(
        gateway=gateway,
        ministry=ministry,
        hub=hub,
        telegram=telegram,
        inside=inside,
        outside=outside,
        quarantined=quarantined,
    )


async def _served(exchange: Exchange, hub: End, code: str, name: str, level: Level, parent: str | None) -> End:
    """An agency without a connection, under its real code; whatever it says, the hub signs."""
    async with exchange.pool.acquire() as connection:
        new = NewAgency(code=code, name=name, level=level, has_mailbox=False, hub=hub.code, parent=parent)
        agency = await add_agency(connection, new, author=AUTHOR)
    return replace(hub, id=agency.id, code=code, has_mailbox=False)


async def keep_up(exchange: Exchange, seconds: float = PATIENCE) -> None:
    """What the keeper does: events into the log, a checkpoint over them, figures and search terms out of it.

    Until nothing waits, for `seconds` at most.
    """
    lease = Lease(exchange.pool, seconds=max(60, seconds))
    assert await lease.take(), "another keeper is active"
    log, rollups = KeepLog(exchange.pool, exchange.settings), FollowLog(period=1)
    async with asyncio.timeout(seconds):
        while True:
            await log.run(lease)
            await rollups.run(lease)
            async with exchange.pool.acquire() as connection:
                if not (await completeness(connection)).behind:
                    break
            await asyncio.sleep(0.02)
    await lease.release()


async def _people(exchange: Exchange) -> None:
    people: tuple[tuple[str, Role, str | None], ...] = (
        ("operator", Role.operator, None),
        ("auditor", Role.auditor, None),
        ("hanoi", Role.auditor, HANOI),
        ("ward", Role.auditor, WARD),
    )

    async def add(login: str, role: Role, root: str | None) -> Any:
        async with exchange.pool.acquire() as connection:
            return await add_account(
                connection,
                login=login,
                full_name=f"Người {login}",
                role=role,
                root=root,
                password=PASSWORD,
                actor="test",
                reason="made for a test",
            )

    await asyncio.gather(*(add(*person) for person in people))

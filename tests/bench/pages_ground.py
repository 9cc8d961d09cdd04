"""The ground on which `pages_volume` walks: a large database of invented traffic, made able to prove something.

A copy of what `audit_volume` makes, so that what is measured there stays as it is. The copy's log gets the tree that
its entries add up to, and a few real documents are sent through a real worker: signed, answered, refused, overdue, so
that verdicts and proofs can be looked at among five million others. Four people may sign in.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from broker.audit.period import VIETNAM
from broker.cli.output import progress, say
from broker.directory.changes import add_mandate
from broker.directory.records import AgencyId
from broker.evidence.growth import Growth
from broker.gateway.pages.accounts import Role, add_account
from broker.services import Endpoints
from broker.store.migrations import migrate
from schemas.times import rfc3339
from schemas.wire import DEAD, SUBMIT, document_key
from tests.conftest import fresh_vhost
from tests.kit.exchange import AUTHOR, End, Exchange, running_exchange
from tests.kit.gateway import Running, running_gateway
from tests.kit.scene import keep_up
from tests.kit.statuses import eventually, item, report

PASSWORD = "hai bà đi chợ Đồng Xuân"
PROVINCE, COMMUNE, OTHER_COMMUNE, FAR_PROVINCE, FAR_COMMUNE = "H26", "H26.00004", "H26.00008", "H01", "H01.30292"
PEOPLE: tuple[tuple[str, Role, str | None, str], ...] = (
    ("operator5", Role.operator, None, "Người vận hành"),
    ("auditor5", Role.auditor, None, "Kiểm tra viên"),
    ("province5", Role.auditor, PROVINCE, "Kiểm tra viên của tỉnh"),
    ("commune5", Role.auditor, COMMUNE, "Kiểm tra viên của xã"),
)
"""Login, role, subtree, name."""
KEPT_WITHIN = 600.0
"""Seconds, in which the keeper takes over what was sent."""
AT_ONCE = 100_000
"""Leaves that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A gateway on the large database, and what is worth a visit there."""

    gateway: Running
    shared: str
    """Path of a real document to two provinces and all their communes."""
    inside: str
    """Of a real document within the province."""
    outside: str
    """Of a real document of which the province must never hear."""
    telegram: str
    """Of an invented one, to all communes."""
    foreign: str
    """Of an invented document that does not concern the province."""


@asynccontextmanager
async def ground(servers: Endpoints, size: int, folder: Path) -> AsyncIterator[Ground]:
    """The gateway, on a copy of the database with `size` deliveries that is made if it is not there."""
    address = await _copy(servers.database_url, size)
    with fresh_vhost(servers) as vhost:
        async with running_exchange(vhost, address, folder) as exchange:
            if not await exchange.value("SELECT EXISTS (SELECT FROM account WHERE login = $1)", PEOPLE[0][0]):
                await _furnish(exchange)
            await exchange.publish_as_broker(
                b"nothing", exchange=SUBMIT, routing_key=document_key("NOBODY", urgent=False), type="document"
            )
            await exchange.until_depth(DEAD, 1)
            async with running_gateway(exchange) as gateway:
                yield await _found(gateway)


async def _copy(server: str, size: int) -> str:
    name = f"pages_{size}"
    address = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    connection = await asyncpg.connect(server, command_timeout=None)
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", f"audit_{size}"):
            sys.exit(
                f"There is no database audit_{size}: make it with `python -m tests.bench.audit_volume --make-only`."
            )
        say(f"Copying audit_{size} …")
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "audit_{size}" STRATEGY FILE_COPY')
    await connection.close()
    await migrate(address)
    return address


async def _furnish(exchange: Exchange) -> None:
    """Everything that is made once."""
    await _real_log(exchange)
    await exchange.pool.execute("UPDATE agency SET has_mailbox = false WHERE has_mailbox")  # no 3,000 queues here
    await exchange.pool.execute(
        "SELECT setval(pg_get_serial_sequence('status_message', 'status_message_id'), max(status_message_id))"
        " FROM status_message"
    )
    ministry, hub = await exchange.add("BO", "ministry"), await exchange.add("TRUC", "hub")
    for end, name in ((ministry, "Bộ Nông nghiệp và Môi trường (thí dụ)"), (hub, "Trục của các tỉnh (thí dụ)")):
        await exchange.pool.execute("UPDATE agency SET name = $1 WHERE code = $2", name, end.code)
    served, now = await _served(exchange, hub), datetime.now(UTC)
    telegram = exchange.letter(
        ministry,
        list(served),
        document={
            "number": "12",
            "notation": "CĐ-BO",
            "issued_on": f"{now.astimezone(VIETNAM):%Y-%m-%d}",
            "type": "Công điện",
            "subject": "Công điện về việc ứng phó bão số 3",
            "priority": 3,
        },
    )
    inside = exchange.letter(
        served[PROVINCE], [COMMUNE, OTHER_COMMUNE], by=hub, document={"number": "7", "subject": "Về việc nước sạch"}
    )
    outside = exchange.letter(
        served[FAR_PROVINCE], [FAR_COMMUNE, ministry], by=hub, document={"number": "99", "subject": "Việc riêng"}
    )
    await exchange.send(telegram, ministry)
    for letter in (inside, outside):
        await exchange.send(letter, hub)
    await exchange.all_published()
    wanted = [UUID(str(letter.id)) for letter in (telegram, inside, outside)]
    handed = "SELECT bool_and(v.processing = 'dispatched') AND count(DISTINCT document_id) = 3"
    handed += " FROM delivery v JOIN document USING (document_id) WHERE id = ANY ($1)"
    await eventually(exchange, handed, wanted)
    silent = {OTHER_COMMUNE, FAR_COMMUNE}
    at = [rfc3339(datetime.now(UTC) + timedelta(seconds=seconds)) for seconds in range(3)]
    told = [item(telegram, "01", at=at[0], for_=code) for code in served if code not in silent]
    await report(exchange, hub, *told)
    await report(exchange, hub, item(telegram, "03", at=at[1], for_=PROVINCE))
    await report(exchange, hub, item(telegram, "02", at=at[2], for_=FAR_COMMUNE, reason="Gửi nhầm nơi nhận"))
    await report(exchange, hub, item(inside, "01", at=at[0], for_=COMMUNE))
    entries = (
        "SELECT count(*) = $2 FROM status_entry s JOIN document d USING (document_id) WHERE d.id = ANY ($1::uuid[])"
    )
    await eventually(exchange, entries, wanted, len(told) + 3)
    await exchange.pool.execute(
        "UPDATE delivery SET overdue_at = now() FROM agency a, document d WHERE a.agency_id = delivery.recipient_id"
        " AND d.document_id = delivery.document_id AND a.code = $1 AND d.id = $2",
        OTHER_COMMUNE,
        telegram.id,
    )
    await exchange.pool.execute(
        "INSERT INTO rejection (at, amqp_user, kind, claimed_from, id, code, detail, body, quarantined) "
        "VALUES (now(), $1, 'document', $2, $3, 'LT-DUP-CONFLICT', $4, $5, true)",
        hub.code,
        FAR_PROVINCE,
        str(outside.id),
        '{"field": "id", "found": "other bytes", "expected": "those accepted"}',
        "văn bản khác".encode(),
    )
    await keep_up(exchange, KEPT_WITHIN)
    async with exchange.pool.acquire() as connection:
        for login, role, root, name in reversed(PEOPLE):
            await add_account(
                connection, login=login, full_name=name, role=role, root=root, password=PASSWORD,
                actor="bench", reason="made for a measurement",
            )  # fmt: skip


async def _real_log(exchange: Exchange) -> None:
    """The tree over the invented entries, as the keeper would have built it."""
    async with exchange.pool.acquire() as connection:
        head = await connection.fetchrow("SELECT origin_id, size FROM log_head")
        assert head is not None
        growth, nodes = Growth(), []
        with progress("The tree over the log", total=head["size"]) as advance:
            for first in range(0, head["size"], AT_ONCE):
                rows = await connection.fetch(
                    "SELECT leaf FROM log_entry WHERE origin_id = $1 AND position >= $2 AND position < $3"
                    " ORDER BY position",
                    head["origin_id"],
                    first,
                    first + AT_ONCE,
                )
                nodes += [
                    (head["origin_id"], n.level, n.number, n.hash) for n in growth.extend([row[0] for row in rows])
                ]
                advance(len(rows))
        await connection.execute("DELETE FROM log_node")
        await connection.copy_records_to_table(
            "log_node", columns=("origin_id", "level", "number", "hash"), records=nodes
        )
        await connection.execute("UPDATE log_head SET root = $1", growth.root())
        await connection.execute("UPDATE log_cursor SET cluster = (SELECT system_identifier FROM pg_control_system())")


async def _served(exchange: Exchange, hub: End) -> dict[str, End]:
    """Two provinces and their communes; whatever they say, the hub signs."""
    rows = await exchange.pool.fetch(
        "SELECT agency_id, code FROM agency WHERE state = 'active' AND (code = ANY ($1)"
        " OR level = 'commune' AND parent_id IN (SELECT agency_id FROM agency WHERE code = ANY ($1))) ORDER BY code",
        [PROVINCE, FAR_PROVINCE],
    )
    async with exchange.pool.acquire() as connection:
        for row in rows:
            await add_mandate(connection, hub.code, row["code"], may_receive=True, may_sign=True, author=AUTHOR)
    await exchange.refresh()
    ends = {
        row["code"]: replace(hub, id=AgencyId(row["agency_id"]), code=row["code"], has_mailbox=False) for row in rows
    }
    assert {PROVINCE, COMMUNE, OTHER_COMMUNE, FAR_PROVINCE, FAR_COMMUNE} <= set(ends)
    return ends


async def _found(gateway: Running) -> Ground:
    async def path(condition: str, *arguments: object) -> str:
        row = await gateway.exchange.pool.fetchrow(
            "SELECT s.code, d.id FROM document d JOIN agency s ON s.agency_id = d.sender_id"
            f" WHERE {condition} ORDER BY d.document_id DESC LIMIT 1",
            *arguments,
        )
        assert row is not None, condition
        return f"/documents/{row['code']}/{row['id']}"

    real = "d.accepted_at > (SELECT min(created_at) - interval '1 hour' FROM account WHERE login = 'operator5')"
    real += " AND length(d.jws) > 200 AND d.number = $1"
    far = "s.code = $1 AND length(d.jws) < 200 AND NOT EXISTS (SELECT FROM delivery v"
    far += " JOIN agency r ON r.agency_id = v.recipient_id WHERE v.document_id = d.document_id AND r.code LIKE 'H26%')"
    return Ground(
        gateway=gateway,
        shared=await path(f"{real} AND d.notation = 'CĐ-BO'", "12"),
        inside=await path(real, "7"),
        outside=await path(real, "99"),
        telegram=await path("d.recipients > 3000"),
        foreign=await path(far, FAR_PROVINCE),
    )

"""Contract §3: what an agency's AMQP user can do is submit under its own code and read its own mailbox, nothing else.

Every test speaks to a real server as a real agency user, over a plain AMQP client; none of the exchange's programs run.
The codes are chosen to look alike: with dots that are prefixes of each other, or that an unescaped pattern would match.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import aiormq
import pytest
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelPreconditionFailed, PublishError
from pamqp import constants
from pamqp.commands import Basic

from broker.amqp.management import Management
from broker.amqp.retry import LADDER
from broker.topology.actual import read_actual
from broker.topology.apply import apply
from broker.topology.model import desired
from broker.topology.permissions import ensure_agency_user, ensure_agency_users
from broker.topology.plan import plan
from schemas import wire

Attempt = Callable[[AbstractChannel], Awaitable[object]]


class HasVhost(Protocol):
    name: str
    amqp_url: str
    management_url: str


@dataclass(frozen=True)
class Owner:
    code: str
    level: str


@dataclass(frozen=True)
class Types:
    mailbox_type_by_level: dict[str, str] = field(default_factory=lambda: {"province": "quorum", "commune": "classic"})


@dataclass(frozen=True)
class Exchange:
    """A set-up server, and how to get in as somebody."""

    vhost: HasVhost
    suffix: str
    """User names belong to the whole server, so each test has codes of its own."""
    passwords: dict[str, str]
    connections: list[AbstractConnection]

    def code(self, short: str) -> str:
        return f"{short}.{self.suffix}"

    async def enter(self, code: str | None = None) -> AbstractChannel:
        """A fresh channel as this agency, or as the broker's own user."""
        url = self.vhost.amqp_url
        if code is not None:
            parts = urlsplit(url)
            place = parts.netloc.rpartition("@")[2]
            url = urlunsplit(parts._replace(netloc=f"{quote(code)}:{self.passwords[code]}@{place}"))
        connection = await aiormq.connect(url)
        self.connections.append(connection)
        return await connection.channel()

    async def count(self, queue: str) -> int:
        return (await (await self.enter()).queue_declare(queue, passive=True)).message_count or 0


SHORT = ("H53", "H5", "HX53", "G01")
LOOKALIKES = ("H53.1", "H53.1.2", "H53X1", "H531")
"""Codes of which `H53.1` is a prefix, or that its unescaped pattern would match."""


@pytest.fixture
async def exchange(vhost: HasVhost) -> AsyncIterator[Exchange]:
    suffix = secrets.token_hex(3).upper()
    codes = [f"{short}.{suffix}" for short in (*SHORT, *LOOKALIKES)]
    # A code that goes on where another ends, and one that differs only where the other has its dot.
    codes += [f"{codes[0]}.1", codes[0].replace(".", "X")]
    owners = [Owner(code, "province" if code.startswith("G") else "commune") for code in codes]
    passwords = {code: secrets.token_urlsafe(12) for code in codes}
    connections: list[AbstractConnection] = []
    async with Management(vhost.management_url, vhost=vhost.name) as management:
        wanted = desired(owners, Types())
        done = await apply(wanted, plan(wanted, await read_actual(management)), management)
        assert done.remaining.good
        await ensure_agency_users(management, passwords)
        yield Exchange(vhost, suffix, passwords, connections)
        for connection in connections:
            if not connection.is_closed:
                await connection.close(ConnectionError("test over"))
        for code in codes:
            await management.delete_user(code)


def properties(user: str | None, message_id: str = "m", **more: object) -> Basic.Properties:
    return Basic.Properties(delivery_mode=2, user_id=user, message_id=message_id, **more)  # type: ignore[arg-type]


def own_keys(code: str) -> list[str]:
    return [
        wire.document_key(code, True),
        wire.document_key(code, False),
        wire.status_key(code),
        wire.request_key(code),
    ]


async def test_an_agency_submits_under_its_own_code_in_both_lanes(exchange: Exchange) -> None:
    for short in ("H53", "G01", "H53.1"):
        code = exchange.code(short)
        channel = await exchange.enter(code)
        for key in own_keys(code):
            await channel.basic_publish(
                b"{}", exchange=wire.SUBMIT, routing_key=key, mandatory=True, properties=properties(code)
            )
    assert await exchange.count(wire.INTAKE_URGENT) == 3
    assert await exchange.count(wire.INTAKE_NORMAL) == 3
    assert await exchange.count(wire.STATUS) == 6


async def test_an_agency_reads_and_acknowledges_its_own_mailbox(exchange: Exchange) -> None:
    code = exchange.code("H53")
    broker = await exchange.enter()
    await broker.basic_publish(b"for you", exchange=wire.DELIVER, routing_key=code, mandatory=True)
    channel = await exchange.enter(code)
    got = await channel.basic_get(wire.mailbox(code))
    assert got.body == b"for you"
    assert isinstance(got.delivery, Basic.GetOk)
    await channel.basic_ack(got.delivery.delivery_tag or 0)
    consuming = await channel.basic_consume(wire.mailbox(code), _ignore)
    assert consuming.consumer_tag
    await channel.basic_cancel(consuming.consumer_tag)


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_what_an_agency_rejects_goes_to_the_dead_letters(exchange: Exchange, kind: str) -> None:
    code = exchange.code("H53" if kind == "classic" else "G01")
    broker = await exchange.enter()
    await broker.basic_publish(b"not for me", exchange=wire.DELIVER, routing_key=code, mandatory=True)
    channel = await exchange.enter(code)
    got = await channel.basic_get(wire.mailbox(code))
    assert isinstance(got.delivery, Basic.GetOk)
    await channel.basic_reject(got.delivery.delivery_tag or 0, requeue=False)
    while not isinstance((dead := await broker.basic_get(wire.DEAD)).delivery, Basic.GetOk):
        pass
    assert dead.body == b"not for me"


@pytest.mark.parametrize("pretended", ["G01", "H5", "HX53", "H53.1"])
async def test_a_foreign_user_id_is_refused(exchange: Exchange, pretended: str) -> None:
    code = exchange.code("H53")
    channel = await exchange.enter(code)
    with pytest.raises(ChannelPreconditionFailed):
        await channel.basic_publish(
            b"{}",
            exchange=wire.SUBMIT,
            routing_key=wire.status_key(code),
            properties=properties(exchange.code(pretended)),
        )
    assert await exchange.count(wire.STATUS) == 0


async def test_the_brokers_user_id_cannot_be_pretended(exchange: Exchange) -> None:
    code = exchange.code("H53")
    broker_user = urlsplit(exchange.vhost.amqp_url).username
    channel = await exchange.enter(code)
    with pytest.raises(ChannelPreconditionFailed):
        await channel.basic_publish(
            b"{}",
            exchange=wire.SUBMIT,
            routing_key=wire.status_key(code),
            properties=properties(broker_user, headers={wire.LT_SUBMITTER: exchange.code("G01")}),
        )


async def test_no_key_but_its_own_can_be_written(exchange: Exchange) -> None:
    code = exchange.code("H53.1")
    others = [exchange.code(short) for short in (*SHORT, "H53.1.2", "H53X1", "H531")]
    foreign = [key for other in others for key in own_keys(other)]
    malformed = [
        *(f"{key}.x" for key in own_keys(code)),
        *(f"x.{key}" for key in own_keys(code)),
        *(key.replace(code, "") for key in own_keys(code)),
        f"document.{code}",
        f"document.other.{code}",
        f"notice.{code}",
        f"status.G01.{code}",
        f"status.{code}\n",
        code,
        "",
        "#",
        f"status.{code.lower()}",
    ]
    for key in (*foreign, *malformed):
        channel = await exchange.enter(code)
        with pytest.raises(ChannelAccessRefused):
            await channel.basic_publish(b"{}", exchange=wire.SUBMIT, routing_key=key, properties=properties(code))
        await exchange.connections.pop().close(ConnectionError("done"))
    for queue in (wire.INTAKE_URGENT, wire.INTAKE_NORMAL, wire.STATUS):
        assert await exchange.count(queue) == 0


async def test_a_dot_in_a_code_stands_for_a_dot_and_nothing_else(exchange: Exchange) -> None:
    dotted = exchange.code("H53")
    crossed, longer = dotted.replace(".", "X"), f"{dotted}.1"
    for mine, other in ((dotted, crossed), (crossed, dotted), (dotted, longer), (longer, dotted)):
        channel = await exchange.enter(mine)
        with pytest.raises(ChannelAccessRefused):
            await channel.basic_get(wire.mailbox(other))
        channel = await exchange.enter(mine)
        with pytest.raises(ChannelAccessRefused):
            await channel.basic_publish(
                b"{}", exchange=wire.SUBMIT, routing_key=wire.status_key(other), properties=properties(mine)
            )
        channel = await exchange.enter(mine)
        assert isinstance((await channel.basic_get(wire.mailbox(mine))).delivery, Basic.GetEmpty)


EXCHANGES = ("", wire.DELIVER, wire.DEAD, "amq.topic", "amq.direct", "amq.fanout", *(step.entity for step in LADDER))


@pytest.mark.parametrize("target", EXCHANGES)
async def test_no_other_exchange_can_be_written(exchange: Exchange, target: str) -> None:
    code, other = exchange.code("H53"), exchange.code("G01")
    for key in (other, wire.mailbox(other), wire.INTAKE_URGENT, wire.status_key(code)):
        channel = await exchange.enter(code)
        with pytest.raises(ChannelAccessRefused):
            await channel.basic_publish(b"{}", exchange=target, routing_key=key, properties=properties(code))
    assert await exchange.count(wire.mailbox(other)) == 0


FOREIGN_QUEUES = (wire.INTAKE_URGENT, wire.INTAKE_NORMAL, wire.STATUS, wire.DEAD, *(step.entity for step in LADDER))


@pytest.mark.parametrize("queue", [*FOREIGN_QUEUES, "another's mailbox", "a longer code's mailbox"])
async def test_no_other_queue_can_be_read_emptied_or_deleted(exchange: Exchange, queue: str) -> None:
    code = exchange.code("H53")
    queue = {
        "another's mailbox": wire.mailbox(exchange.code("G01")),
        "a longer code's mailbox": wire.mailbox(f"{code}.1"),
    }.get(queue, queue)
    broker = await exchange.enter()
    await broker.basic_publish(b"{}", routing_key=queue)
    attempts: tuple[Attempt, ...] = (
        lambda channel: channel.basic_get(queue),
        lambda channel: channel.basic_consume(queue, _ignore),
        lambda channel: channel.queue_purge(queue),
        lambda channel: channel.queue_delete(queue),
        lambda channel: channel.queue_bind(queue, wire.SUBMIT, "#"),
        lambda channel: channel.queue_unbind(queue, wire.DELIVER, queue.removeprefix(wire.MAILBOX_PREFIX)),
    )
    for attempt in attempts:
        with pytest.raises(ChannelAccessRefused):
            await attempt(await exchange.enter(code))
    assert isinstance((await broker.basic_get(queue)).delivery, Basic.GetOk), "what was there is still there"


async def test_its_own_mailbox_can_be_neither_deleted_nor_bound_to_more(exchange: Exchange) -> None:
    code = exchange.code("H53")
    own = wire.mailbox(code)
    attempts: tuple[Attempt, ...] = (
        lambda channel: channel.queue_delete(own),
        lambda channel: channel.queue_bind(own, wire.SUBMIT, "#"),
        lambda channel: channel.queue_bind(own, wire.DELIVER, exchange.code("G01")),
        lambda channel: channel.queue_unbind(own, wire.DELIVER, code),
    )
    for attempt in attempts:
        with pytest.raises(ChannelAccessRefused):
            await attempt(await exchange.enter(code))


async def test_nothing_can_be_declared_or_bound(exchange: Exchange) -> None:
    code = exchange.code("H53")
    attempts: tuple[Attempt, ...] = (
        lambda channel: channel.queue_declare("spy"),
        lambda channel: channel.queue_declare("spy", exclusive=True),
        lambda channel: channel.queue_declare(""),
        lambda channel: channel.queue_declare(f"agency.{code}.more", durable=True),
        lambda channel: channel.exchange_declare("spy", exchange_type="fanout"),
        lambda channel: channel.exchange_delete(wire.SUBMIT),
        lambda channel: channel.exchange_delete(wire.DELIVER),
        lambda channel: channel.exchange_bind(wire.SUBMIT, wire.DELIVER, "#"),
        lambda channel: channel.exchange_bind(wire.DELIVER, wire.SUBMIT, "#"),
    )
    for attempt in attempts:
        with pytest.raises(ChannelAccessRefused):
            await attempt(await exchange.enter(code))


@pytest.mark.parametrize("name", ["\n", "\r\n"])
async def test_a_line_break_for_a_name_declares_nothing(
    exchange: Exchange, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a pattern `$` also stands before a last line break. Our client library would not even send such a name."""
    for domain in ("queue-name", "exchange-name"):
        monkeypatch.setitem(constants.DOMAIN_REGEX, domain, re.compile(".*", re.DOTALL))
    attempts: tuple[Attempt, ...] = (
        lambda channel: channel.queue_declare(name),
        lambda channel: channel.exchange_declare(name),
    )
    for attempt in attempts:
        with pytest.raises(ChannelAccessRefused):
            await attempt(await exchange.enter(exchange.code("H53")))


async def test_a_hidden_copy_never_reaches_a_mailbox(exchange: Exchange) -> None:
    """Further keys go through `lt.submit` too, where no mailbox hangs. Some server versions refuse them outright."""
    code, other = exchange.code("H53"), exchange.code("G01")
    for header in ("CC", "BCC"):
        channel = await exchange.enter(code)
        copies = properties(code, headers={header: [other, wire.mailbox(other), wire.DEAD]})
        try:
            await channel.basic_publish(
                b"{}", exchange=wire.SUBMIT, routing_key=wire.status_key(code), properties=copies
            )
        except ChannelAccessRefused:
            continue
    assert await exchange.count(wire.mailbox(other)) == 0
    assert await exchange.count(wire.DEAD) == 0


async def test_an_agency_gets_into_no_other_virtual_host(exchange: Exchange) -> None:
    code = exchange.code("H53")
    parts = urlsplit(exchange.vhost.amqp_url)
    place = parts.netloc.rpartition("@")[2]
    with pytest.raises((AMQPError, ConnectionError)):
        await aiormq.connect(f"amqp://{quote(code)}:{exchange.passwords[code]}@{place}/lienthong")


async def test_an_agency_does_not_get_into_the_management(exchange: Exchange) -> None:
    code = exchange.code("H53")
    parts = urlsplit(exchange.vhost.management_url)
    place = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{quote(code)}:{exchange.passwords[code]}@{place}"))
    async with Management(url, vhost=exchange.vhost.name) as management:
        with pytest.raises(Exception, match=r"HTTP 40[13]"):
            await management.definitions()


async def test_a_submission_that_no_queue_takes_is_returned(exchange: Exchange) -> None:
    code = exchange.code("H53")
    broker = await exchange.enter()
    await broker.queue_unbind(wire.STATUS, wire.SUBMIT, wire.BIND_REQUEST)
    channel = await exchange.enter(code)
    with pytest.raises(PublishError):
        await channel.basic_publish(
            b"{}",
            exchange=wire.SUBMIT,
            routing_key=wire.request_key(code),
            mandatory=True,
            properties=properties(code),
        )


async def test_a_new_password_replaces_the_old_one(exchange: Exchange) -> None:
    code = exchange.code("H53")
    old = exchange.passwords[code]
    async with Management(exchange.vhost.management_url, vhost=exchange.vhost.name) as management:
        await ensure_agency_user(management, code, "another one")
    with pytest.raises((AMQPError, ConnectionError)):
        await exchange.enter(code)
    exchange.passwords[code] = quote("another one")
    await exchange.enter(code)
    assert old != "another one"


async def _ignore(_: object) -> None:
    """Consumes nothing: these consumers are to be refused, or are cancelled at once."""

"""The connection is cut at bad moments; what was sent arrives once, what came is stored once."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest

from adapters import Agency, Letter, Part
from adapters.agency import DATABASE
from adapters.amqp import Session
from adapters.pace import Pace
from adapters.settings import AgencySettings
from schemas.problem import UNREACHABLE, Problem
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.kit.cutting import CuttingProxy


class Wire:
    """A proxy before RabbitMQ that can be cut, and that can swallow what the server answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = parts.hostname, parts.port
        self._parts = parts
        self._open: set[asyncio.StreamWriter] = set()
        self.swallow_answers = False
        self.connections = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def through(self, settings: AgencySettings) -> AgencySettings:
        url = urlunsplit(urlsplit(settings.amqp_url)._replace(netloc=f"127.0.0.1:{self.port}"))
        return replace(settings, amqp_url=url)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        self._open |= {writer, there_writer}
        await asyncio.gather(
            self._copy(reader, there_writer, answers=False), self._copy(there_reader, writer, answers=True)
        )

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        try:
            while data := await reader.read(65536):
                if not (answers and self.swallow_answers):
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def cut(self) -> None:
        self.swallow_answers = False
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def stop(self) -> None:
        self._server.close()
        self.cut()


def letter(number: int) -> Letter:
    return Letter(
        number=str(number),
        notation="TB",
        subject="Thông báo",
        to=[PROVINCE],
        parts=[Part.data("a.pdf", b"%PDF-1.7")],
    )


async def test_a_confirm_that_was_lost_brings_the_same_bytes_again(exchange: StandIn) -> None:
    wire = Wire(exchange.vhost.amqp_url)
    await wire.start()
    ministry, _ = wire.through(await exchange.agency(MINISTRY)), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me:
        await (await me.send(letter(0))).accepted(timeout=15)
        wire.swallow_answers, exchange.answering = True, False
        sending = asyncio.create_task(me.send(letter(1)))
        await exchange.until(lambda: len(exchange.documents) == 2)
        assert not sending.done()
        wire.cut()
        sent = await sending
        exchange.answering = True
        await sent.resend()
        await sent.accepted(timeout=15)
    documents = [one for one in exchange.submitted if one[3].digest == sent.document.digest]
    assert len(documents) == 3 and len({one[3].digest for one in documents}) == 1
    await wire.stop()


async def test_an_answer_also_confirms(exchange: StandIn) -> None:
    wire = Wire(exchange.vhost.amqp_url)
    await wire.start()
    ministry, _ = wire.through(await exchange.agency(MINISTRY)), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me:
        await (await me.send(letter(0))).accepted(timeout=15)
        wire.swallow_answers = True
        sending = asyncio.create_task(me.send(letter(1)))
        await exchange.until(lambda: len(exchange.documents) == 2)
        wire.cut()
        await asyncio.wait_for(sending, 15)  # by the notice that waited in the mailbox, or by the second confirm
    await wire.stop()


async def test_cuts_under_traffic_lose_nothing_and_double_nothing(exchange: StandIn) -> None:
    wire = Wire(exchange.vhost.amqp_url)
    await wire.start()
    ministry = wire.through(await exchange.agency(MINISTRY))
    province = wire.through(await exchange.agency(PROVINCE))
    total = 40
    async with Agency.open(ministry) as me, Agency.open(province):

        async def cutting() -> None:
            while True:
                await asyncio.sleep(0.4)
                wire.cut()

        cuts = asyncio.create_task(cutting())
        sent = []
        for number in range(total):
            sent.append(await me.send(letter(number), confirm_within=0))
            await asyncio.sleep(0.05)
        cuts.cancel()
        for one in sent:
            await one.accepted(timeout=30)
        await exchange.until(lambda: all(exchange.reported[one.id, PROVINCE] for one in sent))
    assert wire.connections > 4
    with sqlite3.connect(province.data_dir / DATABASE) as connection:
        rows: list[Any] = connection.execute("SELECT id FROM inbox").fetchall()
    assert sorted(id for (id,) in rows) == sorted(one.id for one in sent)
    await wire.stop()


async def test_without_an_exchange_a_letter_is_kept_and_the_reason_is_told(exchange: StandIn) -> None:
    settings = await exchange.agency(MINISTRY)
    nowhere = replace(settings, amqp_url="amqp://127.0.0.1:1/nowhere")
    async with Agency.open(nowhere) as me:
        sent = await me.send(letter(1), confirm_within=0.1)
        with pytest.raises(Problem) as why:
            await me.wait_connected(0.5)
        assert why.value.exit_code == UNREACHABLE and "127.0.0.1" in why.value.diagnostics()
        assert (await sent.state()).state == "due"
    await exchange.agency(PROVINCE)
    async with Agency.open(settings) as me:
        later = await me.sent(sent.id)
        assert later is not None
        await later.accepted(timeout=15)


async def test_a_wrong_password_is_told_as_such(exchange: StandIn) -> None:
    settings = await exchange.agency(MINISTRY)
    assert settings.amqp_password_file is not None
    settings.amqp_password_file.write_text("wrong")
    async with Agency.open(settings) as me:
        with pytest.raises(Problem, match="refused the AMQP user"):
            await me.wait_connected(10)


async def test_a_connection_that_is_given_up_for_silence_is_made_again(
    exchange: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Session] = []
    init = Session.__init__

    def kept(self: Session, *given: Any) -> None:
        init(self, *given)
        opened.append(self)

    monkeypatch.setattr(Session, "__init__", kept)
    ministry, _ = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me:
        await (await me.send(letter(0))).accepted(timeout=30)
        exchange.answering = False
        for number in range(1, 4):
            sending = asyncio.create_task(me.send(letter(number)))
            await asyncio.sleep(0)
            opened[-1]._connection._reader_task.cancel()  # type: ignore[attr-defined]  # as its heartbeat would
            await sending
            await exchange.until(lambda wanted=number + 1: len(opened) == wanted and me.connected)
            me.raise_if_ended()
    assert len(exchange.documents) == 4


@pytest.mark.parametrize("call", ["read", "publish", "ack"])
async def test_who_is_cancelled_by_the_library_has_lost_the_connection(
    exchange: StandIn, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    good = getattr(Session, call)

    async def given_up_once(*_: Any, **__: Any) -> None:
        monkeypatch.setattr(Session, call, good)
        raise asyncio.CancelledError

    monkeypatch.setattr(Session, call, given_up_once)
    ministry, _ = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me:
        for number in range(2):
            await (await me.send(letter(number))).accepted(timeout=30)
        assert getattr(Session, call) is good


async def test_a_server_that_hangs_up_in_the_greeting_is_tried_again(exchange: StandIn) -> None:
    proxy = CuttingProxy()
    proxy.target_port = urlsplit(exchange.vhost.amqp_url).port or 0
    proxy.cuts = [0, 1, 8, 9, 100, 400, 600, 700, 800]
    async with proxy.running():
        settings = await exchange.agency(MINISTRY)
        url = urlunsplit(urlsplit(settings.amqp_url)._replace(netloc=f"127.0.0.1:{proxy.port}"))
        settings = replace(settings, amqp_url=url)
        async with Agency(settings, pace=Pace(first_reconnect_seconds=0.01, last_reconnect_seconds=0.01)) as me:
            await exchange.until(lambda: not proxy.cuts and me.connected)
            me.raise_if_ended()

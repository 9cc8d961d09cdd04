"""What the AMQP library raises for a connection that is gone counts as that, and nothing else does."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import aiormq
import pytest
from aiormq.exceptions import AMQPConnectionError, AuthenticationError

from adapters import amqp
from adapters.amqp import Lost, Session, Transport, lost


@pytest.mark.parametrize(
    "raised", [Exception(), AMQPConnectionError("gone"), OSError("gone"), asyncio.CancelledError()], ids=repr
)
async def test_an_end_of_the_connection_is_a_lost_connection_also_without_a_reason(raised: BaseException) -> None:
    with pytest.raises(Lost, match="no confirm"), lost("no confirm"):
        raise raised


async def test_a_defect_is_no_lost_connection() -> None:
    with pytest.raises(ZeroDivisionError), lost("no confirm"):
        raise ZeroDivisionError


async def test_who_is_cancelled_is_not_told_of_a_lost_connection() -> None:
    async def call() -> None:
        with lost("no confirm"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("gone at the same moment") from None

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Silent:
    """A channel of a server that answers everything but a consumer's beginning."""

    def __init__(self) -> None:
        self.on_consumer_cancel_callbacks: set[object] = set()
        self.closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def basic_qos(self, **_: object) -> None:
        pass

    async def basic_consume(self, *_: object) -> None:
        await asyncio.Event().wait()

    async def close(self, _: object) -> None:
        self.closing.set_result(None)

    @property
    def is_closed(self) -> bool:
        return self.closing.done()


async def test_a_reader_whose_beginning_is_not_answered_does_not_go_on_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp, "CONNECT_SECONDS", 0.05)
    channel, connection = Silent(), SimpleNamespace(closing=asyncio.get_running_loop().create_future())
    session = Session(cast(Any, connection), Transport(), "H01")

    async def opened(*, confirms: bool) -> Silent:
        return channel

    monkeypatch.setattr(session, "_channel", opened)
    with pytest.raises(Lost, match="cannot be read"):
        await session.read("agency.H01", prefetch=1, put=lambda _: None)
    assert channel.is_closed, "what comes to this consumer after all nobody reads or acknowledges"


async def test_who_is_cancelled_is_not_told_of_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        raise AuthenticationError("refused at the same moment")

    monkeypatch.setattr(aiormq, "connect", refused)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(Session.open("amqp://127.0.0.1:1/", user="H01", password="wrong"))

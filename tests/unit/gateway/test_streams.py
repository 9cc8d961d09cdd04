"""Answers that come in pieces: a client that is slow is waited for, one that takes nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from broker.gateway import streams
from broker.gateway.streams import SILENCE, SLOWEST, Streamed


async def _pieces(*pieces: bytes) -> AsyncGenerator[bytes]:
    for piece in pieces:
        yield piece


async def _still_there() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_no_more_is_given_at_once_than_a_slow_client_takes_before_it_is_left() -> None:
    data = bytes(range(256)) * 4096
    given: list[bytes] = []

    async def send(message: Message) -> None:
        given.append(message.get("body", b""))

    answer = Streamed(_pieces(data, b"", b"end"), status_code=200, headers={})
    await answer({"type": "http"}, _still_there, send)
    assert b"".join(given) == data + b"end"
    assert max(map(len, given)) <= SILENCE * SLOWEST


async def test_a_client_that_takes_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SILENCE", 0.01)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await Streamed(_pieces(b"data"), status_code=200, headers={})({"type": "http"}, _still_there, send)

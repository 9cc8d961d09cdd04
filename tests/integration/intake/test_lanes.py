"""Urgent documents never wait for ordinary ones (design §9, contract §2.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

import broker.intake.reception
from broker.intake.acceptance import Acceptance
from broker.intake.writing import Written, write
from tests.kit.exchange import Exchange


async def test_an_urgent_document_goes_through_while_every_ordinary_batch_stands(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    standing, released = asyncio.Semaphore(0), asyncio.Event()

    async def slow(connection: Any, *, acceptances: Sequence[Acceptance], **more: Any) -> Written:
        if any(not acceptance.manifest.urgent for acceptance in acceptances):
            standing.release()
            await released.wait()
        return await write(connection, acceptances=acceptances, **more)

    monkeypatch.setattr(broker.intake.reception, "write", slow)
    ordinary = [exchange.letter(sender, [recipient]) for _ in range(4)]
    for letter in ordinary[:2]:  # as many batches as the lane may have in progress
        await exchange.send(letter, sender)
        await asyncio.wait_for(standing.acquire(), 30)
    for letter in ordinary[2:]:
        await exchange.send(letter, sender)
    urgent = exchange.letter(sender, [recipient], document={"priority": 1})
    await exchange.send(urgent, sender)
    copy = await exchange.document_at(recipient, urgent)
    assert copy.raw.priority == 5
    assert [one.document.id for one in (await exchange.mailbox(recipient)).documents()] == [urgent.id]
    released.set()
    for letter in ordinary:
        await exchange.document_at(recipient, letter)


async def test_a_worker_that_waits_for_the_database_ends_when_it_is_told_to(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    asked = asyncio.Event()

    async def away(*_: Any, **__: Any) -> Written:
        asked.set()
        raise ConnectionRefusedError

    with monkeypatch.context() as patched:
        patched.setattr(broker.intake.reception, "write", away)
        letter = exchange.letter(sender, [recipient])
        await exchange.send(letter, sender)
        await asked.wait()
        worker, running, _ = exchange.workers[0]
        await worker.stop(grace=0.1)
        assert await asyncio.wait_for(running, 60) is None
    await exchange.stop_workers()
    await exchange.start_worker()
    await exchange.document_at(recipient, letter)  # what was broken off comes again

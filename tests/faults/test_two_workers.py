"""Workers side by side share the load, and whatever reaches both of them has one effect."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemas.wire import INTAKE_NORMAL
from tests.conftest import Vhost
from tests.faults.running import json_lines, number_in
from tests.kit.exchange import End, Exchange, Letter, running_exchange
from tests.kit.installation import Installation, Program, wait_until

DOCUMENTS = 400


@pytest.fixture
async def exchange(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    """An exchange without a worker in this process; nobody thinks that a slow worker has died."""
    async with running_exchange(vhost, migrated_database, tmp_path, workers=0, outgoing_grace_seconds=600) as it:
        yield it


@pytest.fixture
def installation(exchange: Exchange, tmp_path: Path) -> Installation:
    """The same exchange, for programs."""
    return Installation(
        folder=tmp_path,
        amqp_url=exchange.settings.amqp_url,
        management_url=exchange.settings.management_url,
        database_url=exchange.settings.database_url,
        # Small batches, so that the share of each is many batches and not the luck of one.
        settings={"LIENTHONG_OUTGOING_GRACE_SECONDS": "600", "LIENTHONG_BATCH_COUNT": "20", "LIENTHONG_PREFETCH": "40"},
    )


def start_two(installation: Installation) -> list[Program]:
    programs = [installation.start("worker", "--json", "--log-level", "debug") for _ in range(2)]
    for program in programs:
        wait_until(lambda log=program.log: "worker ready" in log.read_text(), what="a worker")  # type: ignore[misc]
    return programs


def batches(program: Program) -> list[dict[str, Any]]:
    """What a worker has done in the normal lane, from its log."""
    return [
        line for line in json_lines(program.log) if line["event"] == "batch done" and line["queue"] == INTAKE_NORMAL
    ]


async def submit_all(exchange: Exchange, letters: list[Letter], sender: End) -> None:
    await asyncio.gather(*(exchange.send(letter, sender) for letter in letters))


async def test_two_workers_share_the_load_without_doubles(exchange: Exchange, installation: Installation) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H01", "province")
    letters = [exchange.letter(sender, [recipient]) for _ in range(DOCUMENTS)]
    workers = start_two(installation)
    try:
        await submit_all(exchange, letters, sender)
        await exchange.until_value("SELECT count(*) FROM document", DOCUMENTS, seconds=100)
    finally:
        installation.stop()
    shares = [sum(number_in(batch["done"], "accepted") for batch in batches(worker)) for worker in workers]
    print(f"documents per worker: {shares}")
    assert sum(shares) == DOCUMENTS and all(shares), "both have worked, and none did the other's work again"
    await exchange.all_published()
    assert await exchange.value("SELECT count(*) FROM delivery WHERE sends = 1") == DOCUMENTS
    came = Counter(one.message.signed.digest for one in (await exchange.all_at(recipient)).documents())
    assert came == {letter.digest: 1 for letter in letters}


async def test_the_same_bytes_at_both_workers_at_once_have_one_effect(
    exchange: Exchange, installation: Installation
) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H01", "province")
    number, times = 60, 4
    letters = [exchange.letter(sender, [recipient]) for _ in range(number)]
    start_two(installation)
    try:
        # One after the other, so that the server hands copies of one letter to different workers.
        await submit_all(exchange, [letter for letter in letters for _ in range(times)], sender)
        box = await exchange.mailbox(sender)
        digests = {letter.digest for letter in letters}

        def answered() -> bool | None:
            told = Counter(getattr(item.concerns, "digest", None) for item in box.items("accepted"))
            return True if told == dict.fromkeys(digests, times) else None

        await box.until(answered, f"{times} answers to each of {number} letters", seconds=100)
    finally:
        installation.stop()
    assert await exchange.value("SELECT count(*) FROM document") == number
    assert await exchange.value("SELECT count(*) FROM delivery WHERE sends = 1") == number
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'accepted'") == number
    assert await exchange.value("SELECT count(*) FROM rejection") == 0
    await exchange.all_published()
    came = Counter(one.message.signed.digest for one in (await exchange.all_at(recipient)).documents())
    assert came == dict.fromkeys(digests, 1), "a copy in hand at the other worker is not sent by both"
    assert not [item for item in box.items() if item.event != "accepted"]

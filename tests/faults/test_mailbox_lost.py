"""A mailbox that is deleted or emptied in the middle of traffic comes back whole: documents, statuses and notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from broker.amqp.management import Management, virtual_host_of
from schemas.wire import mailbox
from tests.conftest import manage
from tests.faults.offices import Office, letters, settle
from tests.faults.running import Exchange
from tests.kit.installation import Installation

SEED = 20190312


@pytest.fixture
async def exchange(installation: Installation) -> AsyncIterator[Exchange]:
    """A worker and a keeper at work; the offices have letters for ten seconds and have not begun."""
    offices = await settle(installation)
    exchange = Exchange(installation, offices, letters(offices, number=150, seconds=6, seed=SEED), seed=SEED)
    exchange.run_workers(1)
    exchange.run_keepers(1)
    await exchange.all_ready()
    yield exchange
    await exchange.close()


def office(exchange: Exchange, name: str) -> Office:
    return next(one for code, one in exchange.offices.all.items() if code.endswith(f".{name}"))


def delete(exchange: Exchange, one: Office, what: str = "") -> None:
    """Take the queue away (or with `what`, what is in it), as an operator's mistake would."""
    settings = exchange.offices.settings
    vhost = virtual_host_of(settings.amqp_url)
    manage(settings.management_url, "DELETE", f"/api/queues/{vhost}/{mailbox(one.code)}{what}")


async def exists(exchange: Exchange, one: Office) -> bool:
    settings = exchange.offices.settings
    async with Management(settings.management_url, vhost=virtual_host_of(settings.amqp_url)) as management:
        return await management.queue(mailbox(one.code)) is not None


async def until(question: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not await question():
            await asyncio.sleep(0.1)


async def traffic(exchange: Exchange, one: Office, number: int = 10) -> None:
    """Wait until documents have gone to a mailbox and statuses have come out of it."""
    await exchange.record.until(
        "SELECT count(*) FILTER (WHERE sends > 0) >= $2 AND count(*) FILTER (WHERE arrived_at IS NOT NULL) > 0"
        " FROM delivery v JOIN agency a ON a.agency_id = v.owner_id WHERE a.code = $1",
        one.code,
        number,
    )


async def generation(exchange: Exchange, one: Office) -> int:
    rows = await exchange.record.fetch(
        "SELECT generation FROM mailbox m JOIN agency a ON a.agency_id = m.owner_id WHERE a.code = $1", one.code
    )
    return int(rows[0][0]) if rows else 0


@pytest.mark.long
@pytest.mark.parametrize("name", ["D01", "H02"], ids=["classic", "hub-with-a-quorum-queue"])
async def test_a_mailbox_deleted_under_load_comes_back_whole(exchange: Exchange, name: str) -> None:
    lost = office(exchange, name)
    exchange.run_offices()
    await traffic(exchange, lost)
    delete(exchange, lost)
    await exchange.record.until(
        "SELECT count(*) = 1 FROM mailbox m JOIN agency a ON a.agency_id = m.owner_id"
        " WHERE a.code = $1 AND m.generation = 2 AND m.reset_at IS NULL",
        lost.code,
    )
    await exchange.come_to_rest()
    await exchange.check()
    print(exchange.figures)


async def test_a_mailbox_deleted_with_everything_in_it_comes_back_whole(exchange: Exchange) -> None:
    """The offices behind it are down, so that documents, statuses and notices wait in the queue that is deleted."""
    lost = office(exchange, "D02")
    exchange.run_offices()
    await traffic(exchange, lost)
    exchange.services["offices 1"].kill()
    await exchange.record.until(
        "SELECT count(*) > 3 FROM delivery v JOIN agency a ON a.agency_id = v.owner_id"
        " WHERE a.code = $1 AND v.sends > 0 AND v.arrived_at IS NULL",
        lost.code,
    )
    delete(exchange, lost)
    await exchange.record.until(
        "SELECT count(*) = 1 FROM mailbox m JOIN agency a ON a.agency_id = m.owner_id"
        " WHERE a.code = $1 AND m.generation = 2",
        lost.code,
    )
    exchange.services["offices 1"].program = exchange.services["offices 1"].start()
    await exchange.come_to_rest()
    await exchange.check()
    print(exchange.figures)


@pytest.mark.long
async def test_a_mailbox_that_an_operator_makes_again_is_filled_again(exchange: Exchange) -> None:
    lost = office(exchange, "H02")
    exchange.run_offices()
    await traffic(exchange, lost)
    exchange.services.pop("keeper 0").program.stop()
    delete(exchange, lost)
    await asyncio.to_thread(exchange.installation.command, "topology", "apply")
    assert await exists(exchange, lost)
    assert await generation(exchange, lost) == 2
    exchange.run_keepers(1)
    await exchange.come_to_rest()
    await exchange.check()
    print(exchange.figures)


@pytest.mark.long
async def test_a_purged_mailbox_is_filled_again_when_its_documents_are_overdue(exchange: Exchange) -> None:
    """Nothing but the missing 01s tells of a purge, so it takes until their deadline; here a day passes at once."""
    lost = office(exchange, "D02")
    exchange.run_offices()
    await traffic(exchange, lost)
    exchange.services["offices 1"].kill()
    missing = (
        "SELECT count(*) FROM delivery v JOIN agency a ON a.agency_id = v.owner_id"
        " WHERE a.code = $1 AND v.sends > 0 AND v.arrived_at IS NULL"
    )
    await exchange.record.until(f"SELECT ({missing}) > 3", lost.code)
    delete(exchange, lost, "/contents")
    exchange.services["offices 1"].program = exchange.services["offices 1"].start()
    await exchange.record.until(
        "SELECT (SELECT count(*) FROM document) = $1 AND NOT EXISTS (SELECT FROM outgoing WHERE published_at IS NULL)",
        len(exchange.sent),
    )
    await exchange.record.fetch(
        "UPDATE delivery SET due_arrival = due_arrival - interval '1 day',"
        " last_sent_at = last_sent_at - interval '1 day' WHERE arrived_at IS NULL"
    )
    await exchange.come_to_rest()
    await exchange.check()
    print(exchange.figures)

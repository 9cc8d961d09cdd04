"""What could not be processed waits with its reason until an operator decides, and each decision is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.amqp.connection import Link
from broker.dispatch.dead_letters import discard_dead, list_dead, replay_dead, show_dead
from broker.store.pool import connect
from schemas.problem import Problem
from schemas.wire import DEAD, SUBMIT, document_key
from tests.kit.exchange import Exchange

WHO = {"actor": "operator-1", "reason": "tried in a test", "limit": 100}


@pytest.fixture
async def link(exchange: Exchange) -> AsyncIterator[Link]:
    async with Link(exchange.settings.amqp_url, name="test") as link:
        yield link


async def three_dead(exchange: Exchange) -> None:
    """Three messages that nobody can be told about: the broker's own user is no agency."""
    for number in range(3):
        key = document_key("NOBODY", urgent=False)
        await exchange.publish_as_broker(b"nothing %d" % number, exchange=SUBMIT, routing_key=key, type="document")
    await exchange.until_depth(DEAD, 3)


async def test_a_message_without_an_agency_lies_in_the_dead_letters_with_its_reason(
    exchange: Exchange, link: Link
) -> None:
    await three_dead(exchange)
    letters = await list_dead(link, limit=10)
    assert len(letters) == 3
    assert all("LT-" in one.reason for one in letters)
    found, body = await show_dead(link, letters[1].id, limit=10)
    assert found == letters[1]
    assert body.startswith(b"nothing ")
    await exchange.until_depth(DEAD, 3)


async def test_looking_is_bounded_and_takes_nothing_away(exchange: Exchange, link: Link) -> None:
    await three_dead(exchange)
    assert len(await list_dead(link, limit=2)) == 2
    await exchange.until_depth(DEAD, 3)


async def test_what_is_discarded_is_gone_and_recorded_and_the_others_stay(exchange: Exchange, link: Link) -> None:
    await three_dead(exchange)
    first, *others = await list_dead(link, limit=10)
    async with connect(exchange.settings.database_url) as connection:
        await discard_dead(link, connection, first.id, **WHO)  # type: ignore[arg-type]
    assert {one.id for one in await list_dead(link, limit=10)} == {one.id for one in others}
    assert await exchange.value("SELECT reason FROM admin_action WHERE action = 'dead.discard'") == WHO["reason"]
    body: bytes = await exchange.value("SELECT body FROM event WHERE kind = 'operator_action'")
    assert b"dead.discard" in body and b"operator-1" not in body, "events hold pseudonyms only"


async def test_what_is_replayed_is_processed_afresh(exchange: Exchange, link: Link) -> None:
    await three_dead(exchange)
    first = (await list_dead(link, limit=10))[0]
    before = await exchange.value("SELECT count(*) FROM rejection")
    async with connect(exchange.settings.database_url) as connection:
        await replay_dead(link, connection, first.id, **WHO)  # type: ignore[arg-type]
    await exchange.until_value("SELECT count(*) FROM rejection", before + 1)
    await exchange.until_depth(DEAD, 3)
    assert first.id not in {one.id for one in await list_dead(link, limit=10)}, "refused again, as another message"


@pytest.mark.parametrize("text", ["", "abc", "00000000000000"])
async def test_what_names_no_dead_letter_is_told_in_a_sentence(exchange: Exchange, link: Link, text: str) -> None:
    await three_dead(exchange)
    with pytest.raises(Problem, match="names no dead letter"):
        await show_dead(link, text, limit=10)

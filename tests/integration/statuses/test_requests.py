"""Requests are kept for the keeper, once."""

from __future__ import annotations

from tests.kit.exchange import Exchange
from tests.kit.statuses import NOON, eventually, replay


async def test_a_request_sent_twice_is_kept_once(exchange: Exchange) -> None:
    province = await exchange.add("H53", "province")
    asked = replay(exchange, province, NOON)
    for _ in range(2):
        await exchange.submit(asked.body, province, kind="request")
    later = replay(exchange, province, NOON)
    await exchange.submit(later.body, province, kind="request")
    await eventually(exchange, "SELECT true FROM request_message WHERE id = $1", later.id)
    rows = await exchange.pool.fetch("SELECT since, done_at FROM request_message WHERE id = $1", asked.id)
    assert [tuple(row) for row in rows] == [(NOON, None)]
    assert await exchange.value("SELECT count(*) FROM rejection") == 0


async def test_a_request_with_a_used_id_and_other_bytes_is_quarantined(exchange: Exchange) -> None:
    province = await exchange.add("H53", "province")
    asked = replay(exchange, province, NOON)
    await exchange.submit(asked.body, province, kind="request")
    await eventually(exchange, "SELECT true FROM request_message WHERE id = $1", asked.id)
    other = replay(exchange, province, NOON.replace(hour=1), id=asked.manifest["id"])
    await exchange.submit(other.body, province, kind="request")
    told = await exchange.notice_about(province, "quarantined", digest=other.digest)
    assert told.error == "LT-DUP-CONFLICT"
    assert await exchange.value("SELECT since FROM request_message") == NOON


async def test_only_the_owner_of_a_mailbox_may_have_it_filled_again(exchange: Exchange) -> None:
    province = await exchange.add("H53", "province")
    commune = await exchange.add("H53.1", "commune", has_mailbox=False, hub=province)
    asked = replay(exchange, commune, NOON)
    await exchange.submit(asked.body, province, kind="request")
    told = await exchange.notice_about(province, "rejected", digest=asked.digest)
    assert told.error == "LT-SIGNER-NOT-ALLOWED"
    assert await exchange.value("SELECT count(*) FROM request_message") == 0

"""A message that contradicts an accepted one is kept as evidence until an operator has decided, once."""

from __future__ import annotations

import pytest

from broker.directory.changing import Author
from broker.interventions.quarantine import list_quarantine, settle, show_quarantined
from schemas.problem import Problem
from tests.kit.exchange import Exchange

WHO = Author(actor="operator-1", reason="the agency had restored an old backup")


async def test_a_contradicting_message_is_kept_shown_and_settled_once(exchange: Exchange) -> None:
    sender, other = await exchange.add("A"), await exchange.add("B")
    letter = exchange.letter(sender, [other])
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted")
    changed = exchange.letter(sender, [other], id=str(letter.id))
    await exchange.send(changed, sender)
    await exchange.notice_at(sender, changed, "quarantined")

    async with exchange.pool.acquire() as connection:
        (kept,) = await list_quarantine(connection, limit=10)
        assert (kept.code, kept.id, kept.digest, kept.submitter) == (
            "LT-DUP-CONFLICT",
            str(letter.id),
            changed.digest,
            sender.code,
        )
        _, body = await show_quarantined(connection, kept.number)
        assert body == changed.body, "the very bytes, as evidence"

    await settle(exchange.pool, WHO, kept.number)
    with pytest.raises(Problem, match="settled on"):
        await settle(exchange.pool, WHO, kept.number)
    async with exchange.pool.acquire() as connection:
        assert await list_quarantine(connection, limit=10) == []
        (settled,) = await list_quarantine(connection, limit=10, settled=True)
        assert settled.settled_at is not None and settled.bytes == len(changed.body)
        with pytest.raises(Problem, match="no quarantined message 999"):
            await show_quarantined(connection, 999)
    assert await exchange.value("SELECT reason FROM admin_action WHERE action = 'quarantine.settle'") == WHO.reason

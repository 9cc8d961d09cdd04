"""What operators may do to a document: keep it back, let it go, end it, hand it over once more; and it is recorded."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from broker.directory.changing import Author
from broker.interventions.documents import cancel, hold, release, resend
from schemas.problem import Problem
from tests.kit.exchange import End, Exchange, Letter
from tests.kit.keeping import keeping

WHO = Author(actor="operator-1", reason="the ministry asked for it by telephone")
STATE = "SELECT processing FROM delivery WHERE recipient_id = $1"


async def one_waits(exchange: Exchange) -> tuple[End, End, End, Letter]:
    """A document that has gone out to the first recipient, and waits for the lost mailbox of the second's hub."""
    sender, there, hub = await exchange.add("A"), await exchange.add("B"), await exchange.add("HUB", "hub")
    away = await exchange.add("C", "commune", has_mailbox=False, hub=hub)
    await exchange.lose_mailbox(hub)
    letter = exchange.letter(sender, [there, away])
    await exchange.send(letter, sender)
    await exchange.document_at(there, letter)
    await exchange.until_value(STATE, "dispatched", there.id)
    return hub, there, away, letter


async def test_what_is_held_does_not_go_out_until_it_is_released(exchange: Exchange) -> None:
    hub, there, away, letter = await one_waits(exchange)
    held = await hold(exchange.pool, WHO, str(letter.id))
    assert (held.recipients, held.untouched) == ((away.code,), 1)
    assert await exchange.value(STATE, away.id) == "held"
    async with keeping(exchange, outgoing_grace_seconds=1) as keeper:
        await keeper.whole_rounds("mailboxes", 3)
        await keeper.whole_rounds("unfinished", 3)
        assert (await exchange.all_at(hub)).documents() == [], "its mailbox is back, but the document is held"
        released = await release(exchange.pool, WHO, str(letter.id))
        assert released.recipients == (away.code,)
        await exchange.document_at(hub, letter)
    await exchange.until_value(STATE, "dispatched", away.id)
    assert len((await exchange.all_at(there)).documents()) == 1


async def test_what_is_cancelled_never_goes_out(exchange: Exchange) -> None:
    hub, there, away, letter = await one_waits(exchange)
    await hold(exchange.pool, WHO, str(letter.id))
    with pytest.raises(Problem, match="held for"):
        await cancel(exchange.pool, WHO, str(letter.id), grace=timedelta(minutes=1))
    cancelled = await cancel(exchange.pool, WHO, str(letter.id), grace=timedelta(0))
    assert cancelled.recipients == (away.code,)
    async with keeping(exchange, outgoing_grace_seconds=1) as keeper:
        await keeper.whole_rounds("mailboxes", 3)
        await keeper.whole_rounds("unfinished", 3)
    assert (await exchange.all_at(hub)).documents() == []
    assert await exchange.value(STATE, away.id) == "cancelled"
    assert await exchange.value(STATE, there.id) == "dispatched", "what was handed over is not taken back by this"
    assert await exchange.value("SELECT held_at FROM document") is None


async def test_a_document_is_handed_over_once_more_to_those_without_01(exchange: Exchange) -> None:
    sender, there = await exchange.add("A"), await exchange.add("B")
    letter = exchange.letter(sender, [there])
    await exchange.send(letter, sender)
    await exchange.document_at(there, letter)
    await exchange.all_published()
    sent = await resend(exchange.pool, WHO, str(letter.id))
    assert sent.recipients == (there.code,)
    with pytest.raises(Problem, match="on their way"):
        await resend(exchange.pool, WHO, str(letter.id))
    async with keeping(exchange, outgoing_grace_seconds=1):
        again = await exchange.document_at(there, letter, copies=2)
    assert again.message.signed.digest == letter.digest
    with pytest.raises(Problem, match="no recipient of it"):
        await resend(exchange.pool, WHO, str(letter.id), recipients=[sender.code])


async def test_what_cannot_be_changed_any_more_is_refused_with_what_to_do(exchange: Exchange) -> None:
    sender, there = await exchange.add("A"), await exchange.add("B")
    letter = exchange.letter(sender, [there])
    await exchange.send(letter, sender)
    await exchange.until_value(STATE, "dispatched", there.id)
    with pytest.raises(Problem, match="handed over") as told:
        await hold(exchange.pool, WHO, str(letter.id))
    assert "status 13" in str(told.value)
    for act in (
        release(exchange.pool, WHO, str(letter.id)),
        cancel(exchange.pool, WHO, str(letter.id), grace=timedelta(0)),
    ):
        with pytest.raises(Problem, match="not held"):
            await act
    with pytest.raises(Problem, match="a reason of 0 characters"):
        await resend(exchange.pool, Author(actor="operator-1", reason="  "), str(letter.id))
    assert await exchange.value("SELECT count(*) FROM admin_action WHERE action LIKE 'document.%'") == 0


async def test_every_intervention_is_recorded_with_its_reason_and_the_event_names_nobody(exchange: Exchange) -> None:
    _, _, away, letter = await one_waits(exchange)
    await hold(exchange.pool, WHO, str(letter.id))
    recorded = await exchange.pool.fetchrow("SELECT * FROM admin_action WHERE action = 'document.hold'")
    assert recorded is not None
    assert (recorded["actor"], recorded["target"], recorded["reason"]) == (WHO.actor, str(letter.id), WHO.reason)
    body = await exchange.value(
        "SELECT body FROM event WHERE kind = 'operator_action' AND document_id = (SELECT document_id FROM document)"
    )
    told = json.loads(body)
    assert (told["action"], told["target"], told["recipients"]) == ("document.hold", str(letter.id), [away.code])
    assert WHO.actor.encode() not in body and b"telephone" not in body

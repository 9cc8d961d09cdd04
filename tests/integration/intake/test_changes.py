"""Recall, update and replace: who may, what they concern, and that a change never overtakes its document."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.amqp.connection import Link
from broker.amqp.publishing import Publisher
from broker.dispatch.dispatcher import Dispatcher
from broker.dispatch.unpublished import load_unpublished_of
from tests.conftest import Vhost
from tests.kit.exchange import End, Exchange, Letter, running_exchange
from tests.kit.keeping import finish_publishes


def recall(x: Exchange, sender: End, of: Letter | dict[str, Any], **fields: Any) -> Letter:
    concerns = [of.reference() if isinstance(of, Letter) else of]
    return x.letter(
        sender, [], **{"action": "recall", "reason": "ban hành nhầm", "concerns": concerns, "parts": None} | fields
    )


async def _sent(x: Exchange, *, recipients: int = 1) -> tuple[End, list[End], Letter]:
    sender = await x.add("G01")
    ends = [await x.add(f"H5{n}", "province") for n in range(recipients)]
    letter = x.letter(sender, ends, document={"number": "7", "notation": "QĐ"})
    await x.send(letter, sender)
    await x.notice_at(sender, letter, "accepted")
    await x.all_published()
    return sender, ends, letter


async def test_a_recall_without_recipients_goes_to_those_of_the_original_and_asks_each(exchange: Exchange) -> None:
    sender, ends, letter = await _sent(exchange, recipients=2)
    change = recall(exchange, sender, letter)
    await exchange.send(change, sender)
    item = await exchange.notice_at(sender, change, "accepted")
    assert item.recipients is not None and item.recipients.count == 2
    for end in ends:
        assert (await exchange.document_at(end, change)).document.action == "recall"
    asked = await exchange.pool.fetch("SELECT kind, state FROM change_request")
    assert [(row["kind"], row["state"]) for row in asked] == [("recall", "asked")] * 2
    assert await exchange.value("SELECT count(*) FROM document_concerns") == 1


async def test_a_document_may_be_named_by_number_and_year_if_that_fits_one(exchange: Exchange) -> None:
    sender, ends, letter = await _sent(exchange)
    key = {"from": sender.code, "number": "7", "notation": "QĐ", "issued_on": "2026-12-31"}
    change = recall(exchange, sender, key)
    await exchange.send(change, sender)
    await exchange.document_at(ends[0], change)

    twin = exchange.letter(sender, ends, document={"number": "7", "notation": "QĐ"})
    await exchange.send(twin, sender)
    await exchange.notice_at(sender, twin, "accepted")
    ambiguous = recall(exchange, sender, key)
    await exchange.send(ambiguous, sender)
    item = await exchange.notice_at(sender, ambiguous, "rejected")
    assert item.error == "LT-CONCERNS-AMBIGUOUS"
    assert item.detail is not None and set(item.detail["candidates"]) == {str(letter.id), str(twin.id)}


async def test_only_the_sender_may_change_a_document_and_only_those_bytes(exchange: Exchange) -> None:
    sender, ends, letter = await _sent(exchange)
    by_other = recall(exchange, ends[0], letter)
    await exchange.send(by_other, ends[0])
    assert (await exchange.notice_at(ends[0], by_other, "rejected")).error == "LT-CHANGE-NOT-ALLOWED"
    other_bytes = recall(exchange, sender, letter.reference() | {"digest": "0" * 64})
    await exchange.send(other_bytes, sender)
    assert (await exchange.notice_at(sender, other_bytes, "rejected")).error == "LT-CONCERNS-DIGEST"
    assert await exchange.value("SELECT count(*) FROM change_request") == 0


async def test_an_update_gives_added_recipients_the_original_too(exchange: Exchange) -> None:
    sender, ends, letter = await _sent(exchange)
    added = await exchange.add("H99", "province")
    update = exchange.letter(
        sender,
        [],
        action="update",
        concerns=[letter.reference()],
        changes={"metadata": True, "added": [added.code]},
        parts=None,
    )
    await exchange.send(update, sender)
    item = await exchange.notice_at(sender, update, "accepted")
    assert item.recipients is not None and {r.code for r in item.recipients.list} == {ends[0].code, added.code}
    await exchange.document_at(ends[0], update)
    await exchange.document_at(added, letter)
    await exchange.document_at(added, update)
    came = [one.message.signed.digest for one in (await exchange.all_at(added)).documents()]
    assert came.index(letter.digest) < came.index(update.digest)
    assert await exchange.value("SELECT recipients FROM document WHERE id = $1", letter.id) == 2
    assert await exchange.value("SELECT count(*) FROM change_request") == 1


async def test_a_held_document_is_recalled_without_ever_going_out(exchange: Exchange) -> None:
    sender, ends, letter = await _held(exchange)
    change = recall(exchange, sender, letter)
    await exchange.send(change, sender)
    await exchange.notice_at(sender, change, "accepted")
    await exchange.stop_workers()
    await exchange.pool.execute("UPDATE document SET held_at = NULL")
    await finish_publishes(exchange)
    assert (await exchange.all_at(ends[0])).documents() == []
    assert await exchange.value("SELECT recalled FROM delivery WHERE document_id = 1")
    assert await exchange.value("SELECT state FROM change_request") == "agreed"
    assert await exchange.value("SELECT count(*) FROM outgoing WHERE published_at IS NULL") == 0


async def test_a_held_document_waits_for_its_release_and_its_update_waits_with_it(exchange: Exchange) -> None:
    sender, ends, letter = await _held(exchange)
    update = exchange.letter(
        sender, [], action="update", concerns=[letter.reference()], changes={"metadata": True}, parts=None
    )
    await exchange.send(update, sender)
    await exchange.notice_at(sender, update, "accepted")
    await exchange.stop_workers()
    await finish_publishes(exchange)
    assert (await exchange.all_at(ends[0])).documents() == []
    await exchange.pool.execute("UPDATE document SET held_at = NULL")
    await finish_publishes(exchange)
    come = [one.message.signed.digest for one in (await exchange.all_at(ends[0])).documents()]
    assert come == [letter.digest, update.digest]


async def test_a_recall_that_meets_its_document_on_the_way_follows_it(exchange: Exchange) -> None:
    """The recall is accepted while the document is committed but its dispatch not yet recorded."""
    sender, ends, letter = await _held(exchange)
    await exchange.pool.execute("UPDATE document SET held_at = NULL")
    async with exchange.pool.acquire() as connection:
        on_the_way = await load_unpublished_of(connection, [1], now=datetime.now(UTC), older_than=timedelta(0))
    assert len(on_the_way) == 1
    change = recall(exchange, sender, letter)
    await exchange.send(change, sender)
    await exchange.notice_at(sender, change, "accepted")
    await exchange.stop_workers()
    async with Link(exchange.settings.amqp_url, name="slow") as link, Publisher(link) as publisher:
        await Dispatcher(publisher, exchange.pool, exchange.identity).send(on_the_way)
    come = [one.message.signed.digest for one in (await exchange.all_at(ends[0])).documents()]
    assert come == [letter.digest, change.digest]
    assert await exchange.value("SELECT recalled FROM delivery WHERE document_id = 1") is False
    assert await exchange.value("SELECT state FROM change_request") == "asked"


async def test_a_recall_that_comes_before_its_document_keeps_it_from_going_out(exchange: Exchange) -> None:
    sender, end = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [end])
    early = recall(exchange, sender, letter, document={"priority": 3})
    await exchange.send(early, sender)
    await exchange.until_depth("lt.retry.5s", 1)
    await exchange.send(letter, sender)
    await exchange.notice_at(sender, letter, "accepted")
    assert (
        await exchange.value("SELECT count(*) FROM outgoing WHERE document_id IS NOT NULL AND created_at > now()") == 1
    )
    await exchange.notice_at(sender, early, "accepted")
    await exchange.stop_workers()
    await finish_publishes(exchange)
    assert (await exchange.all_at(end)).documents() == []
    assert await exchange.value("SELECT count(*) FROM delivery WHERE recalled") == 1
    assert await exchange.value("SELECT count(*) FROM pending_change") == 0


async def test_a_document_kept_back_for_a_recall_that_is_refused_goes_out(exchange: Exchange) -> None:
    sender, end = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [end])
    wrong = recall(exchange, sender, letter.reference() | {"digest": "0" * 64})
    await exchange.send(wrong, sender)
    await exchange.until_depth("lt.retry.5s", 1)
    await exchange.send(letter, sender)
    assert (await exchange.notice_at(sender, wrong, "rejected")).error == "LT-CONCERNS-DIGEST"
    await exchange.stop_workers()
    await finish_publishes(exchange)
    assert [one.document.id for one in (await exchange.all_at(end)).documents()] == [letter.id]


async def test_a_change_of_a_document_that_never_comes_is_refused_in_the_end(
    vhost: Vhost, migrated_database: str, tmp_path: Path
) -> None:
    async with running_exchange(vhost, migrated_database, tmp_path, max_attempts=2) as exchange:
        sender = await exchange.add("G01")
        nothing = {"from": sender.code, "id": "01890a5d-ac96-774b-bcce-b302099a8057", "digest": "0" * 64}
        change = recall(exchange, sender, nothing)
        await exchange.send(change, sender)
        item = await exchange.notice_at(sender, change, "rejected")
        assert item.error == "LT-CONCERNS-UNKNOWN"


async def _held(x: Exchange) -> tuple[End, list[End], Letter]:
    """A document that an operator holds before its dispatch."""
    sender, end = await x.add("G01"), await x.add("H53", "province")
    letter = x.letter(sender, [end])
    stood = asyncio.Event()

    async def stand(*_: object) -> None:
        stood.set()
        await asyncio.Event().wait()

    await x.stop_workers()
    await x.send(letter, sender)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Publisher, "publish_all", stand)
        await x.start_worker()
        await asyncio.wait_for(stood.wait(), 30)
        await x.pool.execute("UPDATE document SET held_at = now()")
        await x.kill_workers()
    await x.raw("lt.intake.normal")
    await x.start_worker()
    return sender, [end], letter

"""Whoever asks for a document back, or for a change, hears when nobody answers in time."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from broker.audit.explain import explain
from broker.audit.read import story_of
from tests.kit.exchange import End, Exchange, Letter
from tests.kit.keeping import keeping
from tests.kit.statuses import eventually, forwarded, item, report, sent


async def recalled(exchange: Exchange) -> tuple[End, End, End, Letter, Letter]:
    """A document at two provinces, of which one has it, and its recall, asked long ago."""
    ministry = await exchange.add("G01")
    there, late = await exchange.add("H53", "province"), await exchange.add("H54", "province")
    letter = await sent(exchange, ministry, there, late)
    await report(exchange, there, item(letter, "01"))
    await eventually(exchange, "SELECT bool_or(arrived_at IS NOT NULL) FROM delivery")
    recall = exchange.letter(
        ministry, [], action="recall", reason="ban hành nhầm", concerns=[letter.reference()], parts=None
    )
    await exchange.send(recall, ministry)
    await exchange.document_at(there, recall)
    await exchange.all_published()
    await exchange.pool.execute("UPDATE change_request SET asked_at = now() - interval '3 days'")
    return ministry, there, late, letter, recall


async def test_a_recall_that_nobody_answers_is_told_once_to_its_sender(exchange: Exchange) -> None:
    ministry, there, _, letter, recall = await recalled(exchange)
    async with keeping(exchange) as keeper:
        told = await exchange.notice_at(ministry, recall, "overdue")
        await keeper.whole_rounds("answers", 3)
    assert told.error == "LT-OVERDUE" and told.recipients is not None
    assert [one.code for one in told.recipients.list] == [there.code], (
        "who has not got the document is late with its 01"
    )
    assert len((await exchange.all_at(ministry)).told("overdue")) == 1

    body = json.loads(await exchange.value("SELECT body FROM event WHERE kind = 'overdue'"))
    assert (body["what"], body["recipients"], body["document"]["id"]) == ("change", [there.code], str(letter.id))
    async with exchange.pool.acquire() as connection:
        words = explain(await story_of(connection, str(letter.id)), now=datetime.now(UTC))
    assert "overdue" in words.en and "quá hạn trả lời" in words.vi


async def test_an_answered_recall_is_never_called_overdue(exchange: Exchange) -> None:
    ministry, there, _, letter, recall = await recalled(exchange)
    answer = await report(exchange, there, item(letter, "15", answers=recall.reference()))
    await forwarded(exchange, ministry, answer)
    async with keeping(exchange) as keeper:
        await keeper.whole_rounds("answers", 3)
    assert (await exchange.all_at(ministry)).items("overdue") == []


async def test_what_was_asked_a_moment_ago_is_waited_for(exchange: Exchange) -> None:
    ministry, *_ = await recalled(exchange)
    await exchange.pool.execute("UPDATE change_request SET asked_at = now()")
    async with keeping(exchange) as keeper:
        await keeper.whole_rounds("answers", 3)
    assert (await exchange.all_at(ministry)).items("overdue") == []

"""The change axis: take-backs, and the answers to recalls, updates and replacements."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from schemas.states import ChangeState, Processing
from tests.kit.exchange import End, Exchange, Letter
from tests.kit.statuses import NOON, Spoken, delivery, forwarded, item, report, sent


async def change(exchange: Exchange, letter: Letter, recipient: End) -> Mapping[str, Any]:
    """The one change that was asked of a delivery."""
    rows = await exchange.pool.fetch(
        "SELECT c.* FROM change_request c JOIN document d USING (document_id) WHERE d.id = $1 AND recipient_id = $2",
        letter.id,
        recipient.id,
    )
    assert len(rows) == 1
    return dict(rows[0])


async def asked_back(exchange: Exchange, letter: Letter, sender: End, *of: End) -> Spoken:
    """A 13 that has come to everybody whom it asks."""
    asking = await report(exchange, sender, item(letter, "13", 10, to=[end.code for end in of], reason="Gửi nhầm"))
    await asyncio.gather(*(forwarded(exchange, end, asking) for end in of))
    return asking


async def test_a_take_back_asks_those_it_names_and_nobody_else(exchange: Exchange) -> None:
    ministry = await exchange.add("G01")
    province, other, third = [await exchange.add(f"H{n}", "province") for n in range(3)]
    letter = await sent(exchange, ministry, province, other, third)
    asking = await asked_back(exchange, letter, ministry, province, other)
    for end in (province, other):
        row = await change(exchange, letter, end)
        assert (row["kind"], row["state"], row["asked_by"].hex()) == ("take-back", ChangeState.ASKED, asking.digest)
    box = await exchange.mailbox(third)
    assert not box.statuses()
    assert not (await delivery(exchange, letter, province))["recalled"]


async def test_an_agreed_take_back_recalls_the_delivery_for_good(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    asking = await asked_back(exchange, letter, ministry, province)
    answer = await report(exchange, province, item(letter, "15", 12, answers=asking.reference()))
    await forwarded(exchange, ministry, answer)
    row = await delivery(exchange, letter, province)
    assert (row["recalled"], row["closed_at"]) == (True, NOON.replace(minute=12))
    assert (await change(exchange, letter, province))["state"] == ChangeState.AGREED
    # Final: what comes after is recorded, and a refusal of what was agreed changes nothing.
    late = await report(
        exchange, province, item(letter, "05", 13), item(letter, "16", 11, answers=asking.reference(), reason="x")
    )
    await forwarded(exchange, ministry, late)
    row = await delivery(exchange, letter, province)
    assert (row["recalled"], row["closed_at"]) == (True, NOON.replace(minute=12))
    again = await report(exchange, ministry, item(letter, "13", 20, to=[province.code], reason="Gửi nhầm"))
    told = await exchange.notice_about(ministry, "status-refused", digest=again.digest)
    assert told.error == "LT-STATUS-NOT-ALLOWED"
    assert told.detail is not None and told.detail["concerns"]["digest"] == letter.digest


async def test_a_refused_take_back_leaves_the_document_in_force(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    asking = await asked_back(exchange, letter, ministry, province)
    answer = await report(
        exchange, province, item(letter, "16", 12, answers=asking.reference(), reason="Đã xử lý xong")
    )
    await forwarded(exchange, ministry, answer)
    row = await delivery(exchange, letter, province)
    assert (row["recalled"], row["closed_at"]) == (False, None)
    assert (await change(exchange, letter, province))["state"] == ChangeState.REFUSED_CHANGE


async def test_a_recipient_cannot_ask_a_document_back(exchange: Exchange) -> None:
    ministry = await exchange.add("G01")
    province, other = await exchange.add("H1", "province"), await exchange.add("H2", "province")
    letter = await sent(exchange, ministry, province, other)
    asking = await report(exchange, province, item(letter, "13", 1, to=[other.code], reason="x"))
    told = await exchange.notice_about(province, "status-refused", digest=asking.digest)
    assert told.error == "LT-STATUS-NOT-ALLOWED"
    assert await exchange.value("SELECT count(*) FROM change_request") == 0


@pytest.mark.parametrize(("code", "recalled", "state"), [("15", True, "agreed"), ("16", False, "refused_change")])
async def test_the_answer_to_a_recall_settles_it(exchange: Exchange, code: str, recalled: bool, state: str) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01", 1)))
    recall = exchange.letter(ministry, [province], action="recall", concerns=[letter.reference()], reason="Sai số")
    await exchange.send(recall, ministry)
    await exchange.document_at(province, recall)
    answer = await report(exchange, province, item(letter, code, 5, answers=recall.reference(), reason="x"))
    await forwarded(exchange, ministry, answer)
    row = await delivery(exchange, letter, province)
    assert (row["recalled"], row["processing"]) == (recalled, Processing.ARRIVED)
    assert (await change(exchange, letter, province))["state"] == state


async def test_an_answer_to_what_nobody_asked_is_refused(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    answer = await report(exchange, province, item(letter, "15", 5, answers=letter.reference()))
    told = await exchange.notice_about(province, "status-refused", digest=answer.digest)
    assert told.error == "LT-STATUS-NOT-ALLOWED"
    assert not (await delivery(exchange, letter, province))["recalled"]


async def test_two_changes_answered_in_the_same_second_are_two_answers(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    asking = [
        await report(exchange, ministry, item(letter, "13", minute, to=[province.code], reason="x"))
        for minute in (1, 2)
    ]
    for one in asking:
        await forwarded(exchange, province, one)
    answer = await report(
        exchange, province, *(item(letter, "16", 5, answers=one.reference(), reason="x") for one in asking)
    )
    await forwarded(exchange, ministry, answer)
    states = await exchange.pool.fetch("SELECT state FROM change_request")
    assert [row["state"] for row in states] == ["refused_change", "refused_change"]


async def test_a_held_document_asked_back_never_goes_out(exchange: Exchange) -> None:
    ministry, province = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = await sent(exchange, ministry, province)
    # As an operator's hold before dispatch leaves it.
    await exchange.pool.execute("UPDATE document SET held_at = now()")
    await exchange.pool.execute("UPDATE delivery SET processing = 'accepted', dispatched_at = NULL, sends = 0")
    await exchange.pool.execute("UPDATE outgoing SET published_at = NULL WHERE kind = 'document'")
    await report(exchange, ministry, item(letter, "13", 10, to=[province.code], reason="Gửi nhầm"))
    other = await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(other, "01", 1)))
    row = await delivery(exchange, letter, province)
    assert row["recalled"] and row["closed_at"] is not None
    assert (await change(exchange, letter, province))["state"] == ChangeState.AGREED
    box = await exchange.mailbox(province)
    assert not box.statuses()

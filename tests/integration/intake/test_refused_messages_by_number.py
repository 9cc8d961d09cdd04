"""Whoever asks for a document by its number finds it also when it was refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from broker.audit.explain import explain
from broker.audit.read import story_of
from broker.audit.record import Story
from broker.audit.scope import Scope
from schemas.problem import Problem
from tests.kit.exchange import Exchange

NUMBERED = {"number": "12", "notation": "VPCP-TH"}


async def story(exchange: Exchange, text: str, *, sender: str | None = None, scope: str | None = None) -> Story:
    async with exchange.pool.acquire() as connection:
        root = await connection.fetchval("SELECT agency_id FROM agency WHERE code = $1", scope)
        return await story_of(connection, text, sender=sender, scope=Scope(root=root))


async def test_a_refused_document_is_explained_under_its_number(exchange: Exchange) -> None:
    ministry, other, province = [await exchange.add(code) for code in ("G01", "G02", "H53")]
    stale = exchange.letter(ministry, [province], document=NUMBERED, sent_at="2020-01-01T00:00:00Z")
    await exchange.send(stale, ministry)
    await exchange.notice_at(ministry, stale, "rejected")
    told = explain(await story(exchange, "12/VPCP-TH"), now=datetime.now(UTC))
    assert f"refused this message from {ministry.code}" in told.en and "LT-SIGNER-EXPIRED" in told.en
    assert (await story(exchange, "12/VPCP-TH", sender=ministry.code, scope=ministry.code)).rejections
    for unseen in ({"sender": other.code}, {"scope": other.code}):
        with pytest.raises(Problem, match="No document and no refused message"):
            await story(exchange, "12/VPCP-TH", **unseen)

    unsigned = exchange.letter(other, ["H9999"], document=NUMBERED)  # refused for another reason, at a later step
    await exchange.send(unsigned, other)
    await exchange.notice_at(other, unsigned, "rejected")
    with pytest.raises(Problem) as several:
        await story(exchange, "12/VPCP-TH")
    assert all(str(letter.id) in several.value.found for letter in (stale, unsigned))
    assert (await story(exchange, "12/VPCP-TH", sender=other.code)).rejections[0].id == str(unsigned.id)

    good = exchange.letter(ministry, [province], document=NUMBERED)  # what was accepted is what people mean
    await exchange.send(good, ministry)
    await exchange.document_at(province, good)
    found = (await story(exchange, "12/VPCP-TH")).document
    assert found is not None and found.id == good.id

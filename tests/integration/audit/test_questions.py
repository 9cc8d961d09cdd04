"""Operators and auditors get right answers from the record of a real exchange."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from broker.audit.explain import explain
from broker.audit.period import Period
from broker.audit.read import story_of
from broker.audit.report import DIMENSIONS, report
from broker.audit.search import Wanted, search_documents, search_rejections
from broker.audit.timeline import timeline
from broker.store.pool import connect
from schemas.problem import Problem
from tests.kit.exchange import Exchange, Letter
from tests.kit.following import follow
from tests.kit.statuses import forwarded, item
from tests.kit.statuses import report as answer


async def sent(exchange: Exchange, **fields: object) -> tuple[Letter, str, str]:
    """A letter from a ministry to a commune behind its hub and to another ministry; arrived at the commune."""
    ministry, other = await exchange.add("G01"), await exchange.add("G02")
    hub = await exchange.add("H53", "province")
    commune = await exchange.add("H53.1", "commune", has_mailbox=False, hub=hub)
    letter = exchange.letter(ministry, [commune, other], **fields)
    await exchange.send(letter, ministry)
    await exchange.document_at(hub, letter)
    await forwarded(exchange, ministry, await answer(exchange, hub, item(letter, "01", 1, for_=commune.code)))
    return letter, commune.code, other.code


async def test_the_story_of_a_document_is_found_by_id_digest_and_number(exchange: Exchange) -> None:
    letter, _, _ = await sent(exchange)
    async with connect(exchange.settings.database_url) as connection:
        by_id = await story_of(connection, str(letter.id))
        assert by_id.document is not None and by_id.document.digest == letter.digest
        name = f"{by_id.document.number}/{by_id.document.notation}"
        for text in (letter.digest, str(letter.id).upper(), *([name] if name != "/" else [])):
            found = await story_of(connection, text)
            assert found.document == by_id.document, text


async def test_the_timeline_leads_from_the_signature_over_the_hub_to_the_commune(exchange: Exchange) -> None:
    letter, commune, _ = await sent(exchange)
    async with connect(exchange.settings.database_url) as connection:
        story = await story_of(connection, str(letter.id), recipient=commune)
    assert [d.recipient for d in story.deliveries] == [commune]
    told = [moment.what.en for moment in timeline(story)]
    assert sorted(told) == sorted(
        ["signed by the sender", "accepted by the exchange", "handed over, confirmed by RabbitMQ", "01 arrived"]
    )
    assert any("hub" in moment.detail.en for moment in timeline(story))


async def test_an_explanation_tells_each_recipients_fate(exchange: Exchange) -> None:
    letter, commune, other = await sent(exchange)
    await exchange.until_value("SELECT count(*) FROM delivery WHERE processing = 'dispatched'", 1)
    async with connect(exchange.settings.database_url) as connection:
        text = explain(await story_of(connection, str(letter.id)), now=datetime.now(UTC)).en
    assert f"Arrived at {commune}." in text
    assert f"lies in the mailbox for {other}" in text


async def test_a_refused_message_has_an_explanation_too(exchange: Exchange) -> None:
    ministry = await exchange.add("G01")
    letter = exchange.letter(ministry, ["NOWHERE"])
    await exchange.send(letter, ministry)
    await exchange.notice_at(ministry, letter, "rejected")
    async with connect(exchange.settings.database_url) as connection:
        story = await story_of(connection, str(letter.id))
        assert story.document is None
        text = explain(story, now=datetime.now(UTC))
        assert "LT-RECIPIENT-UNKNOWN" in text.en and "NOWHERE" in text.en and "LT-RECIPIENT-UNKNOWN" in text.vi
        found = await search_rejections(connection, Wanted(sender=ministry.code), code="LT-RECIPIENT-UNKNOWN")
        (refused,) = found.rejections
        assert refused.id == str(letter.id)
        assert (await search_rejections(connection, Wanted(sender=ministry.code), code="LT-TIME")).rejections == ()


async def test_what_is_not_known_or_not_clear_is_told_in_a_sentence(exchange: Exchange) -> None:
    letter, _, _ = await sent(exchange)
    async with connect(exchange.settings.database_url) as connection:
        with pytest.raises(Problem, match="No document and no refused message"):
            await story_of(connection, str(uuid4()))
        with pytest.raises(Problem, match="No document and no refused message"):
            await story_of(connection, "complete nonsense")
        with pytest.raises(Problem, match="not a recipient"):
            await story_of(connection, str(letter.id), recipient="H99")


async def test_documents_are_found_by_what_is_remembered_of_them(exchange: Exchange) -> None:
    letter, commune, other = await sent(exchange, document={"subject": "Về việc 100% hồ sơ_số"})
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    fitting = [
        Wanted(sender=letter.manifest["from"]),
        Wanted(subject="100% hồ sơ_số"),
        Wanted(subject="VỀ VIỆC"),
        Wanted(recipient=commune, state="arrived"),
        Wanted(recipient=other, state="dispatched"),
        Wanted(since=hour_ago),
    ]
    unfitting = [
        Wanted(sender=commune),
        Wanted(subject="1000 hồ sơ"),
        Wanted(recipient=commune, state="refused"),
        Wanted(until=hour_ago),
        Wanted(overdue=True),
        Wanted(number="no such number"),
    ]
    await exchange.until_value("SELECT count(*) FROM delivery WHERE processing = 'dispatched'", 1)
    await follow(exchange.settings.database_url)
    async with connect(exchange.settings.database_url) as connection:
        for wanted in fitting:
            assert [row.id for row in (await search_documents(connection, wanted)).documents] == [letter.id], wanted
        for wanted in unfitting:
            assert (await search_documents(connection, wanted)).documents == (), wanted


async def test_the_report_by_tier_counts_documents_by_sender_and_deliveries_by_recipient(exchange: Exchange) -> None:
    await sent(exchange)
    await follow(exchange.settings.database_url)
    async with connect(exchange.settings.database_url) as connection:
        table = await report(connection)
        figures = {row.key: (row.sent, row.deliveries, row.received) for row in table.rows}
        assert figures == {"1": (1, 1, 0), "2": (0, 0, 0), "3": (0, 1, 1)}
        for by in DIMENSIONS:
            total = (await report(connection, by=by)).total()
            assert (total.sent, total.deliveries, total.received) == (1, 2, 1), by
        empty = await report(connection, period=Period(first=date.today() + timedelta(days=2)))
        assert empty.total().sent == 0


async def test_rehearsals_are_left_out_of_statistics(exchange: Exchange) -> None:
    await sent(exchange, test=True)
    await follow(exchange.settings.database_url)
    async with connect(exchange.settings.database_url) as connection:
        assert (await report(connection)).total().deliveries == 0

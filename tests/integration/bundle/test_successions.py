"""A document that went to the successor of a closed agency is proved like any other, by both checkers."""

from __future__ import annotations

from broker.directory import changes
from broker.directory.live import today_in_vietnam
from schemas.times import rfc3339
from tests.integration.bundle.test_prove import good, lines, settled
from tests.kit.evidence import proved
from tests.kit.exchange import AUTHOR, Exchange
from tests.kit.keeping import keeping
from tests.kit.statuses import forwarded, item, report, sent


async def test_what_went_to_a_successor_is_proved_for_both_offices(exchange: Exchange) -> None:
    ministry, hub = await exchange.add("BO"), await exchange.add("HUB", "hub")
    old, other = await exchange.add("CU", "province"), await exchange.add("KHAC", "province")
    new = await exchange.add("MOI", "commune", has_mailbox=False, hub=hub)
    letter = await sent(exchange, ministry, old, other)
    async with exchange.pool.acquire() as connection:
        await changes.close(
            connection, old.code, on=today_in_vietnam(), successors=[(new.code, "whole")], author=AUTHOR
        )
    async with keeping(exchange, keeper_log_seconds=3600.0):
        await exchange.document_at(hub, letter)
        await exchange.notice_at(ministry, letter, "rerouted")
        await forwarded(exchange, ministry, await report(exchange, hub, item(letter, "01", for_=new.code)))
        await exchange.all_published()
    await exchange.pool.execute("UPDATE keeper_lease SET expires_at = clock_timestamp()")
    await settled(exchange)

    bundle = await proved(exchange, str(letter.id))
    told = good(exchange, bundle).story[0]
    states = {one.recipient: one.state for one in told.deliveries}
    assert states == {old.code: "dispatched", other.code: "dispatched", new.code: "arrived"}
    (event,) = [line["body"] for line in lines(bundle, "event") if line["body"]["event"] == "rerouted"]
    due = rfc3339(await exchange.value("SELECT due_arrival FROM delivery WHERE recipient_id = $1", new.id))
    moved = {"closed": old.code, "moved": True, "owner": hub.code, "successors": [new.code], "due_arrival": due}
    assert event["deliveries"] == [moved]
    assert any("successor" in moment.what.en and moment.who.en == old.code for moment in told.moments)

    for recipient in (old, new):
        narrow = await proved(exchange, str(letter.id), recipient=recipient.code)
        assert [one.recipient for one in good(exchange, narrow).story[0].deliveries] == [recipient.code]
        assert "rerouted" in {line["body"]["event"] for line in lines(narrow, "event")}
    narrow = await proved(exchange, str(letter.id), recipient=other.code)
    assert "rerouted" not in {line["body"]["event"] for line in lines(narrow, "event")}
    good(exchange, narrow)

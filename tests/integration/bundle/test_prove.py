"""What the exchange did is put into a bundle, and the bundle holds without the exchange."""

from __future__ import annotations

from broker.evidence.bundle.check import check
from tests.kit.evidence import keys_of, log_now, proved, roots_of
from tests.kit.exchange import Exchange
from tests.kit.statuses import eventually, forwarded, item, report, sent


async def test_a_delivered_document_is_proved_and_checked_offline(exchange: Exchange) -> None:
    ministry = await exchange.add("BO")
    province = await exchange.add("TINH", "province")
    letter = await sent(exchange, ministry, province)
    arrived = await report(exchange, province, item(letter, "01"))
    await forwarded(exchange, ministry, arrived)
    received = await report(exchange, province, item(letter, "03", 1))
    await forwarded(exchange, ministry, received)
    await eventually(exchange, "SELECT count(*) = 0 FROM outgoing WHERE published_at IS NULL")
    await log_now(exchange)

    bundle = await proved(exchange, str(letter.id))

    checked = check(bundle, keys=keys_of(exchange), roots=roots_of(exchange))
    assert checked.faults == ()
    (told,) = checked.story
    assert [(one.recipient, one.state) for one in told.deliveries] == [(province.code, "received")]
    assert {one.type for one in checked.signatures} == {"document", "status", "notice", "slip", "seal"}

"""Offices close, are served by another hub, come into being: packets and submissions of before stay good.

At the end of each test `audit verify` accuses nobody (conftest).
"""

from __future__ import annotations

from datetime import timedelta

from broker.directory import changes
from broker.directory.changes import NewAgency, add_agency
from broker.directory.live import today_in_vietnam
from tests.integration.vxp.conftest import Connected, connect_hub, connected
from tests.kit.exchange import AUTHOR, Exchange
from tests.kit.gateway import running_gateway
from tests.kit.keeping import keeping
from tests.kit.vxp import edoc

PACKETS = "SELECT count(*) FROM vxp_packet WHERE kind = 'edoc'"
REFUSALS = "SELECT count(*) FROM vxp_packet WHERE kind = 'status'"


async def refreshed(office: Connected) -> None:
    await office.exchange.refresh()
    await office.gateway.refresh()


async def add_office(office: Connected, code: str) -> None:
    async with office.exchange.pool.acquire() as connection:
        new = NewAgency(code=code, name=f"Xã {code}", level="commune", hub=office.hub)
        await add_agency(connection, new, author=AUTHOR)
    await refreshed(office)


async def all_done(office: Connected) -> None:
    """Fetch everything, and say so; then the fate of every 01 is known."""
    for row in await office.exchange.pool.fetch("SELECT doc_id FROM vxp_packet WHERE kind = 'edoc' ORDER BY packet_id"):
        assert (await office.does(office.client.update, str(row["doc_id"]), "done"))["ErrorCode"] == "0"
    await office.exchange.until_value("SELECT count(*) FROM vxp_submission WHERE state = 'taken'", 0)


async def test_an_office_closes_while_its_packet_waits_and_its_code_is_given_to_another(office: Connected) -> None:
    exchange = office.exchange
    await exchange.send(exchange.letter(office.ministry, [office.commune]), office.ministry)
    await exchange.until_value(PACKETS, 1)
    await exchange.all_published()
    async with exchange.pool.acquire() as connection:
        heirs = [(office.other, "whole")]
        await changes.close(connection, office.commune, on=today_in_vietnam(), successors=heirs, author=AUTHOR)  # type: ignore[arg-type]
    await refreshed(office)
    async with keeping(exchange):
        await exchange.until_value(PACKETS, 2)
    await add_office(office, office.commune)
    await exchange.send(exchange.letter(office.ministry, [office.commune]), office.ministry)
    await exchange.until_value(PACKETS, 3)
    assert await exchange.value("SELECT count(DISTINCT agency_id) FROM vxp_packet") == 3
    await all_done(office)
    assert await exchange.value("SELECT count(*) FROM status_entry WHERE code = '01'") >= 2


async def test_an_office_is_served_by_another_hub_while_its_packet_waits(office: Connected) -> None:
    exchange = office.exchange
    await exchange.send(exchange.letter(office.ministry, [office.commune]), office.ministry)
    await exchange.until_value(PACKETS, 1)
    await exchange.all_published()
    made, _ = await connect_hub(exchange, "W07")
    async with exchange.pool.acquire() as connection:
        await changes.end_mandate(connection, office.hub, office.commune, author=AUTHOR)
        rights = {"may_receive": True, "may_sign": True}
        await changes.add_mandate(connection, made.hub, office.commune, author=AUTHOR, **rights)
    await refreshed(office)
    await exchange.send(exchange.letter(office.ministry, [office.commune]), office.ministry)
    await exchange.until_value(PACKETS, 2)
    assert await exchange.value("SELECT count(DISTINCT system_id) FROM vxp_packet") == 2
    first = await exchange.value("SELECT doc_id::text FROM vxp_packet ORDER BY packet_id LIMIT 1")
    # The 01 of a hub that serves the office no more is refused; that is what its submission says.
    assert (await office.does(office.client.update, first, "done"))["ErrorCode"] == "0"
    await exchange.until_value("SELECT count(*) FROM vxp_submission WHERE state = 'taken'", 0)


async def test_what_was_refused_twice_after_the_answer_is_accepted_when_its_recipient_is_there(
    exchange: Exchange,
) -> None:
    async with running_gateway(exchange, vxp_wait_seconds=0.0) as gateway:
        office = await connected(exchange, gateway)
        later = f"{office.hub}.77"
        file = edoc(office.commune, [later], document_id="của chúng tôi 7")
        for times in (1, 2):
            assert (await office.does(office.client.send, file, office.commune))["ErrorCode"] == "0"
            await exchange.until_value(REFUSALS, times)
        await add_office(office, later)
        assert (await office.does(office.client.send, file, office.commune))["ErrorCode"] == "0"
        await exchange.until_value("SELECT count(*) FROM vxp_submission WHERE state = 'accepted'", 1)
        await exchange.until_value(PACKETS, 1)
        assert await exchange.value("SELECT count(*) FROM rejection") == 2
        await all_done(office)


async def test_a_packet_that_failed_too_often_is_released_and_fetched(office: Connected) -> None:
    exchange, client = office.exchange, office.client
    await exchange.send(exchange.letter(office.ministry, [office.commune]), office.ministry)
    (packet,) = await office.listed()
    for number in range(5):
        assert (await office.does(client.update, packet["docId"], "fail", reason=f"lỗi {number}"))["ErrorCode"] == "0"
    assert await exchange.value("SELECT state FROM vxp_packet") == "failed"
    await all_done(office)
    assert await exchange.value("SELECT fails FROM vxp_packet") == 5
    assert await exchange.value("SELECT now() - max(updated_at) FROM vxp_packet") < timedelta(minutes=5)

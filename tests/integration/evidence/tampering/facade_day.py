"""A day of the REST façade, for tests that tamper with what it left behind: played once, by real gateways and a worker.

Documents posted and fetched, statuses both ways, refusals told in the answer and after it, a packet that failed, wishes
granted and waiting.
"""

from __future__ import annotations

from pathlib import Path

from broker.gateway.vxp import agencies
from tests.conftest import Vhost
from tests.integration.evidence.story import AUTHOR, Story, log_everything
from tests.integration.vxp.conftest import Connected, connect_hub, connected
from tests.kit.exchange import running_exchange
from tests.kit.gateway import running_gateway
from tests.kit.statuses import report
from tests.kit.vxp import edoc, status

HANDED = "SELECT count(*) FROM vxp_packet WHERE kind = 'edoc'"
TOLD = "SELECT count(*) FROM vxp_packet WHERE kind = 'status'"


async def play(vhost: Vhost, database: str, folder: Path) -> Story:
    """Play the day: two gateways, one after the other, of which the second answers before it knows."""
    async with running_exchange(vhost, database, folder) as exchange:
        async with running_gateway(exchange) as gateway:
            office = await connected(exchange, gateway)
            await connect_hub(exchange, "W01")
            await _documents(office)
            await _statuses(office)
            await _wishes(office)
        async with running_gateway(exchange, vxp_wait_seconds=0.0) as gateway:
            office.client.url = gateway.url
            refused = edoc(office.commune, ["ZZZ.98"], document_id="their-number-7")
            assert (await office.does(office.client.send, refused, office.commune))["ErrorCode"] == "0"
            await exchange.until_value(TOLD, 4)
            await exchange.until_value("SELECT count(*) FROM vxp_submission WHERE state = 'taken'", 0)
        await exchange.all_published()
        await exchange.stop_workers()
        await log_everything(exchange)
        return Story(database, exchange.settings.home, exchange.prefix)


async def _documents(office: Connected) -> None:
    """Four are posted and fetched here: two are stored, one fails, one waits. A native one, which nobody fetches. One
    that is refused in the answer."""
    exchange, client = office.exchange, office.client
    for number, code in enumerate((office.commune, office.other) * 2):
        posted = edoc(code, [office.commune, office.other, office.ministry.code], document_id=f"number {number}")
        assert (await office.does(client.send, posted, code))["ErrorCode"] == "0"
    await exchange.until_value(HANDED, 4)
    packets = [one["docId"] for one in await office.listed()]
    for doc_id in packets[:2]:
        await office.does(client.file, doc_id)
        assert (await office.does(client.update, doc_id, "done"))["ErrorCode"] == "0"
    assert (await office.does(client.update, packets[2], "fail", reason="Hết dung lượng"))["ErrorCode"] == "0"
    await exchange.send(exchange.letter(office.ministry, [office.commune, office.hub]), office.ministry)
    await exchange.until_value(HANDED, 6)
    refused = edoc(office.commune, ["ZZZ.99"])
    assert (await office.does(client.send, refused, office.commune))["status"] == "FAIL"
    await exchange.until_value(TOLD, 2)  # the two 01, to the hub's own offices


async def _statuses(office: Connected) -> None:
    """An office receives a document, the ministry refuses one of theirs."""
    exchange, client = office.exchange, office.client
    letter = exchange.letter(office.ministry, [office.commune], document={"number": "12"})
    await exchange.send(letter, office.ministry)
    await exchange.until_value(HANDED, 7)
    said = status(office.commune, office.ministry.code, "03", number="12", document_id=letter.manifest["id"])
    assert (await office.does(client.send, said, office.commune, "status"))["ErrorCode"] == "0"
    row = await exchange.pool.fetchrow(
        "SELECT a.code, d.id::text, encode(d.digest, 'hex') AS digest, d.sent_at FROM document d JOIN agency a"
        " ON a.agency_id = d.sender_id WHERE a.code = $1 ORDER BY document_id LIMIT 1",
        office.commune,
    )
    assert row is not None
    concerns = {"from": row["code"], "id": row["id"], "digest": row["digest"]}
    answer = {"concerns": concerns, "code": "02", "at": row["sent_at"].isoformat(), "reason": "Sai thể thức"}
    await report(exchange, office.ministry, answer)
    await exchange.until_value(TOLD, 3)
    came = (await office.listed("status"))[0]
    assert (await office.does(client.update, came["docId"], "done"))["ErrorCode"] == "0"


async def _wishes(office: Connected) -> None:
    """One granted by an operator, one that waits."""
    for number in ("31", "32"):
        code = f"{office.hub}.{number}"
        body = f'{{"code": "{code}", "name": "Xã {number}"}}'.encode()
        heard = await office.does(office.client.call, "/registerAgency", {}, body=body)
        assert heard.json()["ErrorCode"] == "0"
    async with office.exchange.pool.acquire() as connection:
        await agencies.approve(connection, office.made.system, f"{office.hub}.31", author=AUTHOR)

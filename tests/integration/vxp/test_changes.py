"""Recalls, take-backs and their answers travel through the façade; a lost mailbox costs nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from broker.dispatch.notices import NoticeBuilder, item
from schemas.edxml.reading import read
from schemas.edxml.records import Document, Status
from schemas.jws import encode_message
from schemas.wire import DELIVER
from tests.integration.vxp.conftest import Connected
from tests.kit.vxp import edoc, status

RECALL = (
    "<edXML:BussinessDocType>1</edXML:BussinessDocType>"
    "<edXML:BussinessDocReason>Ban hành nhầm</edXML:BussinessDocReason>"
)


async def test_a_recall_and_its_answer(office: Connected) -> None:
    client, exchange = office.client, office.exchange
    identity = f"{office.commune},2026/03/12,7/UBND-VP"
    file = edoc(office.commune, [office.other], number="7", document_id=identity)
    assert (await office.does(client.send, file, office.commune))["ErrorCode"] == "0"
    (first,) = await office.listed()
    await office.does(client.update, first["docId"], "done")
    await exchange.until_value("SELECT count(*) FROM status_entry WHERE code = '01'", 1)
    recall = edoc(office.commune, [office.other], number="7", document_id=identity, business=RECALL)
    answer = await office.does(client.send, recall, office.commune)
    assert answer["ErrorCode"] == "0", answer
    (second,) = await office.listed()
    reading = read(await office.does(client.file, second["docId"]))
    assert isinstance(reading.message, Document) and reading.message.business_type == 1
    await office.does(client.update, second["docId"], "done")
    agreed = status(office.other, office.commune, "15", number="7", notation="UBND-VP", document_id=identity)
    answer = await office.does(client.send, agreed, office.other, "status")
    assert answer["ErrorCode"] == "0", answer
    assert await exchange.value("SELECT count(*) FROM delivery WHERE recalled") == 1


async def test_a_take_back_is_asked_and_refused(office: Connected) -> None:
    client, exchange = office.client, office.exchange
    file = edoc(office.commune, [office.ministry.code, office.other], number="8")
    sent = await office.does(client.send, file, office.commune)
    (packet,) = await office.listed()
    await office.does(client.update, packet["docId"], "done")
    asked = status(office.commune, office.other, "13", number="8", notation="UBND-VP", reason="Gửi nhầm")
    answer = await office.does(client.send, asked, office.commune, "status")
    assert answer["ErrorCode"] == "0", answer
    asking: list[Status] = []
    while not asking:  # the 01 may be listed before it
        come = [read(await office.does(client.file, one["docId"])).message for one in await office.listed("status")]
        asking = [one for one in come if isinstance(one, Status) and one.header.status_code == "13"]
    response_for = asking[0].header.response_for
    assert response_for is not None and response_for.organ_id == office.other
    refused = status(
        office.other, office.commune, "16", number="8", notation="UBND-VP", document_id=sent["DocId"], reason="Đã xử lý"
    )
    answer = await office.does(client.send, refused, office.other, "status")
    assert answer["ErrorCode"] == "0", answer
    assert await exchange.value("SELECT state FROM change_request") == "refused_change"
    # A status about nothing that can be found, or that one may not report, is told in the answer.
    for wrong, speaker in (
        (status(office.other, office.commune, "03", number="99", notation="X"), office.other),
        (status(office.hub, office.commune, "03", number="8", notation="UBND-VP"), office.hub),
    ):
        assert (await office.does(client.send, wrong, speaker, "status"))["ErrorCode"] == "21"


async def test_a_lost_mailbox_is_asked_for_again(office: Connected) -> None:
    exchange = office.exchange
    now = datetime.now(UTC)
    notices = NoticeBuilder(exchange.identity)
    notices.add(1, office.hub, item("mailbox-reset", concerns=None, at=now))
    (notice,) = notices.build(now)
    for _ in range(2):
        await exchange.publish_as_broker(encode_message(notice.signed), exchange=DELIVER, routing_key=office.hub)
    query = "SELECT count(*) FROM request_message JOIN agency ON agency_id = sender_id WHERE code = $1"
    await exchange.until_value(query, 1, office.hub)
    # What nobody can have signed goes to the dead letters and stops nothing.
    await exchange.publish_as_broker(b"rubbish", exchange=DELIVER, routing_key=office.hub)
    await exchange.send(exchange.letter(office.ministry, [office.commune]), office.ministry)
    assert await office.listed()
    await exchange.until_depth("lt.dead", 1)

"""Documents of existing software reach everybody else, and everybody else's reach it (docs/connect/rest.md)."""

from __future__ import annotations

import json

from adapters.judge import Believed, Trust, judge
from broker.directory.enrolment import load_roots
from broker.gateway.vxp.making import unpadded
from schemas.edxml.reading import read
from schemas.edxml.records import Document, Status
from schemas.manifest import StatusManifest
from tests.integration.vxp.conftest import Connected
from tests.kit.statuses import report
from tests.kit.vxp import edoc, status


async def test_a_posted_file_reaches_a_native_agency_signed_with_the_key_in_custody(office: Connected) -> None:
    file = edoc(office.commune, [office.ministry.code], number="77")
    answer = await office.does(office.client.send, file, office.commune)
    assert answer["status"] == "OK" and answer["ErrorCode"] == "0"
    box = await office.exchange.mailbox(office.ministry)
    delivered = await box.until(lambda: next(iter(box.documents()), None), "the document")
    manifest = delivered.document
    assert str(manifest.id) == answer["DocId"]
    assert manifest.from_ == office.commune and manifest.document.number == "77"
    assert manifest.via is not None and (manifest.via.protocol, manifest.via.system) == ("vxp", office.made.system)
    assert delivered.message.signed.thumbprint.hex() == office.made.thumbprint
    # The recipient's own verdict says who keeps the key.
    identity = office.exchange.identity
    roots = load_roots(office.exchange.settings.roots_dir)
    trust = Trust(broker_code=identity.code, broker_certificates=[identity.certificate], authorities=roots)
    judged = judge(delivered.raw.body, trust)
    assert isinstance(judged, Believed) and judged.verdict.good and "custody broker" in judged.verdict.policy.why
    original = next(part for part in manifest.parts if part.role == "edxml")
    assert delivered.message.content[original.sha256] == file


async def test_a_native_document_is_listed_fetched_and_done_and_its_sender_gets_one_01(office: Connected) -> None:
    letter = office.exchange.letter(office.ministry, [office.commune], document={"number": "12"})
    await office.exchange.send(letter, office.ministry)
    packet = (await office.listed())[0]
    assert (packet["from"], packet["to"], packet["status"]) == (office.ministry.code, office.commune, "initial")
    assert (packet["serviceType"], packet["messageType"]) == ("eDoc", "edoc")
    reading = read(await office.does(office.client.file, packet["docId"]))
    assert reading.good and isinstance(reading.message, Document)
    assert reading.message.header.code is not None and reading.message.header.code.number == "12"
    assert reading.message.attachments[0].content is not None
    assert reading.message.attachments[0].content.sha256 == letter.manifest["parts"][0]["sha256"]
    for _ in range(2):
        assert (await office.does(office.client.update, packet["docId"], "done"))["ErrorCode"] == "0"
    box = await office.exchange.mailbox(office.ministry)
    arrived = await box.until(lambda: next(iter(box.statuses()), None), "the 01")
    assert isinstance(arrived.manifest, StatusManifest)
    (item,) = arrived.manifest.items
    assert (item.code, item.for_, arrived.manifest.from_) == ("01", office.commune, office.hub)
    assert item.concerns.digest == letter.digest
    assert arrived.message.signed.thumbprint.hex() == office.made.thumbprint
    await office.exchange.all_at(office.ministry)
    assert len(box.statuses()) == 1
    assert (await office.does(office.client.list))["data"] == []


async def test_what_came_as_edxml_is_handed_to_an_edxml_office_byte_for_byte(office: Connected) -> None:
    file = edoc(office.commune, [office.other], attachment=b"%PDF " + bytes(300_000))
    answer = await office.does(office.client.send, file, office.commune)
    assert answer["ErrorCode"] == "0", answer
    packet = (await office.listed())[0]
    assert await office.does(office.client.file, packet["docId"]) == file
    heard = await office.does(
        office.client.call, "/downloadEdoc", {"docId": packet["docId"], "filePath": "./x"}, method="GET"
    )
    assert heard.status == 200 and heard.body == file


async def test_statuses_travel_both_ways_as_edxml(office: Connected) -> None:
    letter = office.exchange.letter(office.ministry, [office.commune], document={"number": "12"})
    await office.exchange.send(letter, office.ministry)
    packet = (await office.listed())[0]
    await office.does(office.client.update, packet["docId"], "done")
    accepted = await office.does(
        office.client.send,
        status(office.commune, office.ministry.code, "03", number="12", document_id=letter.manifest["id"]),
        office.commune,
        "status",
    )
    assert accepted["ErrorCode"] == "0", accepted
    box = await office.exchange.mailbox(office.ministry)
    told = await box.until(lambda: box.statuses() if len(box.statuses()) == 2 else None, "01 and 03")
    said = {
        (item.code.value, item.for_, item.concerns.digest)
        for one in told
        if isinstance(one.manifest, StatusManifest)
        for item in one.manifest.items
    }
    assert said == {("01", office.commune, letter.digest), ("03", office.commune, letter.digest)}

    posted = await office.does(
        office.client.send, edoc(office.commune, [office.ministry.code], number="5"), office.commune
    )
    delivered = await box.until(lambda: next(iter(box.documents()), None), "the document")
    answer = {
        "concerns": {"from": office.commune, "id": posted["DocId"], "digest": delivered.message.signed.digest},
        "code": "02",
        "at": delivered.manifest.sent_at.isoformat(),
        "reason": "Sai thể thức",
    }
    await report(office.exchange, office.ministry, answer)
    came = (await office.listed("status"))[0]
    assert (came["from"], came["to"], came["messageType"]) == (office.ministry.code, office.commune, "status")
    reading = read(await office.does(office.client.file, came["docId"]))
    assert isinstance(reading.message, Status)
    header = reading.message.header
    assert (header.status_code, header.description) == ("02", "Sai thể thức")
    assert header.response_for is not None and header.response_for.organ_id == office.commune
    assert header.response_for.code == "5/UBND-VP"
    assert (await office.does(office.client.update, came["docId"], "done"))["ErrorCode"] == "0"


async def test_a_repeat_has_one_effect_a_refusal_is_told_and_the_record_names_the_custodian(office: Connected) -> None:
    file = edoc(office.commune, [office.ministry.code])
    first = await office.does(office.client.send, file, office.commune)
    again = await office.does(office.client.send, file, office.commune)
    assert first == again and first["ErrorCode"] == "0"
    assert await office.exchange.value("SELECT count(*) FROM document") == 1
    via = await office.exchange.value("SELECT via FROM document WHERE id = $1::text::uuid", first["DocId"])
    assert json.loads(via) == {"protocol": "vxp", "system": office.made.system}
    custody = await office.exchange.value("SELECT custody FROM document JOIN certificate USING (thumbprint)")
    assert custody == "broker"

    unknown = edoc(office.commune, ["ZZZ.99"])
    for _ in range(2):
        answer = await office.does(office.client.send, unknown, office.commune)
        assert answer["status"] == "FAIL" and answer["ErrorCode"] == "18", answer
        assert "ZZZ.99" in answer["ErrorDesc"] and answer["DocId"] == ""


def test_a_hash_is_written_without_leading_zeros() -> None:
    assert unpadded(bytes([0xCE, 0xE5, 0x06, 0x00])) == "cee560"

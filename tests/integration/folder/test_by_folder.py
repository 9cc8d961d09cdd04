"""An office that takes part by files alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from adapters import Agency, Letter, Part
from schemas.edxml.reading import read
from schemas.edxml.records import Status
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.folder.conftest import QUICK, Office, watching
from tests.unit.edxml.examples import PDF as EDXML_PDF
from tests.unit.edxml.examples import changed, document, status

EDXML = replace(QUICK, edxml=True)
PDF = b"%PDF-1.7\nnothing much\n%%EOF\n"
SHEET = f"""\
số ký hiệu: 12/UBND-VX
trích yếu: Về việc kết nối, liên thông
gửi: {MINISTRY}
độ khẩn: hỏa tốc
ngày ban hành: 22/11/2026
"""


async def test_a_pdf_beside_a_sheet_is_sent_and_lies_in_sent_with_its_id_and_state(
    province: Office, ministry: Agency
) -> None:
    province.drop("12-UBND.pdf", PDF)
    province.drop("12-UBND.yaml", SHEET)
    sent = await province.until("sent")
    assert sent.place is not None and sent.id is not None and sent.place.name == f"12-UBND {sent.id}"
    assert (sent.place / "12-UBND.pdf").read_bytes() == PDF and (sent.place / "12-UBND.yaml").is_file()
    assert not list(province.places.outbox.iterdir())
    async for delivery in ministry.receive(idle=10):
        async with delivery as letter:
            assert (letter.number, letter.notation, letter.priority) == ("12", "UBND-VX", 3)
            assert await letter.parts[0].read() == PDF and letter.parts[0].name == "12-UBND.pdf"
        await ministry.report(letter, "03")
        break
    await province.until("status", 2)
    state = json.loads((sent.place / "state.json").read_text())
    assert (state["state"], [one["code"] for one in state["statuses"]]) == ("accepted", ["01", "03"])
    text = (sent.place / "trang-thai.txt").read_text("utf-8-sig")
    assert "03 đã tiếp nhận, vào sổ" in text and sent.id in text


async def test_a_document_appears_in_inbox_and_is_answered_by_a_file(
    province: Office, ministry: Agency, exchange: StandIn
) -> None:
    parts = [Part.data("12.pdf", PDF), Part.data("phụ lục.bin", bytes(200_000)), Part.data("12.pdf", b"another")]
    letter = Letter(number="12", notation="VPCP-TH", subject="Công văn", to=[PROVINCE], parts=parts)
    sent = await ministry.send(letter)
    came = await province.until("came")
    assert came.place is not None and came.place.parent == province.places.inbox
    assert came.place.name.endswith(f"12-VPCP-TH {MINISTRY} {sent.id[-8:]}")
    assert (came.place / "tep" / "12.pdf").read_bytes() == PDF
    assert (came.place / "tep" / "12 (2).pdf").read_bytes() == b"another"
    assert (came.place / "tep" / "phụ lục.bin").stat().st_size == 200_000
    assert json.loads((came.place / "manifest.json").read_bytes())["id"] == sent.id
    assert "Trích yếu / subject: Công văn" in (came.place / "van-ban.txt").read_text("utf-8-sig")
    province.drop(f"{came.place.name}.03", "")
    await province.until("sent")
    province.drop("trả lời.yaml", f"văn bản: {sent.id}\ntrạng thái: 05\ncán bộ: Lê Văn C\n")
    await province.until("sent", 2)
    key = (sent.id, PROVINCE)
    await exchange.until(lambda: [code for code, _ in exchange.reported[key]] == ["01", "03", "05"])


async def test_the_same_file_dropped_again_is_not_sent_again_and_says_so(
    province: Office, ministry: Agency, exchange: StandIn
) -> None:
    for count in (1, 2):
        province.drop("12-UBND.pdf", PDF)
        province.drop("12-UBND.yaml", SHEET)
        await province.until("sent" if count == 1 else "refused")
    first, second = await province.until("sent"), await province.until("refused")
    assert second.place is not None
    reason = (second.place / "ly-do.txt").read_text("utf-8-sig")
    assert str(first.id) in reason and "Đã gửi lúc" in reason and "was sent on" in reason
    assert (second.place / "12-UBND.pdf").read_bytes() == PDF
    assert len(exchange.documents) == 1


async def test_what_the_exchange_rejects_moves_to_refused_with_the_reason_and_may_be_dropped_again(
    province: Office, ministry: Agency, exchange: StandIn
) -> None:
    exchange.rejections.append("LT-RECIPIENT-UNKNOWN")
    province.drop("12-UBND.pdf", PDF)
    province.drop("12-UBND.yaml", SHEET)
    sent = await province.until("sent")
    await province.until("rejected")
    place = province.places.refused / sent.place.relative_to(province.places.sent)  # type: ignore[union-attr]
    assert "LT-RECIPIENT-UNKNOWN" in (place / "ly-do.txt").read_text("utf-8-sig")
    assert (place / "12-UBND.pdf").read_bytes() == PDF and not sent.place.exists()  # type: ignore[union-attr]
    province.drop("12-UBND.pdf", PDF)
    province.drop("12-UBND.yaml", SHEET)
    again = await province.until("sent", 2)
    await exchange.until(lambda: (PROVINCE, again.id) in exchange.documents)


async def test_edxml_goes_and_comes_byte_for_byte_and_so_does_its_status(
    province: Office, exchange: StandIn, tmp_path: Path
) -> None:
    theirs = await exchange.agency(MINISTRY)
    async with watching(theirs, tmp_path / "theirs", EDXML) as ministry:
        written = changed(changed(document(), "000.00.00.G05", PROVINCE), "000.00.00.H12", MINISTRY).replace(
            "<edXML:To><edXML:OrganId>H30.7</edXML:OrganId></edXML:To>", ""
        )
        province.drop("58.edxml", written)
        sent, came = await province.until("sent"), await ministry.until("came")
        assert came.place is not None and (came.place / "van-ban.edxml").read_text() == written
        assert (came.place / "tep" / "58-BTC.pdf").read_bytes() == EDXML_PDF
        # The same file under another name is the same document.
        province.drop("anything else.edxml", written)
        again = await province.until("refused")
        assert again.id == sent.id and again.told
        answer = (
            status("03")
            .replace("000.00.00.H12", MINISTRY)
            .replace("<edXML:OrganId>000.00.00.G05", f"<edXML:OrganId>{PROVINCE}")
        )
        ministry.drop("03.edxml", answer)
        await ministry.until("sent")
        await province.until("status", 2)
        state = json.loads((sent.place / "state.json").read_bytes())  # type: ignore[operator]
        assert [(one["agency"], one["code"], one["reason"]) for one in state["statuses"]] == [
            (MINISTRY, "03", "Đã vào sổ"), (MINISTRY, "01", None),
        ]  # fmt: skip
        # And a document that is no edXML is written as one, with its status, where that is wanted.
        province.drop("12-UBND.pdf", PDF)
        province.drop("12-UBND.yaml", SHEET)
        native = await ministry.until("came", 2)
        assert native.place is not None and read((native.place / "van-ban.edxml").read_bytes()).good
        ministry.drop("7.edxml", written.replace(PROVINCE, "TMP").replace(MINISTRY, PROVINCE).replace("TMP", MINISTRY))
        await province.until("came")
        await ministry.until("status")
        (rendered,) = ministry.places.statuses.glob("*.edxml")
        found = read(rendered.read_bytes())
        assert found.good and isinstance(found.message, Status) and found.message.header.status_code == "01"


async def test_an_edxml_file_with_faults_is_refused_with_all_of_them(province: Office) -> None:
    bent = document().replace("<edXML:CodeNumber>58</edXML:CodeNumber>", "").replace("DocType>0", "DocType>7")
    province.drop("58.edxml", bent)
    refused = await province.until("refused")
    text = (refused.place / "ly-do.txt").read_text("utf-8-sig")  # type: ignore[operator]
    assert refused.code == "LT-EDXML" and "CodeNumber" in text and "BussinessDocType" in text and "Dòng" in text
    province.drop("59.edxml", document())
    refused = await province.until("refused", 2)
    assert "G05" in refused.told[0].en and PROVINCE in refused.told[0].vi


async def test_a_recall_is_a_folder_and_is_agreed_to_by_a_file(
    province: Office, ministry: Agency, exchange: StandIn
) -> None:
    letter = Letter(number="12", notation="TH", subject="x", to=[PROVINCE], parts=[Part.data("12.pdf", PDF)])
    sent = await ministry.send(letter)
    await province.until("came")
    recall = await ministry.recall([sent.document], "Ban hành nhầm", letter=replace(letter, parts=[]))
    came = await province.until("came", 2)
    assert came.place is not None
    text = (came.place / "van-ban.txt").read_text("utf-8-sig")
    assert "THU HỒI / RECALL" in text and "Ban hành nhầm" in text and sent.id in text
    province.drop(f"{recall.id}.15", "")
    await province.until("sent")
    await exchange.until(lambda: "15" in [code for code, _ in exchange.reported[sent.id, PROVINCE]])


async def test_a_take_back_is_a_folder_and_is_refused_by_a_file(
    province: Office, ministry: Agency, exchange: StandIn
) -> None:
    letter = Letter(number="12", notation="TH", subject="x", to=[PROVINCE], parts=[Part.data("12.pdf", PDF)])
    sent = await ministry.send(letter)
    await province.until("came")
    await ministry.take_back(sent.document, [PROVINCE], "Gửi nhầm nơi nhận")
    status = await exchange.until(
        lambda: next((one for _, key, _, one in exchange.submitted if b'"13"' in one.payload), None)
    )
    await exchange.publish(PROVINCE, exchange.wrapped(status))
    asked = await province.until("asked")
    assert asked.place is not None and "Gửi nhầm nơi nhận" in (asked.place / "van-ban.txt").read_text("utf-8-sig")
    province.drop(f"{asked.place.name}.16", "Đã xử lý xong")
    await province.until("sent")
    await exchange.until(lambda: any(b'"16"' in one.payload for *_, one in exchange.submitted))


async def test_a_refusal_by_file_needs_its_reason(province: Office, ministry: Agency, exchange: StandIn) -> None:
    letter = Letter(number="12", notation="TH", subject="x", to=[PROVINCE], parts=[Part.data("12.pdf", PDF)])
    sent = await ministry.send(letter)
    await province.until("came")
    province.drop(f"{sent.id}.02", "")
    refused = await province.until("refused")
    assert refused.code == "LT-REASON-MISSING"
    province.drop(f"{sent.id}.02", "Không thuộc thẩm quyền")
    await province.until("sent")
    await exchange.until(lambda: "02" in [code for code, _ in exchange.reported[sent.id, PROVINCE]])
    province.drop("0198c5e2-0000-7000-8000-000000000000.03", "")
    assert (await province.until("refused", 2)).code == "LT-CONCERNS-UNKNOWN"


async def test_a_recall_by_sheet_names_the_document_by_its_id(
    province: Office, ministry: Agency, exchange: StandIn
) -> None:
    province.drop("12.pdf", PDF)
    province.drop("12.yaml", SHEET)
    sent = await province.until("sent")
    await province.until("accepted")
    province.drop("thu hồi.yaml", f"việc: thu hồi\nvăn bản: {sent.id}\nlý do: Ban hành nhầm\ngửi: {MINISTRY}\n")
    recall = await province.until("sent", 2)
    signed = await exchange.until(lambda: exchange.documents.get((PROVINCE, str(recall.id))))
    manifest = json.loads(signed.payload)
    assert manifest["action"] == "recall" and manifest["concerns"][0]["id"] == sent.id

"""An office that takes part by files alone."""

from __future__ import annotations

import json
from pathlib import Path

from adapters import Agency, Letter, Part
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.folder.conftest import Office

PDF = b"%PDF-1.7\nnothing much\n%%EOF\n"
SHEET = f"""\
số ký hiệu: 12/UBND-VX
trích yếu: Về việc kết nối, liên thông
gửi: {MINISTRY}
độ khẩn: hỏa tốc
ngày ban hành: 22/11/2026
"""


def the_one(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


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

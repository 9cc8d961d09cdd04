"""What the pages tell, in both languages, and what operators do on them."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import json
import re

import httpx
import openpyxl
import pytest

from broker.evidence.bundle.check import check
from broker.evidence.keys import read_vkeys, vkey_file
from broker.gateway.pages.live import PER_SESSION
from schemas.wire import DEAD
from tests.integration.pages.addresses import every_address
from tests.kit.scene import FAR_WARD, HANOI, OTHER_WARD, WARD, Scene, csrf_of
from tests.kit.statuses import item, report

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_document_is_found_by_words_without_diacritics_by_number_and_by_id(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        for asked in (
            {"q": "ung pho bao"},
            {"q": "12/CĐ-BO"},
            {"number": "12"},
            {"recipient": FAR_WARD, "state": "refused"},
        ):
            page = await client.get("/search", params=asked)
            assert scene.path(scene.telegram) in page.text, asked
            assert scene.path(scene.inside) not in page.text, asked
        for name in (str(scene.telegram.id), scene.telegram.digest):
            led = await client.get("/search", params={"q": name}, follow_redirects=True)
            assert led.url.path == scene.path(scene.telegram)
        assert "Không tìm thấy" in (await client.get("/search", params={"q": "không có gì như vậy"})).text


async def test_what_was_found_can_be_taken_away_as_csv_and_xlsx(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        text = (await client.get("/search.csv", params={"q": "bão"})).content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == 2
        assert rows[1][-1] == str(scene.telegram.id)
        book = openpyxl.load_workbook(
            io.BytesIO((await client.get(scene.path(scene.telegram, "/deliveries.xlsx"))).content)
        )
        codes = [row[0] for row in book.active.iter_rows(min_row=2, values_only=True)]
        assert codes == sorted((HANOI, WARD, OTHER_WARD, FAR_WARD))


async def test_a_document_shows_who_signed_it_where_it_is_and_who_does_not_have_it(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        page = (await client.get(scene.path(scene.telegram))).text
        assert page.count('<li class="good"><b>') == 3, "cryptography, trust and policy are good"
        assert "do cơ quan tự giữ khóa" in page
        assert "Công điện về việc ứng phó bão số 3" in page
        assert "quá hạn" in page
        assert "22/11/" in page or "/20" in page
        english = (await client.get(scene.path(scene.telegram), headers={"Cookie": _english(client)})).text
        assert 'lang="en"' in english
        assert "The sender&#39;s signature" in english or "The sender's signature" in english
        hub = (await client.get(scene.path(scene.telegram, f"/deliveries/{FAR_WARD}"))).text
        assert "Gửi nhầm nơi nhận" in hub
        assert scene.hub.code in hub
        missing = (await client.get(scene.path(scene.telegram, "/missing?level=commune"))).text
        assert OTHER_WARD in missing
        assert f"/agencies/{WARD}" not in missing


async def test_an_agency_is_found_by_words_of_its_name_and_a_choice_is_offered_where_several_have_them(
    scene: Scene,
) -> None:
    async with scene.signed_in("auditor") as client:
        for written in ("Ba Đình", "ba dinh", "ủy ban nhân dân phường ba đình", "Ba D", WARD.lower()):
            page = await client.get("/search", params={"recipient": written})
            assert page.status_code == 200, written
            assert scene.path(scene.inside) in page.text, written
            assert scene.path(scene.outside) not in page.text, written
            assert "UBND phường Ba Đình" in page.text, "which agency that was"
        assert (await client.get("/search", params={"recipient": "Bà Đình"})).status_code == 400
        choice = await client.get("/overdue", params={"under": "phường", "level": "commune"})
        assert choice.status_code == 400
        for code in (WARD, OTHER_WARD, FAR_WARD):
            assert f'href="/overdue?level=commune&amp;under={code}"' in choice.text
        by_words = (await client.get("/search", params={"q": "ngoc ha"})).text
        assert f'href="/agencies/{OTHER_WARD}"' in by_words
    async with scene.signed_in("hanoi") as client:
        choice = await client.get("/overdue", params={"under": "phường"})
        assert OTHER_WARD in choice.text
        assert FAR_WARD not in choice.text
        assert "Bình Đức" not in choice.text
        for written in (FAR_WARD, "Bình Đức"):
            page = await client.get("/search", params={"sender": written})
            assert "UBND phường Bình Đức" not in page.text


async def test_the_file_of_recipients_has_those_that_are_shown(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        page = (await client.get(scene.path(scene.telegram), params={"to": "phuong", "state": "refused"})).text
        address = re.search(r'href="([^"]*deliveries\.csv[^"]*)"', page)
        assert address is not None
        text = (await client.get(html.unescape(address[1]))).content.decode("utf-8-sig")
        assert [row[0] for row in csv.reader(io.StringIO(text))][1:] == [FAR_WARD]


async def test_tables_of_places_and_agencies_are_ordered_by_what_is_asked(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        for path, order, first in (
            (f"/map/{HANOI}?order=", "overdue", OTHER_WARD),
            (f"/map/{HANOI}?order=", "share", OTHER_WARD),
            (f"/map/{HANOI}?order=", "nothing", HANOI),
            ("/reports?by=agency&always=1&order=", "refused", FAR_WARD),
        ):
            page = await client.get(f"{path}{order}")
            rows = page.text.partition("<tbody>")[2]
            found = re.search(r'href="/agencies/([^"]+)"', rows)
            assert found is not None
            assert found[1] == first, (path, order)
            assert ("aria-sort" in page.text) == (order != "nothing")


async def test_the_overview_says_what_its_colours_mean(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        assert "tất cả đã đến" in (await client.get("/")).text


async def test_who_has_not_received_a_document_is_told_without_repeating_the_document(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        page = (await client.get(scene.path(scene.telegram, "/missing"))).text
        assert page.count("Công điện về việc ứng phó bão số 3") == 1
        assert OTHER_WARD in page


async def test_the_map_leads_from_the_country_to_a_provinces_communes(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        country = (await client.get("/map")).text
        assert country.count('<path class="region') == 34
        assert f'href="/map/{HANOI}' in country
        assert "Hoàng Sa" in country
        assert "Trường Sa" in country
        province = (await client.get(f"/map/{HANOI}")).text
        assert province.count('<path class="region') == 126
        assert f'href="/agencies/{WARD}"' in province
        for measure in ("overdue", "volume"):
            assert (await client.get("/map", params={"measure": measure})).status_code == 200


async def test_reports_count_what_happened_and_days_are_written_as_people_write_them(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        for by in ("tier", "level", "agency", "day", "month"):
            page = await client.get("/reports", params={"by": by, "always": "1"})
            assert page.status_code == 200
            assert "<tfoot>" in page.text
        answer = await client.get("/reports.csv", params={"by": "tier", "always": "1"})
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert rows[-1][2:4] == ["3", "7"]
        bad = await client.get("/reports", params={"first": "31/02/2026"})
        assert bad.status_code == 400
        assert "31/02/2026" in bad.text


async def test_an_agencys_day_tells_what_it_sent_received_and_reported(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        page = (await client.get(f"/agencies/{HANOI}")).text
        assert scene.path(scene.inside) in page
        assert scene.path(scene.telegram) in page
        assert "01 đã đến" in page
        assert (await client.get(f"/agencies/{HANOI}?day=01/01/2020")).status_code == 200
        assert "kết nối qua" in page
        change = "UPDATE agency SET has_mailbox = $2 WHERE code = $1"
        await scene.gateway.exchange.pool.execute(change, HANOI, True)
        try:
            assert "kết nối qua" not in (await client.get(f"/agencies/{HANOI}")).text, "it has a mailbox of its own now"
        finally:
            await scene.gateway.exchange.pool.execute(change, HANOI, False)


async def test_an_action_asks_why_is_done_once_confirmed_and_is_recorded(scene: Scene) -> None:
    path = scene.path(scene.telegram, "/act/resend")
    exchange = scene.gateway.exchange
    async with scene.signed_in("operator") as client:
        asked = await client.get(path)
        assert asked.status_code == 200
        token = csrf_of(asked)
        for reason in ("", "   ", "x" * 2_001):
            refused = await client.post(path, data={"csrf": token, "reason": reason})
            assert refused.status_code == 400
            assert "lý do" in refused.text
        before = await exchange.value("SELECT count(*) FROM admin_action WHERE action = 'document.resend'")
        done = await client.post(path, data={"csrf": token, "reason": "phường báo mất", "recipients": OTHER_WARD})
        assert done.status_code == 303, done.text
        page = (await client.get(done.headers["location"])).text
        assert "Đã ghi lệnh gửi lại" in page
        assert "phường báo mất" in page
    row = await exchange.pool.fetchrow(
        "SELECT * FROM admin_action WHERE action = 'document.resend' ORDER BY action_id DESC"
    )
    assert await exchange.value("SELECT count(*) FROM admin_action WHERE action = 'document.resend'") == before + 1
    assert row["actor"].startswith("p-"), "a pseudonym"
    body = await exchange.value("SELECT body FROM event WHERE kind = 'operator_action' ORDER BY event_id DESC LIMIT 1")
    assert "phường" not in bytes(body).decode()
    assert json.loads(body)["action"] == "document.resend"


async def test_what_cannot_be_done_is_said_in_a_sentence(scene: Scene) -> None:
    async with scene.signed_in("operator") as client:
        path = scene.path(scene.inside, "/act/hold")
        answer = await client.post(path, data={"csrf": csrf_of(await client.get(path)), "reason": "tried"})
        assert answer.status_code == 400
        assert "đều đã được chuyển" in answer.text and "handed over" not in answer.text
        client.cookies.set("lt-language", "en", domain="127.0.0.1")
        english = await client.post(path, data={"csrf": csrf_of(await client.get(path)), "reason": "tried"})
        assert "have all been handed over" in english.text


async def test_quarantine_and_dead_letters_are_looked_at_and_settled(scene: Scene) -> None:
    exchange = scene.gateway.exchange
    async with scene.signed_in("operator") as client:
        listed = await client.get("/quarantine")
        assert f"/quarantine/{scene.quarantined}" in listed.text
        shown = await client.get(f"/quarantine/{scene.quarantined}")
        assert "văn bản khác" in shown.text
        path = f"/quarantine/{scene.quarantined}/settle"
        done = await client.post(path, data={"csrf": csrf_of(shown), "reason": "đã gọi cho cơ quan"})
        assert done.status_code == 303
        assert f"/quarantine/{scene.quarantined}/settle" not in (await client.get("/quarantine")).text
        letters = await client.get("/dead-letters")
        letter = letters.text.split('href="/dead-letters/')[1].split('"')[0]
        assert "nothing" in (await client.get(f"/dead-letters/{letter}")).text
        path = f"/dead-letters/{letter}/discard"
        done = await client.post(path, data={"csrf": csrf_of(await client.get(path)), "reason": "không của ai"})
        assert done.status_code == 303
    await exchange.until_depth(DEAD, 0)
    assert await exchange.value("SELECT count(*) FROM admin_action WHERE action = 'dead.discard'") == 1


async def test_a_proof_is_downloaded_once_the_log_covers_the_document(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        for rest in ("/proof", f"/deliveries/{WARD}/proof"):
            answer = await client.get(scene.path(scene.telegram, rest))
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-disposition"].startswith("attachment")
            keys = read_vkeys(vkey_file(scene.gateway.exchange.settings.log_key_file))
            checked = check(answer.content, keys=keys)
            assert checked.good, checked.faults
        log = await client.get("/log")
        note = (await client.get("/log/checkpoint")).text
        assert note.splitlines()[2] in html.unescape(log.text), "the root"
        assert (await client.get("/log/keys")).text.split()[0] in html.unescape(log.text)
    async with scene.signed_in("hanoi") as client:
        assert (await client.get(scene.path(scene.inside, "/proof"))).status_code == 200


async def test_a_subtree_takes_the_proof_of_its_part_only_where_it_is_silent_about_everybody_else(scene: Scene) -> None:
    keys = read_vkeys(vkey_file(scene.gateway.exchange.settings.log_key_file))
    async with scene.signed_in("hanoi") as client:
        for rest in ("/proof", f"/deliveries/{WARD}/proof"):
            answer = await client.get(scene.path(scene.telegram, rest))
            assert answer.status_code == 403, "one publish went to the hub of all, and its event names them all"
            assert "không thể cắt bớt" in answer.text and FAR_WARD not in answer.text
            assert f"lienthong audit prove {scene.telegram.id}" in answer.text
    async with scene.signed_in("ward") as client:
        for rest in ("/proof", f"/deliveries/{WARD}/proof"):
            answer = await client.get(scene.path(scene.inside, rest))
            assert answer.status_code == 200, answer.text
            checked = check(answer.content, keys=keys)
            assert checked.good, checked.faults
            assert FAR_WARD not in answer.text and OTHER_WARD not in answer.text
        page = await client.get(scene.path(scene.inside))
        assert f'<span class="code">{HANOI}</span>' in page.text, "the sender is named"
        assert f'href="/agencies/{HANOI}"' not in page.text, "and leads nowhere"
        province = await client.get(f"/map/{HANOI}")
        assert f'href="/agencies/{WARD}"' in province.text and f'href="/agencies/{OTHER_WARD}"' not in province.text


async def test_a_document_tells_who_looks_on_that_something_has_happened_and_the_stream_ends_with_the_session(
    scene: Scene,
) -> None:
    async with (
        scene.signed_in("auditor") as client,
        asyncio.timeout(30),
        client.stream("GET", "/live" + scene.path(scene.outside)) as stream,
    ):
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        first = await _data(lines)
        await report(scene.gateway.exchange, scene.ministry, item(scene.outside, "01", 5))
        assert await _data(lines) != first
        page = await client.get("/log")
        await client.post("/sign-out", data={"csrf": csrf_of(page)})
        ended = [line async for line in lines]
        assert "event: ended" in ended


async def test_a_session_holds_a_few_streams_and_no_more(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        streams = [client.stream("GET", "/live/home") for _ in range(PER_SESSION)]
        opened = [await stream.__aenter__() for stream in streams]
        assert [answer.status_code for answer in opened] == [200] * PER_SESSION
        assert (await client.get("/live/home")).status_code == 429
        figures = json.loads(await _data(opened[0].aiter_lines()))
        assert figures["sent"] == "3"
        for stream in streams:
            await stream.__aexit__(None, None, None)


async def test_asking_for_the_head_of_a_page_or_a_stream_tells_no_more_and_holds_nothing_open(scene: Scene) -> None:
    async with scene.signed_in("hanoi") as client:
        for _ in range(PER_SESSION + 1):
            assert (await client.head("/live/home", timeout=10)).status_code in (200, 405)
        mine, others = await client.head(scene.path(scene.inside)), await client.head(scene.path(scene.outside))
        assert (mine.status_code, others.status_code) == (200, 404)
        assert mine.content == others.content == b""
        assert (await client.head("/accounts")).status_code == 403


async def test_an_english_visitor_reads_english(scene: Scene) -> None:
    async with scene.signed_in("operator") as client:
        chosen = await client.get("/language?to=en&back=/search?q=b%C3%A3o")
        assert chosen.headers["location"] == "/search?q=bão" or chosen.headers["location"].startswith("/search?q=b")
        for path, words in (("/", "Needs attention"), ("/map", "Map of deliveries"), ("/log", "Latest checkpoint")):
            page = await client.get(path)
            assert '<html lang="en">' in page.text
            assert words in page.text or path == "/log"
        assert (await client.get("/language?to=en&back=//evil.example")).headers["location"] == "/"


HOSTILE = """="><script>alert(1)</script>{{7*7}}"""
WRITTEN = {
    "document": ("number", "notation", "type", "subject"),
    "agency": ("name",),
    "delivery": ("addressed_as",),
    "status_entry": ("reason",),
    "document_part": ("name",),
    "rejection": ("claimed_from", "amqp_user"),
    "admin_action": ("action", "target", "reason"),
    "account": ("full_name",),
    "account_record": ("target",),
}
"""What agencies, strangers and operators write, by table."""


async def test_whatever_anybody_wrote_into_a_record_is_only_text_in_pages_and_files(spoilt: Scene) -> None:
    pool = spoilt.gateway.exchange.pool
    detail = json.dumps(dict.fromkeys(("field", "found", "expected", "vi", "en"), HOSTILE))
    async with pool.acquire() as connection:
        for table, columns in WRITTEN.items():
            await connection.execute(f"UPDATE {table} SET " + ", ".join(f"{c} = $1" for c in columns), HOSTILE)
        await connection.execute("UPDATE rejection SET detail = $1", detail)
    async with spoilt.signed_in("operator") as client:
        seen = 0
        for page, path in every_address(spoilt):
            if page.method != "GET" or path.startswith("/live/"):
                continue
            answer = await client.get(path)
            assert answer.status_code < 500, path
            kind = answer.headers.get("content-type", "")
            if kind.startswith("text/html"):
                assert "<script>alert" not in answer.text, path
                assert "49" not in re.findall(r"script&gt;(\S{2})", answer.text), path
                seen += "&lt;script&gt;alert" in answer.text
            if kind.startswith("text/csv"):
                cells = [cell for row in csv.reader(io.StringIO(answer.text)) for cell in row]
                assert not [cell for cell in cells if cell.startswith("=")], path
    assert seen > 15


async def test_hostile_text_in_addresses_is_only_text(scene: Scene) -> None:
    hostile = '"><script>alert(1)</script>'
    async with scene.signed_in("operator") as client:
        for path in ("/search", "/overdue", "/map", "/reports", "/missing", scene.path(scene.telegram)):
            for name in ("q", "under", "to", "state", "measure", "by", "after"):
                answer = await client.get(path, params={name: hostile})
                assert answer.status_code in (200, 400)
                assert "<script>alert" not in answer.text


def _english(client: httpx.AsyncClient) -> str:
    return f"lt-session={client.cookies['lt-session']}; lt-language=en"


async def _data(lines: object) -> str:
    async for line in lines:  # type: ignore[attr-defined]
        if line.startswith("data:"):
            return str(line[5:].strip())
    raise AssertionError("the stream ended")


async def test_an_address_that_is_none_is_answered_with_a_page_to_people_only(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        page = await client.get("/not/here", headers={"Accept": "text/html,*/*;q=0.8"})
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "Không tìm thấy" in page.text and "default-src 'none'" in page.headers["content-security-policy"]
        program = await client.get("/not/here", headers={"Accept": "application/json"})
        assert (program.status_code, program.json()["error"]) == (404, "LT-NOT-FOUND")

"""With a gateway, what clerks read names agencies: mails, the page behind their links, and the notes of the folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters import naming
from adapters.http_names import fetching
from tests.conftest import Vhost
from tests.integration.adapters.test_with_the_real_exchange import office, settings
from tests.integration.folder.conftest import watching
from tests.integration.mail.conftest import letter, mail_table, open_mail
from tests.integration.mail.post_office import PostOffice, link_of, text_of
from tests.kit.exchange import Exchange, running_exchange
from tests.kit.gateway import running_gateway


@pytest.fixture
async def broker(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with running_exchange(vhost, migrated_database, tmp_path) as running:
        yield running


@pytest.fixture
async def post_office() -> AsyncIterator[PostOffice]:
    running = PostOffice()
    await running.start()
    yield running
    await running.stop()


async def test_mails_pages_and_notes_name_the_sender_and_whose_status_it_is(
    broker: Exchange, post_office: PostOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # How quick this machine is must not decide whether a name is there in time.
    monkeypatch.setattr(naming, "SECONDS", 60.0)
    monkeypatch.setattr(naming, "SLOW", 60.0)
    ministry, province = await broker.add("G22"), await broker.add("H53", "province")
    of_ministry, of_province = f"Cơ quan G22 ({ministry.code})", f"Cơ quan H53 ({province.code})"
    async with running_gateway(broker) as gateway:
        await gateway.refresh()

        def over_http(end: Any) -> Any:
            table = office(broker, end)
            del table["content_dir"]
            return settings(table | {"content_url": gateway.url})

        by_folder, by_mail = over_http(ministry), over_http(province)
        async with (
            watching(by_folder, tmp_path / "folder") as clerk,
            open_mail(by_mail, mail_table(post_office, province.code)) as them,
            aiohttp.ClientSession() as browser,
        ):
            clerk.drop("12-VPCP.yaml", f"số ký hiệu: 12/VPCP-TH\ntrích yếu: Thử tên\ngửi: {province.code}\n")
            clerk.drop("12-VPCP.pdf", b"%PDF-1.7\n%%EOF\n")
            (mail,) = await post_office.until(lambda: post_office.mails)
            for kind in ("plain", "html"):
                text = text_of(mail, kind)
                assert of_ministry in text and of_province in text
            assert "Cơ quan G22" not in str(mail["Subject"])
            link, _ = link_of(mail)
            async with browser.get(link) as page:
                assert of_ministry in await page.text()

            def note(where: str, name: str) -> str:
                return "".join(one.read_text("utf-8-sig") for one in (tmp_path / "folder" / where).rglob(name))

            await clerk.see(lambda: f"{of_province}  01 " in note("sent", "trang-thai.txt"))
            assert "Cơ quan" not in note("sent", "state.json"), "what programs read has codes alone"
            await them.send(letter(ministry.code, number="9"))
            came = await clerk.until("came")
            assert came.place is not None
            assert f"Cơ quan gửi / from: {of_province}" in (came.place / "van-ban.txt").read_text("utf-8-sig")
            assert "Cơ quan H53" not in came.place.name + (came.place / "info.json").read_text()
            clerk.drop(f"{came.place.name}.02", "Không thuộc thẩm quyền")
            _, refused = await post_office.until(lambda: post_office.mails[1:] and post_office.mails)
            assert f"Cơ quan {of_ministry} báo trạng thái văn bản của {of_province}." in text_of(refused)
            assert f"Cơ quan nhận: {of_ministry}" in text_of(refused)
            assert ministry.code in str(refused["Subject"]) and "Cơ quan G22" not in str(refused["Subject"])
    for one in (by_folder, by_mail):
        kept = naming.AgencyNames(one.data_dir / naming.FILE, _nobody)
        assert kept.known[ministry.code if one is by_mail else province.code].startswith("Cơ quan")


async def _nobody(code: str) -> tuple[int, bytes]:
    raise ConnectionError("offline")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"[" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}",
        b"\x00\xff not HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{",
        b"",
    ],
    ids=["elsewhere", "a page", "without end", "packed", "busy", "not HTTP", "silent in the middle", "silent"],
)
async def test_whatever_answers_in_the_gateways_place_costs_a_name_and_nothing_else(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "SECONDS", 0.5)
    ends: list[asyncio.StreamWriter] = []

    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        names = naming.AgencyNames(tmp_path / "names.json", fetching(url, None))
        assert await names.of("H01") == {} and await names.of("H02") == {}
        assert len(ends) <= 1 and not list(tmp_path.iterdir()), "asked once, then left in peace"
    finally:
        for one in ends:
            one.close()
        server.close()
        await server.wait_closed()

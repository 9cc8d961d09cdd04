"""Documents for offices that have only a mailbox: what their mail server takes, and what the exchange hears of it."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sqlite3
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest

from adapters import Agency, Part
from adapters.agency import DATABASE
from adapters.mail import queue
from adapters.settings import AgencySettings
from tests.integration.adapters.standin import HUB, MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import CLERK, letter, mail_settings, mail_table, open_mail, submit
from tests.integration.mail.post_office import PostOffice, link_of, parts_link_of, text_of


def rows(settings: AgencySettings, statement: str) -> list[Any]:
    with sqlite3.connect(settings.data_dir / DATABASE) as connection:
        return connection.execute(statement).fetchall()


async def test_a_document_goes_out_and_a_clerk_answers_it_on_the_page(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    table = mail_table(post_office, PROVINCE)
    async with Agency.open(ministry) as me, open_mail(province, table):
        sent = await me.send(letter(PROVINCE, priority=3))
        (mail,) = await post_office.until(lambda: post_office.mails)
        assert post_office.recipients == [CLERK]
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
        (attached,) = mail.iter_attachments()
        assert (attached.get_filename(), attached.get_content()) == ("12-VPCP.pdf", b"%PDF-1.7 nothing much")
        assert "Công văn về việc thử thư điện tử" in mail["Subject"] and "HỎA TỐC" in mail["Subject"]
        assert sent.id in text_of(mail) and sent.id in text_of(mail, "html")
        link, code = link_of(mail)
        status, page = await submit(browser, link, code, "receive")
        assert status == 200 and "Đã nhận" in page
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01", "03"])
        status, page = await submit_again(browser, link, code)
        assert status == 200 and "đã được trả lời" in page
    assert exchange.codes(sent.id, PROVINCE) == ["01", "03"]


async def submit_again(browser: aiohttp.ClientSession, link: str, code: str) -> tuple[int, str]:
    async with browser.post(link, data={"answer": "refuse", "reason": "x", "code": code, "nonce": "1.a"}) as page:
        return page.status, await page.text()


async def test_no_01_before_the_mail_server_has_the_mail(exchange: StandIn, post_office: PostOffice) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    post_office.answers = ["451 4.3.0 later", "die", "hang", "rcpt 450 4.2.1 busy"]
    async with Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE)):
        sent = await me.send(letter(PROVINCE))
        await post_office.until(lambda: len(post_office.seen) >= 3)
        assert exchange.codes(sent.id, PROVINCE) == []
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
        assert len(post_office.mails) == 1
    assert len({mail["Message-ID"] for mail in post_office.seen}) == 1
    # A refusal leaves no doubt; a connection that broke after the mail does, and the next mail says so.
    assert [mail["X-Lienthong-Repeated"] for mail in post_office.seen] == [None, None, "yes", "yes"]
    assert "có thể đã được gửi trước đó" in text_of(post_office.mails[0])
    assert "may have been sent once before" in text_of(post_office.mails[0], "html")


async def test_a_document_that_comes_again_brings_neither_mail_nor_01(
    exchange: StandIn, post_office: PostOffice
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    post_office.answers = ["450 not now"] * 3
    async with Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE)):
        sent = await me.send(letter(PROVINCE))
        await post_office.until(lambda: post_office.seen)
        signed = exchange.documents[MINISTRY, sent.id]
        content = {hashlib.sha256(b"%PDF-1.7 nothing much").hexdigest(): b"%PDF-1.7 nothing much"}
        for _ in range(3):
            await exchange.publish(PROVINCE, exchange.wrapped(signed, content=content))
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
        await exchange.publish(PROVINCE, exchange.wrapped(signed, content=content))
        await exchange.until(lambda: len(exchange.reported[sent.id, PROVINCE]) == 2)
    assert len(post_office.mails) == 1
    assert len(set(exchange.reported[sent.id, PROVINCE])) == 1  # one and the same signed 01


async def test_a_mailbox_that_does_not_exist_gets_no_01_and_waits_for_an_operator(
    exchange: StandIn, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    post_office.answers = ["rcpt 550 5.1.1 no such mailbox"]
    table = mail_table(post_office, PROVINCE)
    async with Agency.open(ministry) as me, open_mail(province, table) as them:
        sent = await me.send(letter(PROVINCE))
        await eventually(lambda: rows(province, "SELECT state FROM mail") == [("failed",)])
        assert rows(province, "SELECT trouble FROM mail") == [("550 5.1.1 no such mailbox",)]
        assert rows(province, "SELECT count(*) FROM mail_link") == [(0,)]
        assert "no such mailbox" in caplog.text and "mail retry" in caplog.text
        assert exchange.codes(sent.id, PROVINCE) == []
        await them.store.run(lambda connection: queue.again(connection, 1))
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
    assert len(post_office.mails) == 1


async def test_by_policy_what_the_mail_server_refuses_for_good_goes_back_with_02(
    exchange: StandIn, post_office: PostOffice
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    post_office.answers = ["552 5.3.4 too large"]
    table = mail_table(post_office, PROVINCE, on_permanent="refuse")
    async with Agency.open(ministry) as me, open_mail(province, table):
        sent = await me.send(letter(PROVINCE))
        async for status in me.statuses(idle=10):
            assert (status.document.id, status.code) == (sent.id, "02")
            assert "552 5.3.4 too large" in (status.reason or "")
            break
    assert exchange.codes(sent.id, PROVINCE) == ["02"]
    assert rows(province, "SELECT state FROM inbox") == [("refused",)]


async def test_a_hub_mails_to_each_of_its_offices_and_reports_for_each(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    communes = [f"{HUB}.{number}" for number in range(1, 4)]
    ministry, hub = await exchange.agency(MINISTRY), await exchange.agency(HUB, serves=dict.fromkeys(communes, False))
    async with Agency.open(ministry) as me, open_mail(hub, mail_table(post_office, *communes)):
        sent = await me.send(letter(*communes))
        await post_office.until(lambda: len(post_office.mails) == 3)
        for code in communes:
            await exchange.until(lambda code=code: exchange.codes(sent.id, code) == ["01"])
        assert sorted(post_office.recipients) == sorted([CLERK, "vanthu1@xa.test", "vanthu2@xa.test"])
        (second,) = [mail for mail in post_office.mails if mail["To"] == "vanthu1@xa.test"]
        assert communes[1] in text_of(second)
        status, _ = await submit(browser, *link_of(second), "refuse", reason="Gửi nhầm nơi nhận")
        assert status == 200
        await exchange.until(lambda: exchange.codes(sent.id, communes[1]) == ["01", "02"])
        async for told in me.statuses(idle=10):
            if told.code == "02":
                assert (told.agency, told.reason) == (communes[1], "Gửi nhầm nơi nhận")
                break
    assert [exchange.codes(sent.id, code) for code in communes] == [["01"], ["01", "02"], ["01"]]


async def test_what_is_too_large_for_a_mail_is_fetched_by_its_link(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    large, small = bytes(range(256)) * 2048, b"%PDF-1.7 small"
    parts = [Part.data("nhỏ.pdf", small), Part.data("bản đồ <quy hoạch>.bin", large)]
    async with (
        Agency.open(ministry) as me,
        open_mail(province, mail_table(post_office, PROVINCE, attach_mib=0.1)),
    ):
        await me.send(letter(PROVINCE, parts=parts))
        (mail,) = await post_office.until(lambda: post_office.mails)
        assert [one.get_filename() for one in mail.iter_attachments()] == ["nhỏ.pdf"]
        assert hashlib.sha256(large).hexdigest() in text_of(mail)
        link = parts_link_of(mail)
        async with browser.get(link) as page:
            text = await page.text()
            assert page.status == 200 and hashlib.sha256(large).hexdigest() in text
            assert "&lt;quy hoạch&gt;" in text and "<quy" not in text
        (url,) = re.findall(r'href="([^"]+)"', text)
        async with browser.get(urljoin(link, url)) as file:
            assert await file.read() == large
            assert file.headers["Content-Disposition"].startswith("attachment")
            assert file.headers["Content-Type"] == "application/octet-stream"
        async with browser.get(urljoin(link, url), headers={"Range": "bytes=256-511"}) as file:
            assert (file.status, await file.read()) == (206, bytes(range(256)))
        # The link of the answer opens no files, and a file's link answers nothing.
        async with browser.get(link_of(mail)[0].replace("/v/", "/p/")) as page:
            assert page.status == 404
        async with browser.post(link, data={"answer": "receive"}) as page:
            assert page.status == 405


async def test_who_recalls_is_answered_by_the_clerk(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE)):
        sent = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
        about = letter(PROVINCE, subject="Thu hồi", parts=[])
        recall = await me.recall([sent.document], "có sai sót", letter=about)
        mail = (await post_office.until(lambda: len(post_office.mails) == 2 and post_office.mails))[1]
        assert "Thu hồi" in mail["Subject"] and "có sai sót" in text_of(mail)
        status, page = await submit(browser, *link_of(mail), "agree")
        assert status == 200 and "Đã đồng ý" in page
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01", "15"])
        assert exchange.codes(recall.id, PROVINCE) == ["01", "03"]
        await me.take_back(sent.document, [PROVINCE], "gửi nhầm")
        mail = (await post_office.until(lambda: len(post_office.mails) == 3 and post_office.mails))[2]
        assert "Lấy lại" in mail["Subject"] and "gửi nhầm" in text_of(mail)
        status, _ = await submit(browser, *link_of(mail), "decline", reason="đã xử lý xong")
        assert status == 200
        await exchange.until(lambda: "16" in exchange.codes(sent.id, PROVINCE))


async def test_while_the_mail_program_rests_nothing_of_its_offices_is_lost_or_answered(
    exchange: StandIn, post_office: PostOffice
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    table = mail_table(post_office, PROVINCE)
    async with Agency.open(ministry) as me, Agency.open(mail_settings(province, table)[0]) as them:
        sent = await me.send(letter(PROVINCE))
        await eventually(lambda: rows(province, "SELECT state FROM inbox") == [("waiting",)])
        assert [one async for one in them.receive(idle=0.3)] == []
    assert exchange.codes(sent.id, PROVINCE) == []
    async with open_mail(province, table):
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])


async def test_one_document_that_cannot_be_written_stops_no_other(exchange: StandIn, post_office: PostOffice) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    table = mail_table(post_office, PROVINCE)
    async with Agency.open(ministry) as me:
        async with Agency.open(mail_settings(province, table)[0]):
            lost = await me.send(letter(PROVINCE, parts=[Part.data("a.bin", bytes(200_000))]))
            good = await me.send(letter(PROVINCE))
            await eventually(lambda: len(rows(province, "SELECT state FROM inbox")) == 2)
        (part,) = [file for file in (province.data_dir / "parts").rglob("*") if file.is_file()]
        kept = part.read_bytes()
        part.unlink()
        async with open_mail(province, table):
            await exchange.until(lambda: exchange.codes(good.id, PROVINCE) == ["01"])
            assert exchange.codes(lost.id, PROVINCE) == []
            part.write_bytes(kept)
            await exchange.until(lambda: exchange.codes(lost.id, PROVINCE) == ["01"])


async def test_a_mail_server_without_tls_is_told_nothing(
    exchange: StandIn, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    table = mail_table(post_office, PROVINCE, security="starttls")
    async with Agency.open(ministry) as me, open_mail(province, table):
        sent = await me.send(letter(PROVINCE))
        await eventually(lambda: "the mail server cannot be used" in caplog.text)
        await eventually(lambda: rows(province, "SELECT state FROM mail") == [("due",)])
        assert exchange.codes(sent.id, PROVINCE) == []
    assert post_office.seen == []


async def eventually(condition: Callable[[], Any], *, seconds: float = 120.0) -> None:
    """For facts that are only in the database."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)

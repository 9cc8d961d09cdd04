"""Documents for offices that have only a mailbox: what their mail server takes, and what the exchange hears of it."""

from __future__ import annotations

import sqlite3
from typing import Any

import aiohttp

from adapters import Agency
from adapters.agency import DATABASE
from adapters.settings import AgencySettings
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import CLERK, letter, mail_table, open_mail, submit
from tests.integration.mail.post_office import PostOffice, link_of, text_of


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

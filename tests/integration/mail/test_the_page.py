"""The page behind the link: what a clerk can do there, and what scanners, guessers and strangers cannot."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from html.parser import HTMLParser
from typing import Any

import aiohttp
import pytest

from adapters import Agency, Part
from adapters.agency import DATABASE
from adapters.mail.links import WRONG_CODES
from adapters.mail.pages import SECURITY_HEADERS
from adapters.settings import AgencySettings
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import filled_form, letter, mail_table, open_mail, submit
from tests.integration.mail.post_office import PostOffice, link_of, text_of

NASTY = "<script>alert(1)</script> \"'&amp; \u202eđảo"


def database(settings: AgencySettings) -> sqlite3.Connection:
    return sqlite3.connect(settings.data_dir / DATABASE)


def dump(settings: AgencySettings) -> list[str]:
    with database(settings) as connection:
        return [line for line in connection.iterdump() if re.match(r'INSERT INTO "(mail|inbox|status)', line)]


class Page(HTMLParser):
    """What assistive software sees of a page: tags and attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


async def test_a_scanner_that_follows_every_link_triggers_nothing(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with (
        Agency.open(ministry) as me,
        open_mail(province, mail_table(post_office, PROVINCE, attach_mib=0.05)),
    ):
        sent = await me.send(letter(PROVINCE, parts=[Part.data("lớn.bin", bytes(90_000))]))
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
        (mail,) = post_office.mails
        before = dump(province)
        urls = set(re.findall(r"https?://[^\s\"<]+", text_of(mail) + text_of(mail, "html")))
        assert len(urls) == 2
        for url in sorted(urls):
            for method in ("HEAD", "GET", "HEAD", "GET", "OPTIONS", "PUT", "DELETE"):
                async with browser.request(method, url) as page:
                    text = await page.text()
                    assert page.status == (200 if method in ("HEAD", "GET") else 405)
            for target in re.findall(r'href="([^"]+)"', text):
                async with browser.get(f"{url.partition('/thu/')[0]}{target}") as file:
                    assert file.status == 200
        assert dump(province) == before
        # One that also submits the form, with every choice, has no code and gets nowhere.
        link, code = link_of(mail)
        form = await filled_form(browser, link)
        for choice in ("receive", "refuse"):
            for guess in ("", "000000" if code != "000000" else "111111", "receive"):
                data = {**form, "answer": choice, "reason": "robot", "code": guess}
                async with browser.post(link, data=data) as page:
                    assert page.status == 422
        assert exchange.codes(sent.id, PROVINCE) == ["01"]
        status, _ = await submit(browser, link, f" {code[:3]} {code[3:]} ", "receive")
        assert status == 200
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01", "03"])


async def test_wrong_answers_are_explained_and_guessing_locks_the_link(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE)):
        sent = await me.send(letter(PROVINCE))
        (mail,) = await post_office.until(lambda: post_office.mails)
        link, code = link_of(mail)
        wrong = f"{(int(code) + 1) % 10**6:06}"
        status, page = await submit(browser, link, code, "refuse", reason="  ")
        assert status == 422 and "Phải ghi lý do" in page and 'role="alert"' in page
        status, page = await submit(browser, link, code, "agree")
        assert status == 422 and "Chưa chọn cách trả lời" in page
        async with browser.post(link, data={"answer": "receive", "code": code}) as without_nonce:
            assert without_nonce.status == 422
        async with browser.post(link, data={"answer": "receive", "code": code, "nonce": "9999999999.00"}) as forged:
            assert forged.status == 422
        status, page = await submit(browser, link, wrong, "refuse", reason=NASTY)
        assert status == 422 and "<script>" not in page and "&lt;script&gt;" in page
        # A crowd has no more guesses than one.
        form = await filled_form(browser, link)

        async def guess(one: str) -> int:
            async with browser.post(link, data={**form, "answer": "receive", "code": one}) as answer:
                return answer.status

        answers = await asyncio.gather(*(guess(wrong) for _ in range(3 * WRONG_CODES)))
        assert answers.count(422) == WRONG_CODES - 1 and set(answers) == {422, 403}
        async with browser.get(link) as locked:
            assert locked.status == 403 and "bị khóa" in await locked.text()
        with database(province) as connection:
            connection.execute("UPDATE mail_link SET wrong = 0, expires_at = ?", (time.time() - 1,))
        async with browser.get(link) as expired:
            assert expired.status == 410 and "hết hạn" in await expired.text()
        assert exchange.codes(sent.id, PROVINCE) == ["01"]


async def test_the_page_is_safe_and_accessible(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE)):
        await me.send(letter(PROVINCE, subject=NASTY))
        (mail,) = await post_office.until(lambda: post_office.mails)
        assert "<script>" not in text_of(mail, "html")
        link, code = link_of(mail)
        assert code not in link
        for url, status in ((link, 200), (link + "x", 404), (link[:-48] + "a" * 48, 404), (link[:-10] + "'", 404)):
            async with browser.get(url) as answer:
                page = await answer.text()
                assert answer.status == status
                for name, value in SECURITY_HEADERS.items():
                    assert answer.headers[name] == value
            assert "<script" not in page and "http" not in page.replace("http-equiv", "")
            seen = Page(page)
            assert ("html", {"lang": "vi"}) in seen.tags and [tag for tag, _ in seen.tags].count("h1") == 1
            labelled = {one.get("for") for tag, one in seen.tags if tag == "label"}
            for tag, one in seen.tags:
                if tag in ("textarea", "input") and one.get("type") not in ("hidden", "radio"):
                    assert one.get("id") in labelled
        assert "unsafe" not in SECURITY_HEADERS["Content-Security-Policy"]
        stored = "\n".join(dump(province))
        assert link.rpartition("/")[2] not in stored


async def test_an_address_that_asks_too_often_has_to_wait(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    province = await exchange.agency(PROVINCE)
    table = mail_table(post_office, PROVINCE, requests_per_minute=5)
    async with open_mail(province, table):
        url = f"{table['public_url']}/v/{'a' * 48}"

        async def ask(address: str) -> int:
            async with browser.get(url, headers={"X-Forwarded-For": address}) as answer:
                return answer.status

        assert [await ask("192.0.2.1") for _ in range(7)] == [404] * 5 + [429] * 2
        assert await ask("192.0.2.1, 192.0.2.2") == 404  # what the visitor wrote in front counts for nothing
        assert await ask("192.0.2.2, 192.0.2.1") == 429


async def test_a_clerk_who_answers_a_mail_in_doubt_proves_that_it_arrived(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    post_office.answers = ["die"]
    table = mail_table(post_office, PROVINCE, first_retry_seconds=60.0, last_retry_seconds=60.0)
    async with Agency.open(ministry) as me, open_mail(province, table):
        sent = await me.send(letter(PROVINCE))
        await post_office.until(lambda: post_office.seen)
        status, _ = await submit(browser, *link_of(post_office.seen[0]), "receive")
        assert status == 200
        await exchange.until(lambda: sorted(exchange.codes(sent.id, PROVINCE)) == ["01", "03"])
    with database(province) as connection:
        assert connection.execute("SELECT state, answer FROM mail").fetchall() == [("taken", "receive")]


@pytest.mark.parametrize("count", [4])
async def test_of_answers_at_the_same_moment_one_counts(
    exchange: StandIn, post_office: PostOffice, browser: aiohttp.ClientSession, count: int
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE)):
        sent = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
        link, code = link_of(post_office.mails[0])
        form = await filled_form(browser, link)

        async def post(choice: str) -> int:
            data: dict[str, Any] = {**form, "answer": choice, "code": code, "reason": "lý do"}
            async with browser.post(link, data=data) as answer:
                return answer.status

        answers = await asyncio.gather(*(post(choice) for choice in ["receive", "refuse"] * (count // 2)))
        assert answers.count(200) >= 1 and set(answers) <= {200, 409}
        await exchange.until(lambda: len(exchange.codes(sent.id, PROVINCE)) == 2)
        with database(province) as connection:
            ((answer,),) = connection.execute("SELECT answer FROM mail").fetchall()
        assert exchange.codes(sent.id, PROVINCE) == ["01", "03" if answer == "receive" else "02"]


async def test_a_broken_request_leaves_no_link_in_the_log(
    exchange: StandIn, post_office: PostOffice, caplog: pytest.LogCaptureFixture
) -> None:
    province = await exchange.agency(PROVINCE)
    table = mail_table(post_office, PROVINCE)
    caplog.set_level("DEBUG")
    async with open_mail(province, table):
        reader, writer = await asyncio.open_connection("127.0.0.1", table["page_port"])
        writer.write(b"GET /thu/p/" + b"5ec2e7" * 8 + b"\0 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
    assert "5ec2e7" not in caplog.text

"""The scripted exchange, an office's mail server, and a mail adapter between them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters import Agency, Letter, Part
from adapters.mail.run import running
from adapters.mail.settings import MailSettings, mail_from
from adapters.settings import AgencySettings
from tests.conftest import Vhost
from tests.integration.adapters.standin import StandIn
from tests.integration.mail.post_office import PostOffice, free_port

CLERK = "vanthu@xa.test"


@pytest.fixture
async def exchange(vhost: Vhost, tmp_path: Path) -> AsyncIterator[StandIn]:
    """A running stand-in of the exchange on a virtual host of its own."""
    standin = StandIn(vhost=vhost, folder=tmp_path)
    await standin.start()
    yield standin
    await standin.stop()


@pytest.fixture
async def post_office() -> AsyncIterator[PostOffice]:
    """The office's mail server."""
    office = PostOffice()
    await office.start()
    yield office
    await office.stop()


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """What a clerk, or a scanner, opens links with."""
    async with aiohttp.ClientSession() as session:
        yield session


def mail_table(post_office: PostOffice, *codes: str, **more: Any) -> dict[str, Any]:
    """The table [mail] for offices whose mailboxes are at the test's mail server."""
    port = free_port()
    return {
        "from": "lienthong@tinh.test",
        "server": "127.0.0.1",
        "port": post_office.port,
        "security": "plain",
        "timeout_seconds": 1.5,
        "first_retry_seconds": 0.1,
        "last_retry_seconds": 0.5,
        "public_url": f"http://127.0.0.1:{port}/thu",
        "page_port": port,
        "requests_per_minute": 10_000,
        "office": [
            {"code": code, "address": CLERK if not position else f"vanthu{position}@xa.test"}
            for position, code in enumerate(codes)
        ],
        **more,
    }


def mail_settings(agency: AgencySettings, table: dict[str, Any]) -> tuple[AgencySettings, MailSettings]:
    """The settings of an agency with [mail]."""
    codes = frozenset(row["code"] for row in table["office"])
    agency = replace(agency, arrive_later=codes)
    return agency, mail_from({"mail": table}, agency, folder=agency.data_dir, what="the test's settings")


@asynccontextmanager
async def open_mail(agency: AgencySettings, table: dict[str, Any]) -> AsyncIterator[Agency]:
    """An agency with its mail adapter at work."""
    settings, mail = mail_settings(agency, table)
    async with Agency.open(settings) as me, running(me, mail):
        yield me


def letter(*to: str, **more: Any) -> Letter:
    """A letter with a small part."""
    fields: dict[str, Any] = {
        "number": "12",
        "notation": "VPCP-TH",
        "subject": "Công văn về việc thử thư điện tử",
        "to": to,
        "parts": [Part.data("12-VPCP.pdf", b"%PDF-1.7 nothing much")],
    }
    return Letter(**{**fields, **more})


async def filled_form(browser: aiohttp.ClientSession, link: str) -> dict[str, str]:
    """Open the page as a clerk does; the form's hidden fields."""
    async with browser.get(link) as page:
        text = await page.text()
        assert page.status == 200, text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))


async def submit(
    browser: aiohttp.ClientSession, link: str, code: str, choice: str, *, reason: str = ""
) -> tuple[int, str]:
    """Answer as a clerk does; status and page."""
    form = await filled_form(browser, link)
    async with browser.post(link, data={**form, "answer": choice, "code": code, "reason": reason}) as page:
        return page.status, await page.text()

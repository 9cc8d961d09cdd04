"""The mail adapter ends when it is told to, also while the mail server is answering."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from adapters import Agency
from adapters.mail.queue import After
from adapters.mail.sending import CONNECTIONS
from adapters.mail.smtp import Attempt, Carrier
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import letter, mail_table, open_mail
from tests.integration.mail.post_office import PostOffice


async def test_it_ends_although_the_mail_server_answers_at_that_moment_and_more_mails_wait(
    exchange: StandIn, post_office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way = asyncio.Semaphore(0)

    async def carry(self: Carrier, **_: object) -> Attempt:
        under_way.release()
        with suppress(asyncio.CancelledError):  # as asyncio.wait_for, which aiosmtplib uses, does before Python 3.12
            await asyncio.Event().wait()
        return Attempt(after=After.TAKEN, why="250 it has been taken")

    monkeypatch.setattr(Carrier, "carry", carry)
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with asyncio.timeout(60), Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE)):
        for _ in range(2 * CONNECTIONS):
            await me.send(letter(PROVINCE))
        for _ in range(CONNECTIONS):
            await under_way.acquire()

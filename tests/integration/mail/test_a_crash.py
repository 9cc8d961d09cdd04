"""kill -9 of `lienthong-agency mail` at the worst moments: nothing is lost, and what comes twice says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters import Agency, Sent
from adapters.agency import DATABASE
from adapters.settings import AgencySettings
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import letter, mail_table
from tests.integration.mail.post_office import PostOffice, free_port, text_of
from tests.integration.mail.senders import Domain, deliver, mail_with, write_keys
from tests.integration.mail.test_mail_comes_in import edxml

OFFICE = Domain(name="xa.test")


def write_config(settings: AgencySettings, table: dict[str, Any]) -> Path:
    """An agency.toml with [mail]."""
    values = {
        "code": settings.code,
        "amqp_url": settings.amqp_url,
        "amqp_password_file": str(settings.amqp_password_file),
        "key_file": str(settings.key_file),
        "certificate_file": str(settings.certificate_file),
        "roots_dir": str(settings.roots),
        "broker_code": settings.broker_code,
        "broker_certificate_file": str(settings.broker_certificate_file),
        "content_dir": str(settings.content_dir),
        "data_dir": str(settings.data_dir),
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    plain = {name: value for name, value in table.items() if not isinstance(value, dict | list)}
    lines += ["[mail]", *(f"{name} = {json.dumps(value)}" for name, value in plain.items())]
    if "incoming" in table:
        lines += ["[mail.incoming]", *(f"{name} = {json.dumps(value)}" for name, value in table["incoming"].items())]
    for office in table["office"]:
        lines += ["[[mail.office]]", *(f"{name} = {json.dumps(value)}" for name, value in office.items())]
    path = settings.data_dir.parent / "agency.toml"
    path.write_text("\n".join(lines) + "\n")
    assert tomllib.loads(path.read_text())["mail"]
    return path


@asynccontextmanager
async def program(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`lienthong-agency mail`, once it works; killed at the end if it was not before."""
    command = Path(sys.executable).parent / "lienthong-agency"
    process = await asyncio.create_subprocess_exec(command, "mail", "-c", str(config), stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    told = b""
    while b"Working for" not in told:
        line = await asyncio.wait_for(process.stderr.readline(), 60)
        told += line
        assert line, told.decode()
    reading = asyncio.create_task(process.stderr.read())
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await reading


async def test_a_kill_at_any_moment_loses_nothing_and_a_repeated_mail_says_so(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    keys = tmp_path / "keys.toml"
    write_keys(keys, OFFICE)
    heard: dict[str, Any] = {"port": free_port(), "addresses": ["gui@tinh.test"], "dkim_keys": str(keys)}
    config = write_config(province, mail_table(post_office, PROVINCE, incoming=heard))
    file = edxml(PROVINCE, MINISTRY)
    post_office.answers = ["kill"]
    async with Agency.open(ministry) as me:
        sent = [await me.send(letter(PROVINCE, number=str(number))) for number in range(5)]
        async with program(config) as running:
            post_office.kill = lambda: os.kill(running.pid, signal.SIGKILL)
            # Taken by the mail server and killed before it could hear so.
            await running.wait()
            assert post_office.mails
        async with program(config) as running:
            coming = asyncio.create_task(deliver(heard["port"], OFFICE.sign(mail_with(("a.edxml", file)))))
            await post_office.until(lambda: len(post_office.mails) >= 3, seconds=60)
            with contextlib.suppress(ProcessLookupError):
                running.kill()  # wherever it is: in a mail of its own, or in one that comes in
            await asyncio.gather(coming, return_exceptions=True)
        async with program(config) as running:
            reply = await deliver(heard["port"], OFFICE.sign(mail_with(("a.edxml", file))))
            assert reply.startswith("250"), reply
            for one in sent:
                await exchange.until(lambda one=one: exchange.codes(one.id, PROVINCE) == ["01"], seconds=60)
            await exchange.until(lambda: [key for key in exchange.documents if key[0] == PROVINCE])
            running.send_signal(signal.SIGTERM)
            assert await running.wait() == 0
    copies = Counter(mail["Message-ID"] for mail in post_office.mails)
    assert len(copies) == 5
    first_seen: set[str] = set()
    for mail in post_office.mails:
        if mail["Message-ID"] in first_seen:
            assert mail["X-Lienthong-Repeated"] == "yes" and "có thể đã được gửi" in text_of(mail)
        first_seen.add(mail["Message-ID"])
    assert max(copies.values()) >= 2  # the kill did hit
    for document in sent:
        assert len({digest for _, digest in exchange.reported[document.id, PROVINCE]}) == 1  # one signed 01
    assert len([key for key in exchange.documents if key[0] == PROVINCE]) == 1
    with sqlite3.connect(province.data_dir / DATABASE) as connection:
        assert connection.execute("SELECT count(*) FROM mail WHERE state = 'taken'").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM mail_in").fetchone() == (1,)


@pytest.mark.long
async def test_many_kills_at_random_moments_lose_nothing(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    keys = tmp_path / "keys.toml"
    write_keys(keys, OFFICE)
    heard: dict[str, Any] = {"port": free_port(), "addresses": ["gui@tinh.test"], "dkim_keys": str(keys)}
    config = write_config(province, mail_table(post_office, PROVINCE, incoming=heard))
    # Each file has another number: the same one would be the same document.
    files = [
        edxml(PROVINCE, MINISTRY).replace(b"<edXML:CodeNumber>58<", b"<edXML:CodeNumber>%d<" % n) for n in range(8)
    ]
    chance = random.Random(20261122)
    handed_over = 0

    async def hand_over() -> None:
        """As a mail server does: the same mail again until it hears 250, then the next."""
        nonlocal handed_over
        while handed_over < len(files):
            with contextlib.suppress(OSError, AssertionError, TimeoutError):
                mail = OFFICE.sign(mail_with(("a.edxml", files[handed_over])))
                if (await deliver(heard["port"], mail)).startswith("250"):
                    handed_over += 1
            await asyncio.sleep(0.05)

    async with Agency.open(ministry) as me:
        coming = asyncio.create_task(hand_over())
        sent: list[Sent] = []
        for _ in range(8):
            post_office.answers = [chance.choice(["250 ok", "451 later", "die", "250 ok"]) for _ in range(3)]
            async with program(config) as running:
                sent += [await me.send(letter(PROVINCE, number=str(len(sent) + n))) for n in range(3)]
                await asyncio.sleep(chance.uniform(0.0, 0.6))
                running.kill()
                await running.wait()
        post_office.answers = []
        async with program(config):
            await asyncio.wait_for(coming, 60)
            for one in sent:
                await exchange.until(lambda one=one: exchange.codes(one.id, PROVINCE) == ["01"], seconds=60)
            await exchange.until(lambda: len([key for key in exchange.documents if key[0] == PROVINCE]) == len(files))
    copies = Counter(mail["Message-ID"] for mail in post_office.mails)
    assert len(copies) == len(sent)
    assert all(len({digest for _, digest in exchange.reported[one.id, PROVINCE]}) == 1 for one in sent)
    first_seen: set[str] = set()
    for mail in post_office.mails:
        assert mail["Message-ID"] not in first_seen or mail["X-Lienthong-Repeated"] == "yes"
        first_seen.add(mail["Message-ID"])
    with sqlite3.connect(province.data_dir / DATABASE) as connection:
        assert connection.execute("SELECT count(*) FROM mail_in").fetchone() == (len(files),)
        assert connection.execute("SELECT count(*) FROM outbox WHERE kind = 'document'").fetchone() == (len(files),)
    print(f"{len(post_office.mails)} mails of {len(sent)} documents after 8 kills")

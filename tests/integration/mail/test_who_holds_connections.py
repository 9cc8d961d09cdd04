"""Nobody holds the mail adapter's servers: connections that stay silent, trickle, or take nothing are ended."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from adapters import Agency, Part
from adapters.mail import listener, server, visitors
from adapters.mail.visitors import Visitors
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import filled_form, letter, mail_table, open_mail
from tests.integration.mail.post_office import PostOffice, certified, link_of, parts_link_of
from tests.integration.mail.senders import Wire, deliver, mail_with
from tests.integration.mail.test_mail_comes_in import OFFICE, edxml, incoming

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(port: int, said: bytes = b"", *, tls: ssl.SSLContext | None = None, to: str = "") -> Connection:
    """A connection on which this is said."""
    reader, writer = await asyncio.open_connection(to or "127.0.0.1", port, ssl=tls)
    writer.write(said)
    return reader, writer


async def ended(connection: Connection) -> bytes:
    """Wait until the other end has closed; what it said before."""
    reader, writer = connection
    heard = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(20):
            while some := await reader.read(4096):
                heard += some
    writer.close()
    return heard


@pytest.mark.parametrize("tls", [False, True])
async def test_a_page_connection_that_says_too_little_is_ended_and_the_clerk_is_served(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    for name in ("HANDSHAKE_SECONDS", "IDLE_SECONDS", "FORM_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(server, name, 0.5)
    monkeypatch.setattr(server, "CONNECTIONS", 6)
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    table, context = mail_table(post_office, PROVINCE), None
    if tls:
        certified(tmp_path)
        files = {"page_certificate_file": "mail-roots.pem", "page_key_file": "mail.key"}
        table |= {name: str(tmp_path / file) for name, file in files.items()}
        table["public_url"] = f"https://localhost:{table['page_port']}/thu"
        context = ssl.create_default_context(cafile=str(tmp_path / "mail-roots.pem"))
    port, place = table["page_port"], "localhost" if tls else ""
    connector = aiohttp.TCPConnector(ssl=context or True)
    async with (
        Agency.open(ministry) as me,
        open_mail(province, table),
        aiohttp.ClientSession(connector=connector) as web,
    ):
        await me.send(letter(PROVINCE))
        (mail,) = await post_office.until(lambda: post_office.mails)
        link, code = link_of(mail)
        form = await filled_form(web, link)
        path = link.partition(str(port))[2].encode()
        crowd = [
            await connected(port, said, tls=context, to=place)
            for said in (
                b"",
                b"GET /thu",
                b"GET /thu HTTP/1.1\r\nHost: x\r\n\r\n",  # and then nothing more
                b"GET /thu HTTP/1.1\r\nHost: x\r\n\r\nGET /th",
                b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                b"Content-Length: 99\r\n\r\na",
            )
        ]
        one_more = await connected(port, b"GET /thu HTTP/1.1\r\nHost: x\r\n\r\n", tls=context, to=place)
        assert (await ended(one_more)).startswith(b"HTTP/1.1 503")  # the clerk's own connection is the sixth
        told = [await ended(one) for one in crowd]
        assert told[0] == told[1] == b"" and b" 404 " in told[2] and b" 404 " in told[3] and b" 408 " in told[4]
        if tls:
            assert await ended(await connected(port)) == b""  # no TLS at all
        async with web.post(link, data={**form, "answer": "receive", "code": code}) as page:
            assert page.status == 200


async def test_a_clerk_who_does_not_take_a_part_holds_no_connection(
    exchange: StandIn, post_office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visitors, "UNTAKEN_MILLISECONDS", 500)
    monkeypatch.setattr(server, "CONNECTIONS", 1)
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    table = mail_table(post_office, PROVINCE, attach_mib=0.001)
    async with Agency.open(ministry) as me, open_mail(province, table):
        await me.send(letter(PROVINCE, parts=[Part.data("a.pdf", bytes(30 << 20))]))
        (mail,) = await post_office.until(lambda: post_office.mails)
        async with aiohttp.ClientSession() as web, web.get(parts_link_of(mail)) as page:
            assert page.status == 200
            part = (await page.text()).partition('href="')[2].partition('"')[0]
        look = b"HEAD /thu HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", table["page_port"])) as client:
            client.sendall(f"GET {part} HTTP/1.1\r\nHost: x\r\n\r\n".encode())  # and never reads
            async with asyncio.timeout(60):
                while b" 404 " not in await ended(await connected(table["page_port"], look)):
                    await asyncio.sleep(0.1)


async def test_mail_clients_that_stay_make_room(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "STRANGER_SECONDS", 0.6)
    monkeypatch.setattr(listener, "LOOK_SECONDS", 0.6)
    ministry = await exchange.agency(MINISTRY)
    heard = incoming(tmp_path, connections=4, connections_each=4)
    begun = b"LHLO x\r\nMAIL FROM:<vanthu@xa.test>\r\nRCPT TO:<gui@tinh.test>\r\nDATA\r\n"
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        crowd = [
            await connected(heard["port"], said)
            for said in (b"", b"LHLO x\r\n", b"LHLO x\r\nMAIL FROM:<ai@evil.test>\r\n", begun + b"Subject: ...")
        ]
        assert (await ended(await connected(heard["port"]))).startswith(b"421 4.7.0")
        mail = OFFICE.sign(mail_with(("a.edxml", edxml(MINISTRY, PROVINCE))))
        told = [await ended(one) for one in crowd]
        assert b"354" in told[3] and b"550 5.7.1" in told[2]
        async with Wire(heard["port"]) as wire:  # who may send may stay, and does not lose his place
            assert (await wire.mail(mail)).startswith("250")
            await asyncio.sleep(1.5)
            assert (await wire.mail(mail)).startswith("250")


async def test_a_mail_that_keeps_coming_may_take_its_time_and_a_session_may_not(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "STRANGER_SECONDS", 0.2)
    monkeypatch.setattr(listener, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(listener, "LEAST_DATA", 100)
    monkeypatch.setattr(listener, "SESSION_SECONDS", 1.0)
    ministry = await exchange.agency(MINISTRY)
    heard = incoming(tmp_path, connections=1)
    mail = OFFICE.sign(mail_with(("a.edxml", edxml(MINISTRY, PROVINCE))))
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        reader, writer = await connected(
            heard["port"], b"LHLO x\r\nMAIL FROM:<vanthu@xa.test>\r\nRCPT TO:<gui@tinh.test>\r\nDATA\r\n"
        )
        async with asyncio.timeout(30):
            await reader.readuntil(b"354 ")
            for start in range(0, len(mail), len(mail) // 15):
                writer.write(mail[start : start + len(mail) // 15])
                await asyncio.sleep(0.1)
            writer.write(b".\r\n")
            await reader.readuntil(b"250 2.0.0")
        assert await ended((reader, writer)) is not None
        assert (await deliver(heard["port"], mail)).startswith("250")


async def test_one_address_does_not_take_all_connections(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    ministry = await exchange.agency(MINISTRY)
    heard = incoming(tmp_path, connections=4, connections_each=2)
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        crowd = [await connected(heard["port"]) for _ in range(2)]
        for reader, _ in crowd:
            assert (await reader.readline()).startswith(b"220")
        assert (await ended(await connected(heard["port"]))).startswith(b"421 4.7.0")
        reader, writer = await asyncio.open_connection("127.0.0.1", heard["port"], local_addr=("127.0.0.2", 0))
        assert (await reader.readline()).startswith(b"220")
        for one in (writer, *(writer for _, writer in crowd)):
            one.close()


async def test_commands_without_end_and_a_tls_never_agreed_on_make_room(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "STRANGER_SECONDS", 0.6)
    ministry = await exchange.agency(MINISTRY)
    certified(tmp_path)
    files = {"certificate_file": str(tmp_path / "mail-roots.pem"), "key_file": str(tmp_path / "mail.key")}
    heard = incoming(tmp_path, protocol="smtp", connections=1, **files)
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        assert b"421 4.7.0 NOOP" in await ended(await connected(heard["port"], b"EHLO x\r\n" + b"NOOP\r\n" * 100))
        for said in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
            reader, writer = await connected(heard["port"], b"EHLO x\r\nSTARTTLS\r\n")
            async with asyncio.timeout(20):
                await reader.readuntil(b"220 Ready to start TLS\r\n")
            writer.write(said)
            await ended((reader, writer))
        async with Wire(heard["port"], lmtp=False) as wire:
            assert "STARTTLS" in wire.replies[-1]


def test_addresses_of_one_household_count_as_one() -> None:
    here = Visitors(together=5, each=2, without_limit={"127.0.0.1"})

    class At:
        def __init__(self, address: str) -> None:
            self.address = address

        def get_extra_info(self, name: str) -> object:
            return (self.address, 1234, 0, 0) if name == "peername" else None

    def enter(address: str) -> str | None:
        return here.enter(At(address))  # type: ignore[arg-type]

    assert enter("2001:db8:1:2::1") and enter("2001:db8:1:2:ffff::9%eth0")
    assert enter("2001:db8:1:2::3") is None
    assert enter("2001:db8:1:3::3") is not None
    assert [bool(enter("127.0.0.1")) for _ in range(3)] == [True, True, False]  # five altogether
    here.leave("2001:db8:1:2::/64")
    assert enter("2001:db8:1:2::3") == "2001:db8:1:2::/64"

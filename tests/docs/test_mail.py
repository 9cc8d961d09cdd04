"""docs/connect/mail.md, with an office's mail server that wants STARTTLS and a password, and a clerk."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.docs.world import World
from tests.integration.mail.conftest import submit
from tests.integration.mail.post_office import PostOffice, certified, free_port, link_of
from tests.integration.mail.senders import Domain, deliver, mail_with
from tests.integration.mail.test_mail_comes_in import bounce, edxml

PASSWORD = LoginPassword(b"lienthong", b"a password")


MAILBOX = "vanthu@xa.gov.vn"


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data == PASSWORD)


@dataclass
class Clerk:
    """What the clerk, and the office's own mail server, do between the lines of the page; asked by the script `clerk`.

    It works in this process: a program of its own for each of its deeds would take longer than the page.
    """

    root: Path
    office: PostOffice
    domain: Domain
    lmtp: int
    names: dict[str, str]
    port: int = field(default_factory=free_port)

    async def start(self) -> asyncio.Server:
        script = self.root / "clerk"
        told = (
            f'exec 3<>/dev/tcp/127.0.0.1/{self.port}; echo "$*" >&3; read -r said <&3; echo "$said"; [ "$said" = ok ]'
        )
        script.write_text(f"#!/bin/bash\n{told}\n")
        script.chmod(0o755)
        return await asyncio.start_server(self._hear, "127.0.0.1", self.port)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = (await reader.readline()).decode().split()
        try:
            await self._do(words)
            said = "ok"
        except Exception as why:
            said = f"{words}: {why!r}"
        writer.write(f"{said}\n".encode())
        await writer.drain()
        writer.close()

    async def _do(self, words: list[str]) -> None:
        match words:
            case ["answer", choice]:
                async with aiohttp.ClientSession() as browser:
                    status, page = await submit(browser, *link_of(self.office.mails[-1]), choice)
                assert status == 200, page
            case ["send"]:
                file = ("van-ban.edxml", edxml(self.names["H53"], self.names["G22"]))
                await self._hand_over(self.domain.sign(mail_with(file, from_=MAILBOX, to="gui@tinh.gov.vn")), MAILBOX)
            case ["refuse-next"]:
                self.office.answers.append("rcpt 550 5.1.1 Khong co hop thu nay")
            case ["bounce"]:
                await self._hand_over(bounce(self.office.mails[-1]["Message-ID"], "failed"), "")
            case ["until", state]:
                async with asyncio.timeout(30):
                    while self._newest() != state:
                        await asyncio.sleep(0.05)
            case _:
                raise AssertionError("the clerk does not know how to")

    async def _hand_over(self, mail: bytes, sender: str) -> None:
        reply = await deliver(self.lmtp, mail, sender=sender, to="gui@tinh.gov.vn")
        assert reply.startswith("250 "), reply

    def _newest(self) -> str | None:
        with sqlite3.connect(self.root / "H53" / "data" / "agency.sqlite3") as connection:
            row = connection.execute("SELECT state FROM mail ORDER BY no DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])


async def test_the_page_runs(world: World) -> None:
    folder = world.root / "H53"
    (folder / "mail.password").write_text(PASSWORD.password.decode() + "\n")
    office = PostOffice(
        options={
            "tls_context": certified(folder),
            "require_starttls": True,
            "auth_required": True,
            "authenticator": authenticate,
        },
    )
    await office.start()
    page, lmtp = free_port(), free_port()
    domain = Domain(name="xa.gov.vn")
    clerk = Clerk(root=world.root, office=office, domain=domain, lmtp=lmtp, names=dict(world.names))
    listening = await clerk.start()
    world.names |= {
        "mail.tinh.gov.vn": "localhost",
        "587": str(office.port),
        "https://lienthong.tinh.gov.vn/thu": f"http://127.0.0.1:{page}/thu",
        "8652": str(page),
        "8624": str(lmtp),
        "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOC": domain.record,
    }
    world.further |= {"CLERK": str(world.root / "clerk"), "MINISTRY": str(world.folder)}
    try:
        await world.run_page("mail")
        # The first document; the second one after `mail retry`; what came of it, by hand, is in the page.
        assert [one["To"] for one in office.mails] == [MAILBOX] * 2
    finally:
        listening.close()
        await office.stop()

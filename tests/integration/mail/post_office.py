"""A real mail server on a free port of this machine, which does as it is told; and a clerk who reads its mails."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def free_port() -> int:
    """A port on which nothing listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certified(folder: Path) -> ssl.SSLContext:
    """A certificate of its own for localhost: `mail-roots.pem`, which is also the file of roots, and `mail.key`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    (folder / "mail-roots.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "mail.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "mail-roots.pem", folder / "mail.key")
    return context


@dataclass
class PostOffice:
    """`answers` are taken one by one, first in first out; when there are none left every mail is taken.

    An answer is an SMTP reply such as "451 later"; "die" closes the connection after DATA without a word; "hang" never
    answers; "rcpt 550 …" answers at RCPT; "kill" takes the mail, and kills the client before it hears so.
    """

    port: int = field(default_factory=free_port)
    answers: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    # Everything that came through DATA, taken or not.
    seen: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    # Further arguments of aiosmtpd's SMTP: certificates, passwords.
    options: dict[str, Any] = field(default_factory=dict)
    # Mails that were taken are also put here, for programs that read them.
    folder: Path | None = None
    kill: Callable[[], None] = lambda: None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="mail.test", loop=loop, data_size_limit=50_000_000, **self.options),
            "127.0.0.1",
            self.port,
        )

    async def stop(self) -> None:
        self._server.close()

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if self.answers and self.answers[0].startswith("rcpt "):
            return self.answers.pop(0).removeprefix("rcpt ")
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.seen.append(mail)
        self.raw.append(content)
        try:
            answer = self.answers.pop(0) if self.answers else "250 taken"
            if answer == "die":
                assert isinstance(server.transport, asyncio.Transport)
                server.transport.abort()
                return "451 nobody reads this"
            if answer == "hang":
                await asyncio.sleep(3600)
            if answer.startswith("250") or answer == "kill":
                self.recipients += envelope.rcpt_tos
                self.mails.append(mail)
                if self.folder is not None:
                    (self.folder / f"{len(self.mails)}.eml").write_bytes(content)
            if answer == "kill":
                self.kill()
                return "250 nobody reads this"
            return answer
        finally:
            self.changed.set()
            self.changed = asyncio.Event()

    async def until(self, condition: Callable[[], Any], *, seconds: float = 120.0) -> Any:
        """Wait until what the server has seen makes `condition()` true."""
        async with asyncio.timeout(seconds):
            while not (found := condition()):
                try:
                    await asyncio.wait_for(self.changed.wait(), 0.1)
                except TimeoutError:
                    continue
            return found


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The text of a mail."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def link_of(mail: EmailMessage) -> tuple[str, str]:
    """The answering link of a mail and its confirmation code."""
    text = text_of(mail)
    link = re.search(r"^  (http\S+/v/\S+)$", text, re.MULTILINE)
    code = re.search(r"Mã xác nhận: (\d{6})$", text, re.MULTILINE)
    assert link and code, text
    return link[1], code[1]


def parts_link_of(mail: EmailMessage) -> str:
    """The link of the larger parts."""
    link = re.search(r"(http\S+/p/\S+)$", text_of(mail), re.MULTILINE)
    assert link, text_of(mail)
    return link[1]

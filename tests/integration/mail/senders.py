"""Mail servers of offices, as the listener meets them: they sign with DKIM keys made for the run, or forge."""

from __future__ import annotations

import asyncio
import base64
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache
from pathlib import Path

import dkim

# What mail servers sign by default, as far as our mails have it.
SIGNED = (b"from", b"to", b"subject", b"date", b"mime-version", b"content-type", b"content-transfer-encoding")


@cache
def rsa_key(name: str, bits: int) -> tuple[bytes, bytes]:
    """A private key (PEM) and its public one (DER) for the run, made once for each name; by openssl, which also makes
    keys that are too short."""
    made = subprocess.run(["openssl", "genrsa", "-traditional", str(bits)], check=True, capture_output=True).stdout
    public = ["openssl", "rsa", "-pubout", "-outform", "DER"]
    return made, subprocess.run(public, input=made, check=True, capture_output=True).stdout


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A domain with a DKIM key."""

    name: str
    selector: str = "s1"
    bits: int = 2048
    flags: str = ""

    @property
    def record(self) -> str:
        _, der = rsa_key(self.name, self.bits)
        return f"v=DKIM1; k=rsa;{self.flags} p={base64.b64encode(der).decode()}"

    def sign(
        self, mail: bytes, *, fields: Sequence[bytes] = SIGNED, length: bool = False, algorithm: str = "rsa-sha256"
    ) -> bytes:
        """The mail with a DKIM signature in front."""
        pem, _ = rsa_key(self.name, self.bits)
        present = mail.partition(b"\r\n\r\n")[0].lower()
        signature: bytes = dkim.sign(
            mail,
            self.selector.encode(),
            self.name.encode(),
            pem,
            include_headers=[one for one in fields if b"\r\n" + one + b":" in b"\r\n" + present],
            length=length,
            signature_algorithm=algorithm.encode(),
        )
        return signature + mail


def write_keys(path: Path, *domains: Domain) -> None:
    """The file of keys that the listener reads instead of DNS."""
    path.write_text("".join(f'"{one.selector}._domainkey.{one.name}" = "{one.record}"\n' for one in domains))


def mail_with(
    *files: tuple[str, bytes],
    from_: str = "vanthu@xa.test",
    to: str = "gui@tinh.test",
    subject: str = "Gửi văn bản",
    **headers: str,
) -> bytes:
    """A mail with attachments, as a mail program makes it; header names are written with _ for -."""
    message = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    message["From"] = from_
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = "Mon, 02 Mar 2026 15:04:05 +0700"
    message["Message-ID"] = "<1@xa.test>"
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Kính gửi.\n")
    for name, data in files:
        message.add_attachment(data, maintype="application", subtype="xml", filename=name)
    return message.as_bytes()


@dataclass
class Wire:
    """An SMTP client that says exactly what it is told."""

    port: int
    lmtp: bool = True
    replies: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Wire:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port)
        await self.reply()
        await self.say(b"LHLO mx.xa.test" if self.lmtp else b"EHLO mx.xa.test")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def reply(self) -> str:
        """The server's next answer, all its lines."""
        lines = []
        while line := (await asyncio.wait_for(self._reader.readline(), 20)).decode():
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                break
        self.replies.append("\n".join(lines))
        return self.replies[-1]

    async def say(self, line: bytes) -> str:
        """Say a line and hear the answer."""
        self._writer.write(line + b"\r\n")
        return await self.reply()

    async def mail(self, data: bytes, *, sender: str = "vanthu@xa.test", to: str = "gui@tinh.test") -> str:
        """Hand over a mail; the last answer, whichever it was."""
        for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{to}>", "DATA"):
            answer = await self.say(line.encode())
            if answer[:1] not in "23":
                await self.say(b"RSET")
                return answer
        stuffed = (
            b"".join(b"." + line if line.startswith(b".") else line for line in data.splitlines(keepends=True))
            if b"\r" in data
            else data
        )
        self._writer.write(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return await self.reply()


async def deliver(
    port: int, data: bytes, *, sender: str = "vanthu@xa.test", to: str = "gui@tinh.test", lmtp: bool = True
) -> str:
    """One mail over a connection of its own; the server's answer."""
    async with Wire(port, lmtp=lmtp) as wire:
        return await wire.mail(data, sender=sender, to=to)

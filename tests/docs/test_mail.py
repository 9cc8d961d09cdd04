"""docs/connect/mail.md, with an office's mail server that wants STARTTLS and a password, and a clerk."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.conftest import REPOSITORY
from tests.docs.world import World
from tests.integration.mail.post_office import PostOffice, free_port
from tests.integration.mail.senders import Domain, rsa_key

PASSWORD = LoginPassword(b"lienthong", b"a password")


class Office(PostOffice):
    """A mail server that refuses the next mail when a file says so."""

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        assert self.folder is not None
        told = self.folder.parent / "refuse"
        if told.exists():
            self.answers.append(told.read_text())
            told.unlink()
        return await super().handle_RCPT(server, session, envelope, address, options)


def certified(folder: Path) -> ssl.SSLContext:
    """A certificate of its own for localhost, and its file of roots."""
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


def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data == PASSWORD)


async def test_the_page_runs(world: World) -> None:
    folder = world.root / "H53"
    (folder / "mail.password").write_text(PASSWORD.password.decode() + "\n")
    (world.root / "mailbox").mkdir()
    office = Office(
        folder=world.root / "mailbox",
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
    world.names |= {
        "mail.tinh.gov.vn": "localhost",
        "587": str(office.port),
        "https://lienthong.tinh.gov.vn/thu": f"http://127.0.0.1:{page}/thu",
        "8652": str(page),
        "8624": str(lmtp),
        "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOC": domain.record,
    }
    (world.root / "dkim.pem").write_bytes(rsa_key(domain.name, domain.bits)[0])
    world.further |= {"OFFICE": str(folder), "MINISTRY": str(world.folder)}
    known = {"repository": str(REPOSITORY), "lmtp": lmtp, "H53": world.names["H53"], "G22": world.names["G22"]}
    (world.root / "clerk.json").write_text(json.dumps(known))
    (world.root / "clerk.py").write_text((REPOSITORY / "tests" / "docs" / "clerk.py").read_text())
    try:
        await world.run_page("mail")
        # What the page says of the second mail: refused, sent again, bounced, returned.
        assert [one["To"] for one in office.mails] == ["vanthu@xa.gov.vn"] * len(office.mails) and office.mails
    finally:
        await office.stop()

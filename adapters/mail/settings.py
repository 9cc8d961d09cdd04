"""The tables [mail], [mail.incoming] and [[mail.office]] of agency.toml, checked at the door.

May not open connections. The mail server's password comes from a file or from the environment.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adapters.settings import AgencySettings, Reader, read_file, read_table
from schemas.problem import Problem

PASSWORD_VARIABLE = "LIENTHONG_AGENCY_MAIL_PASSWORD"  # noqa: S105 - the name of a variable, not a secret
MIB = 1024 * 1024
DAY = 86_400.0
# Plain addresses only: whatever needs quoting in a header or an SMTP command is refused here and in what comes.
ADDRESS = re.compile(r"[A-Za-z0-9._+=/~'-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*")
SECURITY = ("tls", "starttls", "plain")
ON_PERMANENT = ("hold", "retry", "refuse")


@dataclass(frozen=True, kw_only=True, slots=True)
class Office:
    """An agency whose system is a mailbox."""

    code: str
    # Its official mailbox: where documents go, and by default the only address that may send.
    address: str
    # Addresses, lower-case, that may send in its name; envelope and From must both be among them.
    senders: frozenset[str]
    # Domains whose DKIM signature counts; by default the domain of the From address itself.
    dkim_domains: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """The mail server that takes our mails."""

    host: str
    port: int
    security: str
    user: str | None
    password_file: Path | None
    # Roots to trust instead of the machine's own.
    ca_file: Path | None
    # Waiting for one answer of the mail server.
    timeout_seconds: float
    first_retry_seconds: float
    last_retry_seconds: float
    # What a permanent refusal (5xx) makes of a mail.
    on_permanent: str

    def password(self) -> str | None:
        """The password of `user`; None without a user. Raises Problem if there is none to be had."""
        if self.user is None:
            return None
        if given := os.environ.get(PASSWORD_VARIABLE):
            return given
        if self.password_file is None:
            raise Problem(
                "no password for the mail server",
                f"password_file in [mail], or the variable {PASSWORD_VARIABLE}",
                "Write the password into a file readable by this user only and name it",
            )
        return read_file(self.password_file, what="the mail server's password").decode("utf-8").strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The small server behind the links."""

    public_url: str
    host: str
    port: int
    certificate_file: Path | None
    key_file: Path | None
    # Reverse proxies whose X-Forwarded-For is believed.
    trusted_proxies: frozenset[str]
    link_seconds: float
    # Requests that one address may make in a minute.
    per_minute: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Listener:
    """Where mails come in."""

    protocol: str
    host: str
    port: int
    # The addresses that this program takes mail for.
    addresses: frozenset[str]
    max_bytes: int
    certificate_file: Path | None
    key_file: Path | None
    # A TOML file of DKIM keys, used instead of DNS.
    dkim_keys: Path | None
    # DNS servers to ask for DKIM keys; none: those of the machine.
    dns_servers: tuple[tuple[str, int], ...]
    # Between two commands, and for a whole mail.
    timeout_seconds: float
    # At a time, altogether and from one address.
    connections: int
    connections_each: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MailSettings:
    """Everything about mail."""

    # Our own address: From and envelope of what goes out; bounces come back to it.
    sender: str
    sender_name: str
    offices: Mapping[str, Office]
    outgoing: Outgoing
    page: Page
    listener: Listener | None
    # Bytes of parts in one mail, before base64; what is more goes behind a link.
    attach_bytes: int
    # Statuses about documents that an office sent which are told to it by mail.
    tell_statuses: frozenset[str]


def load_mail(path: Path, agency: AgencySettings) -> MailSettings:
    """The mail tables of `agency.toml`. Raises Problem that names the field."""
    return mail_from(read_table(path), agency, folder=path.resolve().parent, what=str(path))


def mail_from(table: Mapping[str, Any], agency: AgencySettings, *, folder: Path, what: str) -> MailSettings:
    """The mail tables of a table as in `agency.toml`. Raises Problem."""
    if "mail" not in table:
        raise Problem(f"{what}: no [mail]", "the settings of the mail adapter", "Add [mail]; see docs/connect/mail.md")
    mail = Reader(table, folder=folder, what=what).table("mail")
    settings = MailSettings(
        sender=_address(mail, "from"),
        sender_name=mail.text("from_name", "Liên thông văn bản"),
        offices=_offices(mail, agency),
        outgoing=_outgoing(mail),
        page=_page(mail),
        listener=_listener(mail.table("incoming")) if "incoming" in table["mail"] else None,
        attach_bytes=int(mail.number("attach_mib", 10.0) * MIB),
        tell_statuses=frozenset(mail.texts("tell_statuses", ("02", "16"))),
    )
    mail.table("incoming")  # asked for only where it is
    mail.nothing_else()
    return settings


def _offices(mail: Reader, agency: AgencySettings) -> dict[str, Office]:
    found: dict[str, Office] = {}
    senders: dict[str, str] = {}
    for row in mail.rows("office"):
        code, address = row.code("code"), _address(row, "address")
        if code not in agency.codes or code in found:
            raise row.problem("code", repr(code), f"one of {', '.join(sorted(agency.codes))}, each at most once")
        office = Office(
            code=code,
            address=address,
            senders=frozenset(_checked(row, "senders", one).lower() for one in row.texts("senders", (address,))),
            dkim_domains=frozenset(one.lower() for one in row.texts("dkim_domains")),
        )
        for sender in office.senders:
            if senders.setdefault(sender, code) != code:
                raise row.problem("senders", sender, f"an address of one office; {senders[sender]} has it too")
        found[code] = office
        row.nothing_else()
    if not found:
        raise mail.problem("office", "missing", "one [[mail.office]] at least")
    return found


def _outgoing(mail: Reader) -> Outgoing:
    security = mail.one_of("security", SECURITY, "starttls")
    host = mail.text("server")
    if security == "plain" and not is_loopback(host):
        raise mail.problem("security", f'"plain" to {host}', '"starttls" or "tls"; "plain" only to this machine itself')
    return Outgoing(
        host=host,
        port=mail.port("port", {"tls": 465, "starttls": 587, "plain": 25}[security]),
        security=security,
        user=mail.optional_text("user"),
        password_file=mail.optional_path("password_file"),
        ca_file=mail.optional_path("ca_file"),
        timeout_seconds=mail.number("timeout_seconds", 60.0),
        first_retry_seconds=mail.number("first_retry_seconds", 30.0),
        last_retry_seconds=mail.number("last_retry_seconds", 3600.0),
        on_permanent=mail.one_of("on_permanent", ON_PERMANENT, "hold"),
    )


def _page(mail: Reader) -> Page:
    url = mail.text("public_url").rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise mail.problem("public_url", repr(url), "an address such as https://lienthong.tinh.gov.vn/thu")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise mail.problem("public_url", repr(url), "https; http only to this machine itself")
    host = mail.text("page_host", "127.0.0.1")
    certificate, key = _tls(mail, "page_certificate_file", "page_key_file")
    if certificate is None and not is_loopback(host):
        raise mail.problem("page_host", repr(host), "127.0.0.1 behind a reverse proxy, or page_certificate_file")
    return Page(
        public_url=url,
        host=host,
        port=mail.port("page_port", 8652),
        certificate_file=certificate,
        key_file=key,
        trusted_proxies=frozenset(mail.texts("trusted_proxies", ("127.0.0.1", "::1"))),
        link_seconds=mail.number("link_days", 30.0) * DAY,
        per_minute=mail.count("requests_per_minute", 60),
    )


def _listener(table: Reader) -> Listener:
    host = table.text("host", "127.0.0.1")
    certificate, key = _tls(table, "certificate_file", "key_file")
    if certificate is None and not is_loopback(host):
        raise table.problem("host", repr(host), "127.0.0.1 behind the mail server, or certificate_file for STARTTLS")
    connections = table.count("connections", 10)
    addresses = table.texts("addresses")
    if not addresses:
        raise table.problem("addresses", "missing", "the addresses that mail is taken for")
    listener = Listener(
        protocol=table.one_of("protocol", ("lmtp", "smtp"), "lmtp"),
        host=host,
        port=table.port("port", 8624),
        addresses=frozenset(_checked(table, "addresses", one).lower() for one in addresses),
        max_bytes=int(table.number("max_mib", 40.0) * MIB),
        certificate_file=certificate,
        key_file=key,
        dkim_keys=table.optional_path("dkim_keys"),
        dns_servers=tuple(_dns_server(table, one) for one in table.texts("dns_servers")),
        timeout_seconds=table.number("timeout_seconds", 300.0),
        connections=connections,
        # On this machine itself there is one client, its mail server; from elsewhere nobody may take all.
        connections_each=table.count("connections_each", connections if is_loopback(host) else (connections + 1) // 2),
    )
    table.nothing_else()
    return listener


def _dns_server(table: Reader, text: str) -> tuple[str, int]:
    """`10.0.0.53`, `10.0.0.53:5353` or `[2001:db8::53]:53`."""
    host, _, port = text.rpartition(":") if text.count(":") == 1 or "]:" in text else (text, "", "53")
    host = host.strip("[]")
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise table.problem("dns_servers", repr(text), "addresses of DNS servers such as 10.0.0.53 or 10.0.0.53:5353")
    return host, number


def _tls(table: Reader, certificate: str, key: str) -> tuple[Path | None, Path | None]:
    files = table.optional_path(certificate), table.optional_path(key)
    if (files[0] is None) != (files[1] is None):
        raise table.problem(certificate if files[0] is None else key, "missing", "certificate and key together")
    return files


def _address(table: Reader, field: str) -> str:
    return _checked(table, field, table.text(field))


def _checked(table: Reader, field: str, value: str) -> str:
    if not ADDRESS.fullmatch(value):
        raise table.problem(field, repr(value), "a plain mail address such as vanthu@xa.gov.vn")
    return value


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"

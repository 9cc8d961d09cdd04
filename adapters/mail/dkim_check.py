"""Whether a mail really is from the domain in its From: DKIM (RFC 6376), with the key from DNS or from a file.

A signature counts if its domain is allowed for the sender, it covers everything that decides how the mail is read, and
nothing may be appended behind it. Blocking; called in a thread.
"""

from __future__ import annotations

import logging
import threading
import time
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import dkim
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from dkim.util import InvalidTagValueList, parse_tag_value

from adapters.mail.replies import Turned
from adapters.settings import read_file
from schemas.problem import Problem

log = logging.getLogger("lienthong.mail")

# Signatures looked at: each may cost a question to DNS.
MAX_SIGNATURES = 5
MIN_RSA_BITS = 1024
ALGORITHMS = (b"rsa-sha256", b"ed25519-sha256")
# If a mail has these fields they must be signed: they decide who it is from and how its body is read.
MUST_BE_SIGNED = ("from", "mime-version", "content-type", "content-transfer-encoding")
# For one name, whatever the servers do; and for one server, so that the next may answer in time.
LOOKUP_SECONDS = 5.0
SERVER_SECONDS = 2.0
# A key record, RSA 4096 with everything around it, has some 800; what is much longer was made to cost us something.
MAX_RECORD_BYTES = 8192
CACHE_SECONDS = (60.0, 3600.0)
CACHED_NAMES = 1000


class KeyUnavailable(Exception):
    """The key cannot be asked for just now; the mail may be good."""


class Keys(Protocol):
    """Where public keys come from. Implementations MUST be safe in threads and MUST bound their waiting."""

    def txt(self, name: str) -> bytes | None:
        """The TXT record of a name such as `s1._domainkey.xa.gov.vn`; None if there is none. Raises KeyUnavailable."""
        ...


class FileKeys:
    """Keys in a TOML file, for networks without public DNS: "s1._domainkey.xa.gov.vn" = "v=DKIM1; k=rsa; p=…"."""

    def __init__(self, path: Path) -> None:
        expected = 'lines such as "s1._domainkey.xa.gov.vn" = "v=DKIM1; k=rsa; p=…"'
        try:
            table = tomllib.loads(read_file(path, what="DKIM keys").decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as why:
            raise Problem(f"{path}: {why}", expected, "Correct the file") from why
        if not all(isinstance(value, str) for value in table.values()):
            raise Problem(f"{path}: a value that is no text", expected, "Put names and values into quotes")
        self._keys = {name.lower().rstrip("."): value.encode() for name, value in table.items()}

    def txt(self, name: str) -> bytes | None:
        return self._keys.get(name.lower().rstrip("."))


class DnsKeys:
    """Keys from DNS, remembered for as long as their records say, within bounds."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        """`servers` are asked, address and port, instead of those of the machine. Raises Problem if it has none."""
        try:
            self._resolver = dns.resolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration as why:
            raise Problem(
                f"no DNS servers: {why}",
                "/etc/resolv.conf, dns_servers or dkim_keys",
                "Set dns_servers or dkim_keys in [mail.incoming]",
            ) from why
        if servers:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers]
        self._resolver.timeout = SERVER_SECONDS
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, bytes | None]] = {}

    def txt(self, name: str) -> bytes | None:
        with self._lock:
            until, found = self._known.get(name, (0.0, None))
        if until > time.monotonic():
            return found
        found, seconds = self._ask(name)
        low, high = CACHE_SECONDS
        with self._lock:
            if len(self._known) >= CACHED_NAMES:
                self._known.clear()
            self._known[name] = (time.monotonic() + min(max(seconds, low), high), found)
        return found

    def _ask(self, name: str) -> tuple[bytes | None, float]:
        try:
            # Absolute: the machine's search domains have no say in whose key it is.
            whole = dns.name.from_text(name)
        except dns.exception.DNSException:  # a selector that no DNS name can have
            return None, CACHE_SECONDS[0]
        try:
            answer = self._resolver.resolve(whole, "TXT", lifetime=LOOKUP_SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None, CACHE_SECONDS[0]
        except (dns.exception.DNSException, OSError, EOFError) as why:
            raise KeyUnavailable(f"{name}: {why}") from why
        records = [b"".join(record.strings) for record in answer]
        keys = [record for record in records if b"p=" in record]
        # Several keys under one name mean nothing (RFC 6376 §3.6.2.2).
        good = len(keys) == 1 and len(keys[0]) <= MAX_RECORD_BYTES
        return (keys[0] if good else None), float(answer.rrset.ttl if answer.rrset else 0)


def keys_from(path: Path | None, dns_servers: Sequence[tuple[str, int]] = ()) -> Keys:
    """The file's keys if there is a file, else DNS. Raises Problem."""
    return DnsKeys(dns_servers) if path is None else FileKeys(path)


def check(
    content: bytes, *, fields: Sequence[str], domains: Collection[str], addressed: Collection[str], keys: Keys
) -> str:
    """The domain whose signature holds and counts; one of the fields `addressed` must be signed, if there are any.

    Raises Turned: 550 if there is none, 451 if a key is unavailable.
    """
    signer = dkim.DKIM(content, minkey=MIN_RSA_BITS)
    unavailable: KeyUnavailable | None = None
    reasons: list[str] = []
    present = set(fields)
    for index in range(min(fields.count("dkim-signature"), MAX_SIGNATURES)):
        header = [value for name, value in signer.headers if name.lower() == b"dkim-signature"][index]
        fault, domain = _unfit(header, present, domains, addressed)
        if fault is not None:
            reasons.append(fault)
            continue
        try:
            if signer.verify(index, dnsfunc=lambda name, timeout=5: _lookup(name, keys)):
                return domain
            reasons.append(f"d={domain}: the signature or its key is not good")
        except KeyUnavailable as why:
            unavailable = why
        except dkim.DKIMException as why:
            reasons.append(f"d={domain}: {why}")
        except Exception as why:  # dkimpy lets errors of its parsing through as they are
            log.info("a DKIM signature of %s cannot be checked", domain, exc_info=True)
            reasons.append(f"d={domain}: {type(why).__name__}")
    if unavailable is not None:
        log.warning("a DKIM key cannot be had: %s", unavailable)
        raise Turned("451 4.7.5", "Chưa lấy được khóa DKIM; hãy gửi lại sau.", "The DKIM key cannot be had; try later.")
    told = "; ".join(reasons) or "no DKIM signature"
    wanted = ", ".join(sorted(domains))
    raise Turned(
        "550 5.7.20",
        f"Thư không có chữ ký DKIM hợp lệ của {wanted}. Đề nghị bộ phận quản trị thư kiểm tra. ({told})",
        f"No valid DKIM signature of {wanted}: {told}.",
    )


def _unfit(
    header: bytes, present: set[str], domains: Collection[str], addressed: Collection[str]
) -> tuple[str | None, str]:
    """Why a signature does not count whatever its key says, or None; and its domain."""
    try:
        tags = parse_tag_value(header)
        domain = tags[b"d"].decode("ascii").strip().lower()
        signed = {one.strip().decode("ascii").lower() for one in tags[b"h"].split(b":")}
    except (InvalidTagValueList, KeyError, UnicodeDecodeError) as why:
        return f"a signature that cannot be read ({type(why).__name__})", ""
    if domain not in domains:
        return f"d={domain} is not the sender's domain", domain
    if tags.get(b"a") not in ALGORITHMS:
        return f"d={domain}: the algorithm is not rsa-sha256 or ed25519-sha256", domain
    if b"l" in tags:
        return f"d={domain}: l= leaves the end of the mail unsigned", domain
    unsigned = [name for name in MUST_BE_SIGNED if name in present and name not in signed]
    if unsigned:
        return f"d={domain}: {', '.join(unsigned)} not signed", domain
    if addressed and signed.isdisjoint(addressed):
        return f"d={domain}: {', '.join(sorted(addressed))} not signed", domain
    return None, domain


def _lookup(name: bytes, keys: Keys) -> bytes | None:
    record = keys.txt(name.decode("ascii", "replace").rstrip("."))
    if record is None:
        return None
    try:
        flags = parse_tag_value(record).get(b"t", b"")
    except InvalidTagValueList:
        return None
    # A domain that is still testing DKIM asks for its signatures not to count (RFC 6376 §3.6.1).
    return None if b"y" in [one.strip() for one in flags.split(b":")] else record

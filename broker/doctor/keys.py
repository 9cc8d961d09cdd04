"""The exchange's own key, its certificate, and the roots that agencies' certificates lead to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from broker.doctor.finding import Finding
from broker.identity import BrokerIdentity
from broker.settings import Settings
from schemas.certificates import check_chain, load_certificates
from schemas.errors import Refusal
from schemas.problem import Problem

RENEW_BEFORE: Final = timedelta(days=30)
"""A new certificate has to reach every agency before the old one ends."""

MAKE_KEYS: Final = "Run `lienthong pki init`, or put the exchange's key and certificate where the settings say."


def check_keys(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Key, certificate and roots: there, readable by the right people only, belonging together, not ending soon."""
    roots = []
    for path in sorted(settings.roots_dir.glob("*.pem")):
        try:
            for root in load_certificates(path.read_bytes()):
                roots.append(root)
                yield _validity(f"root {path.name}", root, now)
        except (OSError, Refusal) as error:
            yield Finding.bad(f"root {path.name}", _sentence(error), "Replace this file by a root certificate in PEM.")
    if not roots:
        yield Finding.bad("roots", f"no certificate in {settings.roots_dir}", MAKE_KEYS)
    try:
        identity = BrokerIdentity.load(settings)
    except Problem as problem:
        yield Finding.bad("key", problem.found, MAKE_KEYS)
        return
    yield _permissions(settings.key_file)
    yield _validity("certificate", identity.certificate, now)
    if roots:
        try:
            check_chain(identity.certificate, (), roots, now)
        except Refusal as refusal:
            yield Finding.warning(
                "chain", _sentence(refusal), "Add the root that issued the exchange's certificate to the roots."
            )
        else:
            yield Finding.good("chain", "the exchange's certificate leads to a configured root")


def _permissions(key_file: Path) -> Finding:
    mode = key_file.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding.bad("key", f"{key_file} has mode {mode:o}", f"Run `chmod 600 {key_file}`: others can read it.")
    return Finding.good("key", f"{key_file}, readable by its owner only")


def _validity(check: str, certificate: x509.Certificate, now: datetime) -> Finding:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begins:
        return Finding.bad(check, f"valid only from {begins:%Y-%m-%d %H:%M} UTC", "Check this machine's clock.")
    if now > ends:
        return Finding.bad(check, f"ended on {ends:%Y-%m-%d}", "Replace it by one that is valid.")
    if ends - now < RENEW_BEFORE:
        return Finding.warning(check, f"ends on {ends:%Y-%m-%d}", "Replace it now: agencies need time to take it over.")
    return Finding.good(check, f"valid until {ends:%Y-%m-%d}")


def _sentence(error: Exception) -> str:
    return error.diagnostics() if isinstance(error, Refusal) else " ".join(str(error).split())

"""Who the exchange is: its code, key and certificate, with which it signs notices and slips (contract §2.5, §3.2).

Loaded once at start. May not verify anybody else's signature, and never shows its key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509

from schemas.certificates import load_certificate, load_private_key, public_key_of, thumbprint
from schemas.errors import Refusal
from schemas.jws import PrivateKey, Signed, sign, sign_compact
from schemas.problem import Problem

PASSWORD_VARIABLE: Final = "LIENTHONG_KEY_PASSWORD"  # noqa: S105 - a name, not a secret
"""Where the password of an encrypted broker key comes from; never from the command line."""


class HasIdentity(Protocol):
    """What settings must offer for the identity to be loaded from them."""

    @property
    def broker_code(self) -> str: ...
    @property
    def key_file(self) -> Path: ...
    @property
    def certificate_file(self) -> Path: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerIdentity:
    """The exchange as a signer."""

    code: str
    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate
    thumbprint: bytes

    @classmethod
    def of(cls, *, code: str, key: PrivateKey, certificate: x509.Certificate) -> BrokerIdentity:
        """The identity that a key and its certificate make. Raises Problem if they do not belong together."""
        if key.public_key() != public_key_of(certificate):
            raise Problem(
                found="the broker's certificate holds another key than its key file",
                expected="a certificate that was issued for this key",
                remedy="issue the broker's certificate anew for its key, or put the right pair into place",
            )
        return cls(code=code, key=key, certificate=certificate, thumbprint=thumbprint(certificate))

    @classmethod
    def load(cls, settings: HasIdentity) -> BrokerIdentity:
        """Read key and certificate from the files that the settings name.

        Raises Problem if a file is missing or unreadable, or if the two do not belong together.
        """
        password = os.environ.get(PASSWORD_VARIABLE)
        try:
            key = load_private_key(_read(settings.key_file), password.encode() if password else None)
            certificate = load_certificate(_read(settings.certificate_file))
        except (Refusal, ValueError, TypeError) as unreadable:
            raise Problem(
                found=f"{settings.key_file} or {settings.certificate_file} cannot be read: {unreadable}",
                expected="the broker's private key and its certificate, in PEM",
                remedy=f"put the right files into place; an encrypted key's password belongs into {PASSWORD_VARIABLE}",
            ) from unreadable
        return cls.of(code=settings.broker_code, key=key, certificate=certificate)

    def sign(self, payload: bytes) -> Signed:
        """Sign a manifest of the exchange's own."""
        return sign(payload, key=self.key, thumbprint=self.thumbprint)

    def sign_slip(self, payload: bytes) -> str:
        """Sign a slip; compact."""
        return sign_compact(payload, key=self.key, thumbprint=self.thumbprint)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Problem(
            found=f"{path}: {error.strerror or error}",
            expected="the broker's key and certificate",
            remedy="make them with `lienthong pki init`, or set LIENTHONG_HOME to where they are",
        ) from error

"""Whose keys this program signs with, and the signing itself. Keys are read once; nothing else is opened here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters.settings import KEY_PASSWORD_VARIABLE, AgencySettings, read_file
from schemas.certificates import load_certificate, load_private_key, public_key_of, thumbprint
from schemas.errors import Refusal
from schemas.jws import PrivateKey, Signed, sign
from schemas.problem import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """A private key with its certificate."""

    code: str
    key: PrivateKey
    thumbprint: bytes

    def sign(self, payload: bytes) -> Signed:
        """A signature over exactly these bytes. Safe in several threads at once."""
        return sign(payload, key=self.key, thumbprint=self.thumbprint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Keyring:
    """The agency's own signer, and those of the served agencies whose keys it keeps."""

    own: Signer
    served: Mapping[str, Signer]

    def speaking_for(self, code: str) -> Signer:
        """The agency's own key if it is kept here, else the hub's own, under its mandate."""
        return self.served.get(code, self.own)


def load_signer(code: str, key_file: Path, certificate_file: Path) -> Signer:
    """Read key and certificate, and make sure that they belong together. Raises Problem."""
    password = os.environ.get(KEY_PASSWORD_VARIABLE)
    try:
        key = load_private_key(
            read_file(key_file, what=f"the private key of {code}"), password.encode() if password else None
        )
    except (Problem, Refusal) as why:
        raise Problem(
            found=f"{key_file}: {why.found}",
            expected="a PEM private key (P-256, P-384, Ed25519, RSA)",
            remedy=f"Make one with `lienthong-agency keygen`; a key's password goes into {KEY_PASSWORD_VARIABLE}.",
        ) from why
    try:
        certificate = load_certificate(read_file(certificate_file, what=f"the certificate of {code}"))
        matches = public_key_of(certificate) == key.public_key()
    except Refusal as why:
        raise Problem(
            found=f"{certificate_file}: {why.found}",
            expected="a certificate in PEM or DER",
            remedy="Ask the operator for the certificate made from this agency's request.",
        ) from why
    if not matches:
        raise Problem(
            found=f"{certificate_file} certifies another key than {key_file} holds",
            expected="the certificate that was issued for this key",
            remedy="Ask the operator to issue a certificate from the request that `keygen` made.",
        )
    return Signer(code=code, key=key, thumbprint=thumbprint(certificate))


def load_keyring(settings: AgencySettings) -> Keyring:
    """All keys that `agency.toml` names. Raises Problem."""
    return Keyring(
        own=load_signer(settings.code, settings.key_file, settings.certificate_file),
        served={
            one.code: load_signer(one.code, one.key_file, one.certificate_file)
            for one in settings.served
            if one.key_file is not None and one.certificate_file is not None
        },
    )

"""The development certificate authority: a root, the broker's own key and certificate, and certificates for agencies.

Everything lives below the exchange's home: ``ca/ca.key`` and ``ca/ca.pem``, ``roots/development-ca.pem`` (one of the
roots that enrolment checks against), ``keys/broker.key`` and ``keys/broker.pem``. Private keys get mode 0600, and no
file is ever overwritten. The subject of a certificate names the agency for people's eyes only: whose it is, enrolment
says (contract §2.1). Makes no entry in the directory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from cryptography.x509.oid import NameOID

from schemas.certificates import load_certificate, load_private_key, new_private_key, private_key_pem
from schemas.problem import Problem
from schemas.signatures import PublicKey, as_public_key

#: How long the development root is good.
ROOT_DAYS = 3650
#: How long the broker's and the agencies' certificates are good unless told otherwise.
CERTIFICATE_DAYS = 825
#: A certificate is good from a little before it was issued, for clocks that are behind.
BACKDATED = timedelta(minutes=5)

_ROOT_NAME = "Lienthong development CA"


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """Where the authority and the broker keep their files."""

    ca_key: Path
    ca_certificate: Path
    root: Path
    broker_key: Path
    broker_certificate: Path

    @classmethod
    def below(
        cls,
        home: Path,
        *,
        roots_dir: Path | None = None,
        key_file: Path | None = None,
        certificate_file: Path | None = None,
    ) -> Home:
        """The usual places below an exchange's home, unless its settings name others."""
        return cls(
            ca_key=home / "ca" / "ca.key",
            ca_certificate=home / "ca" / "ca.pem",
            root=(roots_dir or home / "roots") / "development-ca.pem",
            broker_key=key_file or home / "keys" / "broker.key",
            broker_certificate=certificate_file or home / "keys" / "broker.pem",
        )


def init(home: Home, *, broker_code: str, now: datetime) -> tuple[Path, ...]:
    """Make what is missing of the authority and of the broker's key and certificate; returns the files made.

    What exists stays as it is, so this may be run again. ``now`` is aware. Raises Problem if half of a pair is
    missing: a new key beside an old certificate would fit nothing.
    """
    pairs = ((home.ca_key, home.ca_certificate), (home.broker_key, home.broker_certificate))
    for key_file, certificate_file in pairs:
        if key_file.exists() != certificate_file.exists():
            there, missing = (key_file, certificate_file) if key_file.exists() else (certificate_file, key_file)
            raise Problem(
                found=f"{there} without {missing}",
                expected="both files, or neither",
                remedy=f"bring {missing} back from a backup, or move {there} away to begin anew",
            )
    made: list[Path] = []
    if not home.ca_key.exists():
        key = new_private_key("P-384")
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise AssertionError("P-384 is an elliptic curve")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _ROOT_NAME)])
        root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + timedelta(days=ROOT_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA384())
        )
        write_new(home.ca_key, private_key_pem(key), private=True)
        write_new(home.ca_certificate, root.public_bytes(Encoding.PEM))
        made += [home.ca_key, home.ca_certificate]
    if not home.root.exists():
        write_new(home.root, home.ca_certificate.read_bytes())
        made.append(home.root)
    if not home.broker_key.exists():
        broker_key = new_private_key("P-256")
        certificate = issue(home, code=broker_code, public_key=broker_key.public_key(), now=now)
        write_new(home.broker_key, private_key_pem(broker_key), private=True)
        write_new(home.broker_certificate, certificate)
        made += [home.broker_key, home.broker_certificate]
    return tuple(made)


def issue(
    home: Home, *, code: str, public_key: PublicKey, now: datetime, days: int = CERTIFICATE_DAYS, name: str = ""
) -> bytes:
    """A certificate (PEM) for ``public_key`` with the subject CN=``code``, O=``name``, signed by the authority.

    ``now`` is aware. It is not enrolled by this. Raises Problem if there is no authority here, Refusal LT-ALGORITHM
    for a kind of key that contract §1 does not know.
    """
    if not home.ca_key.exists():
        raise Problem(
            found=f"no certificate authority at {home.ca_key}",
            expected="the development authority of this exchange",
            remedy="make it with `lienthong pki init`; another authority's certificates need only `cert add`",
        )
    as_public_key(public_key)
    authority = load_certificate(home.ca_certificate.read_bytes())
    key = load_private_key(home.ca_key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Problem(
            found=f"a {type(key).__name__} in {home.ca_key}",
            expected="the elliptic-curve key that `lienthong pki init` made",
            remedy="bring the authority's own key back",
        )
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, code)]
    if name:
        subject.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, name[:64]))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(authority.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + timedelta(days=days), authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(_issuer_identifier(authority), critical=False)
        .sign(key, hashes.SHA384())
    )
    return certificate.public_bytes(Encoding.PEM)


def public_key_of_request(pem: bytes) -> PublicKey:
    """The key of a certificate request (PKCS#10, PEM or DER), once its own signature was seen to fit.

    Raises Problem if it cannot be read or does not fit, Refusal LT-ALGORITHM for another kind of key.
    """
    try:
        request = x509.load_pem_x509_csr(pem) if pem.lstrip().startswith(b"-----") else x509.load_der_x509_csr(pem)
        fits = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise Problem(
            found=f"a certificate request that cannot be read ({error})",
            expected="PKCS#10, as `openssl req -new` writes it",
            remedy="make the request again, or give the bare key with --public-key",
        ) from error
    if not fits:
        raise Problem(
            found="a certificate request that was not signed with its own key",
            expected="a request signed by the private key that belongs to it",
            remedy="make the request again with `openssl req -new -key …`",
        )
    return as_public_key(key)


def public_key_of_pem(pem: bytes) -> PublicKey:
    """A bare public key (SubjectPublicKeyInfo, PEM). Raises Problem, or Refusal LT-ALGORITHM for another kind."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Problem(
            found=f"a public key that cannot be read ({error})",
            expected="a public key in PEM, beginning -----BEGIN PUBLIC KEY-----",
            remedy="write it with `openssl pkey -in key.pem -pubout`; never send a private key",
        ) from error
    return as_public_key(key)


def write_new(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file that must not exist yet, with mode 0600 if it is private. Raises Problem if it exists."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o755)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o644)
    except FileExistsError as error:
        raise Problem(
            found=f"{path} exists already",
            expected="a new file: keys and certificates are never overwritten",
            remedy="choose another name, or move the file away first",
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        crl_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)

"""Certificates and keys: reading them, naming them, and validating a path to a configured root (RFC 5280).

A path says only that a root vouches for the certificate. Which agency it belongs to is enrolment's knowledge, never the
subject's (contract §2.1), and revocation is the directory's: neither is decided here. Nothing is fetched from anywhere.

The path is the library's work, under rules for agencies instead of web servers: no subject alternative name and no
extended key usage are asked for. Two things that the library always refuses because the web does are common at
agencies: version 1 certificates (`openssl x509 -req` without an extension file writes them) and certificates issued by
an Ed25519 key. For these, and only these, the last step of the path is checked here and the library validates the rest.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from schemas.errors import Refusal
from schemas.problem import Problem
from schemas.signatures import PrivateKey, PublicKey, as_private_key, as_public_key

MAX_CERTIFICATE: Final = 64 * 1024
"""Bytes of one certificate; real ones have one or two thousand."""

MAX_INTERMEDIATES: Final = 16
"""Certificates that may be offered between a signer and a root: building paths costs signatures."""

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

# The library warns about what it will refuse one day; where warnings are errors, that day is today.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    CryptographyDeprecationWarning,
    x509.InvalidVersion,
    x509.DuplicateExtension,
)
_UNREADABLE_EXTENSION: Final = (*_UNREADABLE, x509.UnsupportedGeneralNameType)


def load_certificate(data: bytes) -> x509.Certificate:
    """Read exactly one certificate from PEM (text around it is ignored) or DER.

    Raises Refusal LT-SHAPE for no certificate, several, or one whose fields cannot be read.
    """
    found = load_certificates(data)
    if len(found) != 1:
        raise _shape(f"{len(found)} certificates in one file", "exactly one; the chain goes into a file of its own")
    return found[0]


def load_certificates(data: bytes) -> list[x509.Certificate]:
    """Read all certificates of a PEM file in their order (roots, chains), or the one of a DER file.

    Raises Refusal LT-SHAPE if there is none or one cannot be read.
    """
    blocks = _PEM.findall(data)
    return [_load(block, pem=True) for block in blocks] if blocks else [_load(data, pem=False)]


def thumbprint(cert: x509.Certificate) -> bytes:
    """SHA-256 of the DER, 32 bytes: the name under which a certificate is enrolled."""
    return sha256(cert.public_bytes(Encoding.DER)).digest()


def public_key_of(cert: x509.Certificate) -> PublicKey:
    """The public key of a signer's certificate.

    Raises Refusal LT-ALGORITHM unless it is P-256, P-384, Ed25519, or RSA of 2048 bits or more.
    """
    try:
        key = cert.public_key()
    except _UNREADABLE as problem:
        raise Refusal(
            code="LT-ALGORITHM",
            field="certificate",
            found=f"a public key that cannot be read ({problem})",
            expected="P-256, P-384, Ed25519, or RSA of 2048 bits or more",
        ) from problem
    return as_public_key(key)


def load_private_key(pem: bytes, password: bytes | None) -> PrivateKey:
    """Read a private key from PEM (PKCS#8, SEC 1 or PKCS#1).

    Raises Problem if it cannot be read or the password is missing, wrong or not needed; Refusal LT-ALGORITHM for a kind
    of key that contract §1 does not know.
    """
    try:
        key = load_pem_private_key(pem, password)
    except _UNREADABLE as problem:
        raise Problem(
            f"a private key that cannot be read ({problem})",
            "a private key in PEM, and its password if it has one",
            "check the path of the key file and of its password file",
        ) from problem
    return as_private_key(key)


def new_private_key(kind: str) -> PrivateKey:
    """Make a key; `kind` is one of P-256, P-384, Ed25519, RSA-2048, RSA-3072.

    Raises Problem for another kind.
    """
    match kind:
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "RSA-2048" | "RSA-3072":
            return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("RSA-")))
    raise Problem(
        f"the kind of key {kind!r}", "P-256, P-384, Ed25519, RSA-2048 or RSA-3072", "name one of these kinds of key"
    )


def private_key_pem(key: PrivateKey) -> bytes:
    """The key in PKCS#8 PEM without a password; whoever writes it to a file sees to mode 0600."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def check_chain(
    cert: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> None:
    """Validate the path from a signer's certificate to one of the configured roots at a time (aware).

    A self-signed certificate is good if it is itself one of the roots. Subject names and extended key usage play no
    part; a key usage extension, if there is one, must allow digital signatures.
    Raises Refusal LT-SIGNER-EXPIRED if the certificate, or one that its path needs, is not valid at `at`;
    LT-SIGNER-NOT-ALLOWED if there is no path or the key may not sign; LT-ALGORITHM for a kind of key that contract §1
    does not know.
    """
    public_key_of(cert)
    not_before, not_after = cert.not_valid_before_utc, cert.not_valid_after_utc
    if not not_before <= at <= not_after:
        raise Refusal(
            code="LT-SIGNER-EXPIRED",
            field="certificate",
            found=f"a certificate valid from {not_before.isoformat()} to {not_after.isoformat()}",
            expected=f"one that is valid at {at.isoformat()}",
        )
    usage = _key_usage(cert)
    if usage is not None and not usage.digital_signature:
        raise _not_allowed("a key usage without digitalSignature", "a certificate for signing (digitalSignature)")
    if not roots:
        raise _not_allowed("no configured root", "at least one root certificate in the configuration")
    if len(intermediates) > MAX_INTERMEDIATES:
        raise _not_allowed(f"{len(intermediates)} intermediate certificates", f"at most {MAX_INTERMEDIATES}")
    problem = _path_problem(cert, intermediates, roots, at)
    if problem is None:
        return
    # Would there have been a path at some other time? If all validities have a moment in common, then one of their
    # beginnings is such a moment.
    beginnings = {other.not_valid_before_utc for other in (cert, *intermediates, *roots)}
    if any(_path_problem(cert, intermediates, roots, moment) is None for moment in beginnings):
        raise Refusal(
            code="LT-SIGNER-EXPIRED",
            field="certificate",
            found=f"a path to a configured root with a certificate that is not valid at {at.isoformat()}",
            expected="certificates that are all valid at that time",
        )
    raise _not_allowed(problem, "a path to a configured root")


def _path_problem(
    cert: x509.Certificate, intermediates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], at: datetime
) -> str | None:
    """Why there is no path, or None if there is one."""
    time = at.astimezone(UTC).replace(tzinfo=None)
    verifier = PolicyBuilder().store(Store(list(roots))).time(time)
    others = list(intermediates)
    try:
        verifier.extension_policies(ca_policy=_CA, ee_policy=_ANY).build_client_verifier().verify(cert, others)
        return None
    except VerificationError as problem:
        reason = str(problem)
    above_us = verifier.extension_policies(ca_policy=_CA, ee_policy=_CA).build_client_verifier()
    for issuer in _issuers_left_to_us(cert, (*intermediates, *roots)):
        if not cert.not_valid_before_utc <= at <= cert.not_valid_after_utc:
            return "a certificate that is not valid at that time"
        try:
            chain = above_us.verify(issuer, others).chain
        except VerificationError as problem:
            reason = str(problem)
            continue
        problem_above = _limits_broken(chain)
        if problem_above is None:
            return None
        reason = problem_above
    return reason


def _issuers_left_to_us(cert: x509.Certificate, candidates: Sequence[x509.Certificate]) -> Iterator[x509.Certificate]:
    """The candidates that have issued `cert`, where that step is one of the two that the library always refuses."""
    if any(extension.critical and extension.oid not in _UNDERSTOOD for extension in cert.extensions):
        return
    for issuer in candidates:
        try:
            of_ed25519 = isinstance(issuer.public_key(), ed25519.Ed25519PublicKey)
            if not of_ed25519 and (
                cert.version is not x509.Version.v1 or not isinstance(cert.signature_hash_algorithm, _HASHES)
            ):
                continue
            cert.verify_directly_issued_by(issuer)
        except (InvalidSignature, *_UNREADABLE):
            continue
        yield issuer


def _limits_broken(chain: Sequence[x509.Certificate]) -> str | None:
    """Limits that the authorities above the last step set on it; `chain` goes from the issuer to the root.

    The library took the issuer for the end of the path, so each path length counts one more here.
    """
    authorities_below = 0
    for authority in chain:
        limits = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        if limits.path_length is not None and limits.path_length < authorities_below:
            return "a path longer than a basicConstraints pathlen allows"
        if any(extension.oid == x509.NameConstraints.oid for extension in authority.extensions):
            return "an authority with name constraints, and a certificate on which they cannot be checked"
        if authority.subject != authority.issuer:
            authorities_below += 1
    return None


def _must_be_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    # The library asks this of whoever issued the certificate that it verifies, but not of that certificate itself, and
    # where the last step is checked here the issuer takes that place.
    if not constraints.ca:
        raise ValueError("an issuer whose basicConstraints do not make it an authority")


def _must_sign_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority whose key usage does not allow keyCertSign")


_ANY: Final = ExtensionPolicy.permit_all()
_CA: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _must_be_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _must_sign_certificates)
)

_HASHES: Final = (SHA256, SHA384, SHA512)
"""What the library accepts under signatures of certificates as well; SHA-1 is not among them."""

_UNDERSTOOD: Final = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
    }
)
"""Critical extensions that may stand in a certificate whose last step is checked here (RFC 5280 §4.2)."""


def _key_usage(cert: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return cert.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    except _UNREADABLE_EXTENSION as problem:
        raise _shape(f"extensions that cannot be read ({problem})", "a certificate after RFC 5280") from problem


def _load(data: bytes, *, pem: bool) -> x509.Certificate:
    if len(data) > MAX_CERTIFICATE:
        raise _shape(f"{len(data)} bytes", f"a certificate of at most {MAX_CERTIFICATE} bytes")
    try:
        cert = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
        # The library reads these when they are asked for; whoever gets the certificate may rely on them.
        _ = (cert.version, cert.extensions, cert.subject, cert.issuer, cert.not_valid_before_utc)
        if cert.serial_number <= 0:
            raise ValueError("the serial number is not positive")
        # Otherwise one certificate could be written, and named by its thumbprint, in several ways.
        if not cert.public_bytes(Encoding.DER).endswith(b"\x00" + cert.signature):
            raise ValueError("the signature does not end with the last byte")
    except _UNREADABLE_EXTENSION as problem:
        raise _shape(f"something that cannot be read ({problem})", "an X.509 certificate in PEM or DER") from problem
    return cert


def _shape(found: str, expected: str) -> Refusal:
    return Refusal(code="LT-SHAPE", field="certificate", found=found, expected=expected)


def _not_allowed(found: str, expected: str) -> Refusal:
    return Refusal(code="LT-SIGNER-NOT-ALLOWED", field="certificate", found=found, expected=expected)

"""The three answers about each signature of a bundle (contract §4): cryptography, trust, policy. Pure.

Times are those of the log: when the exchange accepted the message, not when the auditor looks. Enrolment, revocation
and mandates are what the log's events say (`Facts`). A path to a root is validated only if the auditor gave one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from broker.evidence.bundle.facts import Facts
from broker.evidence.bundle.lines import CertificateLine, Message
from schemas.certificates import check_chain, load_certificate, public_key_of
from schemas.errors import Refusal
from schemas.jws import Signed, signature_holds
from schemas.signatures import PublicKey
from schemas.verdict import Finding, SignatureVerdict, trust_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of the bundle, parsed."""

    line: CertificateLine
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One signature with its verdict."""

    line: int
    type: str
    """document, status, notice, slip or seal."""
    speaker: str
    """In whose name it speaks."""
    signer: str
    """Whose certificate it is, after the log."""
    custody: str
    """agency, or broker where the exchange keeps the key for the office."""
    signed_at: datetime
    digest: str
    verdict: SignatureVerdict


def parse_certificate(line: CertificateLine) -> Certificate:
    """Read a certificate and its chain. Raises Refusal."""
    certificate = load_certificate(line.der)
    return Certificate(
        line=line,
        certificate=certificate,
        chain=tuple(load_certificate(der) for der in line.chain),
        key=public_key_of(certificate),
    )


class Judge:
    """Judges signatures against one bundle's certificates and facts."""

    def __init__(
        self, certificates: Mapping[bytes, Certificate], facts: Facts, roots: Sequence[x509.Certificate]
    ) -> None:
        self._certificates = certificates
        self._facts = facts
        self._roots = tuple(roots)

    def judge(
        self,
        message: Message,
        *,
        speaker: str,
        signed_at: datetime,
        received_at: datetime,
        submitter: str | None = None,
        exchange: bool = False,
    ) -> Judged:
        """The verdict on one message that `speaker` says it signed; `exchange` if only the exchange may say this."""
        signed = message.signed
        enrolment = self._facts.enrolment(signed.thumbprint)
        certificate = self._certificates.get(signed.thumbprint)
        verdict = SignatureVerdict(
            cryptography=self._cryptography(signed, certificate),
            trust=self._trust(signed, certificate, signed_at, received_at),
            policy=self._policy(signed, speaker, submitter, received_at, exchange=exchange),
        )
        return Judged(
            line=message.line,
            type=message.type,
            speaker=speaker,
            signer=enrolment.code if enrolment is not None else "?",
            custody=enrolment.custody if enrolment is not None else "?",
            signed_at=signed_at,
            digest=signed.digest,
            verdict=verdict,
        )

    def _cryptography(self, signed: Signed, certificate: Certificate | None) -> Finding:
        if certificate is None:
            return Finding.unknown("LT-SIGNER-UNKNOWN", f"no certificate {signed.thumbprint.hex()} in the bundle")
        try:
            holds = signature_holds(signed, certificate.key)
        except Refusal as refusal:
            return Finding.bad(refusal.code, f"{refusal.found} with a key of the kind {refusal.expected}")
        if not holds:
            return Finding.bad("LT-SIGNATURE", "the signature does not fit the bytes and the certificate's key")
        return Finding.good(f"{signed.alg} by certificate {signed.thumbprint.hex()[:16]}…")

    def _trust(
        self, signed: Signed, certificate: Certificate | None, signed_at: datetime, received_at: datetime
    ) -> Finding:
        if certificate is None:
            return Finding.unknown("LT-SIGNER-UNKNOWN", "without its certificate nothing can be said")
        enrolment = self._facts.enrolment(signed.thumbprint)
        if enrolment is None:
            return Finding.bad("LT-SIGNER-UNKNOWN", "no event of the log in this bundle enrols the certificate")
        times = trust_at(
            not_before=certificate.certificate.not_valid_before_utc,
            not_after=certificate.certificate.not_valid_after_utc,
            revoked_at=self._facts.revoked_at(signed.thumbprint),
            signed_at=signed_at,
            now=received_at,
        )
        if times.code is not None:
            return times
        if enrolment.at > received_at:
            return Finding.bad("LT-SIGNER-UNKNOWN", f"enrolled at {enrolment.at.isoformat()}, after it was received")
        return self._path(certificate, received_at) or Finding.good(
            f"{times.why}; enrolled by log entry {enrolment.entry.index}; "
            + ("path to the given root holds" if self._roots else "no root was given to check its path against")
        )

    def _path(self, certificate: Certificate, at: datetime) -> Finding | None:
        """Why the path to the auditor's roots did not hold at that time, or None."""
        if not self._roots:
            return None
        try:
            check_chain(certificate.certificate, certificate.chain, self._roots, at)
        except Refusal as refusal:
            return Finding.bad(refusal.code, f"{refusal.found}; expected {refusal.expected}")
        return None

    def _policy(self, signed: Signed, speaker: str, submitter: str | None, at: datetime, *, exchange: bool) -> Finding:
        facts = self._facts
        enrolment = facts.enrolment(signed.thumbprint)
        if enrolment is None:
            return Finding.unknown("LT-SIGNER-UNKNOWN", "no event of the log says whose certificate it is")
        if exchange and not facts.is_exchange(speaker):
            return Finding.bad("LT-SIGNER-NOT-ALLOWED", f"no event of the log says that {speaker} is the exchange")
        basis = f"the certificate is {speaker}'s own"
        if enrolment.code != speaker:
            mandate = None if exchange else facts.may_sign(enrolment.code, speaker, at)
            if mandate is None:
                why = f"the certificate is {enrolment.code}'s, and nothing lets it sign for {speaker}"
                return Finding.bad("LT-SIGNER-NOT-ALLOWED", why)
            basis = mandate
        themselves = (None, speaker, enrolment.code)
        if submitter not in themselves and facts.may_sign(str(submitter), speaker, at) is None:
            return Finding.bad("LT-USER", f"{submitter} submitted it, and nothing lets it speak for {speaker}")
        if enrolment.custody == "broker":
            basis += "; custody broker: the exchange keeps this key for the office"
        return Finding.good(basis)

"""What to believe of a message that came: signatures, slip and form, before anything is stored.

Pure: bytes in, a verdict out; no database, no connection. Called in threads (verification releases the interpreter's
lock). What is not believed is not lost either: it is returned as `Unbelieved`, with its reason, to be kept aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from cryptography import x509

from adapters.settings import AgencySettings, read_file
from schemas.certificates import check_chain, load_certificate, load_certificates, public_key_of, thumbprint
from schemas.errors import Refusal
from schemas.jws import Message, PublicKey, Signed, parse_compact, parse_message, signature_holds
from schemas.manifest import DocumentManifest, NoticeManifest, StatusManifest, parse_manifest
from schemas.problem import Problem
from schemas.slip import BROKER_CUSTODY, Slip, parse_slip
from schemas.verdict import Answer, Finding, SignatureVerdict

__all__ = ["Believed", "Trust", "Unbelieved", "judge", "load_trust"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Believed:
    """A message whose signature and slip hold."""

    message: Message
    manifest: DocumentManifest | StatusManifest | NoticeManifest
    # None for notices: the exchange signs them itself.
    slip: Slip | None
    verdict: SignatureVerdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Unbelieved:
    """A message to be kept aside: code of the error catalogue and the reason for a person."""

    code: str
    why: str


@dataclass(frozen=True, slots=True)
class _Broker:
    certificate: x509.Certificate
    public_key: PublicKey


class Trust:
    """What this agency was given once and trusts since: the exchange's certificates and the roots.

    Remembers the parsed certificates and the chains that it has checked; safe in threads.
    """

    def __init__(
        self,
        *,
        broker_code: str,
        broker_certificates: Sequence[x509.Certificate],
        authorities: Sequence[x509.Certificate],
    ) -> None:
        self.broker_code = broker_code
        self._brokers = {thumbprint(one): _Broker(one, public_key_of(one)) for one in broker_certificates}
        self._roots = [one for one in authorities if one.issuer == one.subject]
        self._intermediates = [one for one in authorities if one.issuer != one.subject]
        self._parsed: dict[bytes, tuple[x509.Certificate, PublicKey]] = {}
        self._chains: dict[tuple[bytes, int], Finding] = {}
        self._lock = Lock()

    def broker(self, signed: Signed) -> PublicKey:
        """The exchange's key that signed. Raises Refusal LT-SIGNER-UNKNOWN."""
        found = self._brokers.get(signed.thumbprint)
        if found is None:
            raise Refusal(
                code="LT-SIGNER-UNKNOWN",
                field="x5t#S256",
                found=signed.thumbprint.hex(),
                expected=f"a certificate of {self.broker_code} from broker_certificate_file",
            )
        return found.public_key

    def sender(self, der: bytes, mark: bytes) -> tuple[x509.Certificate, PublicKey]:
        """The certificate that the slip carries. Raises Refusal if it cannot be used."""
        with self._lock:
            known = self._parsed.get(mark)
        if known is not None:
            return known
        certificate = load_certificate(der)
        if thumbprint(certificate) != mark:
            raise Refusal(
                code="LT-SIGNER-UNKNOWN",
                field="slip.certificate",
                found=thumbprint(certificate).hex(),
                expected=f"the certificate {mark.hex()} that the signature names",
            )
        parsed = (certificate, public_key_of(certificate))
        with self._lock:
            self._parsed[mark] = parsed
        return parsed

    def chain(self, certificate: x509.Certificate, mark: bytes, at: datetime) -> Finding:
        """Whether the certificate was good at that time. A day's answer is remembered."""
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            return Finding.bad("LT-SIGNER-EXPIRED", f"the certificate was not valid at {at.isoformat()}")
        key = (mark, at.astimezone(UTC).toordinal())
        with self._lock:
            known = self._chains.get(key)
        if known is not None:
            return known
        finding = self._check(certificate, at)
        with self._lock:
            self._chains[key] = finding
        return finding

    def _check(self, certificate: x509.Certificate, at: datetime) -> Finding:
        try:
            check_chain(certificate, self._intermediates, self._roots, at)
        except Refusal as why:
            return Finding.bad(why.code, why.diagnostics())
        return Finding.good("the chain leads to a configured root and was valid when it was signed")


def judge(body: bytes, trust: Trust) -> Believed | Unbelieved:
    """Read and verify one message from the mailbox (contract §10)."""
    try:
        message = parse_message(body, slip_allowed=True)
        manifest = parse_manifest(message.signed.payload)
        if isinstance(manifest, NoticeManifest):
            return _notice(message, manifest, trust)
        if isinstance(manifest, DocumentManifest | StatusManifest):
            return _forwarded(message, manifest, trust)
    except Refusal as why:
        return Unbelieved(code=why.code, why=why.diagnostics())
    return Unbelieved(code="LT-SCHEMA", why=f"a {manifest.kind} is nothing that the exchange delivers to an agency")


def _notice(message: Message, manifest: NoticeManifest, trust: Trust) -> Believed | Unbelieved:
    if manifest.from_ != trust.broker_code:
        return Unbelieved(
            code="LT-SIGNER-NOT-ALLOWED",
            why=f"a notice from {manifest.from_}; notices come from {trust.broker_code} only",
        )
    if not signature_holds(message.signed, trust.broker(message.signed)):
        return Unbelieved(code="LT-SIGNATURE", why="the notice's signature does not verify")
    good = SignatureVerdict(
        cryptography=Finding.good("the signature verifies"),
        trust=Finding.good("the exchange's certificate is the configured one"),
        policy=Finding.good("the exchange speaks for itself"),
    )
    return Believed(message=message, manifest=manifest, slip=None, verdict=good)


def _forwarded(message: Message, manifest: DocumentManifest | StatusManifest, trust: Trust) -> Believed | Unbelieved:
    signed = message.signed
    if message.slip is None:
        return Unbelieved(
            code="LT-SHAPE", why="no slip: only what the exchange has accepted and signed for is believed"
        )
    wrapped = parse_compact(message.slip)
    if not signature_holds(wrapped, trust.broker(wrapped)):
        return Unbelieved(code="LT-SIGNATURE", why="the slip's signature does not verify")
    slip = parse_slip(wrapped.payload)
    told = (slip.document.from_, str(slip.document.id), slip.document.digest)
    found = (manifest.from_, str(manifest.id), signed.digest)
    if told != found:
        return Unbelieved(code="LT-SIGNATURE", why=f"the slip is about {told}, the message is {found}")
    der = slip.certificate_der()
    certificate, public_key = trust.sender(der, signed.thumbprint)
    if not signature_holds(signed, public_key):
        return Unbelieved(code="LT-SIGNATURE", why=f"the signature of {manifest.from_} does not verify")
    verdict = SignatureVerdict(
        cryptography=Finding.good("the sender's signature verifies"),
        trust=trust.chain(certificate, signed.thumbprint, manifest.sent_at),
        policy=Finding.good(
            "the exchange's slip attests that this certificate was enrolled for the sender"
            + ("; the exchange keeps the key (custody broker)" if slip.custody == BROKER_CUSTODY else "")
        ),
    )
    if verdict.trust.answer is Answer.bad:
        return Unbelieved(code=verdict.trust.code or "LT-SIGNER-NOT-ALLOWED", why=verdict.trust.why)
    return Believed(message=message, manifest=manifest, slip=slip, verdict=verdict)


def load_trust(settings: AgencySettings) -> Trust:
    """Read the exchange's certificates and the roots that `agency.toml` names. Raises Problem."""
    return Trust(
        broker_code=settings.broker_code,
        broker_certificates=_certificates(settings.broker_certificate_file),
        authorities=[one for path in _pem_files(settings.roots) for one in _certificates(path)],
    )


def _pem_files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found = sorted(place.glob("*.pem"))
    if not found:
        raise Problem(
            found=f"no *.pem in {place}",
            expected="the trusted roots, and intermediates if there are any",
            remedy="Put the root there that `lienthong agency add` printed; `lienthong-agency init` does it.",
        )
    return found


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return load_certificates(read_file(path, what="certificates"))
    except Refusal as why:
        raise Problem(
            found=f"{path}: {why.found}",
            expected=why.expected or "certificates",
            remedy="Replace the file; `init` writes it.",
        ) from why

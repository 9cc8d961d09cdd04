"""Nothing in an edXML file is ever called a good signature, and nothing in one makes the reading fail."""

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from schemas.edxml.signature import XML_SIGNATURES
from schemas.verdict import Answer, SignatureVerdict
from tests.unit.edxml.examples import STUB_SIGNATURE, document, document_in, status, status_in


def verdict_of(signature: str) -> SignatureVerdict:
    verdict = document_in(document(signature=signature)).verdict
    assert verdict is not None
    return verdict


def certificate() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Bo Thu nghiem")])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return base64.encodebytes(made.public_bytes(Encoding.DER)).decode()


WHOLE = f"""<Signature xmlns="{XML_SIGNATURES}"><SignedInfo>
<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/><Reference URI="">
<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>AAAA</DigestValue></Reference>
</SignedInfo><SignatureValue>AAAA</SignatureValue><KeyInfo><X509Data><X509Certificate>%s</X509Certificate></X509Data>
</KeyInfo></Signature>"""

SIGNATURES = {
    "none": "",
    "a stub as the SDK has it": STUB_SIGNATURE,
    "an empty element": "<edXML:DigitalSignature/>",
    "an empty signature": f'<Signature xmlns="{XML_SIGNATURES}"/>',
    "text only": "<Signature>signed!</Signature>",
    "one with a whole certificate": WHOLE % certificate(),
    "one with a broken certificate": WHOLE % "MIIFqTCCBJG",
    "one with a certificate that is no base64": WHOLE % "*",
    "one with an empty certificate": WHOLE % "",
    "two": STUB_SIGNATURE * 2,
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_no_xml_signature_is_ever_called_good(name: str) -> None:
    verdict = verdict_of(SIGNATURES[name])
    assert not verdict.good
    for finding in (verdict.cryptography, verdict.trust, verdict.policy):
        assert finding.answer is Answer.unknown
        assert finding.why
    assert verdict.cryptography.why.startswith("no verifiable signature")


def test_the_reasons_are_named() -> None:
    why = verdict_of(STUB_SIGNATURE).cryptography.why
    assert "namespace" in why and "SHA-1" in why and "certificate" in why
    whole = verdict_of(WHOLE % certificate())
    assert "relays rewrite" in whole.cryptography.why
    assert "CN=Bo Thu nghiem" in whole.trust.why


def test_a_status_has_a_verdict_too() -> None:
    verdict = status_in(status()).verdict
    assert verdict is not None and not verdict.good

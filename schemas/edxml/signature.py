"""What can honestly be said of the XML signature in an edXML file: three answers, none of them ever "good".

The signatures in the field are placeholders: outside the namespace of XML signatures, SHA-1, truncated certificates.
A real one would not survive either: every relay on the way writes its trace into the file and serialises it anew, which
breaks a signature over the whole. What binds in law is the signature in the PDF; what binds in this exchange is the
signature over the manifest. So nothing is verified here, and the reasons are named.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator
from itertools import islice
from typing import Final

from schemas.certificates import load_certificate
from schemas.edxml.tree import Element
from schemas.errors import Refusal
from schemas.verdict import Finding, SignatureVerdict

XML_SIGNATURES: Final = "http://www.w3.org/2000/09/xmldsig#"
"""The namespace that an XML signature has to be in."""

_CERTIFICATES: Final = 16
"""How many certificates of a signature are looked at; a chain has three."""

_NOT_CHECKED: Final = (
    "XML signatures are not verified here: relays rewrite the file on its way; the signature over the manifest counts"
)


def judge(signature: Element | None) -> SignatureVerdict:
    """The verdict on a `Signature` or `DigitalSignature` element, or on there being none."""
    if signature is None or not (signature.children or signature.text):
        why = "no verifiable signature: the file has none" if signature is None else "no verifiable signature: empty"
        return _all_unknown(why, "there is no signer", "there is no signer")
    flaws = list(_flaws(signature))
    subject = _subject(signature)
    why = f"no verifiable signature: {'; '.join(flaws)}" if flaws else f"no verifiable signature: {_NOT_CHECKED}"
    trust = f"the certificate names {subject}; nobody vouches for it here" if subject else "no usable certificate"
    return _all_unknown(why, trust, "who may sign is decided for the manifest, not for the XML")


def _all_unknown(cryptography: str, trust: str, policy: str) -> SignatureVerdict:
    return SignatureVerdict(
        cryptography=Finding.unknown(None, cryptography),
        trust=Finding.unknown(None, trust),
        policy=Finding.unknown(None, policy),
    )


def _flaws(signature: Element) -> Iterator[str]:
    """Why it could not be verified by anybody."""
    if signature.namespace != XML_SIGNATURES:
        yield "the element is not in the namespace of XML signatures"
    algorithms = {name: value for one in _below(signature) for name, value in [_algorithm(one)] if value}
    for name in ("SignatureMethod", "DigestMethod"):
        if name not in algorithms:
            yield f"it names no {name}"
        elif algorithms[name].endswith("sha1"):
            yield f"its {name} is SHA-1"
    if not any(one.name == "SignatureValue" and one.text.strip() for one in _below(signature)):
        yield "it has no value"
    if _subject(signature) is None:
        yield "it carries no whole certificate"


def _algorithm(element: Element) -> tuple[str, str]:
    return element.name, element.attributes.get("Algorithm", "")


def _subject(signature: Element) -> str | None:
    """The subject of the first certificate that can be read."""
    for element in islice((one for one in _below(signature) if one.name == "X509Certificate"), _CERTIFICATES):
        try:
            der = b64decode("".join(element.text.split()), validate=True)
            return load_certificate(der).subject.rfc4514_string()[:200]
        except (Base64Error, Refusal, ValueError):
            continue
    return None


def _below(element: Element) -> Iterator[Element]:
    for child in element.children:
        yield child
        yield from _below(child)

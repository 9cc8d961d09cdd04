"""Certificates as agencies make them, with openssl and with the library, under configured roots."""

import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.certificates import (
    check_chain,
    load_certificate,
    load_certificates,
    load_private_key,
    new_private_key,
    private_key_pem,
    public_key_of,
    thumbprint,
)
from schemas.errors import Refusal
from schemas.jws import PrivateKey, sign, signature_holds
from schemas.problem import Problem

NOW = datetime.now(UTC)
DAY = timedelta(days=1)

EXTENSIONS = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[ca_plain]
basicConstraints = CA:TRUE
[ca_last]
basicConstraints = critical, CA:TRUE, pathlen:0
[ca_one_more]
basicConstraints = critical, CA:TRUE, pathlen:1
[ca_wrong_usage]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature
[ca_named]
basicConstraints = critical, CA:TRUE
nameConstraints = critical, permitted;dirName:named
[named]
O = Somebody
[not_ca]
basicConstraints = critical, CA:FALSE
[leaf]
basicConstraints = CA:FALSE
[signing]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature, nonRepudiation
[encrypting]
basicConstraints = CA:FALSE
keyUsage = critical, keyEncipherment
[agreeing]
keyUsage = keyAgreement
[mail]
extendedKeyUsage = critical, emailProtection
[named_host]
subjectAltName = DNS:lienthong.example
[unknown_critical]
1.2.3.4.5 = critical, ASN1:UTF8String:hello
"""

NEW_KEY = {
    "P-256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "P-384": ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "P-521": ["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "Ed25519": ["ed25519"],
    "RSA-2048": ["rsa:2048"],
    "RSA-1024": ["rsa:1024"],
}


class Office:
    """Somebody at a terminal with openssl, in a folder of his own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "extensions.cnf").write_text(EXTENSIONS)

    def openssl(self, *arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def read(self, name: str) -> x509.Certificate:
        return load_certificate((self.folder / f"{name}.pem").read_bytes())

    def self_signed(
        self, name: str, *, key: str = "P-256", extensions: str | None = None, days: int = 365
    ) -> x509.Certificate:
        """`openssl req -x509`, and nothing more unless `extensions` says so."""
        more = [] if extensions is None else ["-config", "extensions.cnf", "-extensions", extensions]
        self.openssl(
            *("req", "-x509", "-newkey", *NEW_KEY[key], "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem"),
            *("-subj", f"/C=VN/O=Co quan/CN={name}", "-days", str(days), *more),
        )
        return self.read(name)

    def issued(
        self,
        name: str,
        *,
        by: str,
        key: str = "P-256",
        extensions: str | None = None,
        days: int = 30,
        digest: str = "-sha256",
    ) -> x509.Certificate:
        """`openssl x509 -req`; without `extensions` as plain as it can be: version 1 on older releases."""
        more = [] if extensions is None else ["-extfile", "extensions.cnf", "-extensions", extensions]
        self.openssl(
            *("req", "-newkey", *NEW_KEY[key], "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
            *("-subj", f"/C=VN/O=Co quan/CN={name}"),
        )
        self.openssl(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", str(days), digest, *more),
        )
        return self.read(name)


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def refused(
    cert: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime | None = None,
) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_chain(cert, intermediates, roots, at or datetime.now(UTC))
    assert caught.value.found
    assert caught.value.expected
    return caught.value


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize("root_key", ["P-256", "RSA-2048", "Ed25519", "P-521"])
@pytest.mark.parametrize("key", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_a_plain_openssl_certificate_is_good_under_a_plain_openssl_root(
    office: Office, key: str, root_key: str
) -> None:
    root = office.self_signed("root", key=root_key)
    cert = office.issued("agency", by="root", key=key)
    check_chain(cert, [], [root], now())
    private = load_private_key((office.folder / "agency.key").read_bytes(), None)
    signed = sign(b"{}", key=private, thumbprint=thumbprint(cert))
    assert signature_holds(signed, public_key_of(cert))


@pytest.mark.parametrize("key", ["P-256", "Ed25519", "RSA-2048"])
def test_a_self_signed_certificate_is_good_only_if_it_is_itself_a_root(office: Office, key: str) -> None:
    cert = office.self_signed("agency", key=key)
    other = office.self_signed("other")
    check_chain(cert, [], [other, cert], now())
    assert refused(cert, [], [other]).code == "LT-SIGNER-NOT-ALLOWED"
    assert refused(cert, [cert], [other]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("extensions", ["leaf", "signing", "mail", "named_host"])
def test_names_and_extended_usage_play_no_part(office: Office, extensions: str) -> None:
    root = office.self_signed("root", extensions="ca")
    check_chain(office.issued("agency", by="root", extensions=extensions), [], [root], now())


@pytest.mark.parametrize("extensions", ["encrypting", "agreeing"])
def test_a_key_that_may_not_sign_is_refused(office: Office, extensions: str) -> None:
    root = office.self_signed("root")
    refusal = refused(office.issued("agency", by="root", extensions=extensions), [], [root])
    assert refusal.code == "LT-SIGNER-NOT-ALLOWED"
    assert "digitalSignature" in str(refusal)


@pytest.mark.parametrize("extensions", [None, "leaf"])
@pytest.mark.parametrize("issuer_key", ["P-256", "Ed25519"])
def test_a_path_through_an_intermediate_is_good_and_needs_it(
    office: Office, extensions: str | None, issuer_key: str
) -> None:
    root = office.self_signed("root", extensions="ca_one_more")
    middle = office.issued("middle", by="root", key=issuer_key, extensions="ca_last")
    stranger = office.self_signed("stranger")
    cert = office.issued("agency", by="middle", extensions=extensions)
    check_chain(cert, [stranger, middle], [stranger, root], now())
    assert refused(cert, [], [root]).code == "LT-SIGNER-NOT-ALLOWED"
    assert refused(cert, [middle], [stranger]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("extensions", [None, "leaf"])
@pytest.mark.parametrize("issuer_key", ["P-256", "Ed25519"])
def test_a_path_longer_than_its_root_allows_is_refused(office: Office, extensions: str | None, issuer_key: str) -> None:
    root = office.self_signed("root", extensions="ca_last")
    middle = office.issued("middle", by="root", key=issuer_key, extensions="ca")
    cert = office.issued("agency", by="middle", extensions=extensions)
    assert refused(cert, [middle], [root]).code == "LT-SIGNER-NOT-ALLOWED"
    check_chain(office.issued("direct", by="root", extensions=extensions), [], [root], now())


@pytest.mark.parametrize("extensions", [None, "leaf"])
@pytest.mark.parametrize("key", ["P-256", "Ed25519"])
@pytest.mark.parametrize("wrong", ["not_ca", "ca_wrong_usage", "leaf", None])
def test_who_is_no_authority_issues_nothing(
    office: Office, wrong: str | None, key: str, extensions: str | None
) -> None:
    root = office.self_signed("root")
    agency = office.issued("agency", by="root", key=key, extensions=wrong)
    forged = office.issued("forged", by="agency", extensions=extensions)
    assert refused(forged, [agency], [root]).code == "LT-SIGNER-NOT-ALLOWED"
    assert refused(forged, [agency], [root, agency]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("extensions", [None, "leaf"])
@pytest.mark.parametrize("key", ["P-256", "Ed25519"])
def test_a_root_of_the_same_name_with_another_key_vouches_for_nothing(
    office: Office, tmp_path: Path, key: str, extensions: str | None
) -> None:
    office.self_signed("root", key=key)
    (tmp_path / "impostor").mkdir()
    impostor = Office(tmp_path / "impostor").self_signed("root", key=key)
    cert = office.issued("agency", by="root", extensions=extensions)
    assert impostor.subject == cert.issuer
    assert refused(cert, [], [impostor]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("extensions", [None, "leaf"])
def test_sha_1_is_refused(office: Office, extensions: str | None) -> None:
    root = office.self_signed("root")
    cert = office.issued("agency", by="root", extensions=extensions, digest="-sha1")
    assert refused(cert, [], [root]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("key", ["P-256", "Ed25519"])
def test_an_unknown_critical_extension_is_refused(office: Office, key: str) -> None:
    root = office.self_signed("root", key=key)
    cert = office.issued("agency", by="root", extensions="unknown_critical")
    assert refused(cert, [], [root]).code == "LT-SIGNER-NOT-ALLOWED"


def test_name_constraints_that_cannot_be_checked_are_not_passed_over(office: Office) -> None:
    root = office.self_signed("root", key="Ed25519", extensions="ca_named")
    assert refused(office.issued("agency", by="root"), [], [root]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("extensions", [None, "leaf"])
@pytest.mark.parametrize("key", ["P-256", "Ed25519"])
def test_an_altered_certificate_is_refused(office: Office, key: str, extensions: str | None) -> None:
    root = office.self_signed("root", key=key)
    der = bytearray(office.issued("agency", by="root", extensions=extensions).public_bytes(Encoding.DER))
    position = der.index(b"agency")
    der[position : position + 6] = b"AGENCY"
    assert refused(load_certificate(bytes(der)), [], [root]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("extensions", [None, "leaf"])
@pytest.mark.parametrize("key", ["P-256", "Ed25519"])
@pytest.mark.parametrize(("root_days", "agency_days"), [(365, 30), (30, 365)])
def test_an_expired_certificate_is_told_from_a_stranger(
    office: Office, key: str, extensions: str | None, root_days: int, agency_days: int
) -> None:
    root = office.self_signed("root", key=key, days=root_days)
    cert = office.issued("agency", by="root", extensions=extensions, days=agency_days)
    check_chain(cert, [], [root], now() + 29 * DAY)
    for at in (now() + 31 * DAY, now() + 400 * DAY, now() - DAY):
        assert refused(cert, [], [root], at).code == "LT-SIGNER-EXPIRED"
    stranger = office.self_signed("stranger")
    assert refused(cert, [], [stranger], now()).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("extensions", [None, "leaf"])
def test_an_expired_intermediate_is_told_from_a_missing_one(office: Office, extensions: str | None) -> None:
    root = office.self_signed("root")
    middle = office.issued("middle", by="root", extensions="ca", days=10)
    cert = office.issued("agency", by="middle", extensions=extensions)
    check_chain(cert, [middle], [root], now())
    assert refused(cert, [middle], [root], now() + 20 * DAY).code == "LT-SIGNER-EXPIRED"
    assert refused(cert, [], [root], now() + 20 * DAY).code == "LT-SIGNER-NOT-ALLOWED"


def test_the_offset_of_the_time_makes_no_difference(office: Office) -> None:
    root = office.self_signed("root")
    cert = office.issued("agency", by="root", extensions="leaf", days=1)
    hanoi = (cert.not_valid_after_utc - timedelta(minutes=1)).astimezone(datetime.strptime("+0700", "%z").tzinfo)
    check_chain(cert, [], [root], hanoi)
    assert refused(cert, [], [root], hanoi + timedelta(minutes=2)).code == "LT-SIGNER-EXPIRED"


def test_without_roots_nothing_is_good(office: Office) -> None:
    assert refused(office.self_signed("agency"), [], []).code == "LT-SIGNER-NOT-ALLOWED"


def test_too_many_intermediates_are_refused(office: Office) -> None:
    root = office.self_signed("root")
    cert = office.issued("agency", by="root")
    assert refused(cert, [root] * 17, [root]).code == "LT-SIGNER-NOT-ALLOWED"


@pytest.mark.parametrize("key", ["RSA-1024", "P-521"])
def test_a_key_outside_the_contract_is_refused(office: Office, key: str) -> None:
    root = office.self_signed("root")
    cert = office.issued("agency", by="root", key=key)
    assert refused(cert, [], [root]).code == "LT-ALGORITHM"
    with pytest.raises(Refusal) as caught:
        public_key_of(cert)
    assert caught.value.code == "LT-ALGORITHM"


# Certificates made with the library instead of openssl.


def made(
    subject: str,
    key: PrivateKey | ec.EllipticCurvePrivateKey | dsa.DSAPrivateKey,
    issuer: str,
    issuer_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *extensions: tuple[x509.ExtensionType, bool],
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, SHA256())


ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
ROOT = made("Gốc", ROOT_KEY, "Gốc", ROOT_KEY, (x509.BasicConstraints(ca=True, path_length=None), True))


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048", "RSA-3072"])
def test_a_certificate_of_the_library_without_any_extension_is_good(kind: str) -> None:
    key = new_private_key(kind)
    cert = made("Bộ Nội vụ", key, "Gốc", ROOT_KEY)
    check_chain(cert, [], [ROOT], NOW)
    assert public_key_of(cert) == key.public_key()


def test_a_dsa_key_is_refused() -> None:
    cert = made("DSA", dsa.generate_private_key(2048), "Gốc", ROOT_KEY)
    with pytest.raises(Refusal) as caught:
        check_chain(cert, [], [ROOT], NOW)
    assert caught.value.code == "LT-ALGORITHM"


CERT = made("Bộ Nội vụ", new_private_key("P-256"), "Gốc", ROOT_KEY)
PEM = CERT.public_bytes(Encoding.PEM)
DER = CERT.public_bytes(Encoding.DER)


@pytest.mark.parametrize("data", [PEM, DER, b"Certificate:\n    Data: ...\n" + PEM, PEM.replace(b"\n", b"\r\n")])
def test_a_certificate_is_read_from_pem_and_der(data: bytes) -> None:
    assert load_certificate(data) == CERT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        DER[:-1],
        DER + b"\x00",
        PEM + PEM,
        PEM[:100],
        private_key_pem(new_private_key("P-256")),
        b"0" * 70000,
    ],
    ids=["nothing", "text", "cut", "longer", "two", "half", "a key", "huge"],
)
def test_what_is_not_one_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        load_certificate(data)
    assert (caught.value.code, caught.value.field) == ("LT-SHAPE", "certificate")


def test_a_chain_is_read_in_its_order() -> None:
    assert load_certificates(PEM + ROOT.public_bytes(Encoding.PEM)) == [CERT, ROOT]


@given(st.data())
@settings(max_examples=400)
def test_no_altered_certificate_passes_or_brings_anything_but_a_refusal(data: st.DataObject) -> None:
    der = bytearray(DER)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    if bytes(der) == DER:
        return
    with pytest.raises(Refusal):
        check_chain(load_certificate(bytes(der)), [], [ROOT], NOW)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_certificate(data: bytes) -> None:
    for attempt in (data, b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----"):
        with pytest.raises(Refusal):
            load_certificate(attempt)


def test_a_thumbprint_is_sha_256_of_the_der() -> None:
    assert thumbprint(CERT) == sha256(DER).digest() == CERT.fingerprint(SHA256())


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048", "RSA-3072"])
def test_a_private_key_comes_back_from_its_pem(kind: str) -> None:
    key = new_private_key(kind)
    again = load_private_key(private_key_pem(key), None)
    assert again.public_key() == key.public_key()
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    assert load_private_key(locked, b"secret").public_key() == key.public_key()


KEY = new_private_key("P-256")
LOCKED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize(
    ("pem", "password"),
    [(b"", None), (PEM, None), (LOCKED, None), (LOCKED, b"wrong"), (private_key_pem(KEY), b"needless")],
    ids=["nothing", "a certificate", "no password", "a wrong password", "a needless password"],
)
def test_a_private_key_that_cannot_be_read_is_a_persons_problem(pem: bytes, password: bytes | None) -> None:
    with pytest.raises(Problem) as caught:
        load_private_key(pem, password)
    assert "secret" not in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_a_private_key_of_another_kind_is_refused() -> None:
    pem = ec.generate_private_key(ec.SECP521R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(Refusal) as caught:
        load_private_key(pem, None)
    assert caught.value.code == "LT-ALGORITHM"


def test_another_kind_of_key_cannot_be_made() -> None:
    with pytest.raises(Problem):
        new_private_key("RSA-1024")

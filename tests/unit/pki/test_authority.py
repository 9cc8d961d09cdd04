"""The development certificate authority."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.pki.authority import Home, init, issue, public_key_of_pem, public_key_of_request, write_new
from schemas.certificates import check_chain, load_certificate, load_private_key, new_private_key, public_key_of
from schemas.errors import Refusal
from schemas.problem import Problem

NOW = datetime.now(UTC)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home.below(tmp_path)
    init(found, broker_code="LT.EXCHANGE", now=NOW)
    return found


def openssl(folder: Path, *arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_private_keys_are_for_their_owner_only(home: Home) -> None:
    for path in (home.ca_key, home.broker_key):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_brokers_certificate_leads_to_the_root_and_fits_its_key(home: Home) -> None:
    certificate = load_certificate(home.broker_certificate.read_bytes())
    root = load_certificate(home.root.read_bytes())
    check_chain(certificate, [], [root], NOW)
    assert load_private_key(home.broker_key.read_bytes(), None).public_key() == public_key_of(certificate)
    assert certificate.subject.rfc4514_string() == "CN=LT.EXCHANGE"


def test_openssl_agrees(home: Home) -> None:
    folder = home.root.parent
    assert "OK" in openssl(folder, "verify", "-CAfile", str(home.root), str(home.broker_certificate))


def test_what_exists_is_never_overwritten(home: Home) -> None:
    paths = (home.ca_key, home.ca_certificate, home.root, home.broker_key, home.broker_certificate)
    before = [path.read_bytes() for path in paths]
    assert init(home, broker_code="LT.EXCHANGE", now=NOW) == ()
    assert [path.read_bytes() for path in paths] == before
    with pytest.raises(Problem, match="exists already"):
        write_new(home.broker_key, b"x", private=True)


@pytest.mark.parametrize("lost", ["ca_key", "ca_certificate", "broker_key", "broker_certificate"])
def test_half_a_pair_is_a_problem_and_nothing_is_made(home: Home, lost: str) -> None:
    path: Path = getattr(home, lost)
    path.unlink()
    with pytest.raises(Problem, match=path.name):
        init(home, broker_code="LT.EXCHANGE", now=NOW)
    assert not path.exists()


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_a_certificate_for_a_bare_public_key_leads_to_the_root(home: Home, kind: str) -> None:
    key = new_private_key(kind).public_key()
    pem = issue(home, code="H53", public_key=key, now=NOW, name="UBND tỉnh Tây Ninh")
    certificate = load_certificate(pem)
    check_chain(certificate, [], [load_certificate(home.root.read_bytes())], NOW)
    assert public_key_of(certificate) == key


def test_a_certificate_never_outlives_its_authority(home: Home) -> None:
    key = new_private_key("P-256").public_key()
    late = NOW + timedelta(days=3640)
    certificate = load_certificate(issue(home, code="H53", public_key=key, now=late, days=300))
    assert certificate.not_valid_after_utc == load_certificate(home.root.read_bytes()).not_valid_after_utc


def test_requests_and_public_keys_made_with_openssl_are_read(tmp_path: Path) -> None:
    openssl(tmp_path, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "a.key")
    openssl(tmp_path, "pkey", "-in", "a.key", "-pubout", "-out", "a.pub")
    openssl(tmp_path, "req", "-new", "-key", "a.key", "-subj", "/CN=H53", "-out", "a.csr")
    openssl(tmp_path, "req", "-in", "a.csr", "-outform", "DER", "-out", "a.der")
    expected = public_key_of_pem((tmp_path / "a.pub").read_bytes())
    assert public_key_of_request((tmp_path / "a.csr").read_bytes()) == expected
    assert public_key_of_request((tmp_path / "a.der").read_bytes()) == expected


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_is_no_request_or_key_is_a_sentence(data: bytes) -> None:
    for read in (public_key_of_request, public_key_of_pem):
        with pytest.raises(Problem, match="cannot be read"):
            read(data)


def test_a_forged_request_is_refused(tmp_path: Path) -> None:
    openssl(tmp_path, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "a.key", "-subj", "/CN=H53",
            "-outform", "DER", "-out", "a.der")  # fmt: skip
    forged = bytearray((tmp_path / "a.der").read_bytes())
    forged[-1] ^= 1
    with pytest.raises(Problem, match="not signed with its own key"):
        public_key_of_request(bytes(forged))


def test_a_weak_key_gets_no_certificate(tmp_path: Path) -> None:
    openssl(tmp_path, "genrsa", "-out", "a.key", "1024")
    openssl(tmp_path, "pkey", "-in", "a.key", "-pubout", "-out", "a.pub")
    with pytest.raises(Refusal):
        public_key_of_pem((tmp_path / "a.pub").read_bytes())


def test_without_an_authority_nothing_is_issued(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no certificate authority"):
        issue(Home.below(tmp_path), code="H53", public_key=new_private_key("P-256").public_key(), now=NOW)

"""Enrolment of certificates made with openssl, and their revocation."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from broker.directory.changes import Author, NewAgency, add_agency, enrol_certificate, load_roots, revoke_certificate
from broker.directory.enrolment import certificate_named, examine
from broker.directory.live import load_directory
from broker.store.pool import Connection
from schemas.certificates import load_certificate, thumbprint
from schemas.errors import Refusal
from schemas.problem import Problem


class Authority:
    """A root made with openssl, and what it issues."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "roots").mkdir()
        self.run("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", "root.key", "-subj", "/CN=Root", "-days", "30", "-out", "roots/root.pem")  # fmt: skip
        self.roots = load_roots(folder / "roots")

    def run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def certificate(self, name: str, *, days: int = 10) -> bytes:
        self.run("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}",
                 "-out", f"{name}.csr")  # fmt: skip
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "roots/root.pem", "-CAkey", "root.key", "-CAcreateserial",
                 "-days", str(days), "-out", f"{name}.pem")  # fmt: skip
        return (self.folder / f"{name}.pem").read_bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def agencies(connection: Connection, author: Author) -> None:
    for code in ("A", "B"):
        await add_agency(connection, NewAgency(code=code, name=f"Cơ quan {code}", level="commune"), author=author)


def name_of(data: bytes) -> bytes:
    return thumbprint(load_certificate(data))


@pytest.mark.usefixtures("agencies")
async def test_a_certificate_speaks_for_the_agency_it_was_enrolled_for_whatever_its_subject(
    connection: Connection, author: Author, authority: Authority
) -> None:
    data = authority.certificate("B")
    await enrol_certificate(connection, "A", data, roots=authority.roots, author=author)
    directory = await load_directory(connection)
    enrolled = directory.certificate(name_of(data))
    assert enrolled is not None and directory.by_id(enrolled.agency_id).code == "A"
    assert enrolled.certificate == load_certificate(data) and enrolled.custody == "agency"


@pytest.mark.usefixtures("agencies")
async def test_enrolling_again_has_no_second_effect_and_another_agency_is_refused(
    connection: Connection, author: Author, authority: Authority
) -> None:
    data = authority.certificate("A")
    for _ in range(2):
        await enrol_certificate(connection, "A", data, roots=authority.roots, author=author)
    assert await connection.fetchval("SELECT count(*) FROM admin_action WHERE action = 'certificate.enrolled'") == 1
    with pytest.raises(Problem, match="enrolled for A Cơ quan A"):
        await enrol_certificate(connection, "B", data, roots=authority.roots, author=author)


@pytest.mark.usefixtures("agencies")
async def test_a_revocation_is_in_the_very_next_directory_and_is_final(
    connection: Connection, author: Author, authority: Authority
) -> None:
    data = authority.certificate("A")
    await enrol_certificate(connection, "A", data, roots=authority.roots, author=author)
    before = await load_directory(connection)
    since = await revoke_certificate(connection, name_of(data), why="khóa bị mất", author=author)
    enrolled = (await load_directory(connection, before)).certificate(name_of(data))
    assert enrolled is not None and (enrolled.revoked_at, enrolled.revoked_why) == (since, "khóa bị mất")
    assert await revoke_certificate(connection, name_of(data), why="again", author=author) == since
    with pytest.raises(Problem, match="was revoked"):
        await enrol_certificate(connection, "A", data, roots=authority.roots, author=author)


@pytest.mark.usefixtures("agencies")
async def test_only_what_leads_to_a_configured_root_and_is_in_time_is_enrolled(
    connection: Connection, author: Author, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").certificate("A")
    with pytest.raises(Refusal) as caught:
        await enrol_certificate(connection, "A", stranger, roots=authority.roots, author=author)
    assert caught.value.code == "LT-SIGNER-NOT-ALLOWED"
    with pytest.raises(Problem, match="cannot be read"):
        await enrol_certificate(connection, "A", b"a key, perhaps", roots=authority.roots, author=author)
    assert await connection.fetchval("SELECT count(*) FROM certificate") == 0


@pytest.mark.usefixtures("agencies")
async def test_a_certificate_is_examined_without_being_enrolled(
    connection: Connection, author: Author, authority: Authority
) -> None:
    data, now = authority.certificate("A"), datetime.now(UTC)
    found = await examine(connection, data, roots=authority.roots, at=now)
    assert found["good"] is False and found["agency"] == "not enrolled: speaks for nobody"
    await enrol_certificate(connection, "A", data, roots=authority.roots, author=author)
    assert (await examine(connection, data, roots=authority.roots, at=now))["good"] is True
    await revoke_certificate(connection, name_of(data), why="lost", author=author)
    assert (await examine(connection, data, roots=authority.roots, at=datetime.now(UTC)))["good"] is False


@pytest.mark.usefixtures("agencies")
async def test_a_certificate_is_named_by_the_beginning_of_its_thumbprint(
    connection: Connection, author: Author, authority: Authority
) -> None:
    data = authority.certificate("A")
    await enrol_certificate(connection, "A", data, roots=authority.roots, author=author)
    digits = name_of(data).hex()
    assert (await certificate_named(connection, digits[:8].upper())).thumbprint == name_of(data)
    for unusable in (digits[:7], "f" * 64, "'; DROP"):
        with pytest.raises(Problem):
            await certificate_named(connection, unusable)


def test_a_folder_without_roots_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no root certificate"):
        load_roots(tmp_path)


def test_a_file_may_hold_several_roots(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    second = (Authority(tmp_path / "other").folder / "roots" / "root.pem").read_bytes()
    first = tmp_path / "roots" / "root.pem"
    first.write_bytes(first.read_bytes() + second)
    roots: tuple[x509.Certificate, ...] = load_roots(tmp_path / "roots")
    assert len(roots) == 2

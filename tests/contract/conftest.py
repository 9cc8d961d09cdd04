"""An exchange as programs, and strangers who join it with two commands each."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from broker.services import Endpoints
from tests.conftest import fresh_database, fresh_vhost
from tests.contract.stranger import Stranger
from tests.kit.installation import Installation


@dataclass
class Exchange:
    """A running installation with a root of our own making beside the development CA."""

    installation: Installation
    prefix: str
    """AMQP users are one name space for a whole server: each test's codes begin with letters of its own."""
    root_key: Path
    root: Path
    strangers: list[Stranger]

    def code(self, name: str) -> str:
        return f"{self.prefix}.{name}"

    def join(
        self, name: str, *, key: str = "ec", level: str = "ministry", days: int = 30, join: bool = True
    ) -> Stranger:
        """Add the agency and enrol a certificate made with openssl; give its software, connected."""
        code = self.code(name)
        folder = self.installation.folder
        papers = self.installation.json("agency", "add", code, "--name", f"Cơ quan {name}", "--level", level)
        key_file, certificate = make_certificate(folder, self.root_key, self.root, code, key=key, days=days)
        self.installation.command("cert", "add", code, str(certificate))
        stranger = Stranger(
            code=code,
            url=papers["amqp_url"],
            password=papers["password"],
            key_pem=key_file.read_bytes(),
            certificate_pem=certificate.read_text(),
            broker_certificate_pem=papers["broker_certificate"],
            broker_code=papers["broker_code"],
        )
        self.strangers.append(stranger)
        return stranger


def openssl(*arguments: str, cwd: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


KEYS = {
    "ec": ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "rsa": ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ed25519": ["genpkey", "-algorithm", "ed25519"],
}


def make_certificate(
    folder: Path, root_key: Path, root: Path, code: str, *, key: str = "ec", days: int = 30
) -> tuple[Path, Path]:
    """A key and a certificate under the root, by plain openssl."""
    name = f"{code}-{secrets.token_hex(3)}"
    key_file, request, certificate = (folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
    openssl(*KEYS[key], "-out", str(key_file), cwd=folder)
    openssl("req", "-new", "-key", str(key_file), "-subj", f"/CN={code}", "-out", str(request), cwd=folder)
    openssl(
        *("x509", "-req", "-in", str(request), "-CA", str(root), "-CAkey", str(root_key), "-CAcreateserial"),
        *("-days", str(days), "-out", str(certificate)),
        cwd=folder,
    )
    return key_file, certificate


@pytest.fixture(scope="module")
def exchange(servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """A worker and a keeper at work, no agency yet; one for all tests of a module, each with agencies of its own."""
    folder = tmp_path_factory.mktemp("exchange")
    with fresh_vhost(servers) as vhost, fresh_database(servers) as database:
        installation = Installation(
            folder=folder,
            amqp_url=vhost.amqp_url,
            management_url=vhost.management_url,
            database_url=database,
        )
        installation.prepare()
        root_key, root = folder / "root.key", folder / "exchange" / "roots" / "ministry-ca.pem"
        openssl(*KEYS["ec"], "-out", str(root_key), cwd=folder)
        openssl(
            *("req", "-x509", "-new", "-key", str(root_key), "-subj", "/CN=A root made with openssl"),
            *("-days", "365", "-out", str(root)),
            cwd=folder,
        )
        installation.start("worker")
        installation.start("keeper")
        joined = Exchange(installation, f"T{secrets.token_hex(3).upper()}", root_key, root, [])
        yield joined
        for stranger in joined.strangers:
            stranger.close()
        installation.stop()

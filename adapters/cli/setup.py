"""`lienthong-agency init` and `keygen`: from the operator's papers to a folder with which an agency can take part."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from adapters.settings import load, read_file
from schemas.agency_codes import canonical_code
from schemas.certificates import new_private_key, private_key_pem
from schemas.errors import Refusal
from schemas.problem import Problem

CONFIG = "agency.toml"
LOG_KEYS = "log.vkey"
PAPERS = ("code", "amqp_url", "password", "broker_code", "broker_certificate", "roots")

TEMPLATE = """\
# Written by `lienthong-agency init`. Paths count from this folder. Secrets are in files of their own.
code = {code}
submitter = {submitter}
amqp_url = {amqp_url}
amqp_password_file = "amqp.password"
key_file = "agency.key"
certificate_file = "agency.pem"
root_file = "roots.pem"
broker_code = {broker_code}
broker_certificate_file = "broker.pem"
data_dir = "data"
{log}
{content}
# A hub names the agencies that it speaks for, each with its own key or, without one, under the hub's mandate:
# [[served]]
# code = "H53.31"
# key_file = "H53.31/agency.key"
# certificate_file = "H53.31/agency.pem"
"""


def read_papers(source: str) -> dict[str, Any]:
    """What `lienthong agency add … --json` printed, from a file or, for "-", from standard input. Raises Problem."""
    raw = sys.stdin.buffer.read() if source == "-" else read_file(Path(source), what="the operator's papers")
    expected = "the JSON that `lienthong agency add CODE … -o FILE` wrote"
    try:
        papers = json.loads(raw)
    except ValueError as why:
        raise Problem(f"{source}: {why}", expected, "Ask the operator for that output") from why
    missing = [name for name in PAPERS if not isinstance(papers, dict) or not isinstance(papers.get(name), str)]
    if missing:
        raise Problem(
            f"{source}: no {', '.join(missing)}",
            expected,
            "An agency without a connection of its own is served by its hub; others get theirs with "
            "`lienthong agency connect CODE -o FILE`",
        )
    return dict(papers)


def write_folder(folder: Path, papers: dict[str, Any], *, content_dir: Path | None, force: bool) -> list[Path]:
    """Write agency.toml, password, roots and the exchange's certificate; returns the files. Raises Problem."""
    try:
        code = canonical_code(papers["code"])
    except Refusal as why:
        raise Problem(f"the code {papers['code']!r}", "an agency code", "Ask the operator") from why
    content_dir = content_dir or (Path(papers["content_dir"]) if papers.get("content_dir") else None)
    vkeys = [str(vkey) for vkey in papers.get("log_vkeys") or ()]
    toml = TEMPLATE.format(
        code=_quoted(code),
        submitter=_quoted(papers.get("amqp_user") or code),
        amqp_url=_quoted(papers["amqp_url"]),
        broker_code=_quoted(papers["broker_code"]),
        log=_log_line(vkeys),
        content=_content_lines(papers.get("content_url"), content_dir),
    )
    files = {
        CONFIG: toml,
        "amqp.password": papers["password"] + "\n",
        "roots.pem": papers["roots"],
        "broker.pem": papers["broker_certificate"],
    }
    if vkeys:
        files[LOG_KEYS] = "".join(f"{vkey}\n" for vkey in vkeys)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    taken = [name for name in files if (folder / name).exists()]
    if taken and not force:
        raise Problem(f"{', '.join(taken)} in {folder}", "a folder without them", "Name another folder, or add --force")
    for name, text in files.items():
        write_private(folder / name, text.encode())
    return [folder / name for name in files]


def _log_line(vkeys: list[str]) -> str:
    """The log's keys, if the exchange had them when it wrote the papers."""
    if vkeys:
        return f'log_vkey_file = "{LOG_KEYS}"'
    return f'# The keys with which proofs out of the log are checked:\n# log_vkey_file = "{LOG_KEYS}"'


def _content_lines(url: Any, folder: Path | None) -> str:
    """Where larger parts go: a folder that was named here, else the gateway that the papers name."""
    if folder is not None:
        return f"content_dir = {_quoted(str(folder.absolute()))}"
    if isinstance(url, str) and url:
        return f"content_url = {_quoted(url)}"
    return '# Larger parts go through the content store:\n# content_url = "https://gateway.example.vn"'


def make_key(config: Path, *, kind: str, force: bool) -> tuple[Path, Path, str]:
    """Make the signing key of `agency.toml` and a certificate request; returns their paths and the code."""
    settings = load(config)
    request_file = settings.key_file.with_suffix(".csr")
    if settings.key_file.exists() and not force:
        raise Problem(
            f"{settings.key_file} exists",
            "no key yet",
            "Keep it, or add --force to make a new one: what the old one signs is no longer yours to sign",
        )
    key = new_private_key(kind)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, settings.code)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, algorithm)
    write_private(settings.key_file, private_key_pem(key))
    request_file.write_bytes(request.public_bytes(Encoding.PEM))
    return settings.key_file, request_file, settings.code


def write_private(path: Path, data: bytes) -> None:
    """A file that only its owner may read, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(data)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a TOML basic string takes JSON's escapes

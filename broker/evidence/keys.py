"""The log's keys: one Ed25519 key signs, and during a rotation the former one signs as well (design §8).

Beside the key file `log.key` stand `log.vkey`, the public keys of all times, newest first, one a line, and while a
rotation lasts `log.former.key`. Every checkpoint is signed under two names by each key: the origin's, as C2SP
tlog-checkpoint recommends, and the log's own (`<name>/log`), which stays the same through the years and is what
agencies are given. Reads and makes files; knows no database.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import (
    ED25519,
    Checkpoint,
    Note,
    VerifierKey,
    parse_verifier_key,
    signature_line,
    verifier_key,
)
from schemas.problem import Problem


def log_name(log_origin: str) -> str:
    """The name in the log's verifier key: the same for the origins of all years."""
    return f"{log_origin}/log"


def vkey_file(key_file: Path) -> Path:
    """Where the public keys stand."""
    return key_file.with_suffix(".vkey")


def former_key_file(key_file: Path) -> Path:
    """Where the key stands that signs as well until a rotation has ended."""
    return key_file.with_suffix(f".former{key_file.suffix}")


def renamed(key: VerifierKey, name: str) -> VerifierKey:
    """The same public key under another name."""
    return VerifierKey(name, key.kind, key.public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKeys:
    """What signs."""

    name: str
    """The log's own name, `<log_origin>/log`."""
    private: tuple[Ed25519PrivateKey, ...]
    """The key, and the former one while a rotation lasts."""

    @classmethod
    def load(cls, key_file: Path, log_origin: str) -> LogKeys:
        """Read the key, and the former one if it is there. Raises Problem."""
        files = [key_file, *(file for file in (former_key_file(key_file),) if file.exists())]
        return cls(name=log_name(log_origin), private=tuple(_read(file) for file in files))

    @property
    def public(self) -> tuple[VerifierKey, ...]:
        """The public keys of what signs now, under the log's own name."""
        return tuple(_public(self.name, key.public_key()) for key in self.private)

    def sign(self, checkpoint: Checkpoint) -> bytes:
        """The note: by every key, under the origin's name and under the log's own."""
        text = checkpoint.encode()
        names = (checkpoint.origin, self.name)
        return Note(text, tuple(signature_line(text, name, key) for key in self.private for name in names)).encode()


def read_vkeys(file: Path) -> tuple[VerifierKey, ...]:
    """The verifier keys in a file, one a line. Raises Problem if there is none or one cannot be read."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        keys = tuple(parse_verifier_key(line) for line in lines if line and not line.startswith("#"))
    except FileNotFoundError:
        keys = ()
    except (OSError, UnicodeDecodeError, EvidenceFault) as error:
        raise Problem(
            f"{file} cannot be read: {error}",
            "verifier keys of the log, one a line: name+hash+base64",
            "Bring the file back, or name another one with --key.",
        ) from None
    if not keys:
        raise Problem(
            f"no verifier key of the log in {file}",
            "one line name+hash+base64 for each key that the log ever had",
            "Make the log's key with `lienthong pki init`, or name a file with --key.",
        )
    return keys


def make_log_key(key_file: Path, log_origin: str) -> tuple[Path, ...]:
    """Make the log's key (0600) and its vkey file if they are missing; returns the files made.

    A vkey file that exists keeps its keys. Raises Problem if the public keys are there and the private one is not: a
    new key would sign a log that others know under the old one.
    """
    public = vkey_file(key_file)
    made: list[Path] = []
    if not key_file.exists():
        if public.exists():
            raise Problem(
                f"{public} without {key_file}",
                "both files, or neither",
                f"Bring {key_file} back from a backup; if it is lost, move {public} away to begin with a new key.",
            )
        write_private_key(key_file, Ed25519PrivateKey.generate())
        made.append(key_file)
    if not public.exists():
        key = _read(key_file).public_key()
        public.write_text(verifier_key(log_name(log_origin), key) + "\n", encoding="utf-8")
        made.append(public)
    return tuple(made)


def rotate_log_key(key_file: Path, log_origin: str) -> str:
    """Put a new key beside the old one, which signs as well from now on; returns the new verifier key.

    Raises Problem if there is no key, or if an earlier rotation has not ended.
    """
    former, public = former_key_file(key_file), vkey_file(key_file)
    _read(key_file)
    if former.exists():
        raise Problem(
            f"{former} exists: an earlier rotation has not ended",
            "one former key at most",
            f"When every agency has the newer verifier key, move {former} away; then rotate again.",
        )
    known = "".join(f"{key.encode()}\n" for key in read_vkeys(public))
    key = Ed25519PrivateKey.generate()
    vkey = verifier_key(log_name(log_origin), key.public_key())
    beside = key_file.with_suffix(".new")
    write_private_key(beside, key)
    # Whoever is stopped between these finds every private key there, and its public one in the list.
    temporary = public.with_suffix(".vkey.new")
    temporary.write_text(f"{vkey}\n{known}", encoding="utf-8")
    os.replace(temporary, public)
    os.rename(key_file, former)
    os.rename(beside, key_file)
    return vkey


def write_private_key(file: Path, key: Ed25519PrivateKey) -> None:
    """Write a private key as PKCS#8 PEM, readable by its owner only. Raises Problem if the file exists."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Problem(
            f"{file} exists already", "a new file", "Move it away first; keys are never overwritten."
        ) from None
    with os.fdopen(descriptor, "wb") as out:
        out.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        out.flush()
        os.fsync(out.fileno())


def _public(name: str, key: Ed25519PublicKey) -> VerifierKey:
    return VerifierKey(name, ED25519, key.public_bytes_raw())


def _read(file: Path) -> Ed25519PrivateKey:
    expected = "the log's Ed25519 key in PEM"
    try:
        key = load_pem_private_key(file.read_bytes(), None)
    except FileNotFoundError:
        raise Problem(f"{file} does not exist", expected, "Make it with `lienthong pki init`.") from None
    except (OSError, ValueError, TypeError) as error:
        raise Problem(f"{file} cannot be read: {error}", expected, "Bring it back from a backup.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Problem(f"a {type(key).__name__} in {file}", expected, "Bring it back from a backup.")
    return key

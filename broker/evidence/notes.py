"""C2SP signed-note, tlog-checkpoint and tlog-cosignature: the text that commits to a tree, and who signed it. Pure.

A note is a text, an empty line, and signature lines `— <key name> base64(key id ‖ signature)`. A checkpoint is a note
whose text is origin, size and root. Two kinds of Ed25519 signatures are known: the log's own (type 0x01) over the text,
and a witness's cosignature (type 0x04) over a header, its time and the text. Signatures by other keys are ignored, as
the specification demands; one by a known key that does not hold makes the whole note refused.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from broker.evidence.merkle import HASH_SIZE, EvidenceFault

ED25519: Final = 0x01
"""Signature type of a log's own signature."""

COSIGNATURE: Final = 0x04
"""Signature type of a witness's timestamped signature (cosignature/v1)."""

MAX_NOTE: Final = 64 * 1024
"""Bytes of a note that are looked at, at most."""

MAX_SIGNATURES: Final = 64
"""Signature lines of a note, at most; the specification asks for 16 or more."""

_DASH: Final = "— "
_KEY_ID_SIZE: Final = 4
_SIGNATURE_SIZE: Final = 64
_TIME_SIZE: Final = 8
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature line, not verified."""

    name: str
    key_id: bytes
    """Four bytes that, with the name, tell which key it was."""
    signature: bytes
    """What the key made: 64 bytes of Ed25519, with 8 bytes of time before them in a cosignature."""

    def encode(self) -> str:
        """The line without its newline."""
        return f"{_DASH}{self.name} {b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it was read; nothing in it is to be believed before `verify_note`."""

    text: str
    """With its final newline, without the empty line."""
    signatures: tuple[SignatureLine, ...]

    def encode(self) -> bytes:
        """The note's bytes."""
        lines = "".join(f"{line.encode()}\n" for line in self.signatures)
        return f"{self.text}\n{lines}".encode()


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name: what a "vkey" says."""

    name: str
    kind: Literal[0x01, 0x04]
    public_key: bytes
    """32 bytes."""

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ newline ‖ type ‖ public key)."""
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key).digest()[:_KEY_ID_SIZE]

    def encode(self) -> str:
        """`name+hex key id+base64(type ‖ public key)`."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(bytes([self.kind]) + self.public_key).decode()}"


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds."""

    key: VerifierKey
    at: datetime | None
    """When a witness says it signed; None for the log's own signature."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its first `size` leaves have this root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def encode(self) -> str:
        """The note's text. Raises ValueError for an origin or extension that is no line of its own."""
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line or _CONTROL.search(line):
                raise ValueError(f"{line!r} cannot stand in a checkpoint: it must be one line that is not empty")
        if self.size < 0 or len(self.root) != HASH_SIZE:
            raise ValueError("a checkpoint has a size of 0 or more and a root of 32 bytes")
        return "".join(
            f"{line}\n" for line in (self.origin, self.size, b64encode(self.root).decode(), *self.extensions)
        )

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note's text. Raises EvidenceFault if it is no checkpoint."""
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1] or not all(lines[:-1]):
            raise EvidenceFault(
                "checkpoint", found=f"{len(lines) - 1} lines", expected="origin, size and root, none of them empty"
            )
        origin, size, root, *extensions = lines[:-1]
        if not _SIZE.fullmatch(size):
            raise EvidenceFault(
                "checkpoint", found=f"size {size[:40]!r}", expected="a decimal number without zeros before"
            )
        hash_ = _strict_base64(root, "checkpoint root")
        if len(hash_) != HASH_SIZE:
            raise EvidenceFault("checkpoint", found=f"a root of {len(hash_)} bytes", expected=f"{HASH_SIZE} bytes")
        return cls(origin, int(size), hash_, tuple(extensions))


def parse_note(data: bytes) -> Note:
    """Read a note, strictly. Raises EvidenceFault with what is wrong; nothing is verified by this."""
    if len(data) > MAX_NOTE:
        raise EvidenceFault("note", found=f"{len(data)} bytes", expected=f"at most {MAX_NOTE}")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EvidenceFault("note", found=f"byte {error.start} is no UTF-8", expected="UTF-8 text") from None
    if (control := _CONTROL.search(whole)) is not None:
        raise EvidenceFault(
            "note", found=f"control character {control[0]!r}", expected="no control character but newline"
        )
    text, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise EvidenceFault("note", found="no signature lines", expected="a text, an empty line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise EvidenceFault("note", found=f"{len(lines)} signatures", expected=f"at most {MAX_SIGNATURES}")
    return Note(f"{text}\n", tuple(parse_signature_line(line) for line in lines))


def parse_signature_line(line: str) -> SignatureLine:
    """Read one signature line without its newline. Raises EvidenceFault."""
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space or not _is_key_name(name):
        raise EvidenceFault("signature line", found=repr(line[:80]), expected="— <key name> <base64>")
    data = _strict_base64(encoded, "signature line")
    if len(data) <= _KEY_ID_SIZE:
        raise EvidenceFault("signature line", found=f"{len(data)} bytes", expected="a key id and a signature")
    return SignatureLine(name, data[:_KEY_ID_SIZE], data[_KEY_ID_SIZE:])


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> bytes:
    """A note over `text` (which ends with a newline) with one signature of the log's kind."""
    return Note(text, (signature_line(text, name, key),)).encode()


def signature_line(text: str, name: str, key: Ed25519PrivateKey) -> SignatureLine:
    """The log's own signature over `text`. Raises ValueError for a text or name that a note cannot hold."""
    _check_signable(text, name)
    return SignatureLine(name, _verifier(name, key.public_key(), ED25519).key_id, key.sign(text.encode()))


def cosignature_line(text: str, name: str, key: Ed25519PrivateKey, at: datetime) -> SignatureLine:
    """A witness's cosignature/v1 over a checkpoint's text, at this (aware) time."""
    _check_signable(text, name)
    seconds = int(at.timestamp())
    signature = seconds.to_bytes(_TIME_SIZE, "big") + key.sign(_cosigned(text, seconds))
    return SignatureLine(name, _verifier(name, key.public_key(), COSIGNATURE).key_id, signature)


def verifier_key(name: str, public_key: Ed25519PublicKey, *, kind: Literal[0x01, 0x04] = ED25519) -> str:
    """The vkey of a public key: `name+hash+base64`."""
    if not _is_key_name(name):
        raise ValueError(f"{name!r} is no key name: it must not be empty nor hold spaces or plus signs")
    return _verifier(name, public_key, kind).encode()


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a vkey, strictly. Raises EvidenceFault."""
    name, _, rest = text.partition("+")
    digits, _, encoded = rest.partition("+")
    data = _strict_base64(encoded, "verifier key")
    expected = "name+8 hex digits+base64 of a type (01, 04) and an Ed25519 key"
    if not _is_key_name(name) or len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
        raise EvidenceFault("verifier key", found=repr(text[:120]), expected=expected)
    key = VerifierKey(name, ED25519 if data[0] == ED25519 else COSIGNATURE, data[1:])
    if digits != key.key_id.hex():
        raise EvidenceFault("verifier key", found=f"key id {digits[:20]!r}", expected=key.key_id.hex())
    return key


def verify_note(note: Note, vkeys: Iterable[str | VerifierKey]) -> tuple[Verified, ...]:
    """The signatures of `note` that are by one of `vkeys`, all of which hold.

    Raises EvidenceFault if there is none, or if one by a known key does not hold.
    """
    keys = [key if isinstance(key, VerifierKey) else parse_verifier_key(key) for key in vkeys]
    known = {(key.name, key.key_id): key for key in keys}
    held: dict[tuple[str, bytes], Verified] = {}
    for line in note.signatures:
        key = known.get((line.name, line.key_id))
        if key is not None:
            held[line.name, line.key_id] = _verify_line(note.text, line, key)
    if not held:
        found = ", ".join(f"{line.name} ({line.key_id.hex()})" for line in note.signatures) or "none"
        wanted = ", ".join(f"{key.name} ({key.key_id.hex()})" for key in keys) or "no key was given"
        raise EvidenceFault("note", found=f"signatures by {found}", expected=f"one by {wanted}")
    return tuple(held.values())


def verify_checkpoint(note: bytes, vkeys: Sequence[str | VerifierKey], *, origin: str | None = None) -> Checkpoint:
    """The checkpoint in a note that one of the log's keys (type 0x01 in `vkeys`) signed, of this origin if given.

    Raises EvidenceFault otherwise. A witness's signature alone does not make a checkpoint of the log's.
    """
    parsed = parse_note(note)
    keys = [key if isinstance(key, VerifierKey) else parse_verifier_key(key) for key in vkeys]
    if not any(held.key.kind == ED25519 for held in verify_note(parsed, keys)):
        raise EvidenceFault("checkpoint", found="only cosignatures", expected="a signature by the log itself")
    checkpoint = Checkpoint.parse(parsed.text)
    if origin is not None and checkpoint.origin != origin:
        raise EvidenceFault("checkpoint", found=f"origin {checkpoint.origin}", expected=f"origin {origin}")
    return checkpoint


def _verify_line(text: str, line: SignatureLine, key: VerifierKey) -> Verified:
    what = f"signature of {key.name} ({key.key_id.hex()})"
    timed = key.kind == COSIGNATURE
    if len(line.signature) != _SIGNATURE_SIZE + (_TIME_SIZE if timed else 0):
        raise EvidenceFault(what, found=f"{len(line.signature)} bytes", expected="an Ed25519 signature of its kind")
    seconds = int.from_bytes(line.signature[:_TIME_SIZE], "big") if timed else 0
    message = _cosigned(text, seconds) if timed else text.encode()
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(line.signature[-_SIGNATURE_SIZE:], message)
    except InvalidSignature:
        raise EvidenceFault(what, found="a signature that does not fit the text", expected="one that does") from None
    try:
        return Verified(key, datetime.fromtimestamp(seconds, UTC) if timed else None)
    except (OverflowError, ValueError, OSError):
        raise EvidenceFault(what, found=f"time {seconds}", expected="a time in seconds since 1970") from None


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def _verifier(name: str, public_key: Ed25519PublicKey, kind: Literal[0x01, 0x04]) -> VerifierKey:
    return VerifierKey(name, kind, public_key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(letter.isspace() for letter in name)


def _check_signable(text: str, name: str) -> None:
    if not text.endswith("\n") or _CONTROL.search(text):
        raise ValueError("a note's text ends with a newline and holds no other control character")
    if not _is_key_name(name):
        raise ValueError(f"{name!r} is no key name: it must not be empty nor hold spaces or plus signs")


def _strict_base64(text: str, what: str) -> bytes:
    """Standard base64 with padding, in its one canonical spelling. Raises EvidenceFault."""
    try:
        data = b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or b64encode(data).decode() != text:
        raise EvidenceFault(what, found=repr(text[:80]), expected="base64 in its canonical spelling")
    return data

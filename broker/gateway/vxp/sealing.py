"""Sealing what the exchange keeps for others: private keys and secrets, unreadable to whoever has only the database.

AES-256-GCM under the custody key, a file beside the broker's own keys. What is sealed is bound to what it is for
(`purpose`), so that a row moved to another place in the database does not open there. Keeps no key in the database and
writes none into a log.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from broker.pki.authority import write_new
from schemas.problem import Problem

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class CustodyKey:
    """The key under which everything else is sealed."""

    _key: bytes = field(repr=False)

    @classmethod
    def load(cls, path: Path, *, make: bool = False) -> CustodyKey:
        """Read the key's file; with `make` it is made first if there is none. Raises Problem."""
        if make and not path.exists():
            try:
                write_new(path, os.urandom(KEY_BYTES), private=True)
            except Problem:
                if not path.exists():  # else somebody else has made it at this very moment
                    raise
        try:
            key = path.read_bytes()
        except OSError as error:
            raise Problem(
                found=f"no custody key at {path}: {error.strerror or error}",
                expected="the key with which offices' keys and secrets are sealed",
                remedy="bring it back from its backup; `lienthong agency system add` makes one for a new exchange",
            ) from error
        if len(key) != KEY_BYTES:
            raise Problem(
                found=f"{path} with {len(key)} bytes",
                expected=f"a key of {KEY_BYTES} bytes",
                remedy="bring it back from its backup",
            )
        return cls(key)

    def seal(self, data: bytes, *, purpose: bytes) -> bytes:
        """`data`, sealed for this purpose."""
        nonce = os.urandom(NONCE_BYTES)
        return _VERSION + nonce + AESGCM(self._key).encrypt(nonce, data, purpose)

    def open(self, sealed: bytes, *, purpose: bytes) -> bytes:
        """What was sealed for this purpose. Raises Problem if it was sealed under another key or for another."""
        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            if sealed[:1] != _VERSION or len(nonce) != NONCE_BYTES:
                raise InvalidTag
            return AESGCM(self._key).decrypt(nonce, rest, purpose)
        except InvalidTag as error:
            raise Problem(
                found="something sealed that does not open under the custody key",
                expected="what was sealed with this key, in its own place",
                remedy="bring the right custody key back, or give the system a new key and secret",
            ) from error


def secret_purpose(system: str) -> bytes:
    """What a system's secret is sealed for."""
    return b"vxp secret of " + system.encode()

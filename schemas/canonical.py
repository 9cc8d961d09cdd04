"""Canonical JSON (RFC 8785) and the hashes that are taken over it.

Events and natural keys are hashed; whoever checks them later must arrive at the same bytes. Nothing else in the project
may serialise what is going to be hashed. Messages are never re-serialised: their digest is over the bytes that came.
"""

from hashlib import sha256
from typing import Any, Final

import orjson
import rfc8785

_LEAF_PREFIX: Final = b"\x00"
"""RFC 6962 §2.1: leaves and inner nodes are hashed under different prefixes."""

_MAX_QUICK_DEPTH: Final = 16
_QUICK_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value made of dict, list, tuple, str, int, float, bool and None.

    Raises ValueError for what has no canonical form: NaN and Infinity, integers beyond ±(2^53-1), unpaired surrogates,
    member names that are no strings, other types.
    """
    if _is_quick(value, 0):
        try:
            return orjson.dumps(value, option=_QUICK_OPTIONS)
        except orjson.JSONEncodeError:
            pass  # The reference implementation decides, and says what is wrong.
    return rfc8785.dumps(value)


def leaf_hash(body: bytes) -> bytes:
    """The leaf of an event in the log: SHA-256(0x00 ‖ body), 32 bytes (contract §9)."""
    return sha256(_LEAF_PREFIX + body).digest()


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hex, the spelling of every digest in the contract."""
    return sha256(data).hexdigest()


def _is_quick(value: Any, depth: int) -> bool:
    """Whether orjson writes this value exactly as RFC 8785 demands.

    It does, but for numbers with a fraction, member names that sort differently in UTF-8 and in UTF-16, and types that
    only orjson knows. The tests prove the two equal on everything that passes here.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if depth == _MAX_QUICK_DEPTH:
        return False
    if kind is dict:
        for name, member in value.items():
            if type(name) is not str or not name.isascii() or not _is_quick(member, depth + 1):
                return False
        return True
    if kind is list or kind is tuple:
        for item in value:  # noqa: SIM110 - a generator costs twice the time here
            if not _is_quick(item, depth + 1):
                return False
        return True
    return False

"""The five signature algorithms of contract §1 as a table: which key each needs, how it signs, how it verifies.

Bytes and keys only: no JSON, no certificate. The table is the whole list; `none` and HMAC have no entry to fall into.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

from schemas.errors import Refusal

PrivateKey: TypeAlias = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey
PublicKey: TypeAlias = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey

MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 16384
"""OpenSSL verifies no larger ones."""

LARGEST_SIGNATURE: Final = MAX_RSA_BITS // 8
"""Bytes of the longest signature that any of the algorithms can have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Algorithm:
    # What `key_kind` must say about the key.
    key: str
    # Bytes of a signature: shortest and longest.
    lengths: tuple[int, int]
    sign: Callable[[Any, bytes], bytes]
    # Raises InvalidSignature.
    verify: Callable[[Any, bytes, bytes], None]


def _ecdsa(key: str, size: int, scheme: ECDSA) -> _Algorithm:
    """ECDSA with r and s as two big-endian numbers of `size` bytes, not as DER (RFC 7518 §3.4)."""

    def sign(private: EllipticCurvePrivateKey, data: bytes) -> bytes:
        r, s = decode_dss_signature(private.sign(data, scheme))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def verify(public: EllipticCurvePublicKey, signature: bytes, data: bytes) -> None:
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        public.verify(encode_dss_signature(r, s), data, scheme)

    return _Algorithm(key=key, lengths=(2 * size, 2 * size), sign=sign, verify=verify)


def _rsa(padding: PKCS1v15 | PSS) -> _Algorithm:
    def sign(private: RSAPrivateKey, data: bytes) -> bytes:
        return private.sign(data, padding, SHA256())

    def verify(public: RSAPublicKey, signature: bytes, data: bytes) -> None:
        public.verify(signature, data, padding, SHA256())

    return _Algorithm(key="RSA", lengths=(MIN_RSA_BITS // 8, LARGEST_SIGNATURE), sign=sign, verify=verify)


def _ed25519() -> _Algorithm:
    def sign(private: Ed25519PrivateKey, data: bytes) -> bytes:
        return private.sign(data)

    def verify(public: Ed25519PublicKey, signature: bytes, data: bytes) -> None:
        public.verify(signature, data)

    return _Algorithm(key="Ed25519", lengths=(64, 64), sign=sign, verify=verify)


# The salt is as long as the hash (RFC 7518 §3.5). For one kind of key, the first algorithm is the one taken by default.
_ALGORITHMS: Final[Mapping[str, _Algorithm]] = MappingProxyType(
    {
        "ES256": _ecdsa("P-256", 32, ECDSA(SHA256())),
        "ES384": _ecdsa("P-384", 48, ECDSA(SHA384())),
        "PS256": _rsa(PSS(mgf=MGF1(SHA256()), salt_length=SHA256.digest_size)),
        "RS256": _rsa(PKCS1v15()),
        "EdDSA": _ed25519(),
    }
)

SIGNATURE_LENGTHS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {name: algorithm.lengths for name, algorithm in _ALGORITHMS.items()}
)
"""Every algorithm of contract §1 → the shortest and the longest signature in bytes."""

_CURVES: Final = {SECP256R1.name: "P-256", SECP384R1.name: "P-384"}


def key_kind(key: object) -> str:
    """`P-256`, `P-384`, `RSA` or `Ed25519`.

    Raises Refusal LT-ALGORITHM for any other key, another curve, and RSA outside 2048..16384 bits.
    """
    match key:
        case EllipticCurvePrivateKey() | EllipticCurvePublicKey():
            if key.curve.name in _CURVES:
                return _CURVES[key.curve.name]
            found = f"an elliptic-curve key on {key.curve.name}"
        case RSAPrivateKey() | RSAPublicKey():
            if MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
                return "RSA"
            found = f"an RSA key of {key.key_size} bits"
        case Ed25519PrivateKey() | Ed25519PublicKey():
            return "Ed25519"
        case _:
            found = f"a key of the type {type(key).__name__}"
    expected = f"P-256, P-384, Ed25519, or RSA of {MIN_RSA_BITS} bits or more"
    raise Refusal(code="LT-ALGORITHM", field="key", found=found, expected=expected)


def algorithm_for(key: PrivateKey, alg: str | None = None) -> str:
    """The algorithm to sign with: `alg` if it fits the key, by default the first one that does.

    Raises Refusal LT-ALGORITHM if none fits.
    """
    kind = key_kind(key)
    if alg is None:
        return next(name for name, algorithm in _ALGORITHMS.items() if algorithm.key == kind)
    _check_fit(alg, kind)
    return alg


def make_signature(alg: str, key: PrivateKey, data: bytes) -> bytes:
    """Sign `data`; `alg` comes from `algorithm_for`."""
    return _ALGORITHMS[alg].sign(key, data)


def signature_verifies(alg: str, key: PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether `signature` is one over `data` by the owner of `key`.

    Raises Refusal LT-ALGORITHM if `alg` is none of ours or does not fit the key.
    """
    _check_fit(alg, key_kind(key))
    algorithm = _ALGORITHMS[alg]
    shortest, longest = algorithm.lengths
    if not shortest <= len(signature) <= longest:
        return False
    try:
        algorithm.verify(key, signature, data)
    except InvalidSignature:
        return False
    return True


def as_public_key(key: object) -> PublicKey:
    """The key, if it is one that contract §1 knows; raises Refusal LT-ALGORITHM otherwise."""
    key_kind(key)
    return cast(PublicKey, key)


def as_private_key(key: object) -> PrivateKey:
    """The key, if it is one that contract §1 knows; raises Refusal LT-ALGORITHM otherwise."""
    key_kind(key)
    return cast(PrivateKey, key)


def _check_fit(alg: str, kind: str) -> None:
    algorithm = _ALGORITHMS.get(alg)
    if algorithm is None or algorithm.key != kind:
        fitting = " or ".join(name for name, candidate in _ALGORITHMS.items() if candidate.key == kind)
        found = f"{alg!a} with a key of the kind {kind}"
        raise Refusal(code="LT-ALGORITHM", field="protected.alg", found=found, expected=fitting)

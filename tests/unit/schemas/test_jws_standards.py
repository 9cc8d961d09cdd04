"""Signatures against the published vectors, two independent libraries, and openssl alone."""

import json
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from jwcrypto.jwk import JWK  # type: ignore[import-untyped]
from jwcrypto.jws import JWS  # type: ignore[import-untyped]

from schemas import base64url
from schemas.certificates import new_private_key, private_key_pem
from schemas.errors import Refusal
from schemas.jws import (
    TYP,
    PrivateKey,
    PublicKey,
    Signed,
    encode_message,
    parse_compact,
    parse_message,
    parse_stored,
    sign,
    sign_compact,
    signature_holds,
)

THUMBPRINT = bytes(range(32))
HEADER = {"typ": TYP, "x5t#S256": base64url.encode(THUMBPRINT)}
PAYLOAD = '{"spec":"lienthong/1","kind":"document","subject":"Công văn hỏa tốc"}'.encode()

KEYS: dict[str, PrivateKey] = {kind: new_private_key(kind) for kind in ("P-256", "P-384", "Ed25519", "RSA-2048")}
KEY_OF = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519", "PS256": "RSA-2048", "RS256": "RSA-2048"}
ALGORITHMS = list(KEY_OF)


def number(text: str) -> int:
    return int.from_bytes(base64url.decode(text, field="key"), "big")


RFC_PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

# RFC 7515 A.2.
A2_KEY = RSAPublicNumbers(
    e=65537,
    n=number(
        "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC"
        "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6"
        "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW"
        "yuXpoQ"
    ),
).public_key()
A2_SIGNATURE = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZ"
    "cAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-e"
    "OkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
)

# RFC 7515 A.3; A.7 is the same signature in the flattened serialisation.
A3_KEY = EllipticCurvePublicNumbers(
    x=number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
    y=number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
    curve=SECP256R1(),
).public_key()
A3_SIGNATURE = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"

# RFC 8037 A.4.
ED25519_KEY = Ed25519PublicKey.from_public_bytes(
    base64url.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", field="key")
)
ED25519_PRIVATE = Ed25519PrivateKey.from_private_bytes(
    base64url.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", field="key")
)
ED25519_PAYLOAD = "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
ED25519_SIGNATURE = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

VECTORS: dict[str, tuple[str, str, str, str, PublicKey]] = {
    "RFC 7515 A.2": ("RS256", "eyJhbGciOiJSUzI1NiJ9", RFC_PAYLOAD, A2_SIGNATURE, A2_KEY),
    "RFC 7515 A.3": ("ES256", "eyJhbGciOiJFUzI1NiJ9", RFC_PAYLOAD, A3_SIGNATURE, A3_KEY),
    "RFC 8037 A.4": ("EdDSA", "eyJhbGciOiJFZERTQSJ9", ED25519_PAYLOAD, ED25519_SIGNATURE, ED25519_KEY),
}


def signed_of(alg: str, protected: str, payload_b64: str, signature: str) -> Signed:
    """The vectors carry no `typ` and no thumbprint, so they cannot come through the parser."""
    return Signed(
        protected=protected,
        payload_b64=payload_b64,
        signature=signature,
        payload=base64url.decode(payload_b64, field="payload"),
        digest="",
        alg=alg,
        thumbprint=THUMBPRINT,
    )


@pytest.mark.parametrize("vector", VECTORS)
def test_the_published_signature_holds_and_an_altered_one_does_not(vector: str) -> None:
    alg, protected, payload_b64, signature, key = VECTORS[vector]
    assert signature_holds(signed_of(alg, protected, payload_b64, signature), key)
    altered = payload_b64[:-4] + "AAAA"
    assert not signature_holds(signed_of(alg, protected, altered, signature), key)


def test_ed25519_makes_the_published_signature() -> None:
    signature = ED25519_PRIVATE.sign(f"eyJhbGciOiJFZERTQSJ9.{ED25519_PAYLOAD}".encode())
    assert base64url.encode(signature) == ED25519_SIGNATURE


def test_the_unprotected_header_of_rfc_7515_a_7_is_refused() -> None:
    flattened = {
        "payload": RFC_PAYLOAD,
        "protected": "eyJhbGciOiJFUzI1NiJ9",
        "header": {"kid": "e9bc097a-ce51-4036-9562-d2ade882db0d"},
        "signature": A3_SIGNATURE,
    }
    with pytest.raises(Refusal) as caught:
        parse_message(json.dumps(flattened).encode(), slip_allowed=False)
    assert (caught.value.code, caught.value.field) == ("LT-SHAPE", "header")


def test_the_general_serialisation_of_rfc_7515_a_6_is_refused() -> None:
    general = {"payload": RFC_PAYLOAD, "signatures": [{"protected": "eyJhbGciOiJFUzI1NiJ9", "signature": A3_SIGNATURE}]}
    with pytest.raises(Refusal) as caught:
        parse_message(json.dumps(general).encode(), slip_allowed=False)
    assert (caught.value.code, caught.value.field) == ("LT-SHAPE", "signatures")


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def joserfc_key(pem: bytes, alg: str) -> Any:
    kinds: dict[str, Any] = {"ES": ECKey, "Ed": OKPKey}
    return kinds.get(alg[:2], RSAKey).import_key(pem)


@pytest.fixture(autouse=True)
def _libraries_may_warn_about_eddsa() -> Any:
    """Both tell that RFC 9864 gives EdDSA with Ed25519 a name of its own; the contract keeps the old one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_joserfc_verifies_what_we_sign(alg: str) -> None:
    key = KEYS[KEY_OF[alg]]
    signed = sign(PAYLOAD, key=key, thumbprint=THUMBPRINT, alg=alg)
    flattened = json.loads(signed.stored())
    result = joserfc_jws.deserialize_json(flattened, joserfc_key(public_pem(key), alg), algorithms=[alg])
    assert result.payload == PAYLOAD
    compact = sign_compact(PAYLOAD, key=key, thumbprint=THUMBPRINT, alg=alg)
    assert (
        joserfc_jws.deserialize_compact(compact, joserfc_key(public_pem(key), alg), algorithms=[alg]).payload == PAYLOAD
    )


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_we_verify_what_joserfc_signs(alg: str) -> None:
    key = KEYS[KEY_OF[alg]]
    flattened = joserfc_jws.serialize_json(
        {"protected": {"alg": alg, **HEADER}}, PAYLOAD, joserfc_key(private_key_pem(key), alg), algorithms=[alg]
    )
    signed = parse_stored(json.dumps(flattened).encode())
    assert (signed.payload, signed.alg, signed.thumbprint) == (PAYLOAD, alg, THUMBPRINT)
    assert signature_holds(signed, key.public_key())


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_jwcrypto_verifies_what_we_sign(alg: str) -> None:
    key = KEYS[KEY_OF[alg]]
    token = JWS()
    token.allowed_algs = [alg]
    token.deserialize(encode_message(sign(PAYLOAD, key=key, thumbprint=THUMBPRINT, alg=alg)).decode())
    token.verify(JWK.from_pem(public_pem(key)))
    assert token.payload == PAYLOAD


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_we_verify_what_jwcrypto_signs(alg: str) -> None:
    key = KEYS[KEY_OF[alg]]
    token = JWS(PAYLOAD)
    token.allowed_algs = [alg]
    token.add_signature(JWK.from_pem(private_key_pem(key)), protected=json.dumps({"alg": alg, **HEADER}))
    for signed in (parse_stored(token.serialize().encode()), parse_compact(token.serialize(compact=True))):
        assert (signed.payload, signed.alg, signed.thumbprint) == (PAYLOAD, alg, THUMBPRINT)
        assert signature_holds(signed, key.public_key())


DIGEST_OPTIONS = {
    "RS256": ["-sha256"],
    "PS256": ["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"],
    "ES256": ["-sha256"],
    "ES384": ["-sha384"],
}


def openssl(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_openssl_alone_can_sign_and_verify(alg: str, tmp_path: Path) -> None:
    key = KEYS[KEY_OF[alg]]
    (tmp_path / "key.pem").write_bytes(private_key_pem(key))
    (tmp_path / "public.pem").write_bytes(public_pem(key))
    header = base64url.encode(json.dumps({"alg": alg, **HEADER}).encode())
    payload = base64url.encode(PAYLOAD)
    (tmp_path / "input").write_text(f"{header}.{payload}")
    if alg == "EdDSA":
        make = ["pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "input", "-out", "signature"]
        check = [
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            "public.pem",
            "-rawin",
            "-in",
            "input",
            "-sigfile",
            "signature",
        ]
    else:
        make = ["dgst", *DIGEST_OPTIONS[alg], "-sign", "key.pem", "-out", "signature", "input"]
        check = ["dgst", *DIGEST_OPTIONS[alg], "-verify", "public.pem", "-signature", "signature", "input"]

    openssl(*make, folder=tmp_path)
    made = (tmp_path / "signature").read_bytes()
    size = {"ES256": 32, "ES384": 48}.get(alg)
    if size is not None:
        r, s = decode_dss_signature(made)
        made = r.to_bytes(size, "big") + s.to_bytes(size, "big")
    body = json.dumps({"protected": header, "payload": payload, "signature": base64url.encode(made)}).encode()
    assert signature_holds(parse_message(body, slip_allowed=False).signed, key.public_key())

    ours = sign(PAYLOAD, key=key, thumbprint=THUMBPRINT, alg=alg)
    raw = base64url.decode(ours.signature, field="signature")
    if size is not None:
        raw = encode_dss_signature(int.from_bytes(raw[:size], "big"), int.from_bytes(raw[size:], "big"))
    (tmp_path / "input").write_bytes(ours.signing_input())
    (tmp_path / "signature").write_bytes(raw)
    openssl(*check, folder=tmp_path)

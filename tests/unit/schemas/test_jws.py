"""Messages: what is read, what is refused, and that no altered byte goes unnoticed."""

import json
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from time import process_time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, SECP521R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import base64url
from schemas.certificates import new_private_key
from schemas.errors import Refusal
from schemas.jws import (
    MAX_INLINE,
    MAX_MESSAGE,
    MAX_SLIP,
    TYP,
    PrivateKey,
    encode_message,
    parse_compact,
    parse_message,
    parse_stored,
    sign,
    sign_compact,
    signature_holds,
)

THUMBPRINT = sha256(b"certificate").digest()
PAYLOAD = b'{"spec":"lienthong/1","kind":"document"}'
PART = b"part"
PART_DIGEST = sha256(PART).hexdigest()
KEYS: dict[str, PrivateKey] = {kind: new_private_key(kind) for kind in ("P-256", "P-384", "Ed25519", "RSA-2048")}
HEADER = {"alg": "ES256", "typ": TYP, "x5t#S256": base64url.encode(THUMBPRINT)}
SIGNED = sign(PAYLOAD, key=KEYS["P-256"], thumbprint=THUMBPRINT)
SLIP = sign_compact(b'{"kind":"slip"}', key=KEYS["P-256"], thumbprint=THUMBPRINT)
MEMBERS: dict[str, Any] = json.loads(SIGNED.stored())


def message(**changes: Any) -> bytes:
    """A good message with other members; None leaves one out."""
    return json.dumps({name: value for name, value in (MEMBERS | changes).items() if value is not None}).encode()


def protected(**changes: Any) -> str:
    header = {name: value for name, value in (HEADER | changes).items() if value is not None}
    return base64url.encode(json.dumps(header).encode())


def refusal_of(body: bytes, *, slip_allowed: bool = False) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse_message(body, slip_allowed=slip_allowed)
    return caught.value


@pytest.mark.parametrize("kind", KEYS)
@given(payload=st.binary(max_size=300), content=st.lists(st.binary(max_size=60), max_size=4), slip=st.booleans())
@settings(max_examples=20)
def test_a_message_comes_back_as_it_was_sent(kind: str, payload: bytes, content: list[bytes], slip: bool) -> None:
    parts = {sha256(data).hexdigest(): data for data in content}
    signed = sign(payload, key=KEYS[kind], thumbprint=THUMBPRINT)
    body = encode_message(signed, content=parts, slip=SLIP if slip else None)
    read = parse_message(body, slip_allowed=slip)
    assert read.signed == signed
    assert read.content == parts
    assert read.slip == (SLIP if slip else None)
    assert read.signed.payload == payload
    assert read.signed.digest == sha256(payload).hexdigest()
    assert signature_holds(read.signed, KEYS[kind].public_key())
    assert parse_stored(signed.stored()) == signed
    assert parse_compact(signed.compact()) == signed


@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data())
@settings(max_examples=60)
def test_any_altered_byte_of_payload_or_signature_is_noticed(kind: str, data: st.DataObject) -> None:
    signed = sign(PAYLOAD, key=KEYS[kind], thumbprint=THUMBPRINT)
    members = json.loads(signed.stored())
    name = data.draw(st.sampled_from(["payload", "signature"]))
    raw = bytearray(base64url.decode(members[name], field=name))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    altered = parse_stored(json.dumps(members | {name: base64url.encode(bytes(raw))}).encode())
    assert not signature_holds(altered, KEYS[kind].public_key())


@given(data=st.data())
@settings(max_examples=300)
def test_any_altered_character_of_a_message_is_refused_or_fails_to_verify(data: st.DataObject) -> None:
    body = bytearray(SIGNED.stored())
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] ^= data.draw(st.integers(1, 255))
    try:
        altered = parse_stored(bytes(body))
    except Refusal:
        return
    assert not signature_holds(altered, KEYS["P-256"].public_key())


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    for body in (data, b'{"protected":' + data, b'{"protected":"' + data + b'"}'):
        for parse in (
            lambda b: parse_message(b, slip_allowed=True),
            parse_stored,
            lambda b: parse_compact(b.decode("latin-1")),
        ):
            with pytest.raises(Refusal):
                parse(body)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    members=st.dictionaries(st.sampled_from(["protected", "payload", "signature", "content", "slip"]), JSON_VALUES),
    header=st.dictionaries(st.sampled_from(["alg", "typ", "x5t#S256", "crit", "zip"]), JSON_VALUES) | JSON_VALUES,
    use_header=st.booleans(),
)
@settings(max_examples=300)
def test_a_message_with_members_of_any_kind_is_read_or_refused(
    members: dict[str, Any], header: Any, use_header: bool
) -> None:
    body = MEMBERS | members
    if use_header:
        whole = HEADER | header if isinstance(header, dict) else header
        body["protected"] = base64url.encode(json.dumps(whole).encode())
    try:
        read = parse_message(json.dumps(body).encode(), slip_allowed=True)
    except Refusal as refusal:
        assert refusal.code in {"LT-SHAPE", "LT-ALGORITHM", "LT-SIZE"}
    else:
        assert read.signed.alg == "ES256"


@pytest.mark.parametrize("slip_allowed", [False, True])
def test_unknown_members_and_header_parameters_are_ignored(slip_allowed: bool) -> None:
    body = message(protected=protected(kid="x", cty="json", zip="DEF"), later={"a": [1]}, content={})
    assert parse_message(body, slip_allowed=slip_allowed).signed.payload == PAYLOAD


WRONG_SHAPES: dict[str, tuple[bytes, str]] = {
    "an array": (b"[]", "message"),
    "a string": (b'"x"', "message"),
    "null": (b"null", "message"),
    "no protected": (message(protected=None), "protected"),
    "no payload": (message(payload=None), "payload"),
    "no signature": (message(signature=None), "signature"),
    "a payload that is an object": (message(payload={}), "payload"),
    "a padded payload": (message(payload=MEMBERS["payload"] + "=="), "payload"),
    "a payload with bits left over": (message(payload="YR"), "payload"),
    "a protected that is no JSON": (message(protected=base64url.encode(b"alg")), "protected"),
    "a protected that is no object": (message(protected=base64url.encode(b"[1]")), "protected"),
    "a protected that is huge": (message(protected=protected(kid="x" * 5000)), "protected"),
    "a member twice in protected": (
        message(protected=base64url.encode(b'{"alg":"ES256","alg":"none"}')),
        "protected",
    ),
    "an unprotected header": (message(header={"kid": "x"}), "header"),
    "an empty unprotected header": (message(header={}), "header"),
    "several signatures": (message(signatures=[]), "signatures"),
    "no alg": (message(protected=protected(alg=None)), "protected.alg"),
    "alg of another type": (message(protected=protected(alg=["ES256"])), "protected.alg"),
    "no typ": (message(protected=protected(typ=None)), "protected.typ"),
    "another typ": (message(protected=protected(typ="JWT")), "protected.typ"),
    "typ in capitals": (message(protected=protected(typ=TYP.upper())), "protected.typ"),
    "typ with a prefix": (message(protected=protected(typ=f"application/{TYP}")), "protected.typ"),
    "no thumbprint": (message(protected=protected(**{"x5t#S256": None})), "protected.x5t#S256"),
    "a short thumbprint": (message(protected=protected(**{"x5t#S256": "YWJj"})), "protected.x5t#S256"),
    "a thumbprint in hex": (message(protected=protected(**{"x5t#S256": THUMBPRINT.hex()})), "protected.x5t#S256"),
    "crit": (message(protected=protected(crit=["exp"])), "protected.crit"),
    "an empty crit": (message(protected=protected(crit=[])), "protected.crit"),
    "an unencoded payload": (message(protected=protected(b64=False)), "protected.b64"),
    "an embedded key": (message(protected=protected(jwk={"kty": "EC"})), "protected.jwk"),
    "a link to keys": (message(protected=protected(jku="https://example.invalid/k")), "protected.jku"),
    "a link to a certificate": (message(protected=protected(x5u="https://example.invalid/c")), "protected.x5u"),
    "an embedded certificate": (message(protected=protected(x5c=["MII"])), "protected.x5c"),
    "an empty signature": (message(signature=""), "signature"),
    "a signature of 63 bytes": (message(signature=base64url.encode(bytes(63))), "signature"),
    "a signature of 65 bytes": (message(signature=base64url.encode(bytes(65))), "signature"),
    "a huge signature": (message(signature="A" * 10_000), "signature"),
    "an ES384 signature of 64 bytes": (message(protected=protected(alg="ES384")), "signature"),
    "an RSA signature of 64 bytes": (message(protected=protected(alg="RS256")), "signature"),
    "content that is a list": (message(content=[]), "content"),
    "content null": (b'{"content":null,' + SIGNED.stored()[1:], "content"),
    "a content member that is no digest": (message(content={"a": "YQ=="}), "content"),
    "a digest in capitals": (message(content={PART_DIGEST.upper(): "YQ=="}), "content"),
    "a digest with a line end": (message(content={PART_DIGEST + "\n": "YQ=="}), "content"),
    "content that is a number": (message(content={PART_DIGEST: 1}), f"content.{PART_DIGEST}"),
    "content without padding": (message(content={PART_DIGEST: "YQ"}), f"content.{PART_DIGEST}"),
    "content in base64url": (message(content={PART_DIGEST: "__-_"}), f"content.{PART_DIGEST}"),
    "content in lines": (message(content={PART_DIGEST: "YWJj\nYWJj"}), f"content.{PART_DIGEST}"),
    "content with bits left over": (message(content={PART_DIGEST: "YR=="}), f"content.{PART_DIGEST}"),
    "content outside ASCII": (message(content={PART_DIGEST: "YWé="}), f"content.{PART_DIGEST}"),
    "too many parts": (message(content={f"{n:064x}": "" for n in range(101)}), "content"),
    "a slip": (message(slip=SLIP), "slip"),
    "a slip null": (b'{"slip":null,' + SIGNED.stored()[1:], "slip"),
}


@pytest.mark.parametrize("name", WRONG_SHAPES)
def test_a_wrong_shape_is_refused_with_its_field(name: str) -> None:
    body, field = WRONG_SHAPES[name]
    refusal = refusal_of(body)
    assert (refusal.code, refusal.field) == ("LT-SHAPE", field)
    assert refusal.found
    assert refusal.expected


@pytest.mark.parametrize(
    "alg",
    [
        "none",
        "None",
        "NONE",
        "",
        "HS256",
        "HS384",
        "HS512",
        "ES512",
        "ES256K",
        "RS384",
        "RS512",
        "PS512",
        "es256",
        "Ed448",
    ],
)
def test_an_algorithm_outside_the_contract_is_refused(alg: str) -> None:
    for signature in ("", MEMBERS["signature"]):
        refusal = refusal_of(message(protected=protected(alg=alg), signature=signature))
        assert (refusal.code, refusal.field) == ("LT-ALGORITHM", "protected.alg")


def test_a_signature_in_der_is_refused_with_a_hint_for_users_of_openssl() -> None:
    raw = base64url.decode(MEMBERS["signature"], field="signature")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    refusal = refusal_of(message(signature=base64url.encode(der)))
    assert refusal.code == "LT-SHAPE"
    assert refusal.found is not None
    assert "DER" in refusal.found
    assert refusal.expected is not None
    assert "r and s" in refusal.expected


def test_a_slip_that_is_no_text_is_refused_where_slips_are_allowed() -> None:
    assert refusal_of(message(slip={"a": 1}), slip_allowed=True).field == "slip"
    assert refusal_of(b'{"slip":null,' + SIGNED.stored()[1:], slip_allowed=True).field == "slip"


def test_a_message_may_have_512_kib_and_not_a_byte_more() -> None:
    padding = MAX_MESSAGE - len(message(later=""))
    assert parse_message(message(later="x" * padding), slip_allowed=False).signed == SIGNED
    assert refusal_of(message(later="x" * (padding + 1))).code == "LT-SIZE"
    assert refusal_of(message(later="x" * (padding + 1)), slip_allowed=True).code == "LT-SIZE"
    assert refusal_of(b"x" * (MAX_MESSAGE + MAX_SLIP + 20), slip_allowed=True).code == "LT-SIZE"


def test_the_brokers_slip_does_not_make_a_large_message_too_large() -> None:
    payload = b"x" * ((MAX_MESSAGE - len(encode_message(sign(b"", key=KEYS["P-256"], thumbprint=THUMBPRINT)))) * 3 // 4)
    signed = sign(payload, key=KEYS["P-256"], thumbprint=THUMBPRINT)
    body = encode_message(signed, slip="A" * MAX_SLIP)
    assert len(body) > MAX_MESSAGE
    assert parse_message(body, slip_allowed=True).signed == signed


def test_inline_parts_may_have_128_kib_together() -> None:
    halves = {"a" * 64: bytes(MAX_INLINE // 2), "b" * 64: b"\xff" * (MAX_INLINE // 2)}
    assert parse_message(encode_message(SIGNED, content=halves), slip_allowed=False).content == halves
    over = {name: b64encode(data).decode() for name, data in (halves | {"c" * 64: b"x"}).items()}
    refusal = refusal_of(message(content=over))
    assert (refusal.code, refusal.field) == ("LT-SIZE", "content")


def test_the_content_of_a_message_cannot_be_changed() -> None:
    content = parse_message(encode_message(SIGNED, content={PART_DIGEST: PART}), slip_allowed=False).content
    with pytest.raises(TypeError):
        content["x"] = b""  # type: ignore[index]


@pytest.mark.parametrize(
    "encode",
    [
        lambda: encode_message(SIGNED, content={PART_DIGEST: bytes(MAX_INLINE + 1)}),
        lambda: encode_message(SIGNED, slip="A" * (MAX_SLIP + 1)),
        lambda: encode_message(sign(bytes(MAX_MESSAGE), key=KEYS["Ed25519"], thumbprint=THUMBPRINT)),
    ],
    ids=["inline parts", "slip", "payload"],
)
def test_what_nobody_would_read_is_not_written(encode: Callable[[], bytes]) -> None:
    with pytest.raises(Refusal) as caught:
        encode()
    assert caught.value.code == "LT-SIZE"


@pytest.mark.parametrize(
    ("kind", "alg"), [("P-256", "ES256"), ("P-384", "ES384"), ("RSA-2048", "PS256"), ("Ed25519", "EdDSA")]
)
def test_the_algorithm_follows_from_the_key(kind: str, alg: str) -> None:
    assert sign(PAYLOAD, key=KEYS[kind], thumbprint=THUMBPRINT).alg == alg


def test_rs256_is_made_only_when_asked_for() -> None:
    signed = sign(PAYLOAD, key=KEYS["RSA-2048"], thumbprint=THUMBPRINT, alg="RS256")
    assert signed.alg == "RS256"
    assert signature_holds(signed, KEYS["RSA-2048"].public_key())


@pytest.mark.parametrize(
    ("kind", "alg"), [("P-256", "ES384"), ("P-256", "RS256"), ("RSA-2048", "EdDSA"), ("Ed25519", "none")]
)
def test_nothing_is_signed_with_an_algorithm_that_does_not_fit(kind: str, alg: str) -> None:
    with pytest.raises(Refusal) as caught:
        sign(PAYLOAD, key=KEYS[kind], thumbprint=THUMBPRINT, alg=alg)
    assert caught.value.code == "LT-ALGORITHM"


def test_nothing_is_signed_under_a_thumbprint_that_nobody_would_read() -> None:
    with pytest.raises(ValueError, match="thumbprint"):
        sign(PAYLOAD, key=KEYS["P-256"], thumbprint=THUMBPRINT[:20])


def test_an_rsa_signature_of_another_length_than_the_key_does_not_hold() -> None:
    signed = sign(PAYLOAD, key=KEYS["RSA-2048"], thumbprint=THUMBPRINT)
    raw = base64url.decode(signed.signature, field="signature")
    for longer in (b"\x00" + raw, raw + b"\x00"):
        assert not signature_holds(replace(signed, signature=base64url.encode(longer)), KEYS["RSA-2048"].public_key())
    assert not signature_holds(signed, new_private_key("RSA-3072").public_key())


@pytest.mark.parametrize("signer", KEYS)
@pytest.mark.parametrize("verifier", KEYS)
def test_a_signature_is_only_verified_under_a_key_that_fits(signer: str, verifier: str) -> None:
    signed = sign(PAYLOAD, key=KEYS[signer], thumbprint=THUMBPRINT)
    if signer == verifier:
        assert signature_holds(signed, KEYS[verifier].public_key())
        assert not signature_holds(signed, new_private_key(verifier).public_key())
    else:
        with pytest.raises(Refusal) as caught:
            signature_holds(signed, KEYS[verifier].public_key())
        assert caught.value.code == "LT-ALGORITHM"


@pytest.mark.parametrize(
    "key",
    [generate_rsa_key(65537, 1024), generate_private_key(SECP521R1()), generate_private_key(SECP256K1())],
    ids=["RSA-1024", "P-521", "secp256k1"],
)
def test_weak_and_foreign_keys_neither_sign_nor_verify(key: Any) -> None:
    with pytest.raises(Refusal) as signing:
        sign(PAYLOAD, key=key, thumbprint=THUMBPRINT)
    with pytest.raises(Refusal) as verifying:
        signature_holds(SIGNED, key.public_key())
    assert {signing.value.code, verifying.value.code} == {"LT-ALGORITHM"}


@pytest.mark.parametrize("fill", [0x00, 0xFF])
@pytest.mark.parametrize("kind", KEYS)
def test_a_signature_of_zeros_or_ones_does_not_hold(kind: str, fill: int) -> None:
    signed = sign(PAYLOAD, key=KEYS[kind], thumbprint=THUMBPRINT)
    length = len(base64url.decode(signed.signature, field="signature"))
    forged = json.loads(signed.stored()) | {"signature": base64url.encode(bytes([fill]) * length)}
    assert not signature_holds(parse_stored(json.dumps(forged).encode()), KEYS[kind].public_key())


def test_a_signature_of_another_type_cannot_be_used_as_a_message_or_a_message_as_a_token() -> None:
    token = sign_compact(b"{}", key=KEYS["P-256"], thumbprint=THUMBPRINT, typ="lienthong-auth+jwt")
    assert parse_compact(token, typ="lienthong-auth+jwt").payload == b"{}"
    for text, typ in ((token, TYP), (SIGNED.compact(), "lienthong-auth+jwt")):
        with pytest.raises(Refusal) as caught:
            parse_compact(text, typ=typ)
        assert (caught.value.code, caught.value.field) == ("LT-SHAPE", "protected.typ")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "a.b.c.d", "...", SLIP + ".", "é.é.é", "\ud800.a.b"])
def test_a_compact_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        parse_compact(text)


def test_the_stored_form_is_the_three_members_and_nothing_else() -> None:
    assert SIGNED.stored() == json.dumps(MEMBERS, separators=(",", ":")).encode()
    assert list(MEMBERS) == ["protected", "payload", "signature"]
    body = encode_message(SIGNED, content={PART_DIGEST: PART}, slip=SLIP)
    assert parse_message(body, slip_allowed=True).signed.stored() == SIGNED.stored()


def test_several_threads_may_parse_and_verify_at_once() -> None:
    def one(number: int) -> bool:
        kind = list(KEYS)[number % len(KEYS)]
        signed = sign(b"%d" % number, key=KEYS[kind], thumbprint=sha256(b"%d" % (number % 50)).digest())
        read = parse_message(encode_message(signed, content={PART_DIGEST: PART}), slip_allowed=False)
        return read.signed == signed and signature_holds(read.signed, KEYS[kind].public_key())

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert all(pool.map(one, range(400)))


HOSTILE = {
    "brackets": b"[" * MAX_MESSAGE,
    "nested objects": b'{"a":' * (MAX_MESSAGE // 5),
    "one string": b'{"protected":"' + b"A" * (MAX_MESSAGE - 20) + b'"}',
    "backslashes": b'["' + b"\\" * (MAX_MESSAGE - 4) + b'"]',
    "a number": b"[" + b"9" * (MAX_MESSAGE - 2) + b"]",
    "escapes": b'["' + b"\\u0041" * (MAX_MESSAGE // 6 - 5) + b'\\ud800"]',
    "empty objects": b"[" + b"{}," * (MAX_MESSAGE // 3 - 2) + b"1]",
    "members": b'{"a":1' + b',"a":1' * (MAX_MESSAGE // 6 - 3) + b"}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_largest_hostile_messages_cost_little(name: str) -> None:
    body = HOSTILE[name]
    assert len(body) <= MAX_MESSAGE
    started = process_time()
    refusal_of(body)
    assert process_time() - started < 1.0


def test_the_largest_good_message_is_read_quickly() -> None:
    inline = bytes(range(256)) * (MAX_INLINE // 256)
    signed = sign(b"x" * 240_000, key=KEYS["P-256"], thumbprint=THUMBPRINT)
    body = encode_message(signed, content={sha256(inline).hexdigest(): inline})
    started = process_time()
    for _ in range(10):
        parse_message(body, slip_allowed=False)
    assert (process_time() - started) / 10 < 0.1

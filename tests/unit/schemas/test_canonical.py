"""Canonical JSON (RFC 8785), with the quick way proved equal to the reference implementation."""

from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.canonical import canonical_json, leaf_hash, sha256_hex

# Everything that a caller may hand over, surrogates, too large integers and member names outside ASCII included.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**53) - 2, -(2**53) + 2)
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.floats()
    | st.text(st.characters())
)
NAMES = st.text(st.characters(max_codepoint=127)) | st.text(st.characters())
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(NAMES, inner), max_leaves=20
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
    max_leaves=40,
)


def outcome(serialise: Any, value: Any) -> bytes | None:
    try:
        result = serialise(value)
    except ValueError:
        return None
    assert isinstance(result, bytes)
    return result


@settings(max_examples=500)
@given(VALUES | PLAIN)
def test_the_bytes_are_those_of_the_reference_implementation(value: Any) -> None:
    assert outcome(canonical_json, value) == outcome(rfc8785.dumps, value)


def test_every_character_of_the_first_plane_is_written_like_the_reference() -> None:
    for start in range(0, 0x10000, 256):
        if not 0xD800 <= start < 0xE000:
            text = "".join(map(chr, range(start, start + 256)))
            assert canonical_json({"text": text}) == rfc8785.dumps({"text": text})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # RFC 8785 §3.2.2 and §3.2.3.
        (
            {
                "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
                "string": '\u20ac$\u000f\nA\'B"\\\\"/',
                "literals": [None, True, False],
            },
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
        ),
        (
            {
                "\u20ac": "Euro Sign",
                "\r": "Carriage Return",
                "\ufb33": "Hebrew Letter Dalet With Dagesh",
                "1": "One",
                "\U0001f600": "Emoji: Grinning Face",
                "\u0080": "Control",
                "\u00f6": "Latin Small Letter O With Diaeresis",
            },
            '{"\\r":"Carriage Return","1":"One","\u0080":"Control","ö":"Latin Small Letter O With Diaeresis",'
            '"€":"Euro Sign","\U0001f600":"Emoji: Grinning Face","\ufb33":"Hebrew Letter Dalet With Dagesh"}',
        ),
        ({"b": 1, "a": [(), {}, ""]}, '{"a":[[],{},""],"b":1}'),
    ],
)
def test_the_examples_of_the_rfc(value: Any, expected: str) -> None:
    assert canonical_json(value) == expected.encode()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {1: "a"}, {"a": {1, 2}}, b"bytes", object()]
)
def test_what_has_no_canonical_form_is_an_error(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical_json(value)


def test_a_leaf_is_hashed_under_its_own_prefix() -> None:
    # RFC 6962: the hash of an empty leaf.
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"body") == sha256(b"\x00body").digest()


def test_digests_are_lower_case_hex() -> None:
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

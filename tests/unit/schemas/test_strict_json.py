"""Strict JSON (contract §1): what is refused, and that nothing but a refusal ever comes out."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import strict_json
from schemas.errors import Refusal

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))
INTEGERS = st.integers(-strict_json.MAX_INTEGER, strict_json.MAX_INTEGER)
SCALARS = st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)


def nested(depth: int, opening: bytes = b"[", inside: bytes = b"", closing: bytes = b"]") -> bytes:
    return opening * depth + inside + closing * depth


REFUSED = {
    "nothing": b"",
    "a byte order mark": b'\xef\xbb\xbf{"a":1}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "invalid utf-8": b'{"a":"\xff"}',
    "overlong utf-8": b'{"a":"\xc0\x80"}',
    "a surrogate in utf-8": b'{"a":"\xed\xa0\x80"}',
    "a duplicate member": b'{"a":1,"a":1}',
    "a duplicate member, escaped": b'{"a":1,"\\u0061":1}',
    "a duplicate member, deeper": b'[{"x":{"b":1,"c":2,"b":3}}]',
    "a raw U+0000": b'{"a":"\x00"}',
    "an escaped U+0000": b'{"a":"\\u0000"}',
    "an escaped U+0000 in a name": b'{"\\u0000":1}',
    "an unpaired high surrogate": b'["\\ud83d"]',
    "an unpaired low surrogate": b'["\\uDE00"]',
    "a pair the wrong way round": b'["\\ude00\\ud83d"]',
    "an unpaired surrogate in a name": b'{"\\udfff":1}',
    "a raw control character": b'["a\nb"]',
    "NaN": b"[NaN]",
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "an integer above 2^53": b"[9007199254740993]",
    "an integer below -2^53": b"[-9007199254740993]",
    "an endless integer": b"[" + b"9" * 5000 + b"]",
    "a float that overflows": b"[1e400]",
    "a negative float that overflows": b"[-1E+999]",
    "a leading zero": b"[01]",
    "a leading plus": b"[+1]",
    "a bare point": b"[1.]",
    "hexadecimal": b"[0x10]",
    "a comma at the end": b"[1,]",
    "a comment": b"[1] // one",
    "two texts": b"{} {}",
    "single quotes": b"['a']",
    "an unknown escape": b'["\\x41"]',
    "a vertical tab as space": b"\x0b[1]",
    "a no-break space": "\u00a0[1]".encode(),
    "33 arrays": nested(33),
    "33 objects": nested(33, b'{"a":', b"1", b"}"),
    "33 mixed": nested(16, b'[{"a":', b"[1]", b"}]"),
    "33 behind brackets in a string": b'["]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",' + nested(32) + b"]",
    "half a million arrays": b"[" * 500_000,
    "half a million objects": b'{"a":' * 100_000,
    "a string that never ends": b'["' + b"\\" * 500_001,
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_strict_is_refused_with_the_name_of_the_thing(data: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        strict_json.loads(data, what="manifest")
    assert caught.value.code == "LT-SHAPE"
    assert caught.value.field == "manifest"
    assert caught.value.found
    assert caught.value.expected


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":[1,2.5,true,null]}', {"a": [1, 2.5, True, None]}),
        (b' \t\r\n"x" \n', "x"),
        ('"Công văn hỏa tốc"'.encode(), "Công văn hỏa tốc"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'"\\\\u0000 \\\\ud800"', "\\u0000 \\ud800"),
        (b"[9007199254740992,-9007199254740992]", [2**53, -(2**53)]),
        (b'{"a":{"b":1},"b":{"b":1}}', {"a": {"b": 1}, "b": {"b": 1}}),
        (b'["' + b"[{" * 500 + b'"]', ["[{" * 500]),
    ],
)
def test_strict_json_is_read_as_it_is(data: bytes, value: Any) -> None:
    assert strict_json.loads(data, what="manifest") == value


@pytest.mark.parametrize(("opening", "inside", "closing"), [(b"[", b"", b"]"), (b'{"a":', b"1", b"}")])
def test_depth_32_is_read(opening: bytes, inside: bytes, closing: bytes) -> None:
    strict_json.loads(nested(32, opening, inside, closing), what="manifest")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(strict_json.loads(b"[" + b"[{}]," * 5000 + b"1]", what="manifest")) == 5001


def test_a_refusal_names_the_duplicate_member() -> None:
    with pytest.raises(Refusal, match="'subject' twice"):
        strict_json.loads(b'{"subject":"x","subject":"y"}', what="manifest")


@given(VALUES)
def test_everything_that_json_can_say_comes_back(value: Any) -> None:
    assert strict_json.loads(json.dumps(value).encode(), what="x") == value
    assert strict_json.loads(json.dumps(value, ensure_ascii=False).encode(), what="x") == value


@given(
    st.binary()
    | st.text(alphabet='[]{}",:\\u0123dD8eE+-.nulltruefalse \x00\ud800').map(
        lambda t: t.encode("utf-8", "surrogatepass")
    )
)
@example(b'{"a":1e')
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        strict_json.loads(data, what="x")
    except Refusal as refusal:
        assert refusal.code == "LT-SHAPE"


@given(st.text(st.characters()))
def test_no_text_with_a_surrogate_or_u0000_comes_through(text: str) -> None:
    bad = re.search("[\x00\ud800-\udfff]", text) is not None
    # Escapes pair up what looks like a pair: the decoded text is what counts.
    decoded = json.loads(json.dumps(text))
    bad = re.search("[\x00\ud800-\udfff]", decoded) is not None if bad else False
    if bad:
        with pytest.raises(Refusal):
            strict_json.loads(json.dumps(text).encode(), what="x")
    else:
        assert strict_json.loads(json.dumps(text).encode(), what="x") == decoded

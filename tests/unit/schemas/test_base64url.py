"""base64url: one spelling for every byte string."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import base64url
from schemas.errors import Refusal

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(st.binary(max_size=200))
def test_bytes_come_back(data: bytes) -> None:
    text = base64url.encode(data)
    assert text == base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert base64url.decode(text, field="payload") == data


@given(st.text(alphabet=ALPHABET + "+/= \n", max_size=12) | st.text(max_size=12))
def test_a_text_is_refused_or_is_the_only_spelling(text: str) -> None:
    try:
        data = base64url.decode(text, field="payload")
    except Refusal as refusal:
        assert (refusal.code, refusal.field) == ("LT-SHAPE", "payload")
    else:
        assert base64url.encode(data) == text


@pytest.mark.parametrize(
    "text",
    ["YQ==", "YQ=", "=", "YR", "YWF", "A", "AAAAA", "ab+/", "YW Jj", "YWJj\n", "\nYWJj", "YWJj====", "YWJé", "a\x00aa"],
)
def test_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        base64url.decode(text, field="signature")
    assert (caught.value.code, caught.value.field) == ("LT-SHAPE", "signature")


def test_nothing_is_nothing() -> None:
    assert base64url.encode(b"") == ""
    assert base64url.decode("", field="payload") == b""

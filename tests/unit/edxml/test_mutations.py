"""Whatever is done to a file, reading it gives an answer: never a crash, never a good signature, never a silent no."""

from pathlib import Path
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.attacks import corpus
from tests.fuzz.edxml_target import one_input, run_at_random
from tests.unit.edxml.examples import BUSINESS, PDF, STUB_SIGNATURE, document, encoded, status, zipped

SEEDS: Final = [
    *(document(business=business).encode() for business in BUSINESS.values()),
    document(signature=STUB_SIGNATURE, data=encoded(PDF[:64])).encode(),
    *(status(code).encode() for code in ("01", "02", "13", "15")),
]
PIECES: Final = [
    b"<", b">", b"&", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<?lienthong 1 a b?>", b"<!DOCTYPE a>", b"\x00", b"\xff",
    b"&#0;", b"&#xD800;", b"&amp;", b"&lt;", b'"', b"xmlns=''", b"edXML:", b"</edXML:To>", b"\xc2\x9b", b"null",
    b"cid:",
    b"<edXML:To/>", b"<edXML:StatusCode>03</edXML:StatusCode>", b"0000/00/00", b"9999/12/31", b"0001/01/01",
    b"9999/12/31 23:59:59", b"0001/01/01 00:00:00", b"UEsDBBQ", b"====", b"\r", b"\xe2\x80\xae", b"4", b"-1",
    "Đ".encode(), b"utf-16",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good file with a few bytes cut out, doubled, put in or changed; markup more often than not."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([0, 1, 2, 7, 40, 400])))
        middle: Any = draw(
            st.sampled_from(PIECES) | st.binary(max_size=8) | st.just(b"") | st.just(data[at:end] * 2) | st.just(None)
        )
        if middle is None:
            # Another value in an element that is there.
            start = data.find(b">", at) + 1
            stop = data.find(b"<", start)
            data = data[:start] + draw(st.sampled_from(PIECES)) + data[max(stop, start) :]
        else:
            data = data[:at] + middle + data[end:]
    return data


@settings(max_examples=600)
@given(mutated())
def test_a_mutated_file_gets_an_answer(data: bytes) -> None:
    one_input(data)


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_get_an_answer(data: bytes) -> None:
    one_input(data)


@settings(max_examples=200)
@given(st.data())
def test_a_mutated_zip_gets_an_answer(data: st.DataObject) -> None:
    archive = bytearray(zipped({"a.pdf": PDF}))
    for _ in range(data.draw(st.integers(1, 4))):
        archive[data.draw(st.integers(0, len(archive) - 1))] = data.draw(st.integers(0, 255))
    one_input(document(data=encoded(bytes(archive))).encode())


def test_the_seeds_themselves_are_good() -> None:
    for seed in SEEDS:
        one_input(seed)


def test_mutated_attacks_get_an_answer(tmp_path: Path) -> None:
    assert run_at_random(corpus(), seconds=1.5, seed=2016, crashes=tmp_path) > 20

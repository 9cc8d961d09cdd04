"""Expat is led past an attachment's data: what is read, and where every fault is, is as if it had parsed all of it."""

import base64
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.edxml import building
from schemas.edxml.faults import Kind
from schemas.edxml.parser import Parser, line_ends
from schemas.edxml.reading import Reading, read
from schemas.edxml.records import Document
from tests.unit.edxml.examples import document, encoded, reading

SMALL = 48
"""Bytes, instead of the 64 and 256 KiB that are parsed and led past at a time."""

BETWEEN = ("", "", "", "\n", "\r\n", "\r", " ", "\t", "\n\n", "&#10;", "&#13;\n", "&#65;", "<!-- x\n -->", "<?x?>")
WRONG = (
    *("*", "đ", "=", "&amp;", "&nbsp;", "<![CDATA[QUJD]]>", "<b>A</b>", "<b/>"),
    *("]]>", "\x00", "</x>", "&", "<", "%PDF"),
)
BEHIND = ("", "<edXML:Odd/>", "\n  <edXML:Odd/>", "đ<edXML:Odd a='1'/>", "<p:a/>", "</wrong>", "&x;")


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Attachment data as anybody might write it, right or wrong."""
    data = base64.b64encode(Random(draw(st.integers(0, 99))).randbytes(draw(st.integers(0, 400)))).decode()
    step = draw(st.integers(1, 90))
    pieces = []
    between = draw(st.lists(st.sampled_from(BETWEEN), min_size=1, max_size=4))
    for number, at in enumerate(range(0, len(data), step)):
        pieces += [data[at : at + step], between[number % len(between)]]
    if draw(st.booleans()):
        pieces.insert(draw(st.integers(0, len(pieces))), draw(st.sampled_from(WRONG)))
    return "".join(pieces)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A document with data as anybody might write it, and perhaps a fault behind it, in its line or in a later one."""
    xml = document(data=draw(texts()))
    behind = draw(st.sampled_from(BEHIND))
    xml = xml.replace("</edXML:Attachment>", f"{behind}</edXML:Attachment>", 1)
    if draw(st.booleans()):
        xml = xml.replace("\n", draw(st.sampled_from(("\r\n", "\r", ""))))
    if draw(st.booleans()):
        xml = xml[: draw(st.integers(0, len(xml)))]
    return xml.encode()


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Small steps; which bytes expat did not see."""
    skipped: list[int] = []
    really = Parser.skip

    def skip(parser: Parser, data: bytes, start: int, end: int, lines: int) -> None:
        skipped.append(end - start)
        really(parser, data, start, end, lines)

    monkeypatch.setattr(building, "CHUNK", SMALL)
    monkeypatch.setattr(building, "PIECE", SMALL)
    monkeypatch.setattr(Parser, "skip", skip)
    yield skipped


def told(found: Reading) -> object:
    """All that a reading says; of wrong base64 only where it is: what is quoted of it depends on the pieces."""
    faults = [(fault.kind, fault.place) if fault.kind is Kind.BASE64 else fault for fault in found.faults]
    contents = [one.content for one in found.message.attachments] if isinstance(found.message, Document) else []
    return found.message, faults, found.untold, contents


@given(data=files())
@example(data=document(data="\r\n".join(["QUJDREVGR0g"] * 6) + "\r\n&nbsp;").encode())
@example(data=document(data="QUJD" * 25 + "\x00").encode())
@example(data=document(data="\r".join("QUJD" * 25) + "\r").partition("\r</")[0].encode() + b"\r")
def test_whoever_is_led_past_data_reads_the_same(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "CHUNK", SMALL)
        patch.setattr(building, "PIECE", SMALL)
        led = read(data)
        patch.setattr(building._Builder, "_past_data", lambda self, at: at)
        assert told(led) == told(read(data))


def test_most_of_the_data_is_never_parsed(led: list[int]) -> None:
    for between in ("\n", "\r\n", ""):
        led.clear()
        data = between.join([encoded(Random(1).randbytes(30))] * 200)
        assert reading(document(data=data)).errors == ()
        assert sum(led) > len(data) - 4 * SMALL, between


def test_a_comment_is_never_taken_for_data(led: list[int]) -> None:
    data = encoded(Random(1).randbytes(600))
    found = reading(document(data=data[:400] + "<!--" + "A" * 300 + "-->" + data[400:]))
    assert found.errors == ()
    assert isinstance(found.message, Document)
    content = found.message.attachments[0].content
    assert content is not None and b"".join(content.pieces()) == Random(1).randbytes(600)


def test_line_ends_are_counted_as_xml_counts_them() -> None:
    text = b"a\nb\r\nc\rd\r\r\n\n"
    assert line_ends(text, 0, len(text)) == len(text.decode().splitlines())

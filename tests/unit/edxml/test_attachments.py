"""Attachments: what is recognised, what is refused, and that the bytes come out as they went in."""

import struct
import zipfile
import zlib
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.edxml.content import Base64, Plain, Unpacker
from schemas.edxml.faults import Kind
from schemas.edxml.limits import LIMITS, Limits
from schemas.edxml.reading import read
from schemas.edxml.records import Document
from schemas.edxml.zip_entry import PIECE, wrapped
from tests.unit.edxml.examples import (
    PDF,
    changed,
    document,
    document_in,
    encoded,
    kinds,
    only_error,
    reading,
    with_child,
    without,
    zipped,
)


def content_of(message: Document) -> bytes:
    content = message.attachments[0].content
    assert content is not None
    data = b"".join(content.pieces())
    assert (content.size, content.sha256) == (len(data), sha256(data).hexdigest())
    return data


def test_a_file_in_a_zip_comes_out_unpacked() -> None:
    message = document_in(document())
    assert content_of(message) == PDF
    assert message.attachments[0].content is not None and message.attachments[0].content.wrapped


def test_a_file_without_a_zip_comes_out_as_it_is() -> None:
    message = document_in(document(data=encoded(PDF)))
    assert content_of(message) == PDF
    assert message.attachments[0].content is not None and not message.attachments[0].content.wrapped


def test_a_stored_entry_is_as_good_as_a_packed_one() -> None:
    assert content_of(document_in(document(data=encoded(zipped({"a.pdf": PDF}, method=zipfile.ZIP_STORED))))) == PDF


def test_an_office_file_is_an_attachment_and_no_wrapping() -> None:
    office = zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>" * 500})
    message = document_in(document(data=encoded(office)))
    assert content_of(message) == office


def test_an_office_file_in_a_zip_comes_out_whole() -> None:
    office = zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>" * 500})
    assert content_of(document_in(document(data=encoded(zipped({"5f0c.docx": office}))))) == office


@pytest.mark.parametrize("line", [4, 76, 1000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "&#13;\n", "\t\n   ", " "])
def test_line_ends_in_base64_are_no_fault(line: int, end: str) -> None:
    text = encoded(zipped({"a.pdf": PDF}))
    broken = end.join(text[at : at + line] for at in range(0, len(text), line))
    assert content_of(document_in(document(data=f"\n{broken}\n"))) == PDF


@pytest.mark.parametrize("around", [("<![CDATA[", "]]>"), ("<!-- base64 -->", "<!-- end -->")])
def test_cdata_and_comments_around_base64_are_no_fault(around: tuple[str, str]) -> None:
    assert content_of(document_in(document(data=encoded(PDF).join(around)))) == PDF


def test_a_start_tag_with_other_attributes_is_no_fault() -> None:
    bent = document().replace("<edXML:ContentTransferEncoded ", "<edXML:ContentTransferEncoded\n a='>' b=\"/>\" ")
    assert content_of(document_in(bent)) == PDF


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("", Kind.BASE64),
        ("   ", Kind.BASE64),
        ("JVBERi0", Kind.BASE64),
        ("JVBERi0x*A==", Kind.BASE64),
        ("JVBE=i0x", Kind.BASE64),
        ("JVBERi0xLg==JVBE", Kind.BASE64),
        ("JVBERi0xLg==\nJVBERi0xLg==", Kind.BASE64),
        ("JVBEđi0x", Kind.BASE64),
        ("UEsDBA==", Kind.ZIP),
    ],
)
def test_broken_base64_is_refused_at_its_element(data: str, kind: Kind) -> None:
    found = only_error(reading(document(data=data)))
    assert found[0] is kind
    assert found[1] == "AttachmentEncoded/Attachment/ContentTransferEncoded"


def patched(archive: bytes, offset: int, value: bytes) -> bytes:
    return archive[:offset] + value + archive[offset + len(value) :]


def smuggled() -> bytes:
    """A ZIP whose directory tells of one entry, with another in front of it."""
    first, second = zipped({"a.pdf": b"first"}), zipped({"b.pdf": PDF})
    directory = second.index(b"PK\x01\x02")
    hidden = first[: first.index(b"PK\x01\x02")]
    moved = bytearray(second)
    struct.pack_into("<I", moved, directory + 42, len(hidden))
    end = len(moved) - 22
    struct.pack_into("<I", moved, end + 16, directory + len(hidden))
    return hidden + bytes(moved)


GOOD = zipped({"a.pdf": PDF})
DIRECTORY = GOOD.index(b"PK\x01\x02")
BAD_ZIPS = {
    "two entries": zipped({"a.pdf": PDF, "b.pdf": PDF}),
    "a hidden entry in front": smuggled(),
    "a count of two": patched(GOOD, len(GOOD) - 14, struct.pack("<HH", 2, 2)),
    "a folder": zipped({"a/": b""}),
    "encrypted": patched(patched(GOOD, 6, b"\x01"), DIRECTORY + 8, b"\x01"),
    "an unknown method": patched(GOOD, 8, struct.pack("<H", 14)),
    "a wrong checksum": patched(GOOD, DIRECTORY + 16, b"\0\0\0\0"),
    "a wrong size": patched(GOOD, DIRECTORY + 24, b"\1\0\0\0"),
    "cut in the data": GOOD[: len(GOOD) // 2],
    "cut in the header": GOOD[:20],
    "cut before the directory": GOOD[:DIRECTORY],
    "without its end": GOOD[:-22],
    "something behind": GOOD + b"x",
    "broken data": patched(GOOD, 60, b"\xff" * 40),
    "empty": zipped({}),
}


@pytest.mark.parametrize("name", BAD_ZIPS)
def test_a_zip_that_is_not_one_whole_entry_is_refused(name: str) -> None:
    found = reading(document(data=encoded(BAD_ZIPS[name])))
    assert kinds(found) == [Kind.ZIP]


def test_a_bomb_is_refused_while_it_unfolds() -> None:
    bomb = zipped({"a.pdf": bytes(LIMITS.ratio_from * 40)})
    (fault,) = reading(document(data=encoded(bomb))).errors
    assert fault.kind is Kind.ZIP
    assert str(LIMITS.ratio) in fault.found.en


def test_a_file_larger_than_allowed_is_refused_packed_or_not() -> None:
    limits = Limits(unpacked=5_000)
    for data in (zipped({"a": PDF}, method=zipfile.ZIP_STORED), PDF):
        found = read(document(data=encoded(data)).encode(), limits=limits)
        assert len(found.errors) == 1


def test_all_files_together_are_bounded() -> None:
    limits = Limits(unpacked_total=15_000)
    second = (
        "<Attachment><ContentId>cid:2</ContentId><AttachmentName>b</AttachmentName>"
        f"<ContentTransferEncoded>{encoded(PDF)}</ContentTransferEncoded></Attachment>"
    )
    xml = with_child(document(), "</Attachment>", second)
    assert read(xml.encode()).good
    assert kinds(read(xml.encode(), limits=limits)) == [Kind.TOO_LARGE]


def test_the_number_of_files_is_bounded() -> None:
    one = "<Attachment><ContentTransferEncoded>AAAA</ContentTransferEncoded></Attachment>"
    xml = with_child(document(), "</Attachment>", one * LIMITS.attachments)
    assert kinds(reading(xml)) == [Kind.TOO_LARGE]


@pytest.mark.parametrize(
    ("old", "new"),
    [("<ContentId>cid:1", "<ContentId>1"), ("<edXML:ContentId>cid:1", "<edXML:ContentId>1")],
)
def test_cid_may_be_missing_on_one_side(old: str, new: str) -> None:
    found = reading(changed(document(), old, new))
    assert found.good
    assert [fault.kind for fault in found.faults] == [Kind.LINK]


def test_a_listed_file_that_is_not_there_is_an_error_and_an_unlisted_one_a_remark() -> None:
    xml = document()
    attachment = xml[xml.index("    <Attachment>") : xml.index("  </AttachmentEncoded>")]
    assert kinds(reading(without(xml, attachment))) == [Kind.LINK]
    reference = xml[xml.index("        <edXML:Reference>") : xml.index("      </edXML:edXMLManifest>")]
    assert reading(without(xml, reference)).good


def test_elements_inside_the_data_are_refused() -> None:
    assert Kind.STRAY in kinds(reading(document(data=encoded(PDF) + "<a/>")))


@given(st.binary(min_size=0, max_size=3000), st.integers(1, 997), st.sampled_from(["a.pdf", "đ.docx", "x"]))
def test_whatever_is_wrapped_comes_out_in_any_pieces(data: bytes, step: int, name: str) -> None:
    archive = b"".join(wrapped(Plain(data=data).pieces(), name))
    unpacker = Unpacker(LIMITS)
    out = [b"".join(unpacker.feed(archive[at : at + step])) for at in range(0, len(archive), step)]
    assert b"".join([*out, *unpacker.finish()]) == data
    assert (unpacker.size, unpacker.sha256, unpacker.wrapped) == (len(data), sha256(data).hexdigest(), True)


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 4 * PIECE - 7])
def test_an_entry_as_large_as_the_pieces_it_is_unpacked_in_comes_out_whole(size: int) -> None:
    for data in (bytes(size), Random(size).randbytes(size)):
        assert content_of(document_in(document(data=encoded(zipped({"a": data}))))) == data


@given(st.binary(max_size=3000))
def test_python_reads_our_zips(data: bytes) -> None:
    import io

    with zipfile.ZipFile(io.BytesIO(b"".join(wrapped([data], "a.pdf")))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a.pdf"]
        assert archive.read("a.pdf") == data


@given(st.binary(min_size=1, max_size=2000), st.integers(1, 99))
def test_base64_is_decoded_in_any_pieces(data: bytes, step: int) -> None:
    text = encoded(data).encode()
    decoder = Base64()
    out = b"".join(decoder.feed(text[at : at + step]) for at in range(0, len(text), step))
    decoder.finish()
    assert out == data


def test_highly_packed_small_files_are_no_bombs() -> None:
    packed = zlib.compress(bytes(LIMITS.ratio_from), 9)
    assert LIMITS.ratio_from / len(packed) > LIMITS.ratio
    blank = bytes(LIMITS.ratio_from)
    assert content_of(document_in(document(data=encoded(zipped({"blank.bmp": blank}))))) == blank

"""Hostile files are refused before they cost anything: 80 MB of them within 64 MB beyond their own size.

Measured by the operating system in a process of its own, as the peak of resident memory; expat's memory counts too.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.edxml.content import Sink
from schemas.edxml.faults import Kind
from schemas.edxml.limits import LIMITS
from schemas.edxml.reading import read
from tests.unit.edxml.examples import QCVN, changed, document, kinds, reading

HEAD = f'<?xml version="1.0"?><edXML xmlns="{QCVN}"><edXMLEnvelope><edXMLHeader><MessageHeader>'
DATA = f'<edXML xmlns="{QCVN}"><edXMLEnvelope/><AttachmentEncoded><Attachment><ContentTransferEncoded>'
SIZE = 80_000_000
BUDGET = 64_000_000

# Each builds its file in the child: HEAD, DATA and SIZE are defined there.
HOSTILE = {
    "a DTD that would unfold": """b'<!DOCTYPE e [<!ENTITY a "' + b'a' * SIZE + b'">]><e>&a;</e>'""",
    "a DTD with entities in entities": (
        """b'<!DOCTYPE e [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><e>&b;' + b' ' * SIZE + b'</e>'"""
    ),
    "a DTD of one endless name": "b'<!DOCTYPE ' + b'e' * SIZE",
    "elements without end inside each other": "(b'<a>' * (SIZE // 3))",
    "millions of elements": "HEAD + b'<To/>' * (SIZE // 5)",
    "millions of attributes": "HEAD + (b'<To ' + b''.join(b'a%d=\"\" ' % n for n in range(9000)) + b'/>') * 820",
    "one endless attribute": "HEAD + b'<To a=\"' + b'a' * SIZE + b'\"/>'",
    "one endless comment": "HEAD + b'<!--' + b'a' * SIZE + b'-->'",
    "millions of comments": "HEAD + b'<!---->' * (SIZE // 7)",
    "one endless instruction": "HEAD + b'<?x ' + b'a' * SIZE + b'?>'",
    "one endless text": "HEAD + b'<Subject>' + 'đ'.encode() * (SIZE // 2) + b'</Subject>'",
    "many long texts, wide": "HEAD + ('<Subject>' + 'a' * 60_000 + '😀</Subject>').encode() * (SIZE // 60_030)",
    "nothing but line ends": "HEAD + b'\\n' * SIZE",
    "nothing but line ends in the data": "DATA + b'\\n' * SIZE",
    "data that is no base64": "DATA + b'*' * SIZE",
    "zeros as base64, packed": "DATA + base64.b64encode(bomb(120_000_000)) + b'A' * SIZE",
    "a ZIP of many entries": "DATA + base64.b64encode(many())",
    "a good file, but 80 MB": "DATA + base64.b64encode(b'%PDF' + random.Random(1).randbytes(SIZE // 4 * 3)) + b'</x>'",
    "hundreds of prefixes": "HEAD + b'<To ' + b''.join(b'xmlns:p%d=\"u\" ' % n for n in range(99)) + b'/>' * SIZE",
    "an instruction behind each letter of the data": "DATA + b'A<?a?>' * (SIZE // 6)",
    "a fault in each of many elements, then data": "HEAD + b'<To/>' * 64_500 + REST + b'A' * SIZE",
    "recipients up to the bound, then data": (
        """HEAD + b'<To><OrganId>H1</OrganId></To>' * 31_900 + REST + base64.b64encode(b'%PDF' * (SIZE // 16 * 3))"""
    ),
    "unknown elements, then data": "HEAD + b'<Too>a</Too>' * 64_500 + REST + b'AAAA' * (SIZE // 4)",
    "references instead of letters": "DATA + b'&#65;' * (SIZE // 5)",
    "comments in the data": "DATA + (b'A' * 404 + b'<!---->') * (SIZE // 411)",
    "short lines of data": "DATA + (b'A' * 36 + b'\\n') * (SIZE // 37)",
    "many names that are nearly right": "HEAD + b''.join(b'<Too%d/>' % n for n in range(64_500)) + REST + b'A' * SIZE",
    "prefixes that nobody declared": "HEAD + b''.join(b'<p%d:a/>' % n for n in range(64_500)) + b'<' + b'A' * SIZE",
    "not XML": "b'\\0' * SIZE",
    "larger than any": "b'<' * (LIMITS.file + 1)",
}

CHILD = """
import base64, io, random, resource, sys, zipfile, zlib
from schemas.edxml.limits import LIMITS
from schemas.edxml.reading import read
HEAD, DATA, SIZE = {head!r}, {data!r}, {size}
REST = b"</MessageHeader></edXMLHeader></edXMLEnvelope>" + DATA[DATA.index(b"<AttachmentEncoded>"):]
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024
def bomb(size):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a", "w") as entry:
        for _ in range(size // 1_000_000):
            entry.write(bytes(1_000_000))
    return file.getvalue()
def many():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for n in range(60):
            archive.writestr(str(n), bytes(1_000_000))
    return file.getvalue()
read(b"<a/>")
with open(sys.argv[1], "wb") as made:
    made.write({expression})
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")
before = peak()
with open(sys.argv[1], "rb") as file:
    data = file.read()
reading = read(data)
print(reading.good, len(data), peak() - before)
"""


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_within_its_own_size_and_64_mb(name: str, tmp_path: Path) -> None:
    child = CHILD.format(head=HEAD.encode(), data=DATA.encode(), size=SIZE, expression=HOSTILE[name])
    ran = subprocess.run(
        [sys.executable, "-c", child, str(tmp_path / "hostile")], capture_output=True, text=True, check=False
    )
    (tmp_path / "hostile").unlink(missing_ok=True)
    assert ran.returncode == 0, ran.stderr
    good, size, used = ran.stdout.split()
    assert good == "False"
    assert int(size) >= SIZE * 0.7
    assert int(used) <= int(size) + BUDGET, f"{int(used) - int(size)} bytes beyond the file's own"


def test_reading_stops_where_a_bound_is_passed() -> None:
    # What stands behind would be a fault of its own, if it were looked at.
    assert kinds(reading("<!DOCTYPE a>" + document() + "<")) == [Kind.FORBIDDEN]
    assert kinds(reading("<a>" * (LIMITS.depth + 1) + "<<<<")) == [Kind.TOO_DEEP]


def test_a_message_to_every_agency_is_within_the_bounds() -> None:
    to = (
        "<edXML:To><edXML:OrganId>H{0}</edXML:OrganId><edXML:OrganizationInCharge>Ủy ban nhân dân tỉnh"
        "</edXML:OrganizationInCharge><edXML:OrganName>Ủy ban nhân dân xã {0}</edXML:OrganName><edXML:OrganAdd>"
        "Số 1, đường Trần Hưng Đạo, xã {0}, tỉnh Thử Nghiệm, Việt Nam</edXML:OrganAdd><edXML:Email>ubnd.{0}@gov.vn"
        "</edXML:Email><edXML:Telephone>0123456789</edXML:Telephone><edXML:Fax>0123456789</edXML:Fax>"
        "<edXML:Website>www.{0}.gov.vn</edXML:Website></edXML:To>"
    )
    many = "".join(to.format(number) for number in range(100, 5_098))
    found = reading(changed(document(), "        <edXML:DocumentId>", f"{many}<edXML:DocumentId>"))
    assert found.good, found.errors[:2]


def test_instructions_in_an_attachment_call_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    really = Sink.feed

    def feed(sink: Sink, text: bytes) -> bool:
        calls.append(len(text))
        return really(sink, text)

    monkeypatch.setattr(Sink, "feed", feed)
    assert reading(document(data="JVBE<?a?>Ri0x" * 2_000)).good
    assert len(calls) < 10


def test_thousands_of_faults_are_told_up_to_a_bound_and_then_counted() -> None:
    many = "<edXML:Strange/>" * 10_000
    xml = changed(document(), "<edXML:SteeringType>1", f"{many}<edXML:SteeringType>9")
    found = reading(xml)
    assert len(found.faults) == LIMITS.faults
    assert found.untold == 10_001 - LIMITS.faults
    assert kinds(found) == [Kind.VALUE]


def test_the_bounds_are_the_callers_to_choose() -> None:
    data = document().encode()
    assert kinds(read(data, limits=type(LIMITS)(file=len(data)))) == []
    assert kinds(read(data, limits=type(LIMITS)(file=len(data) - 1))) == [Kind.TOO_LARGE]

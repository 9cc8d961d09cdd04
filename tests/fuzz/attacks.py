"""Files that attack whoever reads XML, base64 or ZIPs. Made when they are asked for; nothing of them is stored.

Each is a function that gives the bytes. What they try is in their names; none may be taken for good, none may hang,
none may open a file or a connection. The suite runs them all, the fuzzing target begins with them, and whatever else
reads strangers' files can be tried with them too.
"""

from __future__ import annotations

import base64
import gzip
import struct
from collections.abc import Callable, Mapping
from typing import Final

from tests.unit.edxml.examples import QCVN, changed, document, encoded, status, zipped

ROOT: Final = f'<edXML xmlns="{QCVN}">'
LOL: Final = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


def with_subject(subject: str, prolog: str = "") -> bytes:
    """A document that is good but for its prolog and subject."""
    bent = document().replace("Về việc rà soát trụ sở &amp; tài sản", subject)
    return bent.replace("?>\n", f"?>\n{prolog}", 1).encode()


def with_data(data: bytes) -> bytes:
    """A document whose attachment is this."""
    return document(data=encoded(data)).encode()


def inside_header(xml: str) -> bytes:
    """A document with something in its header that does not belong there."""
    return changed(document(), "<edXML:MessageHeader>", f"<edXML:MessageHeader>{xml}").encode()


def patched(archive: bytes, offset: int, value: bytes) -> bytes:
    """`archive` with other bytes at one place."""
    return archive[:offset] + value + archive[offset + len(value) :]


def bomb(size: int) -> bytes:
    """A ZIP with one entry of zeros."""
    return zipped({"a.pdf": bytes(size)})


def overlapping(entries: int) -> bytes:
    """A ZIP whose directory points many times at the same packed bytes (as 42.kb.zip's successors do)."""
    one = zipped({"a": bytes(1_000_000)})
    directory = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    entry = one[directory:end]
    many = one[:directory] + entry * entries
    size = len(entry) * entries
    return many + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, entries, entries, size, directory, 0)


def two_entries_one_hidden() -> bytes:
    """Two entries, of which the directory names only the second."""
    first, second = zipped({"a.pdf": b"%PDF first"}), zipped({"b.pdf": b"%PDF second"})
    hidden = first[: first.index(b"PK\x01\x02")]
    moved = bytearray(second)
    struct.pack_into("<I", moved, second.index(b"PK\x01\x02") + 42, len(hidden))
    struct.pack_into("<I", moved, len(moved) - 6, second.index(b"PK\x01\x02") + len(hidden))
    return hidden + bytes(moved)


def zip_with(method: int) -> bytes:
    """A ZIP whose entry claims another way of packing."""
    good = zipped({"a.pdf": b"%PDF"})
    return patched(
        patched(good, 8, struct.pack("<H", method)), good.index(b"PK\x01\x02") + 10, struct.pack("<H", method)
    )


def utf_7() -> bytes:
    return b'<?xml version="1.0" encoding="UTF-7"?>\n' + document().encode().split(b"?>\n", 1)[1].replace(
        b"<edXML ", b"+ADw-edXML ", 1
    )


def ebcdic() -> bytes:
    told = document().replace('encoding="UTF-8"', 'encoding="cp037"')
    return told.encode("cp037", "replace")


def doctype_in_ebcdic() -> bytes:
    return f'<?xml version="1.0" encoding="IBM037"?><!DOCTYPE e [{LOL}]><e>&l9;</e>'.encode("cp037")


def doctype_in(encoding: str, declared: str) -> bytes:
    text = f'<?xml version="1.0" encoding="{declared}"?><!DOCTYPE e [{LOL}]>' + document().split("?>\n", 1)[1].replace(
        "Về việc", "&l9;"
    )
    return text.encode(encoding)


ATTACKS: Final[Mapping[str, Callable[[], bytes]]] = {
    # ── Entities ──
    "billion laughs": lambda: with_subject("&l9;", f'<!DOCTYPE e [<!ENTITY l0 "lol">{LOL}]>'),
    "quadratic blowup": lambda: with_subject("&a;" * 9_000, f'<!DOCTYPE e [<!ENTITY a "{"a" * 60_000}">]>'),
    "external general entity": lambda: with_subject("&x;", '<!DOCTYPE e [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
    "external entity over the network": lambda: with_subject(
        "&x;", '<!DOCTYPE e [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>'
    ),
    "external parameter entity": lambda: with_subject(
        "a", '<!DOCTYPE e [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>'
    ),
    "parameter entities in entities": lambda: with_subject(
        "&s;", "<!DOCTYPE e [<!ENTITY % a '<!ENTITY &#37; b SYSTEM \"file:///dev/zero\">'> %a; %b;]>"
    ),
    "external DTD": lambda: with_subject("a", '<!DOCTYPE edXML SYSTEM "http://127.0.0.1:9/evil.dtd">'),
    "public DTD": lambda: with_subject("a", '<!DOCTYPE edXML PUBLIC "-//X//Y" "http://127.0.0.1:9/evil.dtd">'),
    "a DTD with attribute defaults": lambda: with_subject("a", '<!DOCTYPE e [<!ATTLIST e xmlns CDATA #FIXED "u">]>'),
    "entities that refer to each other": lambda: with_subject(
        "&a;", '<!DOCTYPE e [<!ENTITY a "&b;"><!ENTITY b "&a;">]>'
    ),
    "an entity that nobody declared": lambda: with_subject("&nbsp;"),
    "a DOCTYPE in small letters and blanks": lambda: with_subject("a", "<!DOCTYPE\n\n\te>"),
    "a DOCTYPE behind a comment": lambda: with_subject("a", "<!-- hello --><?x y?>\n<!DOCTYPE e []>"),
    "a DOCTYPE that never ends": lambda: b"<!DOCTYPE e [" + b"<!ENTITY a 'b'>" * 50_000,
    "XInclude": lambda: b'<x xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="/etc/passwd"/></x>',
    # ── Encodings ──
    "a DTD in UTF-16, little-endian, with a mark": lambda: doctype_in("utf-16", "UTF-16"),
    "a DTD in UTF-16, big-endian, without a mark": lambda: doctype_in("utf-16-be", "UTF-16BE"),
    "a DTD in UTF-16, said to be UTF-8": lambda: doctype_in("utf-16-le", "UTF-8"),
    "a DTD in UTF-32": lambda: doctype_in("utf-32", "UTF-32"),
    "a DTD in UTF-7": lambda: doctype_in("utf-7", "UTF-7"),
    "UTF-7 markup": utf_7,
    "EBCDIC": ebcdic,
    "a DTD in EBCDIC": doctype_in_ebcdic,
    "an encoding that nobody has": lambda: document().replace('"UTF-8"', '"x-own"').encode(),
    "windows-1258, said so": lambda: document().replace('"UTF-8"', '"windows-1258"').encode(),
    "Latin-1 bytes, said to be UTF-8": lambda: document().encode().replace("ộ".encode(), b"\xf4"),
    "overlong UTF-8": lambda: document().encode().replace(b"BTC-QLCS</edXML:CodeN", b"\xc0\xbc</edXML:CodeN"),
    "surrogates in UTF-8": lambda: document().encode().replace(b"<edXML:Subject>", b"<edXML:Subject>\xed\xa0\x80"),
    "a NUL byte": lambda: document().encode().replace(b"<edXML:Subject>", b"<edXML:Subject>\x00"),
    "a NUL reference": lambda: with_subject("&#0;"),
    "nothing but NUL": lambda: bytes(1_000_000),
    # ── Shape ──
    "nothing": lambda: b"",
    "one million levels": lambda: b"<a>" * 1_000_000,
    "levels in the right names": lambda: inside_header("<edXML:To>" * 5_000 + "</edXML:To>" * 5_000),
    "one giant attribute": lambda: inside_header(f'<edXML:To a="{"a" * 5_000_000}"/>'),
    "one giant name": lambda: inside_header(f"<{'a' * 5_000_000}/>"),
    "one giant namespace": lambda: inside_header(f'<edXML:To xmlns:x="{"u" * 5_000_000}"/>'),
    "a hundred thousand attributes": lambda: inside_header(
        "<edXML:To " + " ".join(f'a{n}=""' for n in range(100_000)) + "/>"
    ),
    "attributes that fall into one hash": lambda: inside_header(
        "<edXML:To " + " ".join(f'a{"Aa" * (n % 7)}{n}=""' for n in range(50_000)) + "/>"
    ),
    "a flood of prefixes": lambda: inside_header(
        "<edXML:To " + " ".join(f'xmlns:p{n}="u{n}"' for n in range(5_000)) + "/>"
    ),
    "prefixes on every level": lambda: inside_header(
        "".join(f'<x{n} xmlns:p{n}="u">' for n in range(30))
        + "".join(f"</x{n}>" for n in reversed(range(30)))
        + "<edXML:To/>" * 90_000
    ),
    "xmlns bound to nothing": lambda: inside_header('<x:a xmlns:x=""/>') + b"<",
    "the xml prefix bound anew": lambda: inside_header('<a xmlns:xml="urn:other" xml:id="1"/><edXML:To/>'),
    "a million comments": lambda: inside_header("<!---->" * 2_000_000),
    "a million instructions": lambda: inside_header("<?a?>" * 2_000_000),
    "a giant comment": lambda: inside_header(f"<!--{'a' * 9_000_000}-->"),
    "a giant CDATA section": lambda: with_subject(f"<![CDATA[{'a' * 9_000_000}]]>"),
    "a CDATA section without an end": lambda: (
        document().encode().replace(b"<edXML:Subject>", b"<edXML:Subject><![CDATA[")
    ),
    "text without end": lambda: with_subject("đ" * 5_000_000),
    "character references without end": lambda: with_subject("&#x61;" * 500_000),
    "a file that breaks off in a tag": lambda: document().encode()[:2_000],
    "a file that breaks off in a letter": lambda: document().encode()[: document().encode().index("ộ".encode()) + 1],
    "a file that breaks off in its attachment": lambda: document().encode()[:-200],
    "something behind the end": lambda: document().encode() + b"<edXML/>",
    "two messages": lambda: document().encode() * 2,
    "the same element twice": lambda: inside_header("<edXML:Subject>another</edXML:Subject>"),
    "the format of 2014": lambda: document().replace(QCVN, "http://www.e-doc.vn/Schema/").encode(),
    "a namespace of a provincial guide": lambda: document().replace(QCVN, "http://www.go.vn/eDoc").encode(),
    "HTML": lambda: b"<!DOCTYPE html><html><body>503 Service Unavailable</body></html>",
    "JSON": lambda: b'{"spec": "lienthong/1"}',
    "a PDF": lambda: b"%PDF-1.7\n" + bytes(1000),
    "a gzip of a good file": lambda: gzip.compress(document().encode()),
    "an XSLT instruction and nothing else": lambda: b'<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?>',
    "a status with a doubled code": lambda: (
        status().replace("<edXML:StatusCode>", "<edXML:StatusCode>06</edXML:StatusCode><edXML:StatusCode>").encode()
    ),
    # ── base64 and ZIPs ──
    "base64 with other letters": lambda: document(data="JVBE*A==").encode(),
    "base64 for URLs": lambda: document(data=base64.urlsafe_b64encode(b"\xff\xfe\xfd" * 40).decode()).encode(),
    "base64 padded in the middle": lambda: document(data="JVBERg==JVBERg==").encode(),
    "base64 of nothing but blanks": lambda: document(data=" \n" * 3_000_000).encode(),
    "markup inside the data": lambda: document(data="JVBE<a/>RiAx").encode(),
    "a bomb": lambda: with_data(bomb(20_000_000)),
    "a bomb that lies about its size": lambda: with_data(patched(bomb(5_000_000), 22, struct.pack("<I", 100))),
    "overlapping entries": lambda: with_data(overlapping(200)),
    "several entries": lambda: with_data(zipped({"a.pdf": b"%PDF", "b.exe": b"MZ"})),
    "a hidden entry": lambda: with_data(two_entries_one_hidden()),
    "an encrypted entry": lambda: with_data(patched(zipped({"a.pdf": b"%PDF"}), 6, b"\x01\x00")),
    "an entry packed with bzip2": lambda: with_data(zip_with(12)),
    "an entry packed with LZMA": lambda: with_data(zip_with(14)),
    "a folder as entry": lambda: with_data(zipped({"a/": b""})),
    "a ZIP without its end": lambda: with_data(zipped({"a.pdf": b"%PDF" * 100})[:-22]),
    "a ZIP cut in its data": lambda: with_data(zipped({"a.pdf": bytes(range(256)) * 40})[:200]),
    "a ZIP with a wrong checksum": lambda: with_data(
        patched(zipped({"a.pdf": b"%PDF"}), zipped({"a.pdf": b"%PDF"}).index(b"PK\x01\x02") + 16, b"\x00\x00\x00\x00")
    ),
    "a ZIP with something behind it": lambda: with_data(zipped({"a.pdf": b"%PDF"}) + b"MZ" * 100),
    "a ZIP with no entry": lambda: with_data(b"PK\x03\x04" + bytes(26)),
    "a ZIP with an endless name": lambda: with_data(b"PK\x03\x04" + bytes(22) + b"\xff\xff\xff\xff" + b"a" * 200_000),
    "broken packed data": lambda: with_data(_broken()),
}
"""Every attack by what it tries; none of them is a good file."""

HARMLESS: Final[Mapping[str, Callable[[], bytes]]] = {
    "a path as the entry's name": lambda: with_data(zipped({"../../../etc/cron.d/x": b"%PDF"})),
    "an absolute path as the entry's name": lambda: with_data(zipped({"/etc/passwd": b"%PDF"})),
    "a path as the attachment's name": lambda: changed(
        document(), "<AttachmentName>58-BTC.pdf", "<AttachmentName>../../58-BTC.pdf"
    ).encode(),
    "a name that turns round": lambda: changed(
        document(), "<AttachmentName>58-BTC.pdf", "<AttachmentName>58\u202efdp.exe"
    ).encode(),
    "an instruction to a stylesheet": lambda: with_subject("a", '<?xml-stylesheet href="http://127.0.0.1:9/x.xsl"?>\n'),
    "a schema location": lambda: changed(
        document(), "<edXML xmlns=", '<edXML xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:schemaLocation="u http://127.0.0.1:9/x.xsd" xmlns='
    ).encode(),
}  # fmt: skip
"""Good files with something in them that would harm whoever believes it."""


def _broken() -> bytes:
    packed = bytearray(zipped({"a.pdf": bytes(range(256)) * 400}))
    packed[60:90] = b"\xff" * 30
    return bytes(packed)


def corpus() -> list[bytes]:
    """Beginnings for a fuzzer: the attacks that are small, and good files."""
    small = [data for make in (*ATTACKS.values(), *HARMLESS.values()) if len(data := make()) < 100_000]
    return [*small, document().encode(), status().encode()]

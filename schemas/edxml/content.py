"""The bytes of an attachment: base64 of a ZIP with one entry, or of the file itself; the first bytes tell which.

An attachment of 30 MB is never held in memory because its message is: while the message is read, its data streams
through here to be checked, measured and hashed; whoever wants the bytes streams them again out of the message.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Protocol
from xml.parsers import expat

from schemas.edxml.faults import Kind, Text, quoted
from schemas.edxml.limits import LIMITS, MIB, Limits
from schemas.edxml.zip_entry import EMPTY_ZIP, LOCAL, PIECE, BadZip, OneEntry, header_of

_BLANKS: Final = b" \t\r\n"
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/=]")
_START_TAG: Final = re.compile(rb"<[^\s/>]+(?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*>")
_HEADER_LIMIT: Final = 30 + 2 * 65_535
"""Bytes that the header of a ZIP entry can take."""

OFFICE_FILES: Final = ("[Content_Types].xml", "mimetype", "_rels/", "docProps/", "word/", "xl/", "ppt/", "customXml/")
"""How the first entry of a docx, xlsx, pptx or OpenDocument file begins: a ZIP that *is* the attachment. Builders that
do not wrap send these; nothing in them is unpacked here."""

_BASE64: Final = Text("base64 data", "dữ liệu base64")


class Content(Protocol):
    """The bytes of one file."""

    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def wrapped(self) -> bool: ...
    def pieces(self) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Plain:
    """A file in memory, to be written into a message."""

    data: bytes = field(repr=False)
    wrapped: bool = True

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def sha256(self) -> str:
        return sha256(self.data).hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """The bytes, in pieces of at most 256 KiB."""
        for start in range(0, len(self.data), PIECE):
            yield self.data[start : start + PIECE]


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """A file that stays where it came in: `message[start:end]` is its element, up to the end tag."""

    size: int
    sha256: str
    # Whether it was in a ZIP, and under which name.
    wrapped: bool
    entry_name: str | None
    message: bytes = field(repr=False, compare=False)
    start: int = field(compare=False)
    end: int = field(compare=False)
    limits: Limits = field(default=LIMITS, repr=False, compare=False)

    def pieces(self) -> Iterator[bytes]:
        """The file's bytes in pieces of some hundred KiB, decoded and unpacked anew."""
        decoder, unpacker = Base64(), Unpacker(self.limits)
        for text in element_text(self.message, self.start, self.end):
            yield from unpacker.feed(decoder.feed(text))
        decoder.finish()
        yield from unpacker.finish()


class BadContent(Exception):
    """An attachment's data cannot be used."""

    def __init__(self, kind: Kind, found: Text, expected: Text) -> None:
        super().__init__(found.en)
        self.kind = kind
        self.found = found
        self.expected = expected


def element_text(message: bytes, start: int, end: int) -> Iterator[bytes]:
    """The text inside the element whose start tag is at `start` and whose end tag is at `end`, in pieces."""
    tag = _START_TAG.match(message, start)
    if tag is None:
        raise ValueError(f"no start tag at {start}")
    inside = tag.end()
    if message.find(b"<", inside, end) < 0 and message.find(b"&", inside, end) < 0:
        for at in range(inside, end, PIECE):
            yield message[at : min(at + PIECE, end)]
        return
    # Character references, CDATA sections and comments: expat resolves them.
    found: list[bytes] = []
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.CharacterDataHandler = lambda text: found.append(text.encode())
    parser.Parse(b"<x>")
    for at in range(inside, end, PIECE):
        parser.Parse(message[at : min(at + PIECE, end)])
        yield b"".join(found)
        found.clear()
    parser.Parse(b"</x>", True)
    yield b"".join(found)


class Base64:
    """Decodes base64 that comes in pieces; blanks anywhere, padding only at the end. Raises BadContent."""

    def __init__(self) -> None:
        self.blanks = 0
        self._letters = 0
        self._rest = b""
        self._padded = False

    def feed(self, text: bytes) -> bytes:
        """The bytes that the next piece of text completes."""
        try:
            return self._decoded(text)  # most data has no blanks: to try is the quickest way to see that
        except Base64Error:
            letters = text.translate(None, _BLANKS)
        self.blanks += len(text) - len(letters)
        if self.blanks > MIB and self.blanks > self._letters + len(letters):
            raise BadContent(Kind.BASE64, Text("hardly anything but blanks", "hầu như chỉ có khoảng trắng"), _BASE64)
        if self._padded and letters:
            raise BadContent(Kind.BASE64, Text("data after the padding", "dữ liệu sau phần đệm"), _BASE64)
        try:
            return self._decoded(letters)
        except Base64Error as why:
            raise BadContent(Kind.BASE64, _wrong(self._rest + letters), _BASE64) from why

    def _decoded(self, letters: bytes) -> bytes:
        """Raises Base64Error if there is anything else in them; nothing has been taken then."""
        data = self._rest + letters
        whole = len(data) // 4 * 4
        rest = data[whole:]
        if (self._padded and letters) or _NOT_BASE64.search(rest):
            raise Base64Error
        found = a2b_base64(data[:whole], strict_mode=True)
        self._letters += len(letters)
        self._rest, self._padded = rest, data.endswith(b"=", 0, whole) if whole else self._padded
        return found

    def finish(self) -> None:
        """All text has come."""
        if self._rest:
            wrong = _NOT_BASE64.search(self._rest)
            broken = Text(
                f"{self._letters} characters, not a multiple of four", f"{self._letters} ký tự, không chia hết cho bốn"
            )
            raise BadContent(Kind.BASE64, _wrong(self._rest) if wrong else broken, _BASE64)
        if not self._letters:
            raise BadContent(Kind.BASE64, Text("no data", "không có dữ liệu"), _BASE64)


def _wrong(data: bytes) -> Text:
    wrong = _NOT_BASE64.search(data)
    if wrong is None:
        return Text("padding in the middle", "phần đệm ở giữa")
    return quoted(data[max(0, wrong.start() - 4) : wrong.start() + 28].decode("utf-8", "replace"))


class Unpacker:
    """Looks at the first bytes and unpacks what is wrapped; measures and hashes the file. Raises BadContent."""

    def __init__(self, limits: Limits) -> None:
        self.size = 0
        self.wrapped = False
        self._limits = limits
        self._hash = sha256()
        self._start: bytes | None = b""
        self._zip: OneEntry | None = None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def entry_name(self) -> str | None:
        return self._zip.entry_name if self._zip else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next decoded bytes; yields bytes of the file."""
        if self._start is not None:
            self._start += data
            if not self._recognised(self._start):
                return
            data, self._start = self._start, None
        yield from self._through(data)

    def finish(self) -> Iterator[bytes]:
        """All bytes have come; yields what was kept back to recognise the file by."""
        if self._start is not None:
            kept, self._start = self._start, None
            if kept.startswith(LOCAL):
                raise BadContent(
                    Kind.ZIP, Text("a ZIP that breaks off", "tệp ZIP bị cụt"), Text("a whole file", "tệp đầy đủ")
                )
            yield from self._through(kept)
        if self._zip is not None:
            try:
                self._zip.finish()
            except BadZip as bad:
                raise BadContent(Kind.ZIP, bad.found, bad.expected) from bad

    def _recognised(self, start: bytes) -> bool:
        if len(start) < len(LOCAL):
            return False
        if start.startswith(EMPTY_ZIP):
            raise BadContent(
                Kind.ZIP, Text("a ZIP without any file", "tệp ZIP rỗng"), Text("one file in it", "có một tệp bên trong")
            )
        if not start.startswith(LOCAL):
            return True
        header = header_of(start)
        if header is None and len(start) <= _HEADER_LIMIT:
            return False
        if header is not None and header.name.startswith(OFFICE_FILES):
            return True
        self._zip = OneEntry(self._limits)
        self.wrapped = True
        return True

    def _through(self, data: bytes) -> Iterator[bytes]:
        if self._zip is None:
            yield from self._counted(data)
            return
        try:
            for piece in self._zip.feed(data):
                yield from self._counted(piece)
        except BadZip as bad:
            raise BadContent(Kind.ZIP, bad.found, bad.expected) from bad

    def _counted(self, piece: bytes) -> Iterator[bytes]:
        self.size += len(piece)
        if self.size > self._limits.unpacked:
            raise BadContent(
                Kind.TOO_LARGE,
                Text(f"more than {self._limits.unpacked} bytes", f"hơn {self._limits.unpacked} byte"),
                Text(f"at most {self._limits.unpacked} bytes", f"tối đa {self._limits.unpacked} byte"),
            )
        self._hash.update(piece)
        if piece:
            yield piece


class Sink:
    """Takes an attachment's text while its message is read; ends in an `Encoded`, or in what is wrong with it."""

    def __init__(self, limits: Limits) -> None:
        self.size = 0
        self.wrong: BadContent | None = None
        self._limits = limits
        self._decoder = Base64()
        self._unpacker = Unpacker(limits)

    @property
    def blanks(self) -> int:
        """Characters that were none of base64, and no fault."""
        return self._decoder.blanks

    def feed(self, text: bytes) -> bool:
        """The next characters of the element; says whether they are good. After what is wrong nothing more is fed."""
        try:
            for piece in self._unpacker.feed(self._decoder.feed(text)):
                self.size += len(piece)
        except BadContent as bad:
            self.wrong = bad
        return self.wrong is None

    def finish(self, message: bytes, start: int, end: int) -> Encoded | None:
        """The content that stands at that place of the message; None if it is `wrong`."""
        if self.wrong is None:
            try:
                self._decoder.finish()
                for _ in self._unpacker.finish():
                    pass
            except BadContent as bad:
                self.wrong = bad
        if self.wrong is not None:
            return None
        return Encoded(
            size=self._unpacker.size,
            sha256=self._unpacker.sha256,
            wrapped=self._unpacker.wrapped,
            entry_name=self._unpacker.entry_name,
            message=message,
            start=start,
            end=end,
            limits=self._limits,
        )

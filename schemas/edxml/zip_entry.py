"""The wrapping of an attachment: a ZIP with exactly one entry, read and written as a stream.

Reading never holds more than a piece of the file: the entry is inflated as it comes and its bounds are checked after
every piece, so a bomb is refused while it unfolds. What the ZIP says at its end must agree with what came. Python's
`zipfile` needs the whole archive and trusts the directory at its end; a second entry in front of it would go unseen.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from schemas.edxml.faults import Text, same
from schemas.edxml.limits import Limits

LOCAL: Final = b"PK\x03\x04"
_DESCRIPTOR: Final = b"PK\x07\x08"
_CENTRAL: Final = b"PK\x01\x02"
EMPTY_ZIP: Final = b"PK\x05\x06"
"""What an archive begins with that has no entry: the record of its end."""
_END: Final = EMPTY_ZIP
_END_64: Final = b"PK\x06\x06"
_LOCATOR_64: Final = b"PK\x06\x07"

_LOCAL_FIELDS: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL_FIELDS: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END_FIELDS: Final = struct.Struct("<4sHHHHIIH")
_END_64_SIZE: Final = 56
_LOCATOR_64_SIZE: Final = 20

_ENCRYPTED: Final = 0x0001
_SIZES_FOLLOW: Final = 0x0008
_UTF8_NAME: Final = 0x0800
_STORED: Final = 0
_DEFLATED: Final = 8
_IN_ZIP64: Final = 0xFFFFFFFF
_MANY: Final = 0xFFFF

PIECE: Final = 256 * 1024
"""Bytes inflated at a time."""

_TAIL: Final = 256 * 1024
"""Bytes after the entry: its name and comment again, the end record and its comment, each at most 64 KiB."""

_ONE: Final = Text("a ZIP with exactly one entry", "tệp ZIP có đúng một tệp bên trong")
_WHOLE: Final = Text("a complete ZIP", "tệp ZIP đầy đủ")


class BadZip(Exception):
    """The archive is not what an attachment is wrapped in."""

    def __init__(self, found: Text, expected: Text) -> None:
        super().__init__(found.en)
        self.found = found
        self.expected = expected


class _Header(NamedTuple):
    name: str
    flags: int
    method: int
    packed: int
    length: int


def header_of(start: bytes) -> _Header | None:
    """The first entry's header, or None while `start` is too short to hold it. `start` begins with `LOCAL`."""
    if len(start) < _LOCAL_FIELDS.size:
        return None
    _, _, flags, method, _, _, _, packed, _, name_length, extra_length = _LOCAL_FIELDS.unpack_from(start)
    length = _LOCAL_FIELDS.size + name_length + extra_length
    if len(start) < length:
        return None
    raw = start[_LOCAL_FIELDS.size : _LOCAL_FIELDS.size + name_length]
    name = raw.decode("utf-8" if flags & _UTF8_NAME else "cp437", "replace")
    return _Header(name, flags, method, packed, length)


class OneEntry:
    """Unpacks the one entry of a ZIP that is fed piece by piece. Raises BadZip as soon as something is wrong."""

    def __init__(self, limits: Limits) -> None:
        self.entry_name = ""
        self.size = 0
        self._limits = limits
        self._packed = 0
        self._crc = 0
        self._start = b""
        self._tail = bytearray()
        self._header: _Header | None = None
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes of the ZIP; yields bytes of the entry."""
        if self._header is None:
            self._start += data
            header = header_of(self._start)
            if header is None:
                return
            self._check(header)
            self._header, data, self._start = header, self._start[header.length :], b""
        if not self._ended:
            yield from self._stored(data) if self._header.method == _STORED else self._deflated(data)
        else:
            self._after(data)

    def finish(self) -> None:
        """All bytes have come."""
        if not self._ended:
            raise BadZip(Text("a ZIP that breaks off", "tệp ZIP bị cụt"), _WHOLE)
        self._check_tail(bytes(self._tail))

    def _check(self, header: _Header) -> None:
        self.entry_name = header.name
        if header.flags & _ENCRYPTED:
            raise BadZip(Text("an encrypted entry", "tệp nén có mật khẩu"), _ONE)
        if header.method not in (_STORED, _DEFLATED):
            raise BadZip(same(f"method {header.method}"), Text("method 0 or 8 (deflate)", "phương pháp 0 hoặc 8"))
        if header.name.endswith("/"):
            raise BadZip(Text(f"a folder {header.name}", f"thư mục {header.name}"), _ONE)
        if header.method == _STORED:
            if header.flags & _SIZES_FOLLOW or header.packed == _IN_ZIP64:
                raise BadZip(Text("a stored entry without its size", "tệp không nén thiếu độ dài"), _WHOLE)
            self._ended = header.packed == 0

    def _stored(self, data: bytes) -> Iterator[bytes]:
        assert self._header is not None
        rest = self._header.packed - self._packed
        mine, after = data[:rest], data[rest:]
        self._packed += len(mine)
        self._count(mine)
        if mine:
            yield mine
        if self._packed == self._header.packed:
            self._ended = True
            self._after(after)

    def _deflated(self, data: bytes) -> Iterator[bytes]:
        while data and not self._inflate.eof:
            before = len(data)
            try:
                piece = self._inflate.decompress(data, PIECE)
            except zlib.error as broken:
                raise BadZip(Text("broken packed data", "dữ liệu nén bị hỏng"), _WHOLE) from broken
            # At the end zlib may leave the same rest in both.
            data = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            self._packed += before - len(data)
            self._count(piece)
            if piece:
                yield piece
        if self._inflate.eof:
            self._ended = True
            self._after(self._inflate.unused_data)

    def _count(self, piece: bytes) -> None:
        self.size += len(piece)
        self._crc = zlib.crc32(piece, self._crc)
        limits = self._limits
        if self.size > limits.unpacked:
            raise BadZip(
                Text(f"more than {limits.unpacked} bytes unpacked", f"hơn {limits.unpacked} byte sau giải nén"),
                Text(f"at most {limits.unpacked} bytes", f"tối đa {limits.unpacked} byte"),
            )
        if self.size > limits.ratio_from and self.size > limits.ratio * max(self._packed, 1):
            raise BadZip(
                Text(f"an entry that unfolds more than {limits.ratio} times", f"tệp nén phình hơn {limits.ratio} lần"),
                Text(f"at most {limits.ratio} times", f"tối đa {limits.ratio} lần"),
            )

    def _after(self, data: bytes) -> None:
        self._tail += data
        if self._tail.startswith(LOCAL):
            raise BadZip(Text("more than one entry", "nhiều hơn một tệp"), _ONE)
        if len(self._tail) > _TAIL:
            raise BadZip(Text("much data after the entry", "nhiều dữ liệu thừa sau tệp"), _ONE)

    def _check_tail(self, tail: bytes) -> None:
        assert self._header is not None
        central = self._central_in(tail)
        fields = _CENTRAL_FIELDS.unpack_from(tail, central)
        crc, packed, size, name_length, extra_length, comment_length = fields[7:13]
        if crc != self._crc or size not in (self.size, _IN_ZIP64) or packed not in (self._packed, _IN_ZIP64):
            raise BadZip(
                Text("a checksum or size that does not fit", "mã kiểm tra hoặc độ dài không khớp"),
                Text("the bytes that were packed", "đúng dữ liệu đã nén"),
            )
        end = central + _CENTRAL_FIELDS.size + name_length + extra_length + comment_length
        if tail.startswith(_CENTRAL, end):
            raise BadZip(Text("more than one entry", "nhiều hơn một tệp"), _ONE)
        if tail.startswith(_END_64, end):
            end += _END_64_SIZE
            if tail.startswith(_LOCATOR_64, end):
                end += _LOCATOR_64_SIZE
        if not tail.startswith(_END, end) or len(tail) < end + _END_FIELDS.size:
            raise BadZip(Text("a ZIP without its end", "tệp ZIP thiếu phần cuối"), _WHOLE)
        entries, comment = _END_FIELDS.unpack_from(tail, end)[4], _END_FIELDS.unpack_from(tail, end)[7]
        if entries not in (1, _MANY):
            raise BadZip(Text(f"{entries} entries", f"{entries} tệp"), _ONE)
        if len(tail) != end + _END_FIELDS.size + comment:
            raise BadZip(Text("bytes after the end of the ZIP", "dữ liệu thừa sau phần cuối tệp ZIP"), _WHOLE)

    def _central_in(self, tail: bytes) -> int:
        """Where the directory begins: at once, or after the sizes that a streaming writer puts behind the entry."""
        assert self._header is not None
        for gap in (0, 12, 16, 20, 24) if self._header.flags & _SIZES_FOLLOW else (0,):
            if tail.startswith(LOCAL, gap):
                raise BadZip(Text("more than one entry", "nhiều hơn một tệp"), _ONE)
            if tail.startswith(_CENTRAL, gap) and len(tail) >= gap + _CENTRAL_FIELDS.size:
                return gap
        raise BadZip(Text("something else behind the entry", "dữ liệu lạ sau tệp"), _ONE)


def wrapped(pieces: Iterable[bytes], entry_name: str) -> Iterator[bytes]:
    """A ZIP with one deflated entry, as a stream, as the SDK writes it; the same for the same input."""
    name = entry_name.encode()
    flags, date = _SIZES_FOLLOW | _UTF8_NAME, 0x21  # 1 January 1980: no clock here
    yield _LOCAL_FIELDS.pack(LOCAL, 20, flags, _DEFLATED, 0, date, 0, 0, 0, len(name), 0) + name
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    crc = size = packed = 0
    for piece in pieces:
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        out = deflate.compress(piece)
        packed += len(out)
        yield out
    out = deflate.flush()
    packed += len(out)
    yield out
    yield _DESCRIPTOR + struct.pack("<III", crc, packed, size)
    central = _CENTRAL_FIELDS.pack(
        _CENTRAL, 20, 20, flags, _DEFLATED, 0, date, crc, packed, size, len(name), 0, 0, 0, 0, 0, 0
    )
    offset = _LOCAL_FIELDS.size + len(name) + packed + 16
    yield central + name + _END_FIELDS.pack(_END, 0, 0, 1, 1, len(central) + len(name), offset, 0)

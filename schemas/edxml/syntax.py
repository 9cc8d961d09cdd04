"""What is wrong with the XML of a file, in words: expat's error numbers, and what stands at the place of the error."""

import re
from contextlib import suppress
from typing import Final
from xml.parsers import expat

from schemas.edxml.faults import EdxmlFault, Kind, Place, Text, quoted, same

_WELL_FORMED: Final = Text("well-formed XML", "XML đúng cú pháp")
_SYNTAX: Final[dict[int, Text]] = {
    2: Text("a syntax error", "lỗi cú pháp"),
    3: Text("no element at all, or a file that breaks off", "không có phần tử nào hoặc tệp bị cụt"),
    4: Text("a character that XML does not allow here", "ký tự mà XML không cho phép ở vị trí này"),
    5: Text("a tag that is never closed", "thẻ không được đóng"),
    6: Text("a character cut in half", "ký tự bị cắt đôi"),
    7: Text("an end tag that does not fit its start tag", "thẻ đóng không khớp thẻ mở"),
    8: Text("an attribute written twice", "thuộc tính bị viết hai lần"),
    9: Text("something after the end of the message", "nội dung thừa sau khi gói tin kết thúc"),
    11: Text("an entity that XML does not have", "thực thể không tồn tại trong XML"),
    14: Text("a reference to an impossible character", "tham chiếu đến ký tự không hợp lệ"),
    17: Text("the XML declaration not at the start of the file", "khai báo XML không ở đầu tệp"),
    20: Text("a CDATA section that is never closed", "đoạn CDATA không được đóng"),
    30: Text("a broken XML declaration", "khai báo XML bị hỏng"),
}
"""What expat's error numbers mean."""

_BROKEN_OFF: Final = (3, 5, 6, 20)
_BAD_TOKEN, _MISMATCH, _NO_ENTITY = 4, 7, 11

_NEAR: Final = 100
"""Bytes around the place that are looked at."""

_OPEN_REFERENCE: Final = re.compile(rb"&[#A-Za-z0-9]{0,32}$")
_END_TAG: Final = re.compile(rb"[^>\s]{1,80}")
_REFERENCE: Final = re.compile(rb"&[^;\s]{1,40};")


def not_well_formed(error: expat.ExpatError, place: Place, tag: str | None, data: bytes, at: int) -> EdxmlFault:
    """The fault of a file that expat gives up on at `place`, byte `at`, inside the element `tag` (with its prefix)."""
    found, expected, back = _seen(error.code, tag, data, at)
    words = expat.errors.messages.get(error.code, f"error {error.code}")
    return EdxmlFault(
        kind=Kind.NOT_WELL_FORMED,
        place=place._replace(column=max(1, place.column - back)),
        found=found or _SYNTAX.get(error.code, same(words)),
        expected=expected or _WELL_FORMED,
    )


def _seen(code: int, tag: str | None, data: bytes, at: int) -> tuple[Text | None, Text | None, int]:
    """What was found and expected, if that can be told better than by the number, and how many characters before."""
    if code in _BROKEN_OFF and tag is not None:
        return Text("the end of the file", "hết tệp"), same(f"</{tag}>"), 0
    if code == _MISMATCH and tag is not None and (ended := _END_TAG.match(data, at)):
        return quoted(f"</{_text(ended[0])}>"), same(f"</{tag}>"), 0
    if code == _NO_ENTITY and (reference := _REFERENCE.match(data, at)):
        expected = Text("the character itself; XML has no such entity", "chính ký tự đó; XML không có thực thể này")
        return quoted(_text(reference[0])), expected, 0
    if code == _BAD_TOKEN and at >= 0:
        return _bad_token(data, at)
    return None, None, 0


def _bad_token(data: bytes, at: int) -> tuple[Text | None, Text | None, int]:
    before = data[max(0, at - _NEAR) : at]
    if reference := _OPEN_REFERENCE.search(before):
        expected = Text("&amp; for the sign &", "&amp; thay cho dấu &")
        return quoted(_text(reference[0] + data[at : at + 1].strip())), expected, len(reference[0])
    if before.endswith(b"<") and data[at : at + 1] not in (b"!", b"?", b"/"):
        return quoted("<"), Text("&lt; for the sign <", "&lt; thay cho dấu <"), 1
    here = data[at : at + 4]
    if here[:1] > b"\x7f" and not _is_utf_8(here):
        return same(f"byte {here[0]:#04x}"), Text("UTF-8", "mã UTF-8 (Unicode dựng sẵn hoặc tổ hợp)"), 0
    if here[:1] and here[0] < 0x20 and here[:1] not in b"\t\r\n":
        return Text(f"the control character {here[0]:#04x}", f"ký tự điều khiển {here[0]:#04x}"), None, 0
    return None, None, 0


def _is_utf_8(data: bytes) -> bool:
    """Whether a character begins here."""
    for length in range(1, 5):
        with suppress(UnicodeDecodeError):
            return bool(data[:length].decode())
    return False


def _text(data: bytes) -> str:
    return data.decode(errors="replace")

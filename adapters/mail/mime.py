"""What came over the wire, bounded before it is parsed, then read as far as is needed: who says it is from whom, which
files it carries, and whether a person sent it. Pure: bytes in, a record out. Trusts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from typing import Final

from adapters.mail.compose import MARK
from adapters.mail.facts import one_line
from adapters.mail.replies import Turned
from adapters.mail.settings import ADDRESS

MAX_HEADER: Final = 128 * 1024
MAX_HEADER_FIELDS: Final = 300
# Hops; a mail that has made more goes in circles (RFC 5321 §6.3).
MAX_RECEIVED: Final = 30
# Multiparts in a mail: each one costs a comparison for every line.
MAX_BOUNDARIES: Final = 20
MAX_PARTS: Final = 200
MAX_DEPTH: Final = 10
MAX_ATTACHMENTS: Final = 20
# Fields of which a second one would let two readers see two mails.
SINGLE: Final = (
    b"from", b"sender", b"to", b"cc", b"subject", b"date", b"message-id", b"mime-version", b"content-type",
    b"content-transfer-encoding", b"content-disposition", b"auto-submitted", b"reply-to",
)  # fmt: skip
EXTENSION: Final = ".edxml"

_ARCHIVES: Final = (".zip", ".rar", ".7z")
_DOCUMENTS: Final = (".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx", ".odt", ".ods", ".rtf", *_ARCHIVES)
_ADVICE: Final = (
    (("winmail.dat",),
     "Outlook đã gói tệp vào winmail.dat: hãy gửi lại thư ở dạng HTML hoặc văn bản thuần.",
     "Outlook has packed it into winmail.dat: send the mail as HTML or plain text."),
    ((".p7m",),
     "Thư đã mã hóa hoặc ký S/MIME dạng kín: hãy gửi lại không mã hóa, ký dạng tách rời.",
     "The mail is encrypted or signed opaquely (S/MIME): send it without, or with a detached signature."),
    ((".eml",),
     "Tệp nằm trong thư được chuyển tiếp: hãy đính kèm trực tiếp tệp .edxml.",
     "It may be in a forwarded mail: attach the .edxml file itself."),
    (_ARCHIVES,
     "Tệp nén không được nhận: hãy đính kèm trực tiếp tệp .edxml.",
     "Archives are not taken: attach the .edxml file itself."),
)  # fmt: skip
"""Endings of what is attached instead, and what to do, in Vietnamese and English."""

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
# Nothing between name and colon: what is written so is a field to some readers and not to others (RFC 5322 §4.5.8).
_FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e]+):")
_BOUNDARY = re.compile(rb"boundary[ \t]*\*?[0-9]*\*?[ \t]*=", re.IGNORECASE)
_NAMED = re.compile(r"(?:\"[^\"<>@]*\"|[^\"<>@,;:()]*)\s*<([^<>]*)>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Attached:
    """An edXML file in a mail."""

    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """A mail as far as it matters."""

    from_: str
    # Lower-case addresses by the field that they stand in, `to` and `cc`.
    to: Mapping[str, frozenset[str]]
    # Lower-case names of all header fields, in order.
    fields: tuple[str, ...]
    attached: tuple[Attached, ...]
    # Names of the other files in it; a mail inside the mail is `*.eml`.
    others: tuple[str, ...]
    # Why it was not a person, and not an office's program, who sent it; None if it may have been.
    automatic: str | None
    message: EmailMessage


def read_mail(content: bytes) -> Came:
    """Read a mail that claims to be from an office. Raises Turned."""
    fields = check_bounds(content)
    message = parse(content)
    automatic = _automatic(message)
    return Came(
        from_=_from(content),
        to={name: _addresses(message, name) for name in ("to", "cc")},
        fields=fields,
        attached=_attached(message),
        others=_others(message),
        automatic=automatic,
        message=message,
    )


def check_bounds(content: bytes) -> tuple[str, ...]:
    """Refuse what could mean two things or cost too much, before anything parses it; the header's field names."""
    if _BARE.search(content):
        raise Turned(
            "550 5.6.0",
            "Thư có ký tự xuống dòng lẻ (CR hoặc LF không đi đôi) hoặc ký tự NUL.",
            "The mail has a bare CR or LF, or a NUL.",
        )
    header = content.partition(b"\r\n\r\n")[0]
    lines = header.split(b"\r\n")
    if len(header) > MAX_HEADER or len(lines) > 4 * MAX_HEADER_FIELDS:
        raise Turned("552 5.3.4", "Phần đầu thư quá lớn.", f"The header has more than {MAX_HEADER} bytes.")
    names: list[bytes] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and names:
            continue
        match = _FIELD.match(line)
        if match is None:
            raise Turned("550 5.6.0", "Phần đầu thư không đúng dạng.", "A line of the header is no field.")
        names.append(match[1].lower())
    if len(names) > MAX_HEADER_FIELDS:
        raise Turned("552 5.3.4", "Phần đầu thư có quá nhiều trường.", "The header has too many fields.")
    if names.count(b"received") > MAX_RECEIVED:
        raise Turned("554 5.4.6", "Thư đi vòng quá nhiều chặng.", "The mail has made too many hops: a loop.")
    if MARK.lower().encode() in names:
        raise Turned("554 5.4.6", "Thư do chính hệ thống này gửi quay lại.", "A mail of ours has come back: a loop.")
    for name in SINGLE:
        if names.count(name) > 1:
            shown = name.decode("ascii")
            raise Turned("550 5.6.0", f"Thư có hai trường {shown}.", f"The mail has two fields {shown}.")
    if len(_BOUNDARY.findall(content)) > MAX_BOUNDARIES:
        raise Turned("552 5.3.4", "Thư lồng quá nhiều phần.", f"The mail has more than {MAX_BOUNDARIES} multiparts.")
    return tuple(name.decode("ascii") for name in names)


def parse(content: bytes) -> EmailMessage:
    """The mail as a tree of bounded size. Raises Turned."""
    try:
        message = message_from_bytes(content, policy=policy.default)
        _bounded(message, 0, [0])
    except Turned:
        raise
    except Exception as why:  # the standard parser raises whatever its own code meets in malformed input
        raise _unreadable(why) from why
    if not isinstance(message, EmailMessage):
        raise AssertionError("the policy makes an EmailMessage")
    return message


def _bounded(message: MIMEPart, depth: int, count: list[int]) -> None:
    count[0] += 1
    if depth > MAX_DEPTH or count[0] > MAX_PARTS:
        raise Turned("552 5.3.4", "Thư có quá nhiều phần.", f"More than {MAX_PARTS} parts, or {MAX_DEPTH} levels.")
    if message.is_multipart():
        for part in message.iter_parts():
            _bounded(part, depth + 1, count)


def _unreadable(why: Exception) -> Turned:
    return Turned("550 5.6.0", "Không đọc được thư.", f"The mail cannot be read: {type(why).__name__}.")


def _from(content: bytes) -> str:
    """The one address in From; anything that could be read in two ways is no address."""
    header = content.partition(b"\r\n\r\n")[0] + b"\r\n"
    match = re.search(rb"(?:^|\r\n)from:((?:[^\r]|\r\n[ \t])*)\r\n(?![ \t])", header + b"\r\n", re.IGNORECASE)
    raw = (match[1] if match else b"").replace(b"\r\n", b"")
    turned = Turned(
        "550 5.6.0",
        "Trường From phải có đúng một địa chỉ thư, dạng: Tên <dia-chi@co-quan>.",
        "From must have exactly one plain address, such as: Name <address@office>.",
    )
    if not raw.isascii():
        raise turned
    text = raw.decode("ascii").strip()
    named = _NAMED.fullmatch(text)
    address = named[1] if named else text
    if not ADDRESS.fullmatch(address):
        raise turned
    return address.lower()


def _addresses(message: EmailMessage, name: str) -> frozenset[str]:
    try:
        field = message.get(name)
        return frozenset(one.addr_spec.lower() for one in field.addresses) if field is not None else frozenset()
    except Exception as why:
        raise _unreadable(why) from why


def _automatic(message: EmailMessage) -> str | None:
    """Whether it is an answering machine's, or comes from a list (RFC 3834, RFC 2919); None if neither."""
    try:
        submitted = str(message.get("Auto-Submitted", "no")).strip().lower()
        precedence = str(message.get("Precedence", "")).strip().lower()
        kind = message.get_content_type()
    except Exception as why:
        raise _unreadable(why) from why
    if submitted.startswith(("auto-replied", "auto-notified")):
        return f"Auto-Submitted: {one_line(submitted, 40)}"
    if precedence in ("bulk", "list", "junk", "auto_reply"):
        return f"Precedence: {precedence}"
    for name in ("X-Autoreply", "X-Autorespond", "X-Autoresponse", "List-Id", "List-Post", "List-Unsubscribe"):
        if name in message:
            return name
    return "multipart/report" if kind == "multipart/report" else None


def advice(others: Sequence[str]) -> tuple[str, str]:
    """What to say of a mail's other files, in Vietnamese and English: why they are not taken, and what to do."""
    shown = ", ".join(others[:5])
    for endings, vi, en in _ADVICE:
        if any(name.lower().endswith(endings) for name in others):
            return vi, en
    return (f"Thư chỉ có: {shown}.", f"There is only: {shown}.") if others else ("", "")


def documents_beside(others: Sequence[str]) -> list[str]:
    """Those that a clerk may believe to be sent along: in edXML every file of a document is inside."""
    return [name for name in others if name.lower().endswith(_DOCUMENTS)]


def _others(message: EmailMessage) -> tuple[str, ...]:
    found: list[str] = []
    try:
        for part in _parts(message):
            name = part.get_filename()
            if part.is_multipart():
                found.append("thu-chuyen-tiep.eml")
            elif isinstance(name, str) and not one_line(name, 255).lower().endswith(EXTENSION):
                found.append(one_line(name, 100))
    except Exception as why:
        raise _unreadable(why) from why
    return tuple(found)


def _parts(message: MIMEPart) -> Iterator[MIMEPart]:
    """The parts that are no containers, and mails inside the mail: these are somebody else's, and not looked into."""
    if message.get_content_maintype() == "multipart":
        for part in message.iter_parts():
            if isinstance(part, MIMEPart):
                yield from _parts(part)
    else:
        yield message


def _attached(message: EmailMessage) -> tuple[Attached, ...]:
    found: list[Attached] = []
    try:
        for part in _parts(message):
            name = part.get_filename()
            if part.is_multipart() or not isinstance(name, str) or not one_line(name, 255).lower().endswith(EXTENSION):
                continue
            data = part.get_payload(decode=True)
            found.append(Attached(name=one_line(name, 200), data=data if isinstance(data, bytes) else b""))
    except Exception as why:
        raise _unreadable(why) from why
    if len(found) > MAX_ATTACHMENTS:
        raise Turned(
            "552 5.3.4",
            f"Thư có quá {MAX_ATTACHMENTS} tệp {EXTENSION}; gửi nhiều thư.",
            f"More than {MAX_ATTACHMENTS} {EXTENSION} files; send several mails.",
        )
    return tuple(found)

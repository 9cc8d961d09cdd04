"""The mails themselves: text for a clerk, HTML that says the same, parts attached. Pure: bytes out.

Headers are built from plain single lines only; nothing of a stranger's reaches a header as it came. The lines on the
wire are ASCII with CRLF, so that any mail server takes them and a signature that it adds survives.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.encoders import encode_base64
from email.header import Header
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import compat32
from email.utils import format_datetime, formataddr

from adapters.agency_names import NO_NAMES, shown
from adapters.letter import IncomingLetter, IncomingPart
from adapters.mail.facts import ACTIONS, PRIORITIES, Fact, facts_of, moment, name_of, one_line, size
from adapters.mail.links import NewLink
from schemas.edxml.naming import file_name

# The header by which a mail of ours is known when it comes back.
MARK = "X-Lienthong-Mail"
SUBJECT_LIMIT = 180
NAME_LIMIT = 70
POLICY = compat32.clone(linesep="\r\n", cte_type="7bit")
_MEDIA_TYPE = re.compile(r"([a-z]+)/([a-z0-9][a-z0-9.+-]{0,80})")
_STYLE = "font-family:sans-serif;font-size:15px;line-height:1.5"


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """Between whom, under which name, when."""

    sender: str
    sender_name: str
    to: str
    message_id: str
    at: datetime
    # The recipient's server may have an earlier copy.
    repeated: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a mail says, before it is laid out as text and as HTML."""

    subject: str
    vi: str
    en: str
    facts: Sequence[Fact]
    answer_url: str | None = None
    code: str | None = None
    expires_at: float | None = None
    attached: Sequence[IncomingPart] = ()
    linked: Sequence[IncomingPart] = ()
    parts_url: str | None = None
    urgent: bool = False


def document_content(
    letter: IncomingLetter,
    *,
    attached: Sequence[IncomingPart],
    linked: Sequence[IncomingPart],
    answer: NewLink,
    parts: NewLink | None,
    public_url: str,
    names: Mapping[str, str] = NO_NAMES,
) -> Content:
    """The mail that brings a document. `names` of agencies stand in its text, never in a header."""
    sender, recipient = shown(letter.ref.sender, names), shown(letter.recipient, names)
    action = ACTIONS[letter.action]
    urgency = PRIORITIES.get(letter.priority)
    marks = [*(["DIỄN TẬP/TEST"] if letter.manifest.test else []), *([urgency[0]] if urgency else [])]
    title = " ".join(filter(None, (action[0] if letter.action != "new" else "Văn bản", name_of(letter))))
    return Content(
        subject=one_line("".join(f"[{mark}] " for mark in marks) + f"{title}: {letter.subject}", SUBJECT_LIMIT),
        vi=f"Trục liên thông chuyển đến cơ quan {recipient} một văn bản của {sender}.",
        en=f"The exchange brings {recipient} a document of {sender}.",
        facts=facts_of(letter, names),
        answer_url=f"{public_url}/v/{answer.token}",
        code=answer.code,
        expires_at=answer.expires_at,
        attached=attached,
        linked=linked,
        parts_url=f"{public_url}/p/{parts.token}" if parts else None,
        urgent=letter.priority >= 1,
    )


def mail(envelope: Envelope, content: Content, data: Mapping[str, bytes]) -> bytes:
    """The bytes of the mail; `data` are the attached parts by SHA-256."""
    texts = MIMEMultipart("alternative", policy=POLICY)
    texts.attach(MIMEText(_text(envelope, content), "plain", "utf-8", policy=POLICY))
    texts.attach(MIMEText(_html(envelope, content), "html", "utf-8", policy=POLICY))
    message: MIMEMultipart = texts
    if content.attached:
        message = MIMEMultipart("mixed", policy=POLICY)
        message.attach(texts)
        for position, part in enumerate(content.attached, start=1):
            message.attach(_attachment(part, position, data[part.sha256]))
    for name, value in _headers(envelope, content):
        message[name] = value
    return message.as_bytes()


def _headers(envelope: Envelope, content: Content) -> Iterator[tuple[str, str]]:
    yield "From", formataddr((_encoded(one_line(envelope.sender_name, 80), "From"), envelope.sender))
    yield "To", envelope.to
    yield "Subject", _encoded(content.subject, "Subject")
    yield "Date", format_datetime(envelope.at)
    yield "Message-ID", envelope.message_id
    # No out-of-office answer, and no list, may answer a machine (RFC 3834).
    yield "Auto-Submitted", "auto-generated"
    yield "X-Auto-Response-Suppress", "All"
    yield MARK, envelope.message_id.strip("<>").partition("@")[0]
    if envelope.repeated:
        yield "X-Lienthong-Repeated", "yes"
    if content.urgent:
        yield "Importance", "high"
        yield "X-Priority", "1"


def _encoded(text: str, header: str) -> str:
    """RFC 2047. Python's newer way of writing headers loses spaces between encoded words; this one does not."""
    plain = one_line(text, SUBJECT_LIMIT)
    if plain.isascii() and "=?" not in plain and len(plain) <= 60:
        return plain
    return Header(plain, "utf-8", header_name=header).encode(linesep="\r\n")


def _attachment(part: IncomingPart, position: int, data: bytes) -> MIMEBase:
    kind, subtype = _media_type(part.media_type)
    attached = MIMEBase(kind, subtype, policy=POLICY)
    attached.set_payload(data)
    encode_base64(attached)
    name = short_name(part.name, position)
    # Some programs decode what looks like an encoded word even here; percent signs they leave alone.
    shown = name if name.isascii() and "=?" not in name else ("utf-8", "", name)
    attached.add_header("Content-Disposition", "attachment", filename=shown)
    return attached


def short_name(name: str, position: int) -> str:
    """A file name short enough for a header line, its ending kept."""
    stem, dot, ending = file_name(one_line(name, 255), position).rpartition(".")
    if not dot or len(ending) > 10:
        stem, dot, ending = stem + dot + ending, "", ""
    return one_line(stem, NAME_LIMIT) + dot + ending


def _media_type(declared: str) -> tuple[str, str]:
    """A type that a file may be attached under: never one that the reader's program would unpack into a mail."""
    match = _MEDIA_TYPE.fullmatch(declared.lower())
    if match is None or match[1] in ("message", "multipart"):
        return "application", "octet-stream"
    return match[1], match[2]


def _repeat() -> Fact:
    return Fact(
        "Thư này có thể đã được gửi trước đó một lần; nếu đã nhận thì bỏ qua, nội dung như nhau.",
        "This mail may have been sent once before; if you have it, this one says the same.",
        "",
    )


def _how_to_answer(content: Content) -> Fact | None:
    if content.answer_url is None or content.expires_at is None:
        return None
    until = moment(content.expires_at)
    return Fact(
        f"Để trả lời, mở liên kết dưới đây, chọn, gõ mã xác nhận và bấm nút. Liên kết dùng một lần, hết hạn {until}.",
        f"To answer, open the link below, choose, type the code and press the button. It works once, until {until}.",
        "",
    )


def _files(content: Content) -> list[str]:
    lines = [f"{one_line(part.name, 120)} ({size(part.size)}), SHA-256 {part.sha256}" for part in content.attached]
    return lines


def _text(envelope: Envelope, content: Content) -> str:
    lines: list[str] = []
    for vietnamese in (True, False):
        if not vietnamese:
            lines += ["", "-" * 60, "English", ""]
        lines += [content.vi if vietnamese else content.en, ""]
        if envelope.repeated:
            lines += [_repeat().vi if vietnamese else _repeat().en, ""]
        lines += [": ".join(fact.told(vietnamese=vietnamese)) for fact in content.facts]
        if content.attached:
            lines += ["", "Tệp kèm thư:" if vietnamese else "Attached:"]
            lines += [f"  - {line}" for line in _files(content)]
        if content.linked:
            lines += ["", f"{_large(vietnamese)} {content.parts_url}"]
            lines += [f"  - {one_line(p.name, 120)} ({size(p.size)}), SHA-256 {p.sha256}" for p in content.linked]
        how = _how_to_answer(content)
        if how is not None:
            code = "Mã xác nhận" if vietnamese else "Confirmation code"
            lines += ["", how.vi if vietnamese else how.en, f"  {content.answer_url}", f"  {code}: {content.code}"]
    lines += ["", "-- ", "Thư tự động, không cần trả lời thư này. / An automatic mail; do not reply to it."]
    return "\n".join(lines) + "\n"


def _large(vietnamese: bool) -> str:
    return "Tệp lớn, tải tại:" if vietnamese else "Larger files, to be fetched at:"


def _html(envelope: Envelope, content: Content) -> str:
    parts = ['<!DOCTYPE html><html lang="vi"><head><meta charset="utf-8"></head>', f'<body style="{_STYLE}">']
    for vietnamese in (True, False):
        parts.append("<div>" if vietnamese else '<hr><div lang="en">')
        parts.append(f"<p>{_e(content.vi if vietnamese else content.en)}</p>")
        if envelope.repeated:
            parts.append(f"<p><strong>{_e(_repeat().vi if vietnamese else _repeat().en)}</strong></p>")
        parts.append('<table cellpadding="4">')
        for fact in content.facts:
            label, value = map(_e, fact.told(vietnamese=vietnamese))
            parts.append(f'<tr><th align="left" valign="top">{label}</th><td>{value}</td></tr>')
        parts.append("</table>")
        if content.attached:
            items = "".join(f"<li>{_e(line)}</li>" for line in _files(content))
            parts.append(f"<p>{'Tệp kèm thư' if vietnamese else 'Attached'}:</p><ul>{items}</ul>")
        if content.linked and content.parts_url:
            items = "".join(
                f"<li>{_e(one_line(p.name, 120))} ({size(p.size)}), SHA-256 {p.sha256}</li>" for p in content.linked
            )
            url = _e(content.parts_url)
            parts.append(f'<p>{_large(vietnamese)} <a href="{url}">{url}</a></p><ul>{items}</ul>')
        how = _how_to_answer(content)
        if how is not None and content.answer_url and content.code:
            url, code = _e(content.answer_url), _e(content.code)
            label = "Mã xác nhận" if vietnamese else "Confirmation code"
            parts.append(f'<p>{_e(how.vi if vietnamese else how.en)}</p><p><a href="{url}">{url}</a></p>')
            parts.append(f"<p>{label}: <strong>{code}</strong></p>")
        parts.append("</div>")
    parts.append(
        "<p>Thư tự động, không cần trả lời thư này. / An automatic mail; do not reply to it.</p></body></html>"
    )
    return "\n".join(parts)


def _e(text: str) -> str:
    return html.escape(text, quote=True)

"""The pages behind the links, as HTML. Pure: every value is escaped here, and nothing is decided here.

No scripts, nothing from other hosts; readable without style sheets, by screen readers and in print. Vietnamese first,
English below it.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence

from adapters.letter import IncomingPart
from adapters.mail.facts import CHOICES, Choice, Fact, Said, moment, one_line, size
from adapters.mail.links import CODE_DIGITS, Link

MAX_REASON = 2000

STYLE = """
body { font: 1.0625rem/1.55 system-ui, sans-serif; color: #111; background: #fff; max-width: 46rem; margin: 0 auto;
  padding: 1rem }
h1 { font-size: 1.4rem; border-bottom: 3px solid #a40000; padding-bottom: .3rem }
[lang=en] { color: #444; font-size: .94em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem; border-bottom: 1px solid #ccc;
  overflow-wrap: anywhere }
th { width: 34%; font-weight: 600 }
fieldset { border: 1px solid #777; padding: .7rem 1rem; margin: 1rem 0 }
label { display: block; margin: .4rem 0 }
textarea, input[type=text] { font: inherit; width: 100%; box-sizing: border-box; padding: .4rem;
  border: 1px solid #555 }
input[type=text] { max-width: 12rem; letter-spacing: .2em }
button { font: inherit; font-weight: 600; padding: .6rem 1.4rem; background: #a40000; color: #fff; border: 0;
  border-radius: .2rem }
:focus-visible { outline: 3px solid #0057b8; outline-offset: 2px }
.wrong { border-left: 5px solid #a40000; padding: .4rem .8rem; background: #fff3f3 }
.done { border-left: 5px solid #0a6b2d; padding: .4rem .8rem; background: #f1faf3 }
@media print { form { display: none } }
"""
STYLE_SOURCE = "'sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode() + "'"

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {STYLE_SOURCE}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # The address of the page is a secret: it goes nowhere.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

GONE = Said(
    "Liên kết không đúng hoặc không còn dùng được. Kiểm tra lại địa chỉ trong thư.",
    "This link is not known, or is no longer valid. Check the address in the mail.",
)
EXPIRED = Said(
    "Liên kết đã hết hạn. Đề nghị người quản trị gửi lại thư (lienthong-agency mail retry).",
    "This link has expired. Ask the operator to send the mail again (lienthong-agency mail retry).",
)
LOCKED = Said(
    "Mã xác nhận bị gõ sai quá nhiều lần; liên kết bị khóa. Đề nghị người quản trị gửi lại thư.",
    "The code was typed wrongly too often; the link is locked. Ask the operator to send the mail again.",
)
WRONG_CODE = Said(
    f"Mã xác nhận không đúng. Mã gồm {CODE_DIGITS} chữ số, ghi trong thư, cạnh liên kết.",
    f"The code is not right. It has {CODE_DIGITS} digits and stands in the mail beside the link.",
)
NO_CHOICE = Said("Chưa chọn cách trả lời.", "No answer was chosen.")
NO_REASON = Said("Phải ghi lý do.", "A reason is needed.")
LONG_REASON = Said(f"Lý do dài quá {MAX_REASON} ký tự.", f"The reason has more than {MAX_REASON} characters.")
OLD_PAGE = Said(
    "Trang đã mở quá lâu. Xem lại rồi bấm nút một lần nữa.",
    "The page was open for too long. Look at it and press the button again.",
)
TOO_MANY = Said("Quá nhiều yêu cầu. Chờ một phút rồi thử lại.", "Too many requests. Wait a minute and try again.")
NOT_UNDERSTOOD = Said("Không hiểu yêu cầu này.", "This request was not understood.")
BROKEN = Said(
    "Lỗi của hệ thống; câu trả lời chưa được ghi nhận. Thử lại sau.",
    "An error on our side; the answer was not recorded. Try again later.",
)
ALREADY = Said("Văn bản này đã được trả lời.", "This document has been answered.")


def asking(
    link: Link,
    facts: Sequence[Fact],
    choices: Sequence[Choice],
    *,
    nonce: str,
    wrong: Sequence[Said] = (),
    chosen: str = "",
    reason: str = "",
) -> str:
    """The page with the form; what was typed stands in it again if something was wrong."""
    radios = "".join(
        f'<label><input type="radio" name="answer" value="{one.word}"{" checked" if one.word == chosen else ""}'
        f' required> {_e(one.label.vi)} <span lang="en">{_e(one.label.en)}</span></label>'
        for one in choices
    )
    told = "".join(f"<p>{_said(one)}</p>" for one in wrong)
    title = Said("Trả lời văn bản đến", "Answer an incoming document")
    return page(
        title,
        (f'<div class="wrong" role="alert">{told}</div>' if told else "")
        + _table(facts)
        + f"""<form method="post" autocomplete="off">
<input type="hidden" name="nonce" value="{_e(nonce)}">
<fieldset><legend>Trả lời <span lang="en">Answer</span></legend>{radios}
<label for="reason">Lý do (bắt buộc khi từ chối)
<span lang="en">Reason (needed for a refusal; the sender reads it)</span></label>
<textarea id="reason" name="reason" rows="4" maxlength="{MAX_REASON}">{_e(reason)}</textarea>
<label for="code">Mã xác nhận ghi trong thư <span lang="en">Confirmation code in the mail</span></label>
<input type="text" id="code" name="code" inputmode="numeric" autocomplete="off" maxlength="12" required>
</fieldset>
<button type="submit">Gửi trả lời / Send the answer</button></form>
<p>Liên kết dùng một lần, đến {moment(link.expires_at)}. <span lang="en">The link works once, until then.</span></p>""",
    )


def answered(link: Link, facts: Sequence[Fact], *, now: bool) -> str:
    """What was answered, and when."""
    choice = CHOICES[link.answer or ""]
    when = moment(link.answered_at or 0)
    reason = (
        f"<p>Lý do / <span lang='en'>Reason</span>: {_e(one_line(link.reason, MAX_REASON))}</p>" if link.reason else ""
    )
    head = "" if now else f"<p>{_said(ALREADY)}</p>"
    done = f'<div class="done" role="status">{head}<p><strong>{_said(choice.done)}</strong> – {when}</p>{reason}</div>'
    return page(Said("Đã trả lời", "Answered"), done + _table(facts))


def parts(link: Link, facts: Sequence[Fact], files: Sequence[tuple[str, IncomingPart]]) -> str:
    """The larger files of a document, with their digests; `files` are addresses and parts."""
    rows = "".join(
        f'<li><a href="{_e(url)}" download>{_e(one_line(part.name, 200))}</a> ({size(part.size)})<br>'
        f"SHA-256 <code>{part.sha256}</code></li>"
        for url, part in files
    )
    body = f"{_table(facts)}<h2>Tệp <span lang='en'>Files</span></h2><ul>{rows}</ul>"
    until = f"<p>Tải được đến {moment(link.expires_at)}. <span lang='en'>Available until then.</span></p>"
    return page(Said("Tệp của văn bản", "Files of a document"), body + until)


def problem(said: Said) -> str:
    """A page that only says what is wrong."""
    told = f'<div class="wrong" role="alert"><p>{_said(said)}</p></div>'
    return page(Said("Không thực hiện được", "This did not work"), told)


def page(title: Said, body: str) -> str:
    """The frame of every page; `body` is HTML."""
    return (
        f'<!DOCTYPE html>\n<html lang="vi"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{_e(title.vi)} – {_e(title.en)}</title><style>{STYLE}</style></head>\n"
        f'<body><main><h1>{_e(title.vi)} <span lang="en">{_e(title.en)}</span></h1>{body}</main></body></html>\n'
    )


def _table(facts: Sequence[Fact]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_e(one.vi)} <span lang="en">{_e(one.en)}</span></th><td>{_e(one.both)}</td></tr>'
        for one in facts
    )
    return f"<table>{rows}</table>"


def _said(said: Said) -> str:
    return f'{_e(said.vi)} <span lang="en">{_e(said.en)}</span>'


def _e(text: str) -> str:
    return html.escape(text, quote=True)

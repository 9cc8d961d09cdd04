"""Mails are written so that nothing of a stranger's can act on a mail server, a mail program or a page."""

from __future__ import annotations

import hashlib
import re
import string
from dataclasses import replace
from datetime import UTC, date, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from adapters.letter import IncomingLetter, IncomingPart, Ref
from adapters.mail import pages
from adapters.mail.compose import MARK, Content, Envelope, document_content, mail, short_name
from adapters.mail.facts import PRIORITIES, Fact, facts_of, one_line, with_names
from adapters.mail.links import NewLink, new_link
from adapters.mail.replies import Turned, ascii_line
from adapters.mail.sending import divide
from schemas.manifest import DocumentManifest, parse_manifest
from tests.unit.mail.test_links import a_link

ID = "0190b3a4-5c6d-7e8f-9012-3456789abcde"
ANYTHING = st.text(max_size=120)
# What has broken mail programs before.
TRICKS = st.sampled_from(
    [
        "a\r\nBcc: ai@evil.test", "a\nX-Evil: 1", "a\r\n\r\n<script>", "=?utf-8?q?=0d=0aBcc:_ai=40evil.test?=",
        "=?utf-8?b?DQpCY2M6IGE=?=", "a\x00b", "\u2028Bcc: x", "\u202egnp.exe", "a\x0bX: 1", "a\x85b", "\ud800",
        "../../etc/passwd", "=??Q?=00", "=?utf-8?q?=2e=2e=2fx?=.pdf", "a\r\n.\r\nMAIL FROM:<x@y>",
        "'\"><img src=x onerror=1>", "ngã\u0300 đường", "\t", "",
    ]
)  # fmt: skip
HOSTILE = ANYTHING | TRICKS | st.tuples(ANYTHING, TRICKS).map("".join)


async def _none(_: str) -> bytes:
    return b""


def a_letter(subject: str, name: str = "12.pdf", media_type: str = "application/pdf", **fields: Any) -> IncomingLetter:
    """A letter whose texts are a stranger's."""
    part = {"name": "x.pdf", "media_type": "application/pdf", "size": 3, "sha256": "a" * 64, "role": "document"}
    manifest = parse_manifest(
        b'{"spec":"lienthong/1","kind":"document","id":"%b","from":"G22","sent_at":"2026-03-02T08:00:00Z",'
        b'"action":"new","to":["H53"],"document":{"number":"1","notation":"A","subject":"s","issued_on":"2026-03-02"},'
        b'"parts":[{"name":"x.pdf","media_type":"application/pdf","size":3,"sha256":"%b","role":"document"}]}'
        % (ID.encode(), b"a" * 64)
    )
    assert isinstance(manifest, DocumentManifest) and part
    about = manifest.document.model_copy(update={"subject": subject, "priority": 3, **fields})
    data = IncomingPart(
        name=name, media_type=media_type, role="document", size=3, sha256=hashlib.sha256(b"abc").hexdigest(),
        fetch=_none,
    )  # fmt: skip
    return IncomingLetter(
        ref=Ref("G22", ID, "b" * 64),
        recipient="H53",
        addressed_as="H53",
        action="new",
        manifest=manifest.model_copy(update={"document": about}),
        parts=(data,),
        accepted_at=datetime(2026, 3, 2, tzinfo=UTC),
        verdict={"cryptography": {"answer": "good", "why": ""}},
    )


ENVELOPE = Envelope(
    sender="lienthong@tinh.test",
    sender_name="Liên thông văn bản",
    to="vanthu@xa.test",
    message_id="<lienthong.0123@tinh.test>",
    at=datetime(2026, 3, 2, tzinfo=UTC),
    repeated=False,
)
EXPECTED = [
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", MARK,
    "Importance", "X-Priority", "Content-Type", "MIME-Version",
]  # fmt: skip


def links() -> tuple[NewLink, NewLink]:
    return new_link("answer", expires_at=1e9), new_link("parts", expires_at=1e9)


def written(letter: IncomingLetter, *, attached: bool = True) -> bytes:
    answer, parts = links()
    content = document_content(
        letter,
        attached=letter.parts if attached else (),
        linked=() if attached else letter.parts,
        answer=answer,
        parts=None if attached else parts,
        public_url="https://x.test/thu",
    )
    return mail(ENVELOPE, content, {letter.parts[0].sha256: b"abc"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(subject=HOSTILE, name=HOSTILE, media_type=HOSTILE, place=HOSTILE, attached=st.booleans())
def test_whatever_a_document_says_the_mail_has_our_headers_and_no_others(
    subject: str, name: str, media_type: str, place: str, attached: bool
) -> None:
    data = written(a_letter(subject, name, media_type, type=place), attached=attached)
    assert data.isascii()
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    assert b"\0" not in data
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    read = message_from_bytes(data, policy=policy.default)
    assert sorted(read.keys()) == sorted(EXPECTED)
    assert str(read["To"]) == "vanthu@xa.test" and str(read["From"]).endswith("<lienthong@tinh.test>")
    assert one_line(subject, 40).removesuffix("…")[:40] in " ".join(str(read["Subject"]).split())
    files = [part for part in read.walk() if part.get_content_disposition() == "attachment"]
    assert len(files) == attached
    for part in files:
        shown = part.get_filename()
        assert shown and "/" not in shown and "\\" not in shown and shown == one_line(shown, 255)
        assert part.get_payload(decode=True) == b"abc" and part.get_content_maintype() not in ("message", "multipart")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=HOSTILE)
@example(name="A\r\nBcc: x@y.test\r\n\r\n<script>alert(1)</script>")
def test_whatever_an_agency_is_called_the_mail_has_our_headers_and_no_others(name: str) -> None:
    letter = a_letter("Trích yếu")
    names = {"G22": name, "H53": name}
    content = document_content(
        letter, attached=(), linked=(), answer=links()[0], parts=None, public_url="https://x.test/thu", names=names
    )
    data = mail(ENVELOPE, content, {})
    read = message_from_bytes(data, policy=policy.default)
    assert sorted(read.keys()) == sorted(EXPECTED)
    nameless = message_from_bytes(written(letter), policy=policy.default)
    assert str(read["Subject"]) == str(nameless["Subject"]), "names stand in no header"
    plain, rich = (part.get_content() for part in read.walk() if part.get_content_maintype() == "text")
    assert "G22" in plain and "H53" in plain and "<script" not in rich
    by_label = {fact.en: fact.value for fact in content.facts}
    for label, code in (("Sender", "G22"), ("Recipient", "H53")):
        assert by_label[label] == code or by_label[label].endswith(f" ({code})")
        assert len(by_label[label]) < 150 and by_label[label].isprintable()


def test_a_fact_gets_a_name_where_an_agency_stands_and_nowhere_else() -> None:
    facts = [Fact("Cơ quan nhận", "Recipient", "H53"), Fact("Lý do", "Reason", "H53"), Fact("x", "Asked by", "G22")]
    told = with_names(facts, ["H53"], {"H53": "Tỉnh", "G22": "Bộ"})
    assert [fact.value for fact in told] == ["Tỉnh (H53)", "H53", "G22"]


@settings(max_examples=100, deadline=None)
@given(text=HOSTILE)
def test_one_line_is_one_line_and_short(text: str) -> None:
    line = one_line(text, 50)
    assert (len(line) <= 50 and "\n" not in line and line.isprintable()) or not line.isascii()
    assert len(line.splitlines()) <= 1 and line == one_line(line, 50)


@settings(max_examples=100, deadline=None)
@given(text=HOSTILE, more=HOSTILE)
def test_a_refusal_in_the_session_is_two_lines_of_printable_ascii(text: str, more: str) -> None:
    reply = Turned("550 5.6.0", text, more).reply
    first, second = reply.split("\r\n")
    assert first.startswith("550-5.6.0 ") and second.startswith("550 5.6.0 ")
    assert set(reply) - {"\r", "\n"} <= set(string.printable) - set("\t\n\r\x0b\x0c")
    assert len(first) <= 510 and len(second) <= 510


def test_vietnamese_stays_readable_without_diacritics() -> None:
    assert ascii_line("Địa chỉ không được phép") == "Dia chi khong duoc phep"


@settings(max_examples=100, deadline=None)
@given(value=HOSTILE, reason=HOSTILE)
def test_a_page_shows_everything_and_executes_nothing(value: str, reason: str) -> None:
    facts = [Fact("Trích yếu", "Subject", value), *facts_of(a_letter(value))]
    for page in (
        pages.asking(a_link(), facts, [], nonce="1.a", reason=reason, chosen=reason),
        pages.answered(a_link(answer="refuse", reason=reason, answered_at=1e9), facts, now=True),
        pages.parts(a_link(), facts, [("/thu/p/x/0/a", a_letter(value, value).parts[0])]),
    ):
        tags = {tag.lower() for tag in re.findall(r"<\s*/?\s*([A-Za-z!][A-Za-z0-9]*)", page)}
        assert tags <= {
            "!doctype", "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "div", "p", "span",
            "strong", "table", "tr", "th", "td", "form", "input", "fieldset", "legend", "label", "textarea", "button",
            "ul", "li", "a", "br", "code",
        }  # fmt: skip
        assert not re.search(r"<[^>]*\son\w+\s*=", re.sub(r'"[^"]*"', '""', page))


def test_a_signature_is_told_with_what_was_found_about_it() -> None:
    found = {"good": {"answer": "good", "why": "x"}, "bad": {"answer": "unknown", "why": "no slip"}}
    kept = {"policy": {"answer": "good", "why": "enrolled for the sender; the exchange keeps the key (custody broker)"}}
    told = []
    for verdict in ({"trust": found["good"]}, {"trust": found["good"], "policy": found["bad"]}, kept):
        letter = replace(a_letter("x"), verdict=verdict)
        told.append(next(one for one in facts_of(letter) if one.en == "Sender's signature"))
    assert told[0].told(vietnamese=True)[1] == "hợp lệ" and told[0].told(vietnamese=False)[1] == "valid"
    assert told[0].both == "hợp lệ / valid" and "CẦN KIỂM TRA" in told[1].value and "no slip" in told[1].both
    assert told[2].value_en.endswith("the exchange keeps the key")


def test_each_half_of_a_mail_is_in_one_language() -> None:
    letter = replace(a_letter("Về việc trực Tết"), verdict={"trust": {"answer": "good", "why": "x"}})
    facts = [*facts_of(letter), Fact("Độ khẩn", "Priority", *PRIORITIES[3])]
    content = Content(subject="x", vi="v", en="e", facts=facts)
    read = message_from_bytes(mail(ENVELOPE, content, {}), policy=policy.default)
    for kind in ("plain", "html"):
        body = read.get_body((kind,))
        assert body is not None
        vietnamese, _, english = body.get_content().partition("<hr>" if kind == "html" else "English")
        for vi, en in (("HỎA TỐC", "EXPRESS"), ("hợp lệ", "valid"), ("Văn bản mới", "New document")):
            assert vi in vietnamese and en not in vietnamese and en in english and vi not in english


@given(sizes=st.lists(st.integers(0, 100), max_size=12), limit=st.integers(0, 200))
def test_parts_travel_while_there_is_room_and_none_is_lost(sizes: list[int], limit: int) -> None:
    parts = tuple(
        IncomingPart(name=str(n), media_type="a/b", role="attachment", size=size, sha256=str(n), fetch=_none)
        for n, size in enumerate(sizes)
    )
    attached, linked = divide(parts, limit)
    assert sum(part.size for part in attached) <= limit
    assert sorted((*attached, *linked), key=lambda one: int(one.name)) == list(parts)


@pytest.mark.parametrize(
    ("name", "short"),
    [("12-VPCP.pdf", "12-VPCP.pdf"), ("a" * 100 + ".edxml", "a" * 69 + "….edxml"), ("không đuôi", "không đuôi")],
)
def test_a_long_file_name_keeps_its_ending(name: str, short: str) -> None:
    assert short_name(name, 1) == short


def test_a_repeated_mail_has_the_same_id_and_says_so_in_both_languages() -> None:
    content = Content(subject="x", vi="v", en="e", facts=[Fact("Ngày", "Date", str(date(2026, 3, 2)))])
    first, again = (
        message_from_bytes(mail(one, content, {}), policy=policy.default)
        for one in (
            ENVELOPE,
            Envelope(**{name: getattr(ENVELOPE, name) for name in ENVELOPE.__slots__} | {"repeated": True}),
        )
    )
    assert first["Message-ID"] == again["Message-ID"] and first["Date"] == again["Date"]
    body = again.get_body(("plain",))
    assert body is not None
    assert "có thể đã được gửi trước đó" in body.get_content() and "may have been sent" in body.get_content()

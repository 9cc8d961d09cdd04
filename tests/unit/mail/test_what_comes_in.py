"""Whatever comes over the wire is read within bounds, or refused with a reason; nothing raises anything else."""

from __future__ import annotations

import tomllib
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.mail import dkim_check
from adapters.mail.bounces import read_bounce
from adapters.mail.dkim_check import FileKeys, KeyUnavailable
from adapters.mail.mime import MAX_PARTS, advice, check_bounds, documents_beside, parse, read_mail
from adapters.mail.replies import Turned
from schemas.problem import Problem
from tests.integration.mail.senders import Domain, mail_with

OFFICE = Domain(name="xa.test")
PIECES = st.sampled_from(
    [
        b"From: a@xa.test", b"From: =?x?q?=?= <a@xa.test>", b"From: a@xa.test (b@c.test)", b"From", b":", b"",
        b"Content-Type: multipart/mixed; boundary=b", b"--b", b"--b--", b" folded", b"\tx", b"AAAA", b"=",
        b"Content-Type: multipart/mixed; boundary*0=b; boundary*1*=''c", b"Content-Type: message/rfc822",
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b", b"Content-Type:;;;=",
        b"Content-Type: message/delivery-status", b"Content-Type: a/b; c", b"Content-Type: \x80",
        b"Content-Disposition: attachment; filename*0*=utf-8''a%0d%0a; filename*1=.edxml",
        b'Content-Disposition: attachment; filename="=?utf-8?b?DQpCY2M6?=.edxml"',
        b"Content-Transfer-Encoding: base64", b"Auto-Submitted: \xff", b"Precedence: =?utf-8?q?list?=",
        b"Message-ID: <lienthong.0123456789abcdef0123456789abcdef@t>", b"Action: failed",
    ]
)  # fmt: skip
LINES = st.lists(PIECES | st.binary(max_size=40).filter(lambda one: b"\r" not in one and b"\n" not in one), max_size=14)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines=LINES)
def test_malformed_mails_are_read_or_refused_and_nothing_else(lines: list[bytes]) -> None:
    content = b"\r\n".join(lines) + b"\r\n"
    try:
        came = read_mail(content)
    except Turned as why:
        assert why.reply.isascii()
    else:
        assert came.from_ == "a@xa.test"
        assert all(one.name == " ".join(one.name.split()) and one.name.isprintable() for one in came.attached)
    try:
        check_bounds(content)
        read_bounce(parse(content))
    except Turned:
        return


@settings(max_examples=120, deadline=None)
@given(data=st.binary(max_size=300))
def test_any_bytes_at_all_are_refused_or_bounded(data: bytes) -> None:
    try:
        check_bounds(data)
    except Turned:
        return
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\0" not in data


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("a@xa.test", "a@xa.test"),
        ("A@XA.Test", "a@xa.test"),
        ("<a@xa.test>", "a@xa.test"),
        ("Văn thư <a@xa.test>".encode("ascii", "ignore").decode(), "a@xa.test"),
        ('"Nguyễn, Văn A" <a@xa.test>'.encode("ascii", "ignore").decode(), "a@xa.test"),
        ("=?utf-8?q?V=C4=83n_th=C6=B0?=\r\n <a@xa.test>", "a@xa.test"),
        ("a@xa.test, b@xa.test", None),
        ("a@xa.test <b@evil.test>", None),
        ('"a@xa.test" <b@evil.test>', None),
        ("<a@xa.test> <b@evil.test>", None),
        ("b@evil.test (<a@xa.test>)", None),
        ("nhom: a@xa.test;", None),
        ('"a b"@xa.test', None),
        ("a@[127.0.0.1]", None),
        ("=?utf-8?q?a=40xa.test?=", None),
        ("a@xa.test\x80", None),
        ("", None),
    ],
)
def test_from_is_one_plain_address_or_no_address(header: str, address: str | None) -> None:
    content = b"Subject: x\r\nFrom: " + header.encode("latin-1") + b"\r\nTo: y@z\r\n\r\nx\r\n"
    if address is None:
        with pytest.raises(Turned, match="exactly one plain address"):
            read_mail(content)
    else:
        assert read_mail(content).from_ == address


def test_a_field_that_only_looks_like_from_is_none() -> None:
    with pytest.raises(Turned, match="exactly one plain address"):
        read_mail(b"X-From: a@xa.test\r\nSubject: a\r\n From: a@xa.test\r\n\r\nFrom: a@xa.test\r\n")


def test_too_many_parts_and_levels_are_refused_before_they_cost_anything() -> None:
    flat = b"".join(b"--b\r\n\r\nx\r\n" for _ in range(MAX_PARTS + 1))
    with pytest.raises(Turned, match="parts"):
        read_mail(b"From: a@xa.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + flat + b"--b--\r\n")
    inner = b"From: a@xa.test\r\nContent-Type: message/rfc822\r\n\r\n"
    with pytest.raises(Turned, match="levels"):
        read_mail(inner * 40 + b"x\r\n")
    with pytest.raises(Turned, match="header"):
        read_mail(b"From: a@xa.test\r\n" + b"X: y\r\n" * 2000 + b"\r\n")


def test_a_mail_inside_the_mail_brings_no_files() -> None:
    forwarded = EmailMessage()
    forwarded["From"] = "ai@evil.test"
    forwarded.add_attachment(b"<x/>", maintype="application", subtype="xml", filename="theirs.edxml")
    outer = EmailMessage()
    outer["From"] = "a@xa.test"
    outer.set_content("x")
    outer.add_attachment(forwarded)
    outer.add_attachment(b"<y/>", maintype="application", subtype="xml", filename="OURS.EDXML")
    content = outer.as_bytes().replace(b"\n", b"\r\n")
    assert [(one.name, one.data) for one in read_mail(content).attached] == [("OURS.EDXML", b"<y/>")]


def test_names_of_files_are_decoded_and_made_plain() -> None:
    came = read_mail(mail_with(("văn bản 58.edxml", b"<x/>"), ("b\u202e.edxml", b"<y/>"), ("c.pdf", b"z")))
    assert [one.name for one in came.attached] == ["văn bản 58.edxml", "b .edxml"]


@pytest.mark.parametrize(
    ("names", "vi"),
    [
        (["winmail.dat"], "HTML"),
        (["smime.p7m"], "S/MIME"),
        (["58.edxml.zip"], "trực tiếp"),
        (["58.pdf", "logo.png"], "58.pdf, logo.png"),
        ([], ""),
    ],
)
def test_what_is_attached_instead_is_told_with_what_to_do(names: list[str], vi: str) -> None:
    came = read_mail(mail_with(*((name, b"x") for name in names)))
    assert came.attached == () and list(came.others) == names
    assert vi in advice(came.others)[0]


def test_a_forwarded_mail_is_told_and_not_looked_into() -> None:
    forwarded = EmailMessage()
    forwarded.add_attachment(b"<x/>", maintype="application", subtype="pdf", filename="theirs.pdf")
    outer = EmailMessage()
    outer["From"] = "a@xa.test"
    outer.set_content("x")
    outer.add_attachment(forwarded)
    came = read_mail(outer.as_bytes().replace(b"\n", b"\r\n"))
    assert "chuyển tiếp" in advice(came.others)[0] and documents_beside(came.others) == []


def test_a_document_beside_the_edxml_file_is_seen_and_a_picture_is_no_document() -> None:
    came = read_mail(mail_with(("58.edxml", b"<x/>"), ("phụ lục.PDF", b"y"), ("logo.png", b"z"), ("ATT00001.txt", b"")))
    assert documents_beside(came.others) == ["phụ lục.PDF"]


@pytest.mark.parametrize("returned", ["message/rfc822", "text/rfc822-headers"])
def test_a_bounce_is_understood_whatever_of_our_mail_it_returns(returned: str) -> None:
    id = "<lienthong.0123456789abcdef0123456789abcdef@tinh.test>"
    parts = [
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx\r\n\r\n"
        "Final-Recipient: rfc822; a@xa.test\r\nAction: Failed\r\nStatus: 5.1.1\r\n\r\n",
        f"Content-Type: {returned}\r\n\r\nFrom: lienthong@tinh.test\r\nMessage-ID: {id}\r\n\r\n",
    ]
    body = "".join(f"--b\r\n{part}" for part in parts)
    head = "From: <>\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    found = read_bounce(parse(f"{head}{body}--b--\r\n".encode()))
    assert found is not None and (found.message_id, found.failed, found.why) == (id, True, "5.1.1")
    # One about somebody else's mail, or none at all, says nothing about ours.
    assert read_bounce(parse(f"{head}{body}--b--\r\n".replace("lienthong.0", "other.0").encode())) is None
    assert read_bounce(parse(b"From: <>\r\n\r\nAction: failed\r\n")) is None


class _Keys:
    def __init__(self, answer: bytes | Exception | None) -> None:
        self._answer = answer

    def txt(self, name: str) -> bytes | None:
        if isinstance(self._answer, Exception):
            raise self._answer
        assert name == "s1._domainkey.xa.test"
        return self._answer


def checked(content: bytes, answer: bytes | Exception | None, *domains: str) -> str:
    fields = check_bounds(content)
    domains, to = domains or ("xa.test",), ["to"] if "to" in fields else []
    return dkim_check.check(content, fields=fields, domains=domains, addressed=to, keys=_Keys(answer))


def test_an_aligned_signature_over_everything_that_matters_counts() -> None:
    assert checked(OFFICE.sign(mail_with(("a.edxml", b"<x/>"))), OFFICE.record.encode()) == "xa.test"


def test_a_good_signature_behind_a_bad_one_counts() -> None:
    signed = OFFICE.sign(mail_with(("a.edxml", b"<x/>")))
    junk = b"DKIM-Signature: v=1; a=rsa-sha256; d=other.test; s=a; h=from; bh=AA==; b=AA==\r\n"
    assert checked(junk + b"DKIM-Signature: =?;;\r\n" + signed, OFFICE.record.encode()) == "xa.test"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "550 5.7.20"),
        (b"v=DKIM1; k=rsa; p=", "550 5.7.20"),
        (b"v=DKIM1; k=rsa; p=AAAA", "550 5.7.20"),
        (b"\xff\xff", "550 5.7.20"),
        (b"v=DKIM1; k=ed25519; p=AAAA", "550 5.7.20"),
        (KeyUnavailable("no name server answers"), "451 4.7.5"),
    ],
)
def test_a_key_that_is_not_good_is_a_refusal_and_one_that_cannot_be_had_a_delay(
    answer: bytes | Exception | None, told: str
) -> None:
    with pytest.raises(Turned) as turned:
        checked(OFFICE.sign(mail_with(("a.edxml", b"<x/>"))), answer)
    assert turned.value.code == told


def test_another_domain_counts_only_where_it_is_configured() -> None:
    signed = OFFICE.sign(mail_with(("a.edxml", b"<x/>")))
    assert checked(signed, OFFICE.record.encode(), "tinh.test", "xa.test") == "xa.test"
    with pytest.raises(Turned, match="not the sender's domain"):
        checked(signed, OFFICE.record.encode(), "tinh.test")


def test_a_file_of_keys_is_read_or_told_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('"S1._domainkey.XA.test." = "v=DKIM1; p=AA"\n')
    assert tomllib.loads(path.read_text())
    assert FileKeys(path).txt("s1._domainkey.xa.test.") == b"v=DKIM1; p=AA"
    assert FileKeys(path).txt("s2._domainkey.xa.test") is None
    for bad in ("a = 1", "= =", "[a]\nb = 'c'"):
        path.write_text(bad)
        with pytest.raises(Problem, match=r"keys\.toml"):
            FileKeys(path)

"""edXML by mail: who may send, what becomes of it, and what is turned away inside the session."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from adapters import Agency
from adapters.agency import DATABASE
from adapters.settings import AgencySettings
from schemas.jws import parse_message
from tests.integration.adapters.standin import HUB, MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import letter, mail_table, open_mail
from tests.integration.mail.post_office import PostOffice, free_port, text_of
from tests.integration.mail.senders import SIGNED, Domain, Wire, deliver, mail_with, write_keys
from tests.unit.edxml.examples import document, status

OFFICE = Domain(name="xa.test")


def edxml(sender: str, to: str) -> bytes:
    """An office's document."""
    one = f"<edXML:To><edXML:OrganId>{to}</edXML:OrganId></edXML:To>"
    text = re.sub(r"<edXML:To>.*</edXML:To>", one, document(), flags=re.DOTALL)
    return text.replace("000.00.00.G05", sender).encode()


def incoming(tmp_path: Path, *domains: Domain, **more: Any) -> dict[str, Any]:
    """The table [mail.incoming], with the keys of these domains."""
    keys = tmp_path / "dkim-keys.toml"
    write_keys(keys, *(domains or (OFFICE,)))
    return {"port": free_port(), "addresses": ["gui@tinh.test"], "dkim_keys": str(keys), **more}


def outgoing(settings: AgencySettings) -> list[dict[str, Any]]:
    """The manifests in the outbox that came by mail."""
    with sqlite3.connect(settings.data_dir / DATABASE) as connection:
        bodies = connection.execute("SELECT body FROM outbox o JOIN mail_in m ON m.outbox_no = o.no").fetchall()
    return [json.loads(parse_message(bytes(body), slip_allowed=False).signed.payload) for (body,) in bodies]


@pytest.mark.parametrize("protocol", ["lmtp", "smtp"])
async def test_an_edxml_file_becomes_a_signed_document_once(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path, protocol: str
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    heard = incoming(tmp_path, protocol=protocol)
    file = edxml(MINISTRY, PROVINCE)
    mail = OFFICE.sign(mail_with(("văn bản 58.edxml", file)))
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)), Agency.open(province) as them:
        lmtp = protocol == "lmtp"
        first = await deliver(heard["port"], mail, lmtp=lmtp)
        assert first.startswith("250 "), first
        again = await deliver(heard["port"], OFFICE.sign(mail_with(("x.edxml", file))), lmtp=lmtp)
        assert again == first
        async for delivery in them.receive(idle=15):
            async with delivery as came:
                assert came.ref.sender == MINISTRY and came.ref.id in first
                assert came.manifest.via is not None
                assert (came.manifest.via.protocol, came.manifest.via.system) == ("mail", "vanthu@xa.test")
                assert [one["answer"] for one in came.verdict.values()] == ["good"] * 3
                (original,) = [part for part in came.parts if part.role == "edxml"]
                assert (await original.read(), original.name) == (file, "văn bản 58.edxml")
                break
        await exchange.until(lambda: exchange.codes(came.ref.id, PROVINCE) == ["01"])
    assert len(outgoing(ministry)) == 1


async def test_a_hub_signs_for_the_office_and_its_status_is_for_it(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    communes = [f"{HUB}.1", f"{HUB}.2"]
    ministry, hub = await exchange.agency(MINISTRY), await exchange.agency(HUB, serves=dict.fromkeys(communes, False))
    heard = incoming(tmp_path)
    table = mail_table(post_office, *communes, incoming=heard)
    async with Agency.open(ministry) as me, open_mail(hub, table):
        sent = await me.send(letter(communes[0]))
        await exchange.until(lambda: exchange.codes(sent.id, communes[0]) == ["01"])
        answer = status("03", sender=MINISTRY).replace("000.00.00.H12", communes[0])
        answer = answer.replace("000.00.00.G05,2026/03/02,58/BTC-QLCS", sent.id)
        reply = await deliver(heard["port"], OFFICE.sign(mail_with(("tt.edxml", answer.encode()))))
        assert reply.startswith("250 "), reply
        await exchange.until(lambda: exchange.codes(sent.id, communes[0]) == ["01", "03"])
        # Two files in one mail, both sent in the name of the office that the address belongs to.
        files = [("1.edxml", edxml(communes[1], MINISTRY)), ("2.edxml", edxml(communes[1], HUB))]
        mail = OFFICE.sign(mail_with(*files, from_="vanthu1@xa.test"))
        reply = await deliver(heard["port"], mail, sender="vanthu1@xa.test")
        assert reply.startswith("250 "), reply
        await exchange.until(lambda: len([key for key in exchange.documents if key[0] == communes[1]]) == 2)
        other = OFFICE.sign(mail_with(("3.edxml", edxml(communes[0], MINISTRY)), from_="vanthu1@xa.test"))
        reply = await deliver(heard["port"], other, sender="vanthu1@xa.test")
        assert reply.startswith("550-5.7.1") and communes[0] in reply


async def test_what_the_exchange_refuses_is_told_to_the_office_by_mail(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    ministry = await exchange.agency(MINISTRY)
    await exchange.agency(PROVINCE)
    exchange.rejections.append("LT-RECIPIENT-UNKNOWN")
    heard = incoming(tmp_path)
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        mail = OFFICE.sign(mail_with(("a.edxml", edxml(MINISTRY, PROVINCE))))
        reply = await deliver(heard["port"], mail)
        assert reply.startswith("250 ")
        (told,) = await post_office.until(lambda: post_office.mails)
        assert "KHÔNG NHẬN" in told["Subject"] and "58/BTC-QLCS" in told["Subject"]
        assert "LT-RECIPIENT-UNKNOWN" in text_of(told) and "H99" in text_of(told)
        # When what was wrong has been put right at the exchange, the same file is good.
        assert await deliver(heard["port"], mail) == reply
        await exchange.until(lambda: len(exchange.documents) == 1)


async def test_several_files_are_taken_all_or_none(exchange: StandIn, post_office: PostOffice, tmp_path: Path) -> None:
    ministry = await exchange.agency(MINISTRY)
    good = edxml(MINISTRY, PROVINCE)
    bad = good.replace(b"<edXML:CodeNumber>58</edXML:CodeNumber>", b"")
    heard = incoming(tmp_path)
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        reply = await deliver(heard["port"], OFFICE.sign(mail_with(("good.edxml", good), ("bad.edxml", bad))))
        assert reply.startswith("550-5.6.0 bad.edxml") and "CodeNumber" in reply and "Line 12" in reply
        assert outgoing(ministry) == []


GOOD = "good"
THIRD = Domain(name="evil.test")
TESTING = Domain(name="xa.test", selector="t", flags=" t=y;")
WEAK = Domain(name="xa.test", selector="w", bits=768)


def forged(case: str, code: str, to: str) -> tuple[bytes, str]:
    """A mail that is not what it says, and the sender on its envelope."""
    files = [("a.edxml", edxml(code, to))]
    honest, envelope = mail_with(*files), "vanthu@xa.test"
    match case:
        case "no signature":
            return honest, envelope
        case "another domain's signature":
            return THIRD.sign(honest), envelope
        case "a stranger on the envelope":
            return OFFICE.sign(honest), "ai@evil.test"
        case "a stranger in From":
            return OFFICE.sign(mail_with(*files, from_="lanhdao@xa.test")), envelope
        case "a name that shows another address":
            return OFFICE.sign(mail_with(*files, from_='"vanthu@xa.test" <ai@evil.test>')), envelope
        case "two From fields":
            return b"From: ai@evil.test\r\n" + OFFICE.sign(honest), envelope
        case "two addresses in From":
            return OFFICE.sign(mail_with(*files, from_="vanthu@xa.test, ai@evil.test")), envelope
        case "the body changed after signing":
            return OFFICE.sign(honest).replace(b"PD94", b"PD95", 1), envelope
        case "a signature over the beginning only":
            return OFFICE.sign(honest, length=True) + b"more\r\n", envelope
        case "Content-Type not signed":
            return OFFICE.sign(honest, fields=(b"from", b"subject", b"mime-version")), envelope
        case "a second Content-Type":
            return b'Content-Type: multipart/mixed; boundary="x"\r\n' + OFFICE.sign(honest), envelope
        case "a domain that is testing":
            return TESTING.sign(honest), envelope
        case "a key that is too short":
            return WEAK.sign(honest, algorithm="rsa-sha256"), envelope
        case "SHA-1":
            return OFFICE.sign(honest, algorithm="rsa-sha1"), envelope
        case "an unknown selector":
            return Domain(name="xa.test", selector="nothere").sign(honest), envelope
        case "From in an encoded word":
            return OFFICE.sign(honest.replace(b"From: vanthu@xa.test", b"From: =?utf-8?q?vanthu=40xa.test?=")), envelope
        case "a mail to somebody else, sent on":
            return OFFICE.sign(mail_with(*files, to='"gui@tinh.test" <doi-tac@evil.test>')), envelope
        case "a mail to nobody, sent on":
            return OFFICE.sign(honest.replace(b"To: gui@tinh.test\r\n", b"")), envelope
        case "our address added in To":
            mail = OFFICE.sign(honest.replace(b"To: gui@tinh.test\r\n", b""))
            return b"To: gui@tinh.test\r\n" + mail, envelope
        case "our address added in a second Cc":
            mail = OFFICE.sign(mail_with(*files, to="a@evil.test", Cc="b@evil.test"), fields=(*SIGNED, b"cc"))
            return b"Cc: gui@tinh.test\r\n" + mail, envelope
        case "a field that only some read":
            return b"From : lanhdao@xa.test\r\n" + OFFICE.sign(honest), envelope
    raise AssertionError(case)


FORGED = [
    "no signature", "another domain's signature", "a stranger on the envelope", "a stranger in From",
    "a name that shows another address", "two From fields", "two addresses in From", "the body changed after signing",
    "a signature over the beginning only", "Content-Type not signed", "a second Content-Type",
    "a domain that is testing", "a key that is too short", "SHA-1", "an unknown selector", "From in an encoded word",
    "a mail to somebody else, sent on", "a mail to nobody, sent on", "our address added in To",
    "our address added in a second Cc", "a field that only some read",
]  # fmt: skip


async def test_no_forged_mail_is_taken_and_none_is_answered_by_mail(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    ministry = await exchange.agency(MINISTRY)
    heard = incoming(tmp_path, OFFICE, THIRD, TESTING, WEAK)
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        for case in FORGED:
            mail, envelope = forged(case, MINISTRY, PROVINCE)
            reply = await deliver(heard["port"], mail, sender=envelope)
            assert reply.startswith("550"), (case, reply)
            assert reply.isascii() and all(len(line) < 510 for line in reply.splitlines()), case
        assert outgoing(ministry) == []
        # The same mail, honest: the table above did not fail for another reason.
        honest = OFFICE.sign(mail_with(("a.edxml", edxml(MINISTRY, PROVINCE))))
        assert (await deliver(heard["port"], honest)).startswith("250")
        copied = mail_with(("b.edxml", edxml(MINISTRY, PROVINCE) + b"\n"), to="doi-tac@evil.test", Cc="gui@tinh.test")
        assert (await deliver(heard["port"], OFFICE.sign(copied, fields=(*SIGNED, b"cc")))).startswith("250")
    assert len(outgoing(ministry)) == 2
    assert post_office.seen == []


async def test_smuggling_loops_lists_and_what_is_too_large_are_turned_away(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    ministry = await exchange.agency(MINISTRY)
    heard = incoming(tmp_path, max_mib=0.2)
    honest = mail_with(("a.edxml", edxml(MINISTRY, PROVINCE)))
    hops = b"".join(b"Received: from a by b; Mon, 02 Mar 2026 15:04:05 +0700\r\n" for _ in range(31))
    nested = b"".join(b'--b%d\r\nContent-Type: multipart/mixed; boundary="b%d"\r\n\r\n' % (n, n + 1) for n in range(40))
    head = honest.partition(b"Content-Type:")[0]
    smuggled = honest.replace(b"\r\n\r\n", b"\r\n\r\nx\n.\nMAIL FROM:<vanthu@xa.test>\n", 1)
    table: dict[str, tuple[bytes, str]] = {
        "a bare LF": (smuggled, "550-5.6.0"),
        "a bare CR": (OFFICE.sign(honest).replace(b"\r\n\r\n", b"\r\n\r\nx\ry", 1), "550-5.6.0"),
        "our own mail": (OFFICE.sign(mail_with(("a.edxml", b"x"), X_Lienthong_Mail="lienthong.1")), "554-5.4.6"),
        "too many hops": (hops + OFFICE.sign(honest), "554-5.4.6"),
        "nested": (head + b'Content-Type: multipart/mixed; boundary="b0"\r\n\r\n' + nested, "552-5.3.4"),
        "too large": (mail_with(("a.edxml", bytes(300_000))), "552"),
        "no attachment": (OFFICE.sign(mail_with()), "550-5.6.0"),
        "a PDF beside it": (
            OFFICE.sign(mail_with(("a.edxml", edxml(MINISTRY, PROVINCE)), ("b.pdf", b"%PDF"))),
            "550-5.6.0 b.pdf khong nam trong tep .edxml",
        ),
        "a fault": (
            OFFICE.sign(mail_with(("a.edxml", edxml(MINISTRY, PROVINCE).replace(b"Type>1<", b"Type>x<", 1)))),
            "550-5.6.0 a.edxml: Dong 21, cot 11, edXMLEnvelope/edXMLHeader/MessageHeader/DocumentType/Type: gia tri.",
        ),
        "not edXML": (OFFICE.sign(mail_with(("a.edxml", b"<html/>"))), "550-5.6.0"),
        "entities": (OFFICE.sign(mail_with(("a.edxml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'))), "550-5.6.0"),
    }
    async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
        for case, (mail, expected) in table.items():
            reply = await deliver(heard["port"], mail)
            assert reply.startswith(expected), (case, reply)
        async with Wire(heard["port"]) as wire:
            assert (await wire.mail(OFFICE.sign(honest), to="root@tinh.test")).startswith("550 5.1.1")
        ignored = [
            mail_with(("a.edxml", edxml(MINISTRY, PROVINCE)), Auto_Submitted="auto-replied"),
            mail_with(Auto_Submitted="auto-replied (vacation)"),
            mail_with(("a.edxml", edxml(MINISTRY, PROVINCE)), Precedence="bulk"),
            mail_with(("a.edxml", edxml(MINISTRY, PROVINCE)), List_Id="<ds.xa.test>"),
        ]
        for mail in ignored:
            assert (await deliver(heard["port"], OFFICE.sign(mail))).startswith("250 2.0.0 Thu tu dong")
        assert (await deliver(heard["port"], honest, sender="")).startswith("250")
        assert outgoing(ministry) == []
    assert post_office.seen == []


async def test_a_bounce_marks_the_mail_and_the_operator_is_told(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    heard = incoming(tmp_path)
    async with Agency.open(ministry) as me, open_mail(province, mail_table(post_office, PROVINCE, incoming=heard)):
        sent = await me.send(letter(PROVINCE))
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01"])
        (mail,) = post_office.mails
        assert (await deliver(heard["port"], bounce(mail["Message-ID"], "delayed"), sender="")).startswith("250")
        assert states(province) == ["taken"]
        stranger = "<lienthong." + "0" * 32 + "@tinh.test>"
        assert (await deliver(heard["port"], bounce(stranger, "failed"), sender="")).startswith("250")
        assert states(province) == ["taken"]
        assert (await deliver(heard["port"], bounce(mail["Message-ID"], "failed"), sender="")).startswith("250")
        assert states(province) == ["bounced"]
    assert "came back undelivered" in caplog.text and "mailbox is full" in caplog.text
    assert exchange.codes(sent.id, PROVINCE) == ["01"]  # a bounce takes nothing back: that is for a person


def states(settings: AgencySettings) -> list[str]:
    with sqlite3.connect(settings.data_dir / DATABASE) as connection:
        return [state for (state,) in connection.execute("SELECT state FROM mail")]


def bounce(message_id: str, action: str) -> bytes:
    return f"""From: MAILER-DAEMON@xa.test
To: lienthong@tinh.test
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=us-ascii

Sorry.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.xa.test

Final-Recipient: rfc822; vanthu@xa.test
Action: {action}
Status: 5.2.2
Diagnostic-Code: smtp; 552 mailbox is full

--b
Content-Type: text/rfc822-headers

From: lienthong@tinh.test
Message-ID: {message_id}

--b--
""".replace("\n", "\r\n").encode()

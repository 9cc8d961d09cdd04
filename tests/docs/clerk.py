"""What a clerk, and the office's mail server, do between the lines of docs/connect/mail.md."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import sys
import time
import urllib.parse
import urllib.request
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

HERE = Path(__file__).parent
KNOWN = json.loads((HERE / "clerk.json").read_text())
sys.path.insert(0, KNOWN["repository"])

from tests.integration.mail import senders  # noqa: E402
from tests.integration.mail.post_office import link_of  # noqa: E402
from tests.integration.mail.senders import Domain, deliver, mail_with  # noqa: E402
from tests.integration.mail.test_mail_comes_in import bounce, edxml  # noqa: E402

# The key of the office's mail server is the one whose public half the page's test has put into the file of keys.
senders.rsa_key = lambda *_: ((HERE / "dkim.pem").read_bytes(), b"")  # type: ignore[assignment]


def newest() -> EmailMessage:
    """The mail that came last."""
    files = sorted((HERE / "mailbox").glob("*.eml"), key=lambda file: int(file.stem))
    mail = message_from_bytes(files[-1].read_bytes(), policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def answer(choice: str) -> None:
    """Open the page, choose, type the code, press the button."""
    link, code = link_of(newest())
    with urllib.request.urlopen(link) as page:
        nonce = re.search(r'name="nonce" value="([^"]+)"', page.read().decode())
    assert nonce
    form = urllib.parse.urlencode({"answer": choice, "code": code, "reason": "", "nonce": nonce[1]}).encode()
    with urllib.request.urlopen(link, data=form) as page:
        assert page.status == 200


def handed_over(mail: bytes, sender: str) -> None:
    reply = asyncio.run(deliver(KNOWN["lmtp"], mail, sender=sender, to="gui@tinh.gov.vn"))
    assert reply.startswith("250 "), reply


def until(state: str) -> None:
    """Wait until the newest mail is in this state."""
    for _ in range(400):
        with sqlite3.connect(HERE / "H53" / "data" / "agency.sqlite3") as connection:
            newest = connection.execute("SELECT state FROM mail ORDER BY no DESC LIMIT 1").fetchone()
        if newest == (state,):
            return
        time.sleep(0.05)
    sys.exit(f"the newest mail is {newest}, not {state}")


match sys.argv[1:]:
    case ["until", state]:
        until(state)
    case ["answer", choice]:
        answer(choice)
    case ["send"]:
        file = ("van-ban.edxml", edxml(KNOWN["H53"], KNOWN["G22"]))
        handed_over(Domain(name="xa.gov.vn").sign(mail_with(file, from_="vanthu@xa.gov.vn")), "vanthu@xa.gov.vn")
    case ["refuse-next"]:
        (HERE / "refuse").write_text("rcpt 550 5.1.1 Khong co hop thu nay")
    case ["bounce"]:
        handed_over(bounce(newest()["Message-ID"], "failed"), "")

"""What `lienthong-agency send` and `outbox` say."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters import outbox
from adapters.cli import inbox
from adapters.cli.main import app
from adapters.cli.words import outbox_line, sent
from adapters.compose import outgoing
from adapters.store import open_database
from schemas.certificates import new_private_key
from schemas.jws import sign
from schemas.problem import Problem


@pytest.mark.parametrize(("count", "said"), [(1, "accepted for 1 recipient."), (34, "accepted for 34 recipients.")])
def test_recipients_are_counted_in_good_english(count: int, said: str) -> None:
    assert sent({"id": "x", "state": "accepted", "recipients": {"count": count}}, "en") == f"x: {said}"


def test_the_outbox_says_what_was_sent_also_of_a_recall(tmp_path: Path) -> None:
    key = new_private_key("P-256")
    letter = {
        "action": "new",
        "to": ["H53"],
        "document": {"number": "12", "notation": "VPCP-TH", "subject": "Trực Tết"},
    }
    recall = {"action": "recall", "document": {"subject": "Thu hồi: nhầm"}}  # goes to whoever has the document
    with closing(open_database(tmp_path / "agency.sqlite3")) as connection:
        for number, manifest in enumerate((letter, recall)):
            signed = sign(json.dumps(manifest).encode(), key=key, thumbprint=bytes(32))
            message = outgoing(signed, kind="document", speaker="G22", id=str(number), urgent=False)
            outbox.put(connection, message, now=0.0)
        rows = inbox.sent(connection, limit=10)
    assert [row["to"] for row in rows] == [[], ["H53"]]
    assert [outbox_line(row, "en").partition(" due: ")[2] for row in rows] == [
        "recall Thu hồi: nhầm",
        "12/VPCP-TH Trực Tết",
    ]


def test_a_refusal_is_told_with_its_reason() -> None:
    statuses = [
        {"agency": "H53", "code": "01", "at": "", "reason": None},
        {"agency": "H53", "code": "02", "at": "", "reason": "Gửi nhầm nơi"},
    ]
    row = {
        "id": "x",
        "sent_at": "t",
        "state": "accepted",
        "action": "new",
        "number": "",
        "notation": "",
        "subject": "s",
    }
    told = {**row, "answer": None, "statuses": statuses}
    assert outbox_line(told, "en") == "x t accepted H53 01, H53 02 “Gửi nhầm nơi”: s"
    assert outbox_line(told, "vi") == "x t trục đã tiếp nhận H53 01, H53 02 “Gửi nhầm nơi”: s"


def test_a_document_about_nothing_is_not_sent() -> None:
    done = CliRunner().invoke(app, ["send", __file__, "--to", "H53", "--subject", " "])
    assert isinstance(done.exception, Problem) and "--subject" in done.exception.diagnostics()

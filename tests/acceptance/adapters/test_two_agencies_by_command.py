"""From an empty folder to an answered document, by the commands that the documentation shows."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Vhost, manage
from tests.kit.installation import Installation, wait_until

AGENCY = "lienthong-agency"
Join = Callable[[str], tuple[str, str]]


@pytest.fixture
def installation(vhost: Vhost, migrated_database: str, tmp_path: Path) -> Iterator[Installation]:
    made = Installation(
        folder=tmp_path,
        amqp_url=vhost.amqp_url,
        management_url=vhost.management_url,
        database_url=migrated_database,
    )
    made.prepare()
    made.start("worker")
    yield made
    made.stop()


@pytest.fixture
def join(installation: Installation, vhost: Vhost) -> Iterator[Join]:
    """Operator and agency, turn by turn; gives the new agency's code and its settings file."""
    prefix = f"T{secrets.token_hex(3).upper()}"  # users belong to the whole server, and are taken away afterwards
    joined: list[str] = []

    def join_one(name: str) -> tuple[str, str]:
        code = f"{prefix}.{name}"
        papers = installation.command(
            "agency", "add", code, "--name", f"Cơ quan {name}", "--level", "ministry", "--json"
        )
        joined.append(code)
        content = str(installation.folder / "exchange" / "content")
        installation.command("init", "-", "--dir", code, "--content-dir", content, program=AGENCY, stdin=papers.stdout)
        config = str(installation.folder / code / "agency.toml")
        made = installation.json("keygen", "-c", config, program=AGENCY)
        installation.command("pki", "issue", code, "--csr", made["request_file"], "-o", made["certificate_file"])
        installation.command("cert", "add", code, made["certificate_file"])
        return code, config

    yield join_one
    manage(vhost.management_url, "POST", "/api/users/bulk-delete", {"users": joined})


def test_a_document_goes_from_agency_to_agency_and_back_comes_its_status(
    installation: Installation, join: Join
) -> None:
    (sender, ministry), (recipient, province) = join("G22"), join("H53")
    for name in ("agency.key", "amqp.password"):
        assert (installation.folder / sender / name).stat().st_mode & 0o777 == 0o600
    document = installation.folder / "12-VPCP.pdf"
    document.write_bytes(b"%PDF-1.7\n" + secrets.token_bytes(300_000))
    sent = installation.json(
        "send", str(document), "--to", recipient, "--subject", "Công văn hỏa tốc", "--number", "12",
        "--notation", "VPCP-TH", "--priority", "3", "--wait", "-c", ministry, program=AGENCY,
    )  # fmt: skip
    assert (sent["state"], sent["recipients"]["count"]) == ("accepted", 1)
    line = installation.command("receive", "--save", "saved", "-c", province, "--json", program=AGENCY).stdout
    came = json.loads(line)
    assert (came["id"], came["subject"], came["number"]) == (sent["id"], "Công văn hỏa tốc", "12")
    assert (installation.folder / came["saved"][0]).read_bytes() == document.read_bytes()
    installation.command("status", sent["id"], "03", "-c", province, program=AGENCY)
    shown = installation.json("inbox", "show", sent["id"], "-c", province, program=AGENCY)
    assert [one["answer"] for one in shown["verdict"].values()] == ["good"] * 3
    assert [row["state"] for row in installation.json("inbox", "list", "-c", province, program=AGENCY)] == ["done"]

    def heard() -> bool:
        installation.command("receive", "-c", ministry, program=AGENCY)
        (row,) = installation.json("outbox", "-c", ministry, program=AGENCY)
        return [one["code"] for one in row["statuses"]] == ["01", "03"]

    wait_until(heard, what="the statuses 01 and 03 at the sender")
    installation.settings |= {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "vi_VN.UTF-8"}
    english = re.compile(r"\b(accepted|reported|for|done|From|Number|Subject|Verdict|good|the|bytes|Nothing)\b")
    for command in (
        ("send", str(document), "--to", recipient, "--subject", "Công văn", "--wait", "-c", ministry),
        ("status", sent["id"], "06", "-c", province),
        ("inbox", "list", "-c", province),
        ("inbox", "show", sent["id"], "-c", province),
        ("inbox", "aside", "-c", province),
        ("outbox", "-c", ministry),
    ):
        told = installation.command(*command, program=AGENCY)
        assert told.stdout and not english.search(told.stdout + told.stderr), told.stdout + told.stderr
        assert told.stdout != installation.command(*command[:-2], "--lang", "en", *command[-2:], program=AGENCY).stdout


def test_an_unknown_recipient_is_told_in_a_sentence_with_exit_code_1(installation: Installation, join: Join) -> None:
    _, ministry = join("G22")
    (installation.folder / "a.pdf").write_bytes(b"%PDF-1.7")
    done = installation.command(
        "send", "a.pdf", "--to", "H99.NOWHERE", "--subject", "x", "--wait", "-c", ministry, program=AGENCY, code=1
    )
    assert "LT-RECIPIENT-UNKNOWN" in done.stderr and "H99.NOWHERE" in done.stderr
    done = installation.command(
        "send", "a.pdf", "--to", "H99.NOWHERE", "--subject", "x", "--wait", "-c", ministry, "--lang", "vi",
        program=AGENCY, code=1,
    )  # fmt: skip
    assert done.stderr.startswith("Trục từ chối văn bản: LT-RECIPIENT-UNKNOWN tại to.0: thấy H99.NOWHERE, cần mã ")
    assert not re.search(r"\b(found|expected|the|Correct)\b", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["inbox", "list"], "agency.toml"),
        (["send", "nothing.pdf", "--to", "H53", "--subject", "x"], "nothing.pdf"),
        (["init", "nothing.json"], "nothing.json"),
        (["keygen"], "agency.toml"),
        (["simulate", "nothing.json"], "nothing.json"),
    ],
)
def test_what_is_missing_is_named_without_a_traceback(tmp_path: Path, arguments: list[str], told: str) -> None:
    nowhere = Installation(folder=tmp_path, amqp_url="", management_url="", database_url="")
    done = nowhere.command(*arguments, program=AGENCY, code=3)
    assert told in done.stderr and "Expected:" in done.stderr

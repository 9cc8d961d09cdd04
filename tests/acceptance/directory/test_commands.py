"""The operator's commands for database, directory, certificates and development CA, as an operator runs them."""

from __future__ import annotations

import json
import secrets
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused

from tests.conftest import Vhost, manage
from tests.kit.installation import Installation


@pytest.fixture
def empty(vhost: Vhost, database: str, tmp_path: Path) -> Installation:
    """A new exchange on which nothing was run yet."""
    return Installation(
        folder=tmp_path, amqp_url=vhost.amqp_url, management_url=vhost.management_url, database_url=database
    )


@pytest.fixture
def exchange(empty: Installation) -> Installation:
    """A migrated exchange with its development CA."""
    empty.command("db", "migrate")
    empty.command("pki", "init")
    return empty


@pytest.fixture
def prefix(exchange: Installation) -> Iterator[str]:
    """Users of RabbitMQ belong to the whole server: codes that only this test has, removed afterwards."""
    own = f"T{secrets.token_hex(4).upper()}"
    yield own
    for name in ("A", "B"):
        try:
            manage(exchange.management_url, "DELETE", f"/api/users/{quote(f'{own}.{name}')}")
        except HTTPError as error:
            assert error.code == 404


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def test_an_operator_sets_up_an_exchange_in_any_order(empty: Installation) -> None:
    before = empty.json("db", "status", code=1)
    assert before["applied"] == [] and before["pending"][0] == "0001_exchange"
    made = empty.command("pki", "init")
    assert "db migrate" in made.stderr
    assert empty.json("db", "migrate")["applied"] == before["pending"]
    assert empty.json("db", "migrate")["applied"] == []
    assert empty.json("db", "status")["pending"] == []
    (own,) = empty.json("cert", "list")
    assert (own["code"], own["subject"]) == ("LT.EXCHANGE", "CN=LT.EXCHANGE")
    assert empty.json("agency", "show", "LT.EXCHANGE")["level"] == "exchange"
    again = empty.json("pki", "init")
    assert again["made"] == [] and again["broker_certificate"] == "enrolled"
    assert len(empty.json("cert", "list")) == 1
    for key in (empty.folder / "exchange").rglob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


async def test_an_added_agency_can_do_exactly_what_its_papers_say(exchange: Installation, prefix: str) -> None:
    code, other = f"{prefix}.A", f"{prefix}.B"
    papers = exchange.json("agency", "add", code, "--name", "UBND xã Một", "--level", "commune")
    adding = ("agency", "add", other, "--name", "UBND xã Hai", "--level", "commune", "-o", "two.json")
    (exchange.folder / "two.json").touch()
    assert "exists already" in exchange.command(*adding, code=3).stderr
    (exchange.folder / "two.json").unlink()
    shown = exchange.command(*adding)  # nothing was added before
    written = json.loads((exchange.folder / "two.json").read_text())
    assert written["password"] not in shown.stdout + shown.stderr and written.keys() == papers.keys()
    assert stat.S_IMODE((exchange.folder / "two.json").stat().st_mode) == 0o600
    assert (papers["amqp_user"], papers["mailbox"], papers["broker_code"]) == (code, f"agency.{code}", "LT.EXCHANGE")
    assert "BEGIN CERTIFICATE" in papers["broker_certificate"] and "BEGIN CERTIFICATE" in papers["roots"]

    parts = urlsplit(papers["amqp_url"])
    netloc = f"{quote(code)}:{papers['password']}@{parts.netloc}"
    async with await aio_pika.connect(urlunsplit(parts._replace(netloc=netloc))) as connection:
        channel = await connection.channel(on_return_raises=True)
        mailbox = await channel.get_queue(papers["mailbox"], ensure=False)
        assert await mailbox.get(fail=False) is None
        submit = await channel.get_exchange("lt.submit", ensure=False)
        await submit.publish(aio_pika.Message(b"{}", user_id=code), f"document.normal.{code}")
        for forbidden in (f"document.normal.{other}", f"status.{other}"):
            another = await connection.channel()
            same = await another.get_exchange("lt.submit", ensure=False)
            with pytest.raises(ChannelAccessRefused):
                await same.publish(aio_pika.Message(b"{}", user_id=code), forbidden)
        another = await connection.channel()
        foreign = await another.get_queue(f"agency.{other}", ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await foreign.get(fail=False)


def test_a_password_is_shown_once_and_a_new_one_can_be_had(exchange: Installation, prefix: str) -> None:
    first = exchange.json("agency", "add", f"{prefix}.A", "--name", "Xã Một", "--level", "commune")
    assert first["password"] not in exchange.command("agency", "show", f"{prefix}.A").stdout
    second = exchange.json("agency", "connect", f"{prefix}.A")
    assert second["password"] not in (None, first["password"]) and second["amqp_user"] == first["amqp_user"]


def test_an_agency_behind_a_hub_has_no_user_and_its_record_names_the_hub(exchange: Installation, prefix: str) -> None:
    hub, served = f"{prefix}.A", f"{prefix}.C"
    exchange.json("agency", "add", hub, "--name", "Trục tỉnh", "--level", "hub")
    papers = exchange.json("agency", "add", served, "--name", "Xã", "--level", "commune", "--no-mailbox", "--hub", hub)
    assert papers["amqp_user"] is None and papers["password"] is None and papers["broker_certificate"]
    assert exchange.json("agency", "show", served)["mailbox_owner"]["code"] == hub
    assert [row["code"] for row in exchange.json("agency", "hub", hub)] == [served]
    exchange.command("agency", "hub", hub, served, "--end")
    assert exchange.json("agency", "show", served)["mailbox_owner"] is None


def test_a_certificate_made_with_openssl_is_enrolled_checked_and_revoked(exchange: Installation) -> None:
    folder = exchange.folder
    exchange.command("agency", "add", "X.C", "--name", "Cơ quan", "--level", "commune", "--no-mailbox")
    openssl(
        folder, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "a.key", "-subj", "/CN=a", "-out", "a.csr"
    )
    exchange.command("pki", "issue", "X.C", "--csr", "a.csr", "-o", "a.pem")
    assert exchange.json("cert", "check", "a.pem", code=1)["agency"].startswith("not enrolled")
    added = exchange.json("cert", "add", "X.C", "a.pem")
    assert exchange.json("cert", "check", "a.pem")["good"] is True
    (listed,) = exchange.json("cert", "list", "X.C")
    assert listed["thumbprint"] == added["thumbprint"] and listed["revoked_at"] is None
    exchange.command("cert", "revoke", added["thumbprint"][:10], "--reason", "khóa bị mất")
    (revoked,) = exchange.json("cert", "list", "X.C")
    assert revoked["revoked_at"] is not None and revoked["revoked_why"] == "khóa bị mất"
    assert exchange.json("cert", "check", "a.pem", code=1)["good"] is False


def test_a_foreign_certificate_is_refused_with_a_sentence(exchange: Installation) -> None:
    folder = exchange.folder
    exchange.command("agency", "add", "X.C", "--name", "Cơ quan", "--level", "commune", "--no-mailbox")
    openssl(folder, "req", "-x509", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "a.key", "-subj", "/CN=a",
            "-days", "3", "-out", "a.pem")  # fmt: skip
    refused = exchange.command("cert", "add", "X.C", "a.pem", code=3)
    assert "LT-SIGNER-NOT-ALLOWED" in refused.stderr


def test_the_nation_is_imported_and_its_names_stay_whole(exchange: Installation) -> None:
    report = exchange.json("agency", "import", "--national")
    assert report["added"] == 3682 and report["rejected"] == []
    shown = exchange.command("agency", "list", "Sở Nội vụ tỉnh Tây Ninh").stdout
    assert "Sở Nội vụ tỉnh Tây Ninh" in shown and "H53.SNV (derived)" in shown and "at H53" in shown
    wards = exchange.json("agency", "list", "--parent", "H53", "--level", "commune")
    assert len(wards) == 96 and all(ward["has_mailbox"] and ward["derived"] for ward in wards)
    province = exchange.json("agency", "show", "000.00.00.H53")
    assert (province["code"], province["name"]) == ("H53", "UBND tỉnh Tây Ninh")
    assert province["serves"] == {"receives_for": 104, "signs_for": 104}
    assert [one["code"] for one in province["predecessors"]] == ["H39"]
    assert "H53" in exchange.command("agency", "suspend", "H39", code=3).stderr


def test_rejected_rows_are_listed_and_the_others_are_taken(exchange: Installation) -> None:
    (exchange.folder / "a.csv").write_text("code,name,level\nX.1,Xã Một,commune\nX 2,Xã Hai,commune\n")
    done = exchange.command("agency", "import", "a.csv", code=1)
    assert "1 added" in done.stdout and "Xã Hai" in done.stdout and "groups of A-Z and 0-9" in done.stdout
    assert [row["code"] for row in exchange.json("agency", "list", "X.")] == ["X.1"]


def test_a_whole_life_of_an_agency_is_a_few_commands(exchange: Installation) -> None:
    for code in ("X.1", "X.2"):
        exchange.command("agency", "add", code, "--name", f"Xã {code}", "--level", "commune", "--no-mailbox")
    exchange.command("agency", "alias", "X.1", "old.x", "--kind", "former")
    assert exchange.json("agency", "show", "OLD.X")["code"] == "X.1"
    exchange.command("agency", "group", "bão-lũ", "X.1", "X.2", "--title", "Ban chỉ huy")
    assert exchange.json("agency", "group")[0]["members"] == ["X.1", "X.2"]
    exchange.command("agency", "suspend", "X.1", "--reason", "điều tra")
    assert exchange.json("agency", "list", "--state", "suspended")[0]["code"] == "X.1"
    exchange.command("agency", "resume", "X.1")
    closed = exchange.json("agency", "close", "X.1", "--successor", "X.2")
    assert closed["successors"] == ["X.2"]
    gone = exchange.json("agency", "show", "X.1")
    assert gone["state"] == "closed" and [one["code"] for one in gone["successors"]] == ["X.2"]
    exchange.command("agency", "group", "bão-lũ", "--remove")
    assert exchange.json("agency", "group") == []


WRONG: list[tuple[list[str], str]] = [
    (["agency", "show", "X.9"], "no agency “X.9”"),
    (["agency", "add", "X Y", "--name", "x", "--level", "commune", "--no-mailbox"], "A-Z"),
    (["agency", "add", "X.9", "--name", "x", "--level", "village"], "ministry"),
    (["agency", "add", "X.9", "--name", "x", "--level", "commune", "--parent", "X.8"], "no agency “X.8”"),
    (["agency", "import", "absent.csv"], "absent.csv"),
    (["agency", "import"], "--national"),
    (["agency", "close", "LT.EXCHANGE", "--on", "mai"], "2025-07-01"),
    (["agency", "hub", "LT.EXCHANGE", "LT.EXCHANGE"], "no mailbox"),
    (["agency", "group", "provinces", "LT.EXCHANGE"], "provinces"),
    (["cert", "add", "LT.EXCHANGE", "absent.pem"], "absent.pem"),
    (["cert", "revoke", "123", "--reason", "x"], "hex digits"),
    (["pki", "issue", "X.9", "-o", "x.pem"], "--csr"),
]


def test_wrong_input_is_a_sentence_and_an_exit_code_of_its_own(exchange: Installation) -> None:
    for arguments, expected in WRONG:
        done = exchange.command(*arguments, code=3)
        assert expected in done.stderr and done.stdout == "", arguments


def test_without_a_database_every_command_says_so(empty: Installation) -> None:
    empty.database_url = "postgresql://nobody:geheim@127.0.0.1:1/none"
    for arguments in (["db", "migrate"], ["db", "status"], ["agency", "list"], ["cert", "list"]):
        done: Any = empty.command(*arguments, code=4)
        assert "127.0.0.1:1" in done.stderr and "geheim" not in done.stderr
    assert json.loads(empty.command("pki", "init", "--json").stdout)["broker_certificate"] == "not migrated"


def test_answers_for_programs_hold_nothing_but_json(exchange: Installation) -> None:
    exchange.command("topology", "apply")
    assert exchange.json("dead", "list") == []
    assert exchange.json("topology", "apply", "--prune")["created"] == 0


def test_a_system_that_does_not_exist_is_no_empty_list(exchange: Installation) -> None:
    for asked in ("packets", "release"):
        assert "no system NOBODY" in exchange.command("agency", "system", asked, "NOBODY", code=3).stderr

"""What stands in [mail] is checked at the door, and the field is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from adapters.mail.settings import PASSWORD_VARIABLE, MailSettings, is_loopback, mail_from
from adapters.settings import AgencySettings, from_table
from schemas.problem import Problem

AGENCY: dict[str, Any] = {
    "code": "H53", "amqp_url": "amqp://x", "key_file": "k", "certificate_file": "c", "root_file": "r",
    "broker_certificate_file": "b", "data_dir": "d", "served": [{"code": "H53.31"}],
}  # fmt: skip
MAIL: dict[str, Any] = {
    "from": "lienthong@tinh.gov.vn", "server": "mail.tinh.gov.vn", "public_url": "https://lienthong.tinh.gov.vn/thu/",
    "office": [{"code": "H53.31", "address": "VanThu@xa.gov.vn"}], "incoming": {"addresses": ["gui@tinh.gov.vn"]},
}  # fmt: skip


def read(**more: Any) -> tuple[AgencySettings, MailSettings]:
    table = AGENCY | {"mail": {name: value for name, value in (MAIL | more).items() if value is not None}}
    agency = from_table(table, folder=Path("/x"), what="agency.toml")
    return agency, mail_from(table, agency, folder=Path("/x"), what="agency.toml")


def test_the_defaults_are_the_safe_ones() -> None:
    agency, mail = read()
    assert agency.arrive_later == {"H53.31"}
    assert (mail.outgoing.security, mail.outgoing.port, mail.outgoing.on_permanent) == ("starttls", 587, "hold")
    assert mail.page.public_url == "https://lienthong.tinh.gov.vn/thu" and mail.page.host == "127.0.0.1"
    office = mail.offices["H53.31"]
    assert office.address == "VanThu@xa.gov.vn" and office.senders == {"vanthu@xa.gov.vn"}
    assert mail.listener is not None and (mail.listener.protocol, mail.listener.host) == ("lmtp", "127.0.0.1")
    assert mail.tell_statuses == {"02", "16"}


def test_without_mail_every_document_arrives_at_once() -> None:
    assert from_table(AGENCY, folder=Path("/x"), what="agency.toml").arrive_later == frozenset()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"from": None}, "from"),
        ({"from": "a@b\r\nBcc: c@d"}, "from"),
        ({"security": "plain"}, "security"),
        ({"security": "none"}, "security"),
        ({"public_url": "http://lienthong.tinh.gov.vn"}, "public_url"),
        ({"public_url": "lienthong.tinh.gov.vn"}, "public_url"),
        ({"public_url": "https://x.vn/?a=b"}, "public_url"),
        ({"page_host": "0.0.0.0"}, "page_host"),
        ({"page_certificate_file": "a.pem"}, "page_key_file"),
        ({"office": []}, "office"),
        ({"office": [{"code": "H99", "address": "a@b.vn"}]}, "code"),
        ({"office": [{"code": "H53", "address": "a b@c.vn"}]}, "address"),
        ({"office": [{"code": "H53", "address": "a@b.vn"}, {"code": "H53.31", "address": "A@B.vn"}]}, "senders"),
        ({"office": [{"code": "H53", "address": "a@b.vn"}] * 2}, "code"),
        ({"on_permanent": "ignore"}, "on_permanent"),
        ({"attach_mib": -1}, "attach_mib"),
        ({"incoming": {}}, "addresses"),
        ({"incoming": {"addresses": ["x"]}}, "addresses"),
        ({"incoming": {"addresses": ["a@b.vn"], "host": "0.0.0.0"}}, "host"),
        ({"incoming": {"addresses": ["a@b.vn"], "protocol": "http"}}, "protocol"),
        ({"tell_statuses": "02"}, "tell_statuses"),
        ({"pasword_file": "x"}, "pasword_file"),
        ({"office": [{"code": "H53", "address": "a@b.vn", "sender": ["c@b.vn"]}]}, "sender"),
        ({"incoming": {"addresses": ["a@b.vn"], "timout_seconds": 5}}, "timout_seconds"),
        ({"incoming": {"addresses": ["a@b.vn"], "port": 99999}}, "port"),
        ({"incoming": {"addresses": ["a@b.vn"], "dns_servers": ["dns.example"]}}, "dns_servers"),
        ({"page_port": 8652.5}, "page_port"),
    ],
)
def test_a_wrong_field_is_named(more: dict[str, Any], field: str) -> None:
    with pytest.raises(Problem) as told:
        read(**more)
    assert f"{field} is" in told.value.found and "agency.toml" in told.value.found


def test_no_mail_at_all_is_told() -> None:
    agency = from_table(AGENCY, folder=Path("/x"), what="agency.toml")
    with pytest.raises(Problem, match="no \\[mail\\]"):
        mail_from(AGENCY, agency, folder=Path("/x"), what="agency.toml")


def test_the_password_comes_from_a_file_or_the_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    _, without = read()
    assert without.outgoing.password() is None
    _, nowhere = read(user="lienthong")
    with pytest.raises(Problem, match="password"):
        nowhere.outgoing.password()
    (tmp_path / "p").write_text("from the file\n")
    _, filed = read(user="lienthong", password_file=str(tmp_path / "p"))
    assert filed.outgoing.password() == "from the file"
    monkeypatch.setenv(PASSWORD_VARIABLE, "from the environment")
    assert filed.outgoing.password() == "from the environment"


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("::1", True), ("[::1]", True), ("localhost", True), ("10.0.0.1", False), ("x.vn", False)],
)
def test_this_machine_is_told_from_others(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_a_mistyped_field_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(Problem) as told:
        read(incoming={"addresses": ["a@b.vn"], "timout_seconds": 5})
    assert "[mail.incoming]: timout_seconds is unknown" in told.value.found
    assert "timeout_seconds" in told.value.expected


def test_servers_of_names_are_addresses_with_or_without_a_port() -> None:
    servers = ["10.0.0.53", "10.0.0.53:5353", "2001:db8::53", "[2001:db8::53]:54"]
    listener = read(incoming={"addresses": ["a@b.vn"], "dns_servers": servers})[1].listener
    assert listener is not None
    assert listener.dns_servers == (
        ("10.0.0.53", 53),
        ("10.0.0.53", 5353),
        ("2001:db8::53", 53),
        ("2001:db8::53", 54),
    )

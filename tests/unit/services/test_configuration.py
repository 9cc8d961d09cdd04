"""What the private servers are told: their own files, the loopback interface, and what production is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from broker.services import postgresql, rabbitmq
from broker.services.record import new_server
from broker.services.shipped import shipped_configuration
from schemas.problem import Problem


def test_the_node_uses_nothing_of_the_machines_own_rabbitmq(tmp_path: Path) -> None:
    server = new_server(tmp_path / "rabbitmq", *rabbitmq.PORT_USES)
    rabbitmq.prepare(server, tmp_path)
    environment = rabbitmq.environment(server, tmp_path)
    files = [value for name, value in environment.items() if name.endswith(("_FILE", "_BASE", "HOME"))]
    assert len(files) >= 8
    assert all(value.startswith(str(tmp_path)) for value in files)
    assert environment["ERL_EPMD_ADDRESS"] == environment["RABBITMQ_NODE_IP_ADDRESS"] == "127.0.0.1"
    assert "{127,0,0,1}" in environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
    assert not set(environment) & {name for name in os.environ if name.startswith("LIENTHONG_")}


def test_passwords_and_cookie_are_for_their_owner_only(tmp_path: Path) -> None:
    server = new_server(tmp_path / "rabbitmq", *rabbitmq.PORT_USES)
    rabbitmq.prepare(server, tmp_path)
    cookie = (tmp_path / rabbitmq.COOKIE).read_text()
    rabbitmq.prepare(server, tmp_path)
    assert (tmp_path / rabbitmq.COOKIE).read_text() == cookie, "the cookie stays"
    assert (tmp_path / rabbitmq.COOKIE).stat().st_mode & 0o777 == 0o400
    assert (server.folder / "rabbitmq.conf").stat().st_mode & 0o777 == 0o600


def test_two_folders_have_two_nodes() -> None:
    assert rabbitmq.node_name(Path("/a")) != rabbitmq.node_name(Path("/b"))


def test_the_shipped_configuration_keeps_the_promise_of_durability() -> None:
    lines = {line.replace(" ", "") for line in shipped_configuration("postgresql").splitlines()}
    assert {"fsync=on", "synchronous_commit=on", "full_page_writes=on"} <= lines


@pytest.mark.parametrize("server", ["rabbitmq", "postgresql"])
def test_the_shipped_configuration_names_no_address(server: str) -> None:
    text = shipped_configuration(server)
    assert "listen" not in "".join(line for line in text.splitlines() if not line.startswith("#"))


def test_programs_can_be_a_folder_or_a_wrapper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tmp_path / "rabbitmq-server"
    server.write_text("#!/bin/sh\n")
    server.chmod(0o755)
    monkeypatch.setenv(rabbitmq.PROGRAMS_VARIABLE, str(tmp_path))
    assert rabbitmq.find_command() == [str(server)]
    monkeypatch.setenv(rabbitmq.PROGRAMS_VARIABLE, str(server))
    assert rabbitmq.find_command() == [str(server), "rabbitmq-server"]
    monkeypatch.setenv(rabbitmq.PROGRAMS_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(Problem, match="LIENTHONG_RABBITMQ_PROGRAMS"):
        rabbitmq.find_command()


def test_a_folder_that_others_cannot_enter_is_not_where_another_users_data_goes(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "root").mkdir(parents=True)
    closed.chmod(0o700)
    stranger = postgresql._can_reach(closed / "root", 65_533, 65_533)
    owner = postgresql._can_reach(closed / "root", closed.stat().st_uid, closed.stat().st_gid)
    assert not stranger
    assert owner or not os.access(tmp_path, os.X_OK)


def test_a_cluster_is_run_by_the_version_that_made_it(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("9\n")
    with pytest.raises(Problem, match="made by PostgreSQL 9"):
        postgresql.find_programs(tmp_path)

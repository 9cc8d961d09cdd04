"""Installing: only what is missing, with nothing started, and a sentence where it may not be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from broker.services import packages, postgresql, rabbitmq
from schemas.problem import Problem

SUDO = 'echo "sudo $*" >>"$CALLS"; shift; test "$1" = true || "$@"'
APT = 'echo "apt-get $*" >>"$CALLS"; test -x "$POLICY" && echo "starts forbidden" >>"$CALLS"; exit 0'


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without the servers: apt-get and sudo only write down that they were called."""
    monkeypatch.setattr(rabbitmq, "PROGRAM_FOLDERS", (tmp_path / "usr",))
    monkeypatch.setattr(postgresql, "VERSIONS_FOLDER", tmp_path / "versions")
    monkeypatch.setattr(packages, "POLICY", str(tmp_path / "policy-rc.d"))
    monkeypatch.delenv(rabbitmq.PROGRAMS_VARIABLE, raising=False)
    for name in ("CALLS", "POLICY"):
        monkeypatch.setenv(name, str(tmp_path / ("calls" if name == "CALLS" else "policy-rc.d")))
    (tmp_path / "bin").mkdir()
    for name in ("env", "install", "rm", "true", "test", "sh", "mkdir", "touch", "chmod"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "calls"


def program(folder: Path, name: str, script: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def installs(monkeypatch: pytest.MonkeyPatch, *, as_root: bool) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0 if as_root else 1000)
    packages.install_missing(rabbitmq_wanted=True, postgresql_wanted=True, tell=lambda _: None)


def test_who_may_not_install_is_told_what_to_ask_for(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(calls.parent, "apt-get", APT)
    with pytest.raises(Problem, match="apt-get install --no-install-recommends rabbitmq-server postgresql"):
        installs(monkeypatch, as_root=False)
    assert not calls.exists()


def test_without_apt_a_person_is_told_what_is_missing(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Problem, match="there is no apt-get"):
        installs(monkeypatch, as_root=True)


@pytest.mark.parametrize("as_root", [True, False])
def test_packages_are_installed_with_nothing_started(
    calls: Path, monkeypatch: pytest.MonkeyPatch, as_root: bool
) -> None:
    server = f'mkdir -p "{calls.parent}/usr" && touch "{calls.parent}/usr/rabbitmq-server"'
    cluster = f'mkdir -p "{calls.parent}/versions/15/bin" && touch "{calls.parent}/versions/15/bin/initdb"'
    executable = f'chmod 755 "{calls.parent}/usr/rabbitmq-server" "{calls.parent}/versions/15/bin/initdb"'
    program(calls.parent, "apt-get", f"{APT.removesuffix('; exit 0')}; {server}; {cluster}; {executable}")
    program(calls.parent, "sudo", SUDO)
    installs(monkeypatch, as_root=as_root)
    said = calls.read_text().splitlines()
    assert "apt-get install -y -qq --no-install-recommends rabbitmq-server postgresql" in said
    assert said.count("starts forbidden") == 2
    assert not (calls.parent / "policy-rc.d").exists(), "the machine is as it was"
    assert as_root or said[0] == "sudo -n true"


def test_a_machines_own_policy_is_left_alone(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(calls.parent, "apt-get", "exit 1")
    policy = calls.parent / "policy-rc.d"
    policy.write_text("theirs")
    with pytest.raises(Problem, match="failed"):
        installs(monkeypatch, as_root=True)
    assert policy.read_text() == "theirs"


def test_a_failed_installation_leaves_no_policy_behind(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(calls.parent, "apt-get", "echo no network >&2; exit 100")
    with pytest.raises(Problem, match="no network"):
        installs(monkeypatch, as_root=True)
    assert not (calls.parent / "policy-rc.d").exists()


def test_what_is_there_is_not_installed(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages.install_missing(rabbitmq_wanted=False, postgresql_wanted=False, tell=lambda _: None)
    assert not calls.exists()

"""Keys that the exchange keeps for offices: made, certified elsewhere, renewed, revoked; who did it and why is kept."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from broker.cli import agency, custody, pki
from broker.settings import load_settings
from schemas.problem import Problem

Command = Callable[..., Any]


@pytest.fixture
def operator(migrated_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """What an operator types after `lienthong custody`; gives what --json printed, and raises what went wrong."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "DATABASE_URL": migrated_database,
        "AMQP_URL": "amqp://nobody:x@127.0.0.1:1/nothing",
        "MANAGEMENT_URL": "http://nobody:x@127.0.0.1:1",
        "HOME": str(tmp_path / "exchange"),
        "ACTOR": "Nguyễn Văn A",
    }.items():
        monkeypatch.setenv(f"LIENTHONG_{name}", value)

    def typed(app: Any, *arguments: str, code: int = 0) -> Any:
        done = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=True)
        if isinstance(done.exception, Problem):
            raise done.exception
        assert done.exit_code == code, (done.output, done.exception)
        return json.loads(done.stdout)

    typed(pki.app, "init")
    typed(agency.app, "add", "H53.1", "--name", "Sở Một", "--level", "department", "--no-mailbox")
    typed(agency.app, "add", "H53.2", "--name", "Sở Hai", "--level", "department", "--no-mailbox")
    return lambda *arguments, code=0, app=custody.app: typed(app, *arguments, code=code)


def rows(query: str) -> list[tuple[Any, ...]]:
    """What the database has."""

    async def ask() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(load_settings().database_url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())


def states(listed: list[dict[str, Any]]) -> dict[str, str]:
    return {row["thumbprint"]: row["state"] for row in listed}


def test_a_key_is_issued_renewed_and_revoked_with_its_reason_in_the_record(operator: Command) -> None:
    first = operator("issue", "H53.1", "--reason", "phần mềm cũ")["thumbprint"]
    second = operator("renew", "H53.1", "--reason", "hằng năm")
    assert second["former"] == first
    newest = second["thumbprint"]
    assert states(operator("list")) == {newest: "signs", first: "good"}
    operator("revoke", newest[:12], "--reason", "nghi lộ khóa")
    assert states(operator("list", "H53.1")) == {newest: "revoked", first: "signs"}

    told = [json.loads(body) for (body,) in rows("SELECT body FROM event ORDER BY at, event_id")]
    changes = [one for one in told if str(one.get("change")).startswith("certificate.")]
    about = [(one["change"], one["facts"].get("custody")) for one in changes]
    assert about[-3:] == [
        ("certificate.enrolled", "broker"),
        ("certificate.enrolled", "broker"),
        ("certificate.revoked", None),
    ]
    done = rows("SELECT actor, action, reason FROM admin_action WHERE action LIKE 'certificate.%' ORDER BY at")
    assert done[-3:] == [
        ("Nguyễn Văn A", "certificate.enrolled", "phần mềm cũ"),
        ("Nguyễn Văn A", "certificate.enrolled", "hằng năm"),
        ("Nguyễn Văn A", "certificate.revoked", "nghi lộ khóa"),
    ]
    for wrong, said in (
        (("renew", "H53.2", "--reason", "x"), "no key that is kept for H53.2"),
        (("issue", "H53.2", "--reason", " "), "an empty --reason"),
        (("issue", "H99", "--reason", "x"), "no agency"),
    ):
        with pytest.raises(Problem, match=said):
            operator(*wrong)


def test_another_authority_certifies_a_key_that_is_never_on_a_disk_unsealed(operator: Command, tmp_path: Path) -> None:
    made = operator("request", "H53.1", "-o", "h53.csr")
    sealed = tmp_path / made["sealed_key_file"]
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600 and b"PRIVATE" not in sealed.read_bytes()
    assert operator("list") == []
    CliRunner().invoke(pki.app, ["issue", "H53.1", "--csr", "h53.csr", "-o", "h53.pem"])
    CliRunner().invoke(pki.app, ["issue", "H53.1", "--csr", "h53.csr", "-o", "again.pem"])
    with pytest.raises(Problem, match=r"no sealed key of H53\.2"):  # bound to its agency
        operator("add", "H53.2", "h53.pem", "--key", sealed.name, "--reason", "x")
    operator("request", "H53.1", "-o", "other.csr")
    with pytest.raises(Problem, match="a certificate for another key"):
        operator("add", "H53.1", "h53.pem", "--key", "other.csr.sealed-key", "--reason", "x")
    name = operator("add", "H53.1", "h53.pem", "--key", sealed.name, "--reason", "x")["thumbprint"]
    assert states(operator("list")) == {name: "signs"}
    with pytest.raises(Problem, match="exists already"):
        operator("request", "H53.1", "-o", "h53.csr")

    # A lost custody key is seen before an office finds out.
    (tmp_path / "exchange" / "keys" / "custody.key").write_bytes(bytes(32))
    assert states(operator("list")) == {name: "key does not open"}

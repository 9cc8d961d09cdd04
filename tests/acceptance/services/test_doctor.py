"""`lienthong doctor` names what is wrong and what to do, and is content with an exchange that is well."""

from __future__ import annotations

from tests.kit.installation import Installation


def verdicts(installation: Installation, *, code: int) -> dict[str, str]:
    return {one["check"]: one["verdict"] for one in installation.json("doctor", code=code)}


def test_a_new_exchange_is_sent_to_its_first_steps_and_is_well_after_them(installation: Installation) -> None:
    before = installation.json("doctor", code=1)
    bad = {one["check"]: one["remedy"] for one in before if one["verdict"] == "bad"}
    assert set(bad) == {"key", "roots", "migrations"}
    assert "lienthong pki init" in bad["key"]
    assert "lienthong db migrate" in bad["migrations"]

    installation.command("db", "migrate")
    installation.command("pki", "init")
    without_queues = installation.json("doctor", code=1)
    assert [one["remedy"] for one in without_queues if one["verdict"] == "bad"] == ["Run `lienthong topology apply`."]

    installation.command("topology", "apply")
    assert set(verdicts(installation, code=0).values()) <= {"good", "warning"}


def test_a_key_that_others_can_read_is_bad(installation: Installation) -> None:
    installation.prepare()
    key = installation.folder / "exchange" / "keys" / "broker.key"
    key.chmod(0o644)
    found = next(one for one in installation.json("doctor", code=1) if one["verdict"] == "bad")
    assert found["remedy"].startswith(f"Run `chmod 600 {key}`")


def test_servers_that_do_not_answer_are_named(installation: Installation) -> None:
    installation.prepare()
    installation.settings["LIENTHONG_AMQP_URL"] = "amqp://u:secret@127.0.0.1:1/x"
    installation.settings["LIENTHONG_DATABASE_URL"] = "postgresql://u:secret@127.0.0.1:1/x"
    said = installation.command("doctor", code=1)
    assert "amqp://127.0.0.1:1/x cannot be used" in said.stdout
    assert "PostgreSQL at 127.0.0.1:1/x cannot be used" in said.stdout
    assert "secret" not in said.stdout + said.stderr

"""The command line itself: help, usage errors, and the group for private servers."""

from __future__ import annotations

from broker.cli.main import GROUPS
from tests.kit.installation import Installation


def test_help_names_every_group_of_commands(installation: Installation) -> None:
    said = installation.command("--help").stdout
    assert [name for name in GROUPS if name not in said] == []


def test_a_word_that_is_no_command_is_a_usage_error(installation: Installation) -> None:
    assert "No such command 'sevices'" in installation.command("sevices", code=2).stderr
    installation.command("services", "sideways", code=2)


def test_servers_that_are_given_are_shown_without_passwords(installation: Installation) -> None:
    found = installation.json("services", "status")
    assert [(server["name"], server["source"]) for server in found["servers"]] == [
        ("RabbitMQ", "environment"),
        ("PostgreSQL", "environment"),
    ]
    assert all("@" not in server["address"] for server in found["servers"])
    assert "@" not in installation.command("services", "up").stdout
    assert "Nothing was running" in installation.command("services", "down").stderr

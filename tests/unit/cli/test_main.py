"""The command line finds its groups, and loads no more than the one that was asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from adapters.cli.main import app as agency
from broker.cli.audit import COMMANDS
from broker.cli.main import GROUPS, asked_for, build


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_every_group_of_the_table_can_be_loaded(name: str) -> None:
    assert build(name) is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["db", "migrate"], ("db", "migrate")),
        (["--help"], (None, None)),
        ([], (None, None)),
        (["--", "db"], ("db", None)),
        (["-h", "db"], ("db", None)),
        (["audit", "--help", "trace", "12/VP"], ("audit", "trace")),
    ],
)
def test_group_and_command_are_the_first_words(arguments: list[str], words: tuple[str | None, str | None]) -> None:
    assert asked_for(arguments) == words


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_of_auditors_says_the_same_of_itself_whether_it_is_loaded_or_not(name: str) -> None:
    def lines(wanted: str | None) -> dict[str, str]:
        group = get_command(build("audit", wanted)).commands["audit"]  # type: ignore[attr-defined]
        return {one: command.get_short_help_str(limit=200) for one, command in group.commands.items()}

    assert lines(name) == lines(None)


@pytest.mark.parametrize("words", [*(("audit", name) for name in COMMANDS), ("document", "explain"), ("fsck",)])
def test_every_answer_to_auditors_can_be_asked_for_in_a_language(words: tuple[str, ...]) -> None:
    command = get_command(build(*words))
    for word in words:
        command = command.commands[word]  # type: ignore[attr-defined]
    assert ["--lang"] in [one.opts for one in command.params]


def test_every_command_of_agencies_can_be_asked_for_in_a_language() -> None:
    in_both = {"edxml", "watch"}
    for_programs = {"simulate"}
    groups = get_command(agency).commands  # type: ignore[attr-defined]
    flat = {name: one for name, one in groups.items() if name not in in_both | for_programs}
    for group in ("inbox", "mail"):
        flat |= flat[group].commands
    flat.pop("inbox")
    assert {"send", "receive", "list", "mail", "retry"} <= flat.keys()
    assert [name for name, one in flat.items() if "lang" not in {option.name for option in one.params}] == []


def test_a_trace_loads_nothing_of_what_checks_proofs() -> None:
    script = (
        "import sys\n"
        "from broker.cli.main import build\n"
        "build('audit', 'trace')\n"
        "print(*sorted({'aiohttp', 'cryptography', 'xlsxwriter', 'structlog', 'rfc3161_client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_version_needs_no_driver() -> None:
    script = (
        "import sys; sys.argv = ['lienthong', 'version']\n"
        "from broker.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as leaving: assert not leaving.code\n"
        "print(*sorted({'asyncpg', 'aio_pika', 'aiohttp', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    version, loaded = done.stdout.splitlines()
    assert version.startswith("lienthong ")
    assert loaded == ""

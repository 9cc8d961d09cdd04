"""The command line finds its groups, and loads no more than the one that was asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from broker.cli.main import GROUPS, build, group_asked_for


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_every_group_of_the_table_can_be_loaded(name: str) -> None:
    assert build(name) is not None


@pytest.mark.parametrize(
    ("arguments", "group"),
    [(["db", "migrate"], "db"), (["--help"], None), ([], None), (["--", "db"], "db"), (["-h", "db"], "db")],
)
def test_the_group_is_the_first_word(arguments: list[str], group: str | None) -> None:
    assert group_asked_for(arguments) == group


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

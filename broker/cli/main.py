"""`lienthong`: finds the command group that was asked for, loads only that, and runs it.

Loading lazily keeps `lienthong version` from importing a database driver. A group is a module of this package with
`app`, a typer application with commands of its own; or with `build`, which makes one for the command that was asked
for; or with `command`, a function that is the command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import typer

from broker.cli.output import exit_code_of

GROUPS: dict[str, str] = {
    "demo": "Show the whole exchange at work on this machine.",
    "run": "Run every part of the exchange on this machine.",
    "worker": "Take in, dispatch, and follow documents.",
    "gateway": "Serve content, directory, REST and pages over HTTP.",
    "keeper": "Watch over deadlines, unfinished work and mailboxes.",
    "doctor": "Check this machine and this exchange.",
    "version": "Say which version this is.",
    "services": "Start and stop private RabbitMQ and PostgreSQL servers.",
    "db": "The exchange's database.",
    "topology": "Exchanges, queues and permissions on RabbitMQ.",
    "agency": "Agencies, their codes, hubs and groups.",
    "cert": "Agencies' certificates.",
    "custody": "Keys that the exchange keeps for offices.",
    "account": "Who may sign in to the pages.",
    "pki": "A certificate authority for development.",
    "document": "What happened to one document; hold, release, cancel, resend it.",
    "dead": "Messages that could not be processed.",
    "quarantine": "Messages kept for a decision.",
    "audit": "Search, report, and verify what was logged.",
    "fsck": "Check that everything is there and fits together.",
}
"""Every group, in the order of the help text, with its line there."""


def build(wanted: str | None, command: str | None = None) -> typer.Typer:
    """The command line with the code of the group `wanted`; of every other group only its name and its line.

    `command` is the command of that group that was asked for: large groups load no other.
    """
    root = typer.Typer(
        name="lienthong",
        help="Lienthong: the exchange of official documents between agencies.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root.callback()(_nothing_before_the_group)
    for name, line in GROUPS.items():
        if name == wanted:
            add_group(root, name, command)
        else:
            root.command(name, help=line)(_not_loaded)
    return root


def add_group(root: typer.Typer, name: str, command: str | None = None) -> None:
    """Load one group of the table, or as much of it as `command` needs, and add it under its name."""
    module = import_module(f"broker.cli.{name}")
    group: typer.Typer | None = module.build(command) if hasattr(module, "build") else getattr(module, "app", None)
    if group is not None:
        root.add_typer(group, name=name, help=GROUPS[name])
    else:
        root.command(name)(module.command)


def asked_for(arguments: Sequence[str]) -> tuple[str | None, str | None]:
    """Group and command: the first two words. Neither `lienthong` nor any group has an option with a value."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    return next(iter(words), None), next(iter(words[1:]), None)


def _nothing_before_the_group() -> None:
    """Lienthong: the exchange of official documents between agencies."""


def _not_loaded() -> None:
    raise AssertionError("a group that was not asked for has been called")


def main() -> NoReturn:
    """Entry point of the `lienthong` command. Ends the process with an exit code of `schemas.problem`."""
    arguments = sys.argv[1:]
    wanted = asked_for(arguments)
    sys.exit(exit_code_of(lambda: build(*wanted)(args=arguments, prog_name="lienthong", standalone_mode=False)))

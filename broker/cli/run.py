"""`lienthong run`: every part of the exchange on this machine, until Ctrl-C."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from broker.cli.output import run, say
from broker.settings import Settings, load_settings
from broker.supervisor import Part, part, supervise
from schemas.problem import BAD_INPUT, GOOD, NOT_GOOD, Problem

PREPARATIONS = (("db", "migrate"), ("pki", "init"), ("topology", "apply"))
"""What must have been done before the first part starts; each changes nothing if it has been.

The second makes keys for development, and only where the exchange has none.
"""


def command(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes to run.")] = 1,
) -> None:
    """Bring database and topology up to date, then run workers, gateway and keeper, and start again what ends."""
    settings = load_settings()
    for arguments in PREPARATIONS:
        if arguments != ("pki", "init") or not settings.key_file.exists():
            prepare(arguments)
    for line in hints(settings):
        say(line)
    run(supervise(parts(workers), tell=say))


def hints(settings: Settings) -> tuple[str, ...]:
    """What somebody who sees this for the first time does next."""
    return (
        f"Pages and interfaces: {settings.gateway_url} (when the gateway says that it is ready). Ctrl-C ends all.",
        "Next, in a second terminal in this folder, with the environment's commands (`. .venv/bin/activate`):",
        "  lienthong agency import --national && lienthong topology apply    # fills the directory",
        "  lienthong account add LOGIN --name NAME --role operator           # who may sign in to the pages",
        "  lienthong doctor                                                  # is everything as it should be",
    )


def parts(workers: int) -> tuple[Part, ...]:
    """What `run` keeps running."""
    numbered = tuple(part(f"worker {n}" if workers > 1 else "worker", "worker") for n in range(1, workers + 1))
    return (*numbered, part("gateway", "gateway"), part("keeper", "keeper"))


def prepare(arguments: tuple[str, ...]) -> None:
    """Run one preparing command to its end. Raises `Problem` with its exit code if it fails.

    One that leaves something for an operator has said so, and is no reason not to start.
    """
    done = subprocess.run(part("", *arguments).command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode not in (GOOD, NOT_GOOD):
        raise Problem(
            f"`lienthong {' '.join(arguments)}` ended with code {done.returncode} and said why above",
            "keys, a database and a topology that can be brought up to date",
            "Put right what it named, then run this again",
            exit_code=done.returncode if done.returncode > 0 else BAD_INPUT,
        )

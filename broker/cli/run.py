"""`lienthong run`: every part of the exchange on this machine, until Ctrl-C."""

from __future__ import annotations

import subprocess
from typing import Annotated

import typer

from broker.cli.output import run, say
from broker.settings import load_settings
from broker.supervisor import Part, part, supervise
from schemas.problem import Problem

PREPARATIONS = (("db", "migrate"), ("topology", "apply"))
"""What must have been done before the first part starts; each changes nothing if it has been."""


def command(
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes to run.")] = 1,
) -> None:
    """Bring database and topology up to date, then run workers and keeper, and start again what ends."""
    load_settings()
    for arguments in PREPARATIONS:
        prepare(arguments)
    run(supervise(parts(workers), tell=say))


def parts(workers: int) -> tuple[Part, ...]:
    """What `run` keeps running."""
    numbered = tuple(part(f"worker {n}" if workers > 1 else "worker", "worker") for n in range(1, workers + 1))
    return (*numbered, part("keeper", "keeper"))


def prepare(arguments: tuple[str, ...]) -> None:
    """Run one preparing command to its end. Raises `Problem` with its exit code if it fails."""
    done = subprocess.run(part("", *arguments).command, check=False)
    if done.returncode != 0:
        raise Problem(
            f"`lienthong {' '.join(arguments)}` ended with code {done.returncode} and said why above",
            "a database and a topology that can be brought up to date",
            "Put right what it named, then run this again",
            exit_code=done.returncode if done.returncode > 0 else 1,
        )

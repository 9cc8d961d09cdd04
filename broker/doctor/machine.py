"""The machine: Python, the servers' programs, room on the disks."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from broker.doctor.finding import Finding
from broker.services import postgresql, rabbitmq
from schemas.problem import Problem

OLDEST_PYTHON: Final = (3, 11)
LITTLE_ROOM: Final = 5 * 1024**3
"""Bytes free below which somebody should look: some days of documents."""
NO_ROOM: Final = 1024**3
"""Bytes free at which RabbitMQ stops taking messages (`disk_free_limit` in deploy/rabbitmq)."""


def check_python() -> Iterator[Finding]:
    """Whether this Python is new enough."""
    version = platform.python_version()
    if sys.version_info[:2] >= OLDEST_PYTHON:
        yield Finding.good("python", version)
    else:
        yield Finding.bad("python", version, "Install Python 3.11 or newer and make the environment anew.")


def check_programs() -> Iterator[Finding]:
    """Whether the servers' programs are installed, for those that are not somebody else's."""
    for variable, name, find in (
        ("LIENTHONG_AMQP_URL", "RabbitMQ", lambda: rabbitmq.find_command()),
        ("LIENTHONG_DATABASE_URL", "PostgreSQL", lambda: postgresql.find_programs()),
    ):
        check = f"programs of {name}"
        if os.environ.get(variable):
            yield Finding.good(check, f"not needed: {variable} names a server")
            continue
        try:
            found = find()
        except Problem as problem:
            yield Finding.of_problem(check, problem)
            continue
        if found is None:
            yield Finding.bad(check, "not installed", "Run `lienthong services up` as root: it installs them.")
        else:
            yield Finding.good(check, " ".join(found) if isinstance(found, list) else str(found))


def check_disk(folder: Path) -> Iterator[Finding]:
    """Whether there is room where the exchange keeps its files."""
    existing = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1024**3:.1f} GB free below {existing}"
    if free < NO_ROOM:
        yield Finding.bad("disk", found, "Free some space: below 1 GB RabbitMQ takes no more documents.")
    elif free < LITTLE_ROOM:
        yield Finding.warning("disk", found, "Free some space, or give this machine a larger disk.")
    else:
        yield Finding.good("disk", found)

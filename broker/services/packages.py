"""Installing the distribution's RabbitMQ and PostgreSQL where they are missing and may be installed.

Debian and its relatives start a server the moment its package is installed. These would take the well-known ports on
a machine that only wanted the programs, so while apt runs a policy forbids starting services, and afterwards
everything is as it was: a policy that was there before, and a server that ran before, are left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from broker.services import postgresql, rabbitmq
from schemas.problem import BAD_INPUT, Problem

POLICY: Final = "/usr/sbin/policy-rc.d"
_NO_STARTS: Final = "#!/bin/sh\n# Put here by `lienthong services up` while packages are installed.\nexit 101\n"


def install_missing(*, rabbitmq_wanted: bool, postgresql_wanted: bool, tell: Callable[[str], None]) -> None:
    """Make sure the programs of the wanted servers are there. Raises `Problem` when they are not and cannot be."""
    missing = []
    if rabbitmq_wanted and rabbitmq.find_command() is None:
        missing.append("rabbitmq-server")
    if postgresql_wanted and postgresql.find_programs() is None:
        missing.append("postgresql")
    if not missing:
        return
    become_root = _become_root()
    if shutil.which("apt-get") is None or become_root is None:
        raise _cannot_install(missing, "there is no apt-get" if become_root is not None else "this is not root")
    tell(f"Installing {' and '.join(missing)} (this happens once) …")
    with _nothing_is_started(become_root):
        _apt(become_root, "update", "-qq")
        _apt(become_root, "install", "-y", "-qq", "--no-install-recommends", *missing)
    if os.path.isdir("/run/systemd/system"):  # nor at the next start of the machine: only the programs are wanted
        _as_root(become_root, "systemctl", "--quiet", "disable", *missing)
    if (rabbitmq_wanted and rabbitmq.find_command() is None) or (
        postgresql_wanted and postgresql.find_programs() is None
    ):
        raise _cannot_install(missing, "the packages that apt-get has installed are too old or elsewhere")


def _become_root() -> list[str] | None:
    """What to put before a command so that root runs it; None if that cannot be had without a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is not None:
        allowed = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
        return ["sudo", "-n"] if allowed else None
    return None


def _apt(become_root: Sequence[str], *arguments: str) -> None:
    command = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "apt-get", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(
            f"`apt-get {' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()[-600:]}",
            "a distribution that can install its packages",
            "Put apt right, or install the packages yourself",
            exit_code=BAD_INPUT,
        )


@contextmanager
def _nothing_is_started(become_root: Sequence[str]) -> Iterator[None]:
    """Forbid package scripts to start services for a while. A policy that the machine has already stays as it is."""
    if os.path.exists(POLICY):
        yield
        return
    _as_root(become_root, "install", "-m", "755", "/dev/stdin", POLICY, text=_NO_STARTS)
    try:
        yield
    finally:
        _as_root(become_root, "rm", "-f", POLICY)


def _as_root(become_root: Sequence[str], *command: str, text: str = "") -> None:
    done = subprocess.run([*become_root, *command], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(
            f"`{' '.join(command)}` failed: {done.stderr.strip()}",
            "a file system on which packages can be installed",
            "Install the packages yourself",
        )


def _cannot_install(missing: Sequence[str], why: str) -> Problem:
    return Problem(
        f"missing on this machine: {', '.join(missing)}; they cannot be installed from here because {why}",
        "RabbitMQ 3.10 or newer with Erlang, and PostgreSQL 15 or newer",
        f"Have an administrator install them (on Debian: apt-get install --no-install-recommends {' '.join(missing)}),"
        " or name servers that exist in LIENTHONG_AMQP_URL and LIENTHONG_DATABASE_URL",
    )

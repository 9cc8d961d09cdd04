"""Processes that we started: recognised for certain, ended by id, never by name.

A process id alone says nothing after a crash or a reboot, because ids are used again. What is recorded is the id with
the kernel's start time and boot id; only a process that still has all three is ours. Knows nothing of servers.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OWNER_VARIABLE: Final = "LIENTHONG_SERVICES_ROOT"
"""In the environment of everything we start: a process whose record was lost is found again by it."""

OPEN_FILES: Final = 65_536
"""File descriptors a server may have open, if the machine allows that many."""

_KILLED_WITHIN: Final = 30.0
"""Seconds after which even a killed process that is busy in the kernel has gone."""

_STATE, _START_TIME = 0, 19
"""Places in /proc/<pid>/stat, counted after the program's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """One process of one boot of this machine."""

    pid: int
    started: int
    """Clock ticks after boot, as the kernel counts them."""
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessMark | None:
        """The mark of the process that has this id now, or None if there is none (a zombie is none)."""
        fields = _stat(pid)
        if fields is None or fields[_STATE] == "Z":
            return None
        return cls(pid=pid, started=int(fields[_START_TIME]), boot=_boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessMark.of(self.pid) == self


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    user: tuple[int, int] | None = None,
) -> ProcessMark | None:
    """Start a server in a session of its own, so that Ctrl-C at our terminal does not reach it.

    `user` is (uid, gid) to run as, None for our own. Output is appended to `log`. None if it ended at once.
    """
    with log.open("ab") as output, _many_open_files():
        server = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=None if user is None else user[0],
            group=None if user is None else user[1],
            extra_groups=None if user is None else [],
        )
    mark = ProcessMark.of(server.pid)
    server.returncode = 0  # it is meant to outlive this program, so nobody shall be warned that it still runs
    return mark


def stop(mark: ProcessMark, *, first: signal.Signals = signal.SIGTERM, patience: float) -> bool:
    """End one process: ask with `first`, after `patience` seconds with SIGKILL. Returns once it has gone.

    True if it went when asked, False if it had to be killed.
    """
    if _signal_and_wait(mark, first, patience):
        return True
    _signal_and_wait(mark, signal.SIGKILL, _KILLED_WITHIN)
    return False


def _signal_and_wait(mark: ProcessMark, sign: signal.Signals, seconds: float) -> bool:
    """Whether the process has gone within `seconds` of being sent `sign`."""
    if not mark.alive():
        return True
    with suppress(ProcessLookupError):  # it went just now, which the loop below sees
        os.kill(mark.pid, sign)
    deadline = time.monotonic() + seconds
    while mark.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
        reap(mark.pid)
    return True


def reap(pid: int) -> None:
    """Take leave of a child that has ended. Nothing happens if it has not, or is not our child."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def owned_by(root: Path) -> Iterator[tuple[ProcessMark, str]]:
    """Every process that carries `root` in its environment, with the name of its program."""
    wanted = f"{OWNER_VARIABLE}={root}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # somebody else's process, or one that has just ended
            continue
        if wanted in environment.split(b"\0"):
            mark = ProcessMark.of(int(entry.name))
            if mark is not None:
                yield mark, name


@contextmanager
def _many_open_files() -> Iterator[None]:
    """Raise our own limit while a child is started: it inherits the limit, and we go back to what we had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted) if soft != resource.RLIM_INFINITY else wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()  # the name before it may itself hold spaces and brackets


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

"""Who competes, as programs; and what is seen of a running one from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.ground import Ground

REPOSITORY = Path(__file__).resolve().parents[2]
STOP_PATIENCE = 60.0
"""Seconds that a contender gets to finish and acknowledge what it has taken."""

CEILING = "ceiling"
LIENTHONG = "lienthong"
FASTSTREAM = "faststream"
CONTENDERS = (CEILING, LIENTHONG, FASTSTREAM)


class ContenderFailed(Exception):
    """A contender ended by itself; its output says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """What a process had used when it was asked to stop."""

    peak_mib: float
    cpu_seconds: float


class Contender:
    """A running contender."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def check(self) -> None:
        """Raise ContenderFailed if it has ended."""
        if self._process.poll() is not None:
            tail = self._log.read_text(errors="replace")[-3000:]
            raise ContenderFailed(f"{self.name} ended with exit code {self._process.returncode}:\n{tail}")

    def spent(self) -> Spent:
        """Peak resident memory and processor time so far."""
        proc = Path("/proc", str(self._process.pid))
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        return Spent(peak_mib=int(status["VmHWM"].split()[0]) / 1024, cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"))

    async def stop(self) -> None:
        """Ask it to finish, and wait. Raises ContenderFailed if it does not, or ends badly."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ContenderFailed(f"{self.name} did not stop within {STOP_PATIENCE:g} s") from None
        if self._process.returncode not in (0, -signal.SIGTERM):
            self.check()


def command_of(name: str, ground: Ground) -> list[str]:
    """The command line of a contender."""
    match name:
        case "ceiling":
            codes = [office.code for office in ground.registry.country.recipients]
            return [sys.executable, "-m", "tests.bench.ceiling", *codes]
        case "faststream":
            return [sys.executable, "-m", "tests.bench.faststream_app"]
        case "lienthong":
            return [str(Path(sys.executable).parent / "lienthong"), "worker", "--log-level", "warning"]
    raise ValueError(f"no contender is called {name!r}")


@asynccontextmanager
async def running(name: str, ground: Ground, folder: Path) -> AsyncIterator[Contender]:
    """A contender on this ground until the end of the block."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_of(name, ground),
            cwd=REPOSITORY,
            env=ground.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    contender = Contender(name, process, log)
    try:
        yield contender
    finally:
        await contender.stop()

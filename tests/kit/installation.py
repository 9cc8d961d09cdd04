"""A whole exchange as programs: its own virtual host, database and home, driven through its commands only.

For tests that must see what an operator sees, and for those that kill processes. In-process tests use the exchange
fixture beside this module.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from tests.kit import forked

BIN = Path(sys.executable).parent


def wait_until(condition: Callable[[], Any], *, what: str, seconds: float = 120.0) -> Any:
    """Poll `condition` until it gives something true, and return that; for facts that only another program can tell."""
    deadline = monotonic() + seconds
    while not (found := condition()):
        assert monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        sleep(0.05)
    return found


@dataclass
class Program:
    """A started program, ended by its id."""

    process: subprocess.Popen[bytes] | forked.Forked
    log: Path

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120)

    @property
    def running(self) -> bool:
        return self.process.poll() is None


@dataclass
class Installation:
    """An exchange below `folder`, on its own virtual host and database."""

    folder: Path
    amqp_url: str
    management_url: str
    database_url: str
    settings: dict[str, str] = field(default_factory=dict)
    programs: list[Program] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What the commands are told; nothing of the caller's own exchange."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("LIENTHONG_")}
        return inherited | {
            "LIENTHONG_AMQP_URL": self.amqp_url,
            "LIENTHONG_MANAGEMENT_URL": self.management_url,
            "LIENTHONG_DATABASE_URL": self.database_url,
            "LIENTHONG_HOME": str(self.folder / "exchange"),
            "LIENTHONG_GATEWAY_PORT": "0",
            **self.settings,
        }

    def command(
        self, *arguments: str, program: str = "lienthong", stdin: str | None = None, code: int | None = 0
    ) -> Any:
        """Run one command to its end; `code` is the exit code it must have, None for any. Returns the result."""
        done = forked.run(program, *arguments, cwd=self.folder, env=self.environment, input=stdin)
        assert "Traceback" not in done.stderr, done.stderr
        if code is not None:
            assert done.returncode == code, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str, program: str = "lienthong", code: int | None = 0) -> Any:
        """Run one command with `--json` and give what it printed."""
        return json.loads(self.command(*arguments, "--json", program=program, code=code).stdout)

    def start(self, *arguments: str, program: str = "lienthong", name: str | None = None) -> Program:
        """Start a command that keeps running; its output goes to a file."""
        name = name or arguments[0]
        if arguments[0] in forked.UNLOADED:
            return self.run(str(BIN / program), *arguments, name=name)
        with self._log(name).open("wb") as output, Path(os.devnull).open("rb") as nothing:
            process = forked.start(
                program,
                *arguments,
                cwd=self.folder,
                env=self.environment,
                stdin=nothing,
                stdout=output,
                stderr=output,
            )
            return self._started(process, Path(output.name))

    def run(self, *command: str, name: str) -> Program:
        """Start any program with the commands' environment; its output goes to a file that begins with `name`."""
        with self._log(name).open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
            return self._started(process, Path(output.name))

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}-{len(self.programs)}.log"

    def _started(self, process: subprocess.Popen[bytes] | forked.Forked, log: Path) -> Program:
        self.programs.append(Program(process, log))
        return self.programs[-1]

    def prepare(self) -> None:
        """Database, development CA, topology: what an operator does once."""
        self.command("db", "migrate")
        self.command("pki", "init")
        self.command("topology", "apply")

    def stop(self) -> None:
        """End everything that still runs."""
        for program in reversed(self.programs):
            program.stop()

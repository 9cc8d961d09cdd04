"""The commands as processes of their own, without the second that Python takes to load each.

One process has loaded both command lines; every command that is run is a fork of it, with arguments, environment,
working folder, standard input and outputs of its own. What it prints and its exit code are those of the program, and it
may be killed as one. That the installed programs themselves start is shown by the tests of the command lines, of
`lienthong run` and the demonstration, and of the pages of docs/connect.
"""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import IO, Final, NoReturn

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = {"lienthong": "broker.cli", "lienthong-agency": "adapters.cli"}
UNLOADED: Final = {"__main__", "demo", "gateway", "run"}
"""What takes long to load and is hardly asked for; then the fork loads it."""
TIMEOUT: Final = 240.0


class Forked:
    """A started program, with what tests use of `subprocess.Popen`. It is nobody's child: a descriptor stands for it,
    so that no signal ever reaches another process."""

    def __init__(self, told: socket.socket) -> None:
        self.returncode: int | None = None
        self._told = told
        self._lines = told.makefile()  # one for all lines: it may read further than is asked for
        self.pid = int(self._lines.readline())
        self._signal = signal.SIGKILL
        self._lock = Lock()
        try:
            self._handle: int | None = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._handle = None  # it has ended already

    def poll(self) -> int | None:
        """Its exit code if it has ended: the one it told, or the signal that it was sent."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit code."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal if it has not ended."""
        with self._lock:
            if self._handle is not None:
                self._signal = signal.Signals(number)
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, number)

    def _ended(self, within: float | None) -> int | None:
        if self.returncode is None and (handle := self._handle) is not None:
            waiting = select.poll()
            waiting.register(handle, select.POLLIN)
            if not waiting.poll(None if within is None else within * 1000):
                return None
        with self._lock:
            if self.returncode is None:
                if self._handle is not None:
                    os.close(self._handle)
                    self._handle = None
                with self._told, self._lines:
                    told = self._lines.readline()
                self.returncode = int(told) if told else -self._signal
        return self.returncode


def start(
    program: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str],
    stdin: IO[bytes],
    stdout: IO[bytes],
    stderr: IO[bytes],
) -> Forked:
    """Start one command; `env` is its whole environment, not an addition."""
    ours, its = socket.socketpair()
    with its:
        descriptors = [its.fileno(), stdin.fileno(), stdout.fileno(), stderr.fileno()]
        socket.send_fds(_loaded(), [b"."], descriptors)
    wanted = {"words": [program, *arguments], "cwd": str(cwd), "env": dict(env)}
    ours.sendall(json.dumps(wanted).encode() + b"\n")
    return Forked(ours)


def run(
    program: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, like `subprocess.run` with text."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write((input or "").encode())
        given.seek(0)
        environment = os.environ if env is None else env
        started = start(program, *arguments, cwd=cwd, env=environment, stdin=given, stdout=out, stderr=err)
        try:
            code = started.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            started.send_signal(signal.SIGKILL)
            raise
        for file in (out, err):
            file.seek(0)
        printed, said = out.read().decode(), err.read().decode()
    return subprocess.CompletedProcess([program, *arguments], code, printed, said)


@cache
def _loaded() -> socket.socket:
    """The way to the process that forks; it ends with this one."""
    ours, its = socket.socketpair()
    with its:
        command = [sys.executable, "-m", __name__, str(its.fileno())]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()]
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _fork_for_each(asked: socket.socket) -> None:
    """Fork for everything that is asked for, until nobody is there who asks."""
    for package in PROGRAMS.values():
        import_module(f"{package}.main")
        for module in pkgutil.iter_modules(import_module(package).__path__):
            if module.name not in UNLOADED:
                import_module(f"{package}.{module.name}")
    for name in ("adapters.simulate.run", "broker.worker", "broker.keeper", "uvloop"):
        import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks: each tells its exit code itself
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, 1, 4)
        if not message:
            return
        if os.fork() == 0:
            asked.close()
            _become(socket.socket(fileno=descriptors[0]), *descriptors[1:])
        for descriptor in descriptors:
            os.close(descriptor)


def _become(caller: socket.socket, *outputs: int) -> NoReturn:
    """Be the program that is wanted, to its end."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, descriptor in enumerate(outputs):
            os.dup2(descriptor, number)
            os.close(descriptor)
        with caller.makefile() as words:
            wanted = json.loads(words.readline())
        caller.sendall(b"%d\n" % os.getpid())
        os.chdir(wanted["cwd"])
        os.environ.clear()
        os.environ.update(wanted["env"])
        sys.argv = wanted["words"]
        import_module(f"{PROGRAMS[sys.argv[0]]}.main").main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.sendall(b"%d\n" % code)
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        _fork_for_each(asked)

"""The commands as processes of their own, without the second that Python takes to load each.

One process has loaded both command lines; every command that is run is a fork of it, with arguments, environment,
working folder, standard input and outputs of its own. What it prints and its exit code are those of the program. That
the installed programs themselves start is shown where they are started by their names: `Installation.start`, the pages
of docs/connect, and tests of the command lines.
"""

from __future__ import annotations

import atexit
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Final, NoReturn

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PROGRAMS: Final = {"lienthong": "broker.cli", "lienthong-agency": "adapters.cli"}
UNLOADED: Final = {"__main__", "demo", "gateway", "run", "worker"}
"""What takes long to load and no test runs to its end here; a fork loads it when it is asked for."""
TIMEOUT: Final = 240.0


def run(
    program: str,
    *arguments: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    input: str | IO[bytes] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end, like `subprocess.run` with text; `env` is its whole environment, not an addition."""
    words = [program, *arguments]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if isinstance(input, str):
            given.write(input.encode())
            given.seek(0)
        stdin = given if input is None or isinstance(input, str) else input
        ours, its = socket.socketpair()
        with ours:
            with its:
                descriptors = [its.fileno(), stdin.fileno(), out.fileno(), err.fileno()]
                socket.send_fds(_loaded(), [b"."], descriptors)
            wanted = {"words": words, "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
            ours.sendall(json.dumps(wanted).encode() + b"\n")
            ours.settimeout(TIMEOUT)
            with ours.makefile("r") as told:
                process = int(told.readline())
                try:
                    code = told.readline()
                except TimeoutError:
                    os.kill(process, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(words, TIMEOUT) from None
        for file in (out, err):
            file.seek(0)
        printed, said = out.read().decode(), err.read().decode()
    assert code, f"{words} was killed\n{printed}\n{said}"
    return subprocess.CompletedProcess(words, int(code), printed, said)


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
    import_module("uvloop")
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

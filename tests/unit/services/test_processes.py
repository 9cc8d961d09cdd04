"""Only what we started is ended, and it is recognised for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from broker.services.processes import OWNER_VARIABLE, ProcessMark, owned_by, start, stop

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]


def started(command: list[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdout.close()
    return process


def test_the_same_id_after_a_reboot_or_a_reuse_is_another_process() -> None:
    ours = ProcessMark.of(os.getpid())
    assert ours is not None
    assert ours.alive()
    assert not replace(ours, boot="another").alive()
    assert not replace(ours, started=ours.started - 1).alive()


def test_a_process_that_has_ended_is_not_alive_though_nobody_took_leave_of_it() -> None:
    process = started(SLEEP)
    mark = ProcessMark.of(process.pid)
    assert mark is not None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert not mark.alive()
    process.wait()


def test_a_process_is_asked_first_and_killed_only_if_it_does_not_listen() -> None:
    for command, asked in ((SLEEP, True), (STUBBORN, False)):
        process = started(command)
        mark = ProcessMark.of(process.pid)
        assert mark is not None
        assert stop(mark, first=signal.SIGTERM, patience=5.0 if asked else 0.2) is asked
        assert not mark.alive()
        process.returncode = 0  # stop has taken leave of it


def test_what_we_started_is_found_again_by_its_root_only(tmp_path: Path) -> None:
    root = tmp_path / "a"
    mark = start(
        ["/bin/sleep", "600"],
        environment={OWNER_VARIABLE: str(root)},
        folder=tmp_path,
        log=tmp_path / "log",
    )
    assert mark is not None
    assert list(owned_by(root)) == [(mark, "sleep")]
    assert not list(owned_by(tmp_path))
    assert os.getsid(mark.pid) == mark.pid, "Ctrl-C at our terminal must not reach it"
    stop(mark, patience=5.0)
    assert not list(owned_by(root))

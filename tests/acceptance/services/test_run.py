"""`lienthong run` keeps every part running, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.kit.installation import Installation, Program, wait_until


def parts(running: Program) -> dict[str, int]:
    """The last process of every part, as the supervisor told it."""
    told = re.findall(r"^(\S+(?: \d+)?) started \(process (\d+)\)$", running.log.read_text(), re.MULTILINE)
    return {name: int(pid) for name, pid in told}


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def start(installation: Installation) -> tuple[Program, dict[str, int]]:
    running = installation.start("run", "--workers", "2")
    wait_until(lambda: len(parts(running)) == 4, what="all parts")
    return running, parts(running)


def test_an_empty_exchange_is_prepared_and_run_and_a_killed_part_comes_back(installation: Installation) -> None:
    running, first = start(installation)
    assert set(first) == {"worker 1", "worker 2", "gateway", "keeper"}
    assert {one["verdict"] for one in installation.json("doctor")} <= {"good", "warning"}

    os.kill(first["worker 2"], signal.SIGKILL)
    wait_until(lambda: parts(running)["worker 2"] != first["worker 2"], what="another worker 2")
    last = parts(running)
    assert "worker 2 ended by signal SIGKILL" in running.log.read_text()
    assert last["worker 1"] == first["worker 1"], "its neighbours were left alone"

    assert running.stop() == 0
    assert not any(alive(pid) for pid in last.values())
    assert "Traceback" not in running.log.read_text()


def test_parts_end_with_a_supervisor_that_was_killed(installation: Installation) -> None:
    running, pids = start(installation)
    running.kill()
    wait_until(lambda: not any(alive(pid) for pid in pids.values()), what="the end of all parts")


def test_what_only_a_person_can_put_right_ends_it(installation: Installation) -> None:
    installation.prepare()
    (installation.folder / "exchange" / "keys" / "broker.key").write_text("no key")
    running = installation.start("run")
    assert running.process.wait(timeout=120) == 3
    said = running.log.read_text()
    assert "Put right what it named" in said
    assert not any(alive(pid) for pid in parts(running).values())

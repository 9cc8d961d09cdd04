"""A program that stores or removes content in a folder and is killed before its first, second, third … step.

`python -m tests.integration.content.killed FOLDER put|needed|unneeded`. Each time in a folder of its own, `FOLDER/0`,
`FOLDER/1` and so on, until one ends by itself. Prints the steps, one array of [name, path] a line; the process of line
n was killed before it took the n-th, and the last one took all of them. `needed` removes content that turns out to be
needed, `unneeded` content that does not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

from broker.content.folder import ContentFolder
from broker.content.store import whole

DATA = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(DATA).hexdigest()
CHANGES = {"os.mkdir", "os.chmod", "os.rename", "os.remove"}
"""What Python tells its auditors of; fsync is not among it."""


async def act(what: str, root: Path, step: Callable[[str, str], None]) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(DATA), 900_000):
            step("chunk", str(start))
            yield DATA[start : start + 900_000]

    async def unless() -> bool:
        step("asked", "")
        return what == "needed"

    folder = ContentFolder(root)
    if what == "put":
        await folder.put(SHA256, chunks(), size=len(DATA))
        step("done", "")
    else:
        await folder.remove(SHA256, unless=unless)


def watch(step: Callable[[str, str], None]) -> None:
    """From here on `step` is called before every change of the file system by Python, and before every fsync."""

    def audited(event: str, arguments: tuple[object, ...]) -> None:
        if event in CHANGES:
            step(event, str(arguments[1] if event == "os.rename" else arguments[0]))

    really = os.fsync

    def fsync(handle: int) -> None:
        step("fsync", os.readlink(f"/proc/self/fd/{handle}"))
        really(handle)

    setattr(os, "fsync", fsync)  # noqa: B010 - to the type checker it is another function
    sys.addaudithook(audited)


def live_until(last: int, what: str, root: Path, told: Path) -> None:
    """In a process of its own: take `last` steps and die, or all of them if there are no more."""
    log = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    taken = count()

    def step(name: str, path: str) -> None:
        if next(taken) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        relative = os.path.relpath(path, root) if path.startswith("/") else path
        os.write(log, json.dumps([name, relative]).encode() + b"\n")

    watch(step)
    asyncio.run(act(what, root, step))
    os._exit(0)


def main(folder: Path, what: str) -> None:
    for last in count():
        root, told = folder / str(last), folder / f"{last}.steps"
        told.touch()
        process = os.fork()
        if process == 0:
            if what != "put":
                # The store of the preparation lives in yet another process: its threads would not survive the fork.
                if (preparing := os.fork()) == 0:
                    asyncio.run(prepare(root))
                    os._exit(0)
                os.waitpid(preparing, 0)
            live_until(last, what, root, told)
        _, ended = os.waitpid(process, 0)
        print(json.dumps([json.loads(line) for line in told.read_text().splitlines()]), flush=True)
        if not os.WIFSIGNALED(ended):
            raise SystemExit(os.waitstatus_to_exitcode(ended))


async def prepare(root: Path) -> None:
    await ContentFolder(root).put(SHA256, whole(DATA))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

"""What the pages of docs/connect run against: an exchange in this process, and agencies with folders of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from cryptography.hazmat.primitives.serialization import Encoding

from schemas.certificates import private_key_pem
from tests.conftest import REPOSITORY, Vhost
from tests.docs import pages
from tests.docs.pages import Block
from tests.kit.exchange import End, Exchange, running_exchange

PAGES: Final = REPOSITORY / "docs" / "connect"
BIN: Final = Path(sys.executable).parent
SECONDS: Final = 60.0
AGAIN: Final = 30.0

PYTHON: Final = """
import ast, asyncio, inspect, sys, types
path = sys.argv[1]
sys.argv = [path]
code = compile(open(path).read(), path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
done = types.FunctionType(code, {"__name__": "__main__"})()
if inspect.iscoroutine(done):
    async def main():
        await done
    asyncio.run(main())
"""


@dataclass
class World:
    """A page's surroundings; `run_page` does the page."""

    exchange: Exchange
    root: Path
    # In the agencies' codes, so that several pages can run at one exchange.
    tag: str = ""
    # What pages write → what it is in this run.
    names: dict[str, str] = field(default_factory=dict)
    further: dict[str, str] = field(default_factory=dict)
    ends: dict[str, End] = field(default_factory=dict)
    # Outputs of everything that was run, for a page's own test to look at.
    printed: list[str] = field(default_factory=list)
    _background: list[tuple[Process, list[bytes], asyncio.Task[None]]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where the blocks of the page run: the folder of G22."""
        return self.root / "G22"

    @property
    def environment(self) -> dict[str, str]:
        """What blocks see; `further` adds to it."""
        settings = self.exchange.settings
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LIENTHONG_", "PIP_"))}
        return inherited | {
            "PATH": f"{BIN}:{os.environ.get('PATH', '')}",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONUNBUFFERED": "1",
            "LIENTHONG_AMQP_URL": str(settings.amqp_url),
            "LIENTHONG_MANAGEMENT_URL": str(settings.management_url),
            "LIENTHONG_DATABASE_URL": str(settings.database_url),
            "LIENTHONG_HOME": str(settings.home),
            "COLUMNS": "120",
            **self.further,
        }

    async def add(self, name: str, level: Any = "ministry", *, serves: tuple[str, ...] = (), **more: Any) -> End:
        """One more agency, with a folder of that name and its agency.toml."""
        end = await self.exchange.add(f"{self.tag}{name}", level, **more)
        self.names[name], self.ends[name] = end.code, end
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        write_agency(folder, self.exchange, end, [self.ends[one] for one in serves])
        return end

    async def run_page(self, name: str) -> None:
        """Run docs/connect/<name>.md from its first block to its last. Raises AssertionError with the place."""
        path = PAGES / f"{name}.md"
        await self.run_text(f"docs/connect/{name}.md", path.read_text(encoding="utf-8"))

    async def run_text(self, page: str, text: str) -> None:
        """Run the blocks of any text."""
        before, output = None, ""
        try:
            for block in pages.blocks(page, text):
                done = pages.deed(block, before)
                if done == "write":
                    self._write(block)
                elif done == "run":
                    output = await self._run(block, text)
                else:
                    self._compare(block, output)
                before = done if done != "write" else None
        finally:
            await self.end_background()

    async def end_background(self) -> None:
        """End what was started in the background."""
        while self._background:
            process, _, reading = self._background.pop()
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 30)
            await reading

    # ── One block ────────────────────────────────────────────────────────────────────────────────────────────────

    def real(self, text: str) -> str:
        """With the names of this run in the place of the written ones."""
        if not self.names:
            return text
        longest_first = sorted(self.names, key=len, reverse=True)
        form = "|".join(rf"(?<![\w-])(?<!\.\./){re.escape(one)}(?![\w-])" for one in longest_first)
        return re.sub(form, lambda match: self.names[match[0]], text)

    def written(self, text: str) -> str:
        """With the written names in the place of this run's, and without the page's folder."""
        for name, real in sorted(self.names.items(), key=lambda one: len(one[1]), reverse=True):
            text = text.replace(real, name)
        return text.replace(f"{self.folder}/", "").replace(str(self.folder), ".").replace(f"{self.root}/", "../")

    def _place(self, block: Block) -> Path:
        place = self.folder / block.directions.get("in", "")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def _write(self, block: Block) -> None:
        target = self._place(block) / block.directions["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.real(block.text), encoding="utf-8")

    async def _run(self, block: Block, text: str) -> str:
        if "hidden" in block.directions:
            code, printed = await self.shell(block.directions["hidden"], self._place(block))
            assert code == 0, f"{block.place}: hidden={block.directions['hidden']!r} ended with {code}:\n{printed}"
        if "background" in block.directions:
            await self._start(block)
            return ""
        expected = int(block.directions.get("exit", "0"))
        shown = _next_shown(block, text)
        deadline = asyncio.get_running_loop().time() + AGAIN
        while True:
            code, printed = await self._once(block)
            printed = self.written(printed)
            good = code == expected and (shown is None or pages.differs(shown, printed) is None)
            if good or "repeat" not in block.directions or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.3)
        self.printed.append(printed)
        assert code == expected, f"{block.place}: exit code {code}, not {expected}; it printed:\n{printed}"
        if "until" in block.directions:
            await self._until(block)
        return printed

    async def _once(self, block: Block) -> tuple[int, str]:
        return await self._finished(await self._process(block))

    async def _process(self, block: Block) -> Process:
        place, text = self._place(block), self.real(block.text)
        if block.language == "sh":
            command = ["bash", "-e", "-o", "pipefail", "-c", text]
        else:
            script = place / f".block-{block.line}.py"
            script.write_text(text, encoding="utf-8")
            command = [str(BIN / "python"), "-c", PYTHON, str(script)]
        return await self._spawn(command, place)

    async def _spawn(self, command: list[str], place: Path) -> Process:
        return await asyncio.create_subprocess_exec(
            *command, cwd=place, env=self.environment, stdout=PIPE, stderr=STDOUT, start_new_session=True
        )

    async def shell(self, command: str, place: Path | None = None) -> tuple[int, str]:
        """Run a shell command with the page's names; its exit code and output."""
        line = ["bash", "-e", "-o", "pipefail", "-c", self.real(command)]
        return await self._finished(await self._spawn(line, place or self.folder))

    async def _finished(self, process: Process) -> tuple[int, str]:
        try:
            output, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return process.returncode or 0, output.decode("utf-8", "replace")

    async def _until(self, block: Block) -> None:
        deadline = asyncio.get_running_loop().time() + AGAIN
        while True:
            code, printed = await self.shell(block.directions["until"], self._place(block))
            if code == 0:
                return
            last = f"{block.place}: in vain for {AGAIN:.0f} s: {block.directions['until']}\n{printed}"
            assert asyncio.get_running_loop().time() < deadline, last
            await asyncio.sleep(0.3)

    async def _start(self, block: Block) -> None:
        process = await self._process(block)
        kept: list[bytes] = []
        more = asyncio.Event()

        async def read() -> None:
            assert process.stdout is not None
            while piece := await process.stdout.read(4096):
                kept.append(piece)
                more.set()

        self._background.append((process, kept, asyncio.create_task(read())))
        wanted = self.real(block.directions["background"])
        async with asyncio.timeout(AGAIN):
            while wanted and wanted.encode() not in b"".join(kept):
                assert process.returncode is None, f"{block.place}: ended: {b''.join(kept).decode()}"
                more.clear()
                await more.wait()

    def _compare(self, block: Block, output: str) -> None:
        wrong = pages.differs(block.text, output)
        assert wrong is None, f"{block.place}: {wrong}"


def _next_shown(block: Block, text: str) -> str | None:
    following = [one for one in pages.blocks(block.page, text) if one.line > block.line][:1]
    return next((one.text for one in following if one.language in pages.SHOWN and "file" not in one.directions), None)


def write_agency(folder: Path, exchange: Exchange, end: End, serves: list[End]) -> None:
    """What `init`, `keygen` and the operator would have left in an agency's folder."""
    for one, place in [(end, folder), *((served, folder / served.code) for served in serves)]:
        place.mkdir(parents=True, exist_ok=True)
        (place / "agency.key").write_bytes(private_key_pem(one.key))
        (place / "agency.pem").write_bytes(one.certificate.public_bytes(Encoding.PEM))
    (folder / "amqp.password").write_text(end.password)
    parts = urlsplit(exchange.vhost.amqp_url)
    table = {
        "code": end.code,
        "submitter": end.code,
        "amqp_url": urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        "amqp_password_file": "amqp.password",
        "key_file": "agency.key",
        "certificate_file": "agency.pem",
        "roots_dir": str(exchange.settings.roots_dir),
        "broker_code": exchange.settings.broker_code,
        "broker_certificate_file": str(exchange.settings.certificate_file),
        "content_dir": str(exchange.settings.content_dir),
        "data_dir": "data",
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    for one in serves:
        lines += ["[[served]]", f"code = {json.dumps(one.code)}", f'key_file = "{one.code}/agency.key"',
                  f'certificate_file = "{one.code}/agency.pem"']  # fmt: skip
    (folder / "agency.toml").write_text("\n".join(lines) + "\n")


@asynccontextmanager
async def opened(vhost: Vhost, database: str, root: Path) -> AsyncIterator[World]:
    """A running exchange with a ministry G22 and a province H53."""
    async with running_exchange(vhost, database, root) as exchange:
        world = await joined(exchange, root)
        try:
            yield world
        finally:
            await world.end_background()


async def joined(exchange: Exchange, root: Path, tag: str = "") -> World:
    """Surroundings of one more page at the same exchange, with agencies of its own."""
    world = World(exchange=exchange, root=root, tag=tag)
    await world.add("G22")
    await world.add("H53", "province")
    return world

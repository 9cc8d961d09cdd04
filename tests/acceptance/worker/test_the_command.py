"""`lienthong worker` as an operator runs it: ready, working, and ending cleanly when it is asked to."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conftest import Vhost
from tests.kit.exchange import Exchange, running_exchange

SECONDS = 60.0


@asynccontextmanager
async def worker_program(x: Exchange, folder: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The worker as a process; ready when the block begins, and ended by its id if the block leaves it running."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "LIENTHONG_AMQP_URL": x.settings.amqp_url,
        "LIENTHONG_MANAGEMENT_URL": x.settings.management_url,
        "LIENTHONG_DATABASE_URL": x.settings.database_url,
        "LIENTHONG_HOME": str(x.settings.home),
    } | settings
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "lienthong"),
        "worker",
        "--json",
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        said = ""
        async with asyncio.timeout(SECONDS):
            while not said.rstrip().endswith("}"):
                line = await process.stdout.readline()
                assert line, f"the worker ended with {await process.wait()}: {(await _errors(process))[-2000:]}"
                said += line.decode()
        assert json.loads(said)["ready"] is True
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _errors(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    return (await process.stderr.read()).decode()


async def test_a_worker_asked_to_stop_finishes_and_acknowledges_what_it_has_taken(
    vhost: Vhost, migrated_database: str, tmp_path: Path
) -> None:
    async with running_exchange(vhost, migrated_database, tmp_path, workers=0) as x:
        sender, recipient = await x.add("G01"), await x.add("H53", "province")
        letters = [x.letter(sender, [recipient]) for _ in range(50)]
        async with worker_program(x, tmp_path) as process:
            for letter in letters[:25]:
                await x.send(letter, sender)
            await x.document_at(recipient, letters[0])
            for letter in letters[25:]:
                await x.send(letter, sender)
            process.send_signal(signal.SIGTERM)
            errors = await asyncio.wait_for(_errors(process), SECONDS)
            assert await process.wait() == 0, errors[-2000:]
        events = [json.loads(line) for line in errors.splitlines()]
        assert [event["event"] for event in events][-1] == "worker stopped"
        assert "Traceback" not in errors and "password" not in errors
        accepted = await x.value("SELECT count(*) FROM document")
        assert await x.value("SELECT count(*) FROM outgoing WHERE published_at IS NULL") == 0
        await x.until_depth("lt.intake.normal", 50 - accepted)
        await x.start_worker()
        for letter in letters:
            await x.document_at(recipient, letter)
        assert len((await x.all_at(recipient)).documents()) == 50


async def test_a_worker_without_its_database_says_what_to_do(exchange: Exchange, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "lienthong"),
        "worker",
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "LIENTHONG_AMQP_URL": exchange.settings.amqp_url,
            "LIENTHONG_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
            "LIENTHONG_HOME": str(exchange.settings.home),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    errors = await asyncio.wait_for(_errors(process), SECONDS)
    assert await process.wait() == 4
    assert "Traceback" not in errors and "PostgreSQL" in errors

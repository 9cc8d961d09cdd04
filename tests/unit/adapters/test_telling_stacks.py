"""A program of the kill tests that does not end tells where it stands, and the test that waited shows it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.kit.stacks import end_of

STUCK = """
import asyncio
from tests.kit.stacks import run

async def waiting_for_what_never_comes():
    print("ready", flush=True)
    await asyncio.Event().wait()

run(waiting_for_what_never_comes())
"""


async def test_a_program_that_does_not_end_fails_with_its_stacks() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUCK), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    with pytest.raises(AssertionError, match="in waiting_for_what_never_comes"):
        await end_of(process, within=0.01)
    assert process.returncode is not None

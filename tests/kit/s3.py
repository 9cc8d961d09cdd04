"""The fixture `s3`: a server that speaks S3, with a bucket `content`. Import it into a room's conftest.py.

It is moto's: S3 over real HTTP, everything in memory. It is a stand-in for an S3 and not one; what only a real one
shows (its latency, its own failures) is not tested with it.
"""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec

import pytest


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The address of an S3-speaking server."""
    if find_spec("moto") is None:
        pytest.skip("moto is not installed")
    program = (
        "from moto.server import ThreadedMotoServer as S; import time\n"
        "s = S('127.0.0.1', 0, verbose=False); s.start(); print(s.get_host_and_port()[1], flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        address = f"http://127.0.0.1:{int(process.stdout.readline())}"
        urllib.request.urlopen(urllib.request.Request(f"{address}/content", method="PUT")).close()
        yield address
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

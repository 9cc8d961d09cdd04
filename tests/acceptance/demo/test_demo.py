"""The main job, as a newcomer runs it: from an empty folder, and then again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.services import erase
from tests.kit.installation import BIN


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder; the private servers that the demonstration starts there are removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="lienthong-demo-"))
    yield folder
    erase(folder / ".local")
    shutil.rmtree(folder)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_demonstration_agrees_with_itself_and_can_be_run_again(folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    for _ in range(2):
        done = subprocess.run(
            [str(BIN / "lienthong"), "demo", "--documents", "120", "--seconds", "10", "--json"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["good"] and not found["disagreements"]
        assert (found["lost"], found["doubled"], found["documents"], found["refused"]) == (0, 0, 121, 18)
        assert found["arrived"] == found["deliveries"] > 3_355
        assert {row["code"] for row in found["rejections"]} == {
            "LT-SIGNATURE",
            "LT-SIGNER-NOT-ALLOWED",
            "LT-RECIPIENT-UNKNOWN",
        }

"""Whoever dies while storing or removing content leaves it whole or not at all, and nothing that is not tidied up."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.content.folder import ContentFolder
from broker.content.record import bucket_of
from broker.content.store import whole
from schemas.content_layout import accepted_path
from tests.conftest import REPOSITORY
from tests.integration.content.killed import DATA, SHA256

Steps = list[tuple[str, str]]


def run(folder: Path, what: str) -> list[Steps]:
    """The steps of each process; all but the last were killed."""
    found = subprocess.run(
        [sys.executable, "-m", "tests.integration.content.killed", str(folder), what],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    lines: list[Steps] = [[(name, path) for name, path in json.loads(line)] for line in found.stdout.splitlines()]
    assert [len(steps) for steps in lines[:-1]] == list(range(len(lines) - 1)), "each was killed one step later"
    return lines


def kept(root: Path) -> list[Path]:
    return [path for path in (root / "accepted").rglob("*") if path.is_file()]


async def bytes_of(store: ContentFolder) -> bytes:
    return b"".join([piece async for piece in store.read(SHA256, 0, len(DATA))])


def hour_from_now() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_bytes_are_durable_before_they_are_named_and_their_name_before_they_count(tmp_path: Path) -> None:
    steps = run(tmp_path, "put")[-1]
    named = next(path for name, path in steps if name == "os.rename")
    assert Path(named) == accepted_path(Path(), SHA256)
    written = [path for name, path in steps if name == "fsync" and path.startswith("incoming/")]
    bucket = Path(named).parent.as_posix()
    order = [
        ("fsync", written[0]),
        ("os.rename", named),
        ("fsync", bucket),
        ("fsync", "accepted"),
        ("fsync", "."),
        ("done", ""),
    ]
    assert len(written) == 1 and [step for step in steps if step in order] == order
    # The folder itself was made for this, and that is as durable.
    assert steps.index(("os.mkdir", ".")) < steps.index(("fsync", ".."))


async def test_an_upload_that_dies_shows_nothing_or_all(tmp_path: Path) -> None:
    runs = run(tmp_path, "put")
    assert len(runs) > 10
    for number, steps in enumerate(runs):
        root = tmp_path / str(number)
        is_named = ("os.rename", accepted_path(Path(), SHA256).as_posix()) in steps
        assert [path.read_bytes() == DATA for path in kept(root)] == [True] * is_named, steps
        store = ContentFolder(root)
        await store.tidy(hour_from_now())
        assert not list((root / "incoming").glob("*")), steps
        await store.put(SHA256, whole(DATA))
        assert await bytes_of(store) == DATA


@pytest.mark.parametrize("what", ["needed", "unneeded"])
async def test_a_removal_that_dies_loses_nothing_that_is_needed(tmp_path: Path, what: str) -> None:
    runs = run(tmp_path, what)
    assert ("asked", "") in runs[-1]
    for number, steps in enumerate(runs):
        store = ContentFolder(tmp_path / str(number))
        await store.tidy(hour_from_now())
        found = [one async for one in store.older_than(hour_from_now(), bucket_of(SHA256))]
        if what == "needed":
            assert await bytes_of(store) == DATA, steps
        elif number == len(runs) - 1:
            assert await store.size_of(SHA256) is None
        # What is there is whole, and is found again by who looks for what the record does not know.
        assert found == [SHA256] * (await store.size_of(SHA256) == len(DATA))
        assert not list((tmp_path / str(number) / "incoming").glob("*"))

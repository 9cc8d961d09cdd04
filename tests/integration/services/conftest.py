"""Private servers in a folder of their own: what these tests do to them must not reach other tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.services import erase

ADDRESSES = ("LIENTHONG_AMQP_URL", "LIENTHONG_MANAGEMENT_URL", "LIENTHONG_DATABASE_URL")


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty root folder; whatever is started in it is ended and removed afterwards."""
    for name in ADDRESSES:
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp(prefix="lienthong-test-"))
    root = folder / "local"
    yield root
    erase(root)
    shutil.rmtree(folder)

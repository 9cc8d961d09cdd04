"""The scripted exchange for the adapters' own promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Vhost
from tests.integration.adapters.standin import StandIn


@pytest.fixture
async def exchange(vhost: Vhost, tmp_path: Path) -> AsyncIterator[StandIn]:
    """A running stand-in of the exchange on a virtual host of its own."""
    standin = StandIn(vhost=vhost, folder=tmp_path)
    await standin.start()
    yield standin
    await standin.stop()

"""The fixture `exchange`: import it into a room's conftest.py, or make an exchange of another shape with
`tests.kit.exchange.running_exchange`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Vhost
from tests.kit.exchange import Exchange, running_exchange


@pytest.fixture
async def exchange(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    """A running exchange with one worker and no agencies yet."""
    async with running_exchange(vhost, migrated_database, tmp_path) as running:
        yield running

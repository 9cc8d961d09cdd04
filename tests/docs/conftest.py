"""The surroundings of a page, by its name `world`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import Vhost
from tests.docs.world import World, opened


@pytest.fixture
async def world(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[World]:
    """A running exchange with a ministry G22 and a province H53; see tests/docs/README.md."""
    async with opened(vhost, migrated_database, tmp_path) as made:
        yield made

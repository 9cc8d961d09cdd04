"""The day that everything here is done to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from broker.services import Endpoints
from tests.conftest import fresh_database, fresh_vhost, migrate
from tests.integration.evidence.story import Story, play


@pytest.fixture(scope="session")
def story(servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The day, played once for all tests here; nobody may keep a change to it."""
    with fresh_vhost(servers) as vhost, fresh_database(servers) as database:
        folder = tmp_path_factory.mktemp("story")
        asyncio.run(migrate(database))
        yield asyncio.run(play(vhost, database, folder))

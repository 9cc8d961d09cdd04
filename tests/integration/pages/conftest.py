"""One small country for all tests of the pages: they look at it, and what they change is their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from argon2 import PasswordHasher

from broker.gateway.pages import accounts
from broker.services import Endpoints
from tests.conftest import _database, fresh_vhost
from tests.kit.exchange import running_exchange
from tests.kit.gateway import running_gateway
from tests.kit.scene import Scene, make_scene


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """A hash that takes a hundredth of the work; what it really costs is a unit test's business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "_hasher", PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def scene(servers: Endpoints, _template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """An exchange with a gateway, and what `tests.kit.scene` puts into it."""
    async with _scene(servers, _template, tmp_path_factory.mktemp("pages")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def spoilt(servers: Endpoints, _template: str, tmp_path: Path) -> AsyncIterator[Scene]:
    """Another one, for a test that leaves nothing in it as it was."""
    async with _scene(servers, _template, tmp_path) as made:
        yield made


@asynccontextmanager
async def _scene(servers: Endpoints, template: str, folder: Path) -> AsyncIterator[Scene]:
    with fresh_vhost(servers) as vhost:
        async for dsn in _database(servers.database_url, template=template):
            async with running_exchange(vhost, dsn, folder) as exchange, running_gateway(exchange) as gateway:
                yield await make_scene(gateway)

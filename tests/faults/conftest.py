"""An exchange of programs for each test: on the shared servers, or on servers that the test may kill too."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.services import erase
from broker.store.migrations import migrate
from tests.conftest import Vhost
from tests.faults.running import HASTE
from tests.faults.servers import Servers
from tests.kit.installation import Installation


@pytest.fixture
def installation(vhost: Vhost, migrated_database: str, tmp_path: Path) -> Installation:
    """An exchange's place on the shared servers, with its tables and nothing else yet."""
    return Installation(
        folder=tmp_path,
        amqp_url=vhost.amqp_url,
        management_url=vhost.management_url,
        database_url=migrated_database,
        settings=dict(HASTE),
    )


@pytest.fixture
async def own_servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    """RabbitMQ and PostgreSQL that belong to this test alone; they and their data are removed afterwards."""
    for name in ("LIENTHONG_AMQP_URL", "LIENTHONG_MANAGEMENT_URL", "LIENTHONG_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    folder = Path(tempfile.mkdtemp(prefix="lienthong-test-"))
    try:
        servers = Servers.started(folder / "local")
        await migrate(servers.endpoints.database_url)
        yield servers
    finally:
        erase(folder / "local")
        shutil.rmtree(folder)


@pytest.fixture
def own_installation(own_servers: Servers, tmp_path: Path) -> Installation:
    """An exchange's place on servers of its own; what a classic mailbox loses with them comes again in minutes."""
    minutes = {
        "LIENTHONG_ARRIVAL_WITHIN_URGENT_MINUTES": "1",
        "LIENTHONG_ARRIVAL_WITHIN_NORMAL_MINUTES": "1",
        "LIENTHONG_REDELIVERY_BACKOFF_MINUTES": "[1]",
    }
    return Installation(
        folder=tmp_path,
        amqp_url=own_servers.endpoints.amqp_url,
        management_url=own_servers.endpoints.management_url,
        database_url=own_servers.endpoints.database_url,
        settings=HASTE | minutes,
    )

"""An exchange of its own for each test, driven through its commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Vhost
from tests.kit.installation import Installation


@pytest.fixture
def installation(vhost: Vhost, database: str, tmp_path: Path) -> Iterator[Installation]:
    """Empty: nothing is migrated, there are no keys and no queues."""
    installation = Installation(tmp_path, vhost.amqp_url, vhost.management_url, database)
    yield installation
    installation.stop()

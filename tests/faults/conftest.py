"""An exchange of programs for each test: on the shared servers, or on servers that the test may kill too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Vhost
from tests.faults.running import HASTE
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

"""A database with the exchange's tables, and somebody who changes its directory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from broker.directory.changes import Author
from broker.store.pool import Connection, connect


@pytest.fixture
def author() -> Author:
    return Author(actor="tester", reason="a test")


@pytest.fixture
async def connection(migrated_database: str) -> AsyncIterator[Connection]:
    async with connect(migrated_database) as opened:
        yield opened

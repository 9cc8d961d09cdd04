"""A scripted exchange, a ministry as a program of its own making, and a province that takes part by a folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from adapters import Agency
from adapters.folder.places import Places, opened
from adapters.folder.watch import Habits, Happened, Watch
from adapters.settings import AgencySettings
from tests.conftest import Vhost
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn

T = TypeVar("T")
QUICK = Habits(settle=0.05, every=0.05, missing_after=0.3)


@pytest.fixture
async def exchange(vhost: Vhost, tmp_path: Path) -> AsyncIterator[StandIn]:
    standin = StandIn(vhost=vhost, folder=tmp_path / "exchange")
    await standin.start()
    yield standin
    await standin.stop()


@dataclass
class Office:
    """An agency whose folder is being watched."""

    agency: Agency
    places: Places
    happened: list[Happened] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, one: Happened) -> None:
        self.happened.append(one)
        self._more.set()

    async def until(self, what: str, count: int = 1, seconds: float = 120.0) -> Happened:
        """Wait until so many things of that sort have happened; the newest of them."""
        async with asyncio.timeout(seconds):
            while len(found := [one for one in self.happened if one.what == what]) < count:
                self._more.clear()
                await self._more.wait()
        return found[count - 1]

    async def see(self, look: Callable[[], T | None], seconds: float = 120.0) -> T:
        """Wait until `look` finds something in the folder; it is asked after everything that happens."""
        async with asyncio.timeout(seconds):
            while not (found := look()):
                await asyncio.sleep(0.02)
        return found

    def drop(self, name: str, data: bytes | str) -> Path:
        """Put a file into outbox/ as careful programs do: under a temporary name, then renamed."""
        path = self.places.outbox / name
        temporary = path.with_name(f".{name}"[:200])
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)
        return temporary.rename(path)


@asynccontextmanager
async def watching(settings: AgencySettings, root: Path, habits: Habits = QUICK) -> AsyncIterator[Office]:
    """Watch a folder until the end of the block."""
    async with AsyncExitStack() as stack:
        places = stack.enter_context(opened(root, settings.data_dir))
        agency = await stack.enter_async_context(Agency.open(settings))
        office = Office(agency=agency, places=places)
        task = asyncio.create_task(Watch(agency, places, habits, office.tell).run())
        try:
            yield office
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled() and task.exception() is not None:
                raise task.exception()  # type: ignore[misc]


@pytest.fixture
async def province(exchange: StandIn, tmp_path: Path) -> AsyncIterator[Office]:
    async with watching(await exchange.agency(PROVINCE), tmp_path / "folder") as office:
        yield office


@pytest.fixture
async def ministry(exchange: StandIn) -> AsyncIterator[Agency]:
    async with Agency.open(await exchange.agency(MINISTRY)) as agency:
        yield agency

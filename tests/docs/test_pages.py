"""The pages for Python, edXML files and folders, side by side at one exchange: most of their time they wait."""

import asyncio
from pathlib import Path

from tests.docs.world import World, joined


async def test_the_pages_for_python_edxml_and_folders_run(world: World, tmp_path: Path) -> None:
    second = await joined(world.exchange, tmp_path / "second", tag="B.")
    third = await joined(world.exchange, tmp_path / "third", tag="C.")
    done = await asyncio.gather(
        world.run_page("python"), second.run_page("edxml"), third.run_page("folder"), return_exceptions=True
    )
    for one in done:
        if one is not None:
            raise one

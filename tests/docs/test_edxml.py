"""docs/connect/edxml.md."""

from tests.docs.world import World


async def test_the_page_runs(world: World) -> None:
    await world.run_page("edxml")

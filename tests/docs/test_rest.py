"""docs/connect/rest.md, as it stands: its blocks against a gateway that is running."""

from __future__ import annotations

from tests.docs.world import World
from tests.kit.gateway import running_gateway
from tests.kit.vxp import edoc


async def test_the_page_runs(world: World) -> None:
    async with running_gateway(world.exchange) as gateway:
        world.names["https://gateway.example.gov.vn"] = gateway.url
        file = edoc(f"{world.names['H53']}.31", [world.names["G22"]])
        (world.root / "edoc.edxml").write_bytes(file)
        await world.run_page("rest")
    sent = await world.exchange.value("SELECT count(*) FROM document WHERE via ->> 'protocol' = 'vxp'")
    arrived = await world.exchange.value(
        "SELECT count(*) FROM status_message JOIN certificate USING (thumbprint) WHERE custody = 'broker'"
    )
    assert sent == 1 and arrived == 1

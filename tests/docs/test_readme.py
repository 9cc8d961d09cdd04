"""The Python example of the project's README."""

from __future__ import annotations

import asyncio
import re

from tests.conftest import REPOSITORY
from tests.docs.pages import blocks
from tests.docs.world import World

REGISTER = """
import asyncio
async def register(letter, data):
    print("registered", letter.subject, len(data), flush=True)
    asyncio.get_running_loop().call_later(1.0, asyncio.current_task().cancel)
"""


async def test_the_example_of_the_readme_runs(world: World) -> None:
    readme = (REPOSITORY / "README.md").read_text()
    (example,) = [block for block in blocks("README.md", readme) if block.language == "python"]
    assert "await register(letter" in example.text
    (world.folder / "12-VPCP.pdf").write_bytes(b"%PDF-1.7\n%%EOF\n")
    (world.root / "H53" / "a.pdf").write_bytes(b"%PDF-1.7\n")
    code, printed = await world.shell('lienthong-agency send a.pdf --to G22 --subject "Trả lời"', world.root / "H53")
    assert code == 0, printed
    running = asyncio.create_task(world.run_text("README.md", f"```python\n{REGISTER}{example.text}```\n"))
    await asyncio.wait({running})
    assert "registered Trả lời 9" in str(running.exception()), "the block goes on for ever; here it is cancelled"
    code, printed = await world.shell("lienthong-agency receive --save . --json", world.root / "H53")
    assert code == 0 and re.search('"subject": "Công văn hỏa tốc"', printed), printed

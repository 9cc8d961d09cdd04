"""The pictures of README.md and docs/pages.md, taken anew: `make pictures`, or `python -m tests.bench.pictures`.

A gateway on invented traffic (see `pages_ground`) and a real Chromium, at two pixels for each of the page's. Look at
every picture before it is kept.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from playwright.async_api import FloatRect, async_playwright

from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import account_named
from broker.services import up
from tests.bench.audit_volume import SIZES
from tests.bench.pages_ground import Ground, ground
from tests.kit.chromium import FLAGS, PROGRAM

WIDTH = 1100
COLOURS = 256
"""Of a picture; all of them would make it three times as large."""
YEAR = "first=01%2F01%2F2026&last=31%2F12%2F2026"


def wanted(at: Ground) -> dict[str, tuple[str, int, int]]:
    """The pictures' names: path of the page, and from which of its pixels to which."""
    return {
        "pages-document": (at.shared, 118, 1000),
        "pages-map": (f"/map?order=overdue&{YEAR}", 118, 1040),
        "pages-report": (f"/reports?by=month&{YEAR}", 118, 900),
    }


async def take(services: Path, size: int, folder: Path) -> None:
    """Take all pictures as an auditor who sees everything, in Vietnamese."""
    async with ground(up(services), size, services / "pages") as at, async_playwright() as player:
        async with at.gateway.exchange.pool.acquire() as connection:
            session = await sessions.begin(connection, await account_named(connection, "auditor5"))
        browser = await player.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        page = await browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=2)
        await page.context.add_cookies([{"name": "lt-session", "value": session.token, "url": at.gateway.url}])
        for name, (path, top, bottom) in wanted(at).items():
            await page.goto(at.gateway.url + path)
            clip = FloatRect(x=0, y=top, width=WIDTH, height=bottom - top)
            shown = Image.open(io.BytesIO(await page.screenshot(full_page=True, clip=clip)))
            small = shown.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            small.save(folder / f"{name}.png", optimize=True)
        await browser.close()


def main(arguments: Sequence[str]) -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=Path, default=Path(".local"), help="folder of the private servers")
    parser.add_argument("--size", type=int, default=SIZES[0], help="deliveries; made by tests.bench.audit_volume")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the pictures")
    given = parser.parse_args(arguments)
    asyncio.run(take(given.services, given.size, given.out))


if __name__ == "__main__":
    main(sys.argv[1:])

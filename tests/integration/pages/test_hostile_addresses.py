"""Addresses and forms that no page of ours makes: each is answered in a sentence, none fails."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest

from broker.gateway.pages.routes import PAGES
from tests.integration.pages.addresses import every_address
from tests.kit.scene import Scene, csrf_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

NUL = "\x00"
DAYS = ("01/01/0001", "31/12/9999", "31/12/1899", "29/02/2028", "31/02/2026", "3000-01-01")
TEXTS = ("'", '"><script>', "%", "\\", "x" * 3000, "=1+1", "\u202e", "-1", "9" * 30, "đ|&!:*()<->'", f"a{NUL}b")
PARAMETERS = (
    "q", "number", "notation", "sender", "recipient", "under", "state", "overdue", "first", "last", "after", "page",
    "to", "all", "done", "level", "form", "by", "always", "measure", "order", "day", "settled", "next", "back", "id",
)  # fmt: skip


def _asked(path: str) -> Iterator[dict[str, str]]:
    yield dict.fromkeys(PARAMETERS, NUL)
    yield from (dict.fromkeys(("first", "last", "day"), day) for day in DAYS)
    yield {"after": "AAAA"}
    if path == "/search":
        yield from ({name: text} for text in TEXTS for name in ("q", "number", "sender", "after"))


async def test_no_parameter_makes_a_page_fail(scene: Scene) -> None:
    failed = []
    async with scene.signed_in("operator") as client:
        pages = {page.path: path for page, path in every_address(scene) if page.method == "GET"}
        for path in pages.values():
            if path.startswith("/live/"):
                continue
            for asked in _asked(path):
                answer = await client.get(f"{path}?{urlencode(asked)}")
                if answer.status_code >= 500:
                    failed.append((path, asked))
    assert not failed


async def test_no_part_of_a_path_makes_a_page_fail(scene: Scene) -> None:
    failed = []
    async with scene.signed_in("operator") as client:
        for page in PAGES:
            if page.method != "GET" or "{" not in page.path:
                continue
            for value in (NUL, *TEXTS[:4], "..", "%2f", "5" * 25, "-1", "H26\r\nX: y"):
                parts = [quote(value, safe="") if part.startswith("{") else part for part in page.path.split("/")]
                answer = await client.get("/".join(parts))
                if answer.status_code >= 500 or "x" in answer.headers:
                    failed.append((page.path, value))
    assert not failed


async def test_no_field_of_a_form_makes_it_fail(scene: Scene) -> None:
    failed = []
    async with scene.signed_in("operator") as client:
        token = csrf_of(await client.get("/"))
        for page, path in every_address(scene):
            if page.method != "POST" or page.path == "/sign-out":
                continue
            for value in (NUL, "\ud800", "x" * 3000, "\u202e"):
                fields = [f"{name}={quote(value, errors='surrogatepass')}" for name in ("recipients", "login", "next")]
                fields += [f"csrf={token}", "password=x", f"reason={NUL if page.path != '/sign-in' else ''}"]
                headers = {"Content-Type": "application/x-www-form-urlencoded"}
                answer = await client.post(path, content="&".join(fields), headers=headers)
                if answer.status_code >= 500:
                    failed.append((path, value))
    assert not failed

"""Who may see what: every address as every visitor, and the auditor of a subtree who tries to see more."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from broker.gateway.pages.guard import POLICY, Access
from broker.gateway.pages.routes import PAGES
from tests.integration.pages.addresses import every_address
from tests.kit.scene import AN_GIANG, FAR_WARD, HANOI, OTHER_WARD, SECRET, WARD, Scene, csrf_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_whoever_has_not_signed_in_is_led_to_the_sign_in_from_every_page(scene: Scene) -> None:
    async with scene.signed_in(None) as client:
        for page, path in every_address(scene):
            if page.access is Access.anyone:
                continue
            answer = await client.request(page.method, path)
            # A form without a token is refused before anything else is looked at.
            assert answer.status_code in (303, 403), (page.method, path, answer.status_code)
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/sign-in"), path
            assert SECRET not in answer.text


async def test_an_auditor_is_refused_everything_that_is_an_operators(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        token = csrf_of(await client.get("/"))
        refused = 0
        for page, path in every_address(scene):
            if page.access is not Access.operator:
                continue
            data = {"csrf": token, "reason": "tried"} if page.method == "POST" else None
            answer = await client.request(page.method, path, data=data)
            assert answer.status_code == 403, (page.method, path)
            refused += 1
        assert refused >= 10
    assert await scene.gateway.exchange.value("SELECT count(*) FROM document WHERE held_at IS NOT NULL") == 0
    assert await scene.gateway.exchange.value("SELECT count(*) FROM account_record WHERE what = 'denied'") >= refused


async def test_a_subtree_auditor_gets_the_same_404_for_what_is_others_and_for_what_is_not_there(scene: Scene) -> None:
    nobody = "00000000-0000-0000-0000-00000000dead"
    async with scene.signed_in("hanoi") as client:
        for rest in (
            "",
            "/missing",
            "/proof",
            "/deliveries.csv",
            f"/deliveries/{FAR_WARD}",
            f"/deliveries/{FAR_WARD}/proof",
        ):
            there = await client.get(scene.path(scene.outside, rest))
            invented = await client.get(f"/documents/{AN_GIANG}/{nobody}{rest}")
            assert (there.status_code, invented.status_code) == (404, 404), rest
            assert _without_addresses(there) == _without_addresses(invented), rest
        live = await client.get("/live" + scene.path(scene.outside))
        assert live.status_code == 404
        for path in (
            f"/documents/{scene.outside.id}",
            f"/documents/{scene.outside.digest}",
            f"/agencies/{AN_GIANG}",
            f"/agencies/{FAR_WARD}",
            f"/agencies/{scene.ministry.code}",
            f"/map/{AN_GIANG}",
            scene.path(scene.telegram, f"/deliveries/{FAR_WARD}"),
            scene.path(scene.telegram, f"/deliveries/{FAR_WARD}/proof"),
        ):
            assert (await client.get(path)).status_code == 404, path


WIDENING = (
    f"under={AN_GIANG}",
    f"recipient={FAR_WARD}",
    f"sender={AN_GIANG}",
    "always=1",
    "q=An+Giang",
    "by=agency&always=1",
)
HIDDEN = (SECRET, FAR_WARD, "Bình Đức", "Gửi nhầm nơi nhận")


async def test_no_page_shows_a_subtree_auditor_anything_of_others(scene: Scene) -> None:
    """Every list with every parameter that could widen it; then every link on every page that answered."""
    lists = ["/", "/search", "/search.csv", "/map", f"/map/{HANOI}", "/reports", "/reports.csv", "/refused", "/missing"]
    lists += ["/overdue", "/lists/refused.csv", "/lists/overdue.csv", scene.path(scene.telegram)]
    lists += [scene.path(scene.telegram, "/missing"), f"/agencies/{HANOI}", "/log"]
    await _crawl(scene, [path for path in lists] + [f"{path}?{extra}" for path in lists for extra in WIDENING], 160)


@pytest.mark.long
async def test_no_address_at_all_shows_a_subtree_auditor_anything_of_others(scene: Scene) -> None:
    """Every address of the table with every such parameter, and a thousand links."""
    paths = [path for page, path in every_address(scene) if page.method == "GET" and page.access is not Access.anyone]
    paths = [path for path in paths if not path.startswith("/live")]
    await _crawl(scene, paths + [f"{path}?{extra}" for path in paths for extra in WIDENING], 1_000)


async def _crawl(scene: Scene, waiting: list[str], most: int) -> None:
    seen: set[str] = set()
    async with scene.signed_in("hanoi") as client:

        async def look(path: str) -> list[str]:
            answer = await client.get(path, follow_redirects=True)
            assert answer.status_code in (200, 400, 403, 404), (path, answer.status_code)
            # What was asked for may be repeated in a form's field or a sentence about it; nothing else.
            shown = re.sub(r'value="[^"]*"|href="[^"]*"|“[^”]*”', "", unescape(answer.text))
            hidden = [*HIDDEN, *([] if str(scene.outside.id) in path else [str(scene.outside.id)])]
            told = [word for word in hidden if word in shown and not (answer.status_code == 400 and word in path)]
            assert not told, (path, told)
            if answer.status_code == 200 and "text/html" in answer.headers["content-type"]:
                return list(_links(answer))
            return []

        while waiting and len(seen) < most:
            batch = [path for path in dict.fromkeys(waiting[:8]) if path not in seen]
            waiting = waiting[8:]
            seen.update(batch)
            for links in await asyncio.gather(*(look(path) for path in batch)):
                waiting += [link for link in links if link not in seen]
    assert len(seen) > 60


async def test_no_place_on_a_map_leads_a_subtree_auditor_to_a_page_that_he_may_not_see(scene: Scene) -> None:
    async with scene.signed_in("hanoi") as client:
        for path in ("/", "/map?always=1", scene.path(scene.telegram)):
            links = set(_links(await client.get(path, follow_redirects=True)))
            for link in sorted(link for link in links if link.startswith("/map/")):
                assert (await client.get(link)).status_code == 200, (path, link)
        assert any(link.startswith(f"/map/{HANOI}") for link in _links(await client.get("/")))


async def test_a_subtree_auditor_sees_his_part_of_a_document_that_others_received_too(scene: Scene) -> None:
    async with scene.signed_in("hanoi") as client:
        answer = await client.get(scene.path(scene.telegram))
        assert answer.status_code == 200
        for code in (HANOI, WARD, OTHER_WARD):
            assert f"/deliveries/{code}" in answer.text
        assert FAR_WARD not in answer.text
        assert "4 " not in re.search(r'class="explanation">\s*<p>([^<]*)', answer.text)[1].split("để gửi")[1][:3]  # type: ignore[index]
        own = await client.get(scene.path(scene.inside))
        assert "nước sạch" in own.text
    async with scene.signed_in("ward") as client:
        page = (await client.get(scene.path(scene.telegram))).text
        assert WARD in page
        assert OTHER_WARD not in page
        assert (await client.get(f"/agencies/{HANOI}")).status_code == 404


async def test_the_whole_country_is_open_to_an_auditor_without_a_subtree(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        for letter in (scene.telegram, scene.inside, scene.outside):
            assert (await client.get(scene.path(letter))).status_code == 200
        page = (await client.get(scene.path(scene.telegram))).text
        assert "Gửi nhầm nơi nhận" in page


async def test_every_answer_carries_the_whole_policy_and_is_kept_nowhere(scene: Scene) -> None:
    assert "unsafe" not in POLICY
    async with scene.signed_in("operator") as client:
        for page, path in every_address(scene):
            if page.method != "GET" or path.startswith("/live"):
                continue
            answer = await client.get(path)
            assert answer.status_code < 500, (path, answer.text[:3000])
            assert answer.headers["content-security-policy"] == POLICY, path
            assert answer.headers["cache-control"] == "no-store", path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            if "text/html" in answer.headers.get("content-type", ""):
                assert not re.search(
                    r"\sstyle=|\son[a-z]+=|<script(?![^>]* src=)|<style|javascript:|https?://(?!www\.w3\.org/2000/svg)",
                    answer.text,
                ), path


async def test_every_page_is_one_of_the_table_and_none_is_open_by_mistake() -> None:
    open_to_all = {(page.method, page.path) for page in PAGES if page.access is Access.anyone}
    assert open_to_all == {
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/language"),
        ("GET", "/sign-in/openid"),
        ("GET", "/sign-in/openid/answer"),
    }
    assert all(page.access is Access.operator for page in PAGES if "/act/" in page.path or "dead" in page.path)


def _links(answer: httpx.Response) -> Iterator[str]:
    for link in re.findall(r'href="(/[^"]*)"', answer.text):
        path = unescape(link).partition("#")[0]
        if not path.startswith(("/static", "/language", "/sign")):
            yield path


def _without_addresses(answer: httpx.Response) -> str:
    return re.sub(r'href="[^"]*"|<time[^>]*>[^<]*</time>|value="[0-9a-f]{64}"', "", answer.text)

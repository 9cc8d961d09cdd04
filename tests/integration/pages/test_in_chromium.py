"""The pages in a real Chromium: from the sign-in to an operator's action, with and without scripts, by keyboard."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import account_named
from tests.kit.chromium import ACCESSIBLE, CONTRAST, FLAGS, FOCUS_SHOWN, OTHER_LANGUAGE, PROGRAM, TOO_WIDE, Watched
from tests.kit.exchange import PATIENCE
from tests.kit.scene import HANOI, OTHER_WARD, PASSWORD, WARD, Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDTHS = (360, 768, 1280)
SCREENSHOTS = os.environ.get("LIENTHONG_SCREENSHOTS")
"""A folder to leave pictures in, for people to look at."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The machine's own Chromium."""
    if PROGRAM is None:
        pytest.skip("there is no Chromium on this machine; deploy/prepare-browser installs it")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        yield browser
        await browser.close()


@asynccontextmanager
async def visiting(chromium: Browser, scene: Scene, login: str | None = None, **options: Any) -> AsyncIterator[Watched]:
    """A browser window of its own; nothing may have gone wrong on its pages when it is closed."""
    context: BrowserContext = await chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
    if login is not None:
        async with scene.gateway.exchange.pool.acquire() as connection:
            session = await sessions.begin(connection, await account_named(connection, login))
        await context.add_cookies([{"name": "lt-session", "value": session.token, "url": scene.url}])
    watched = Watched(await context.new_page(), scene.url, SCREENSHOTS)
    try:
        yield watched
        assert watched.wrong == []
    finally:
        await context.close()


CHART_ENDS = """() => {
  const box = document.querySelector(".chart .wide"), seen = box.getBoundingClientRect();
  const drawn = box.querySelector("svg").getBoundingClientRect();
  return [Math.abs(drawn.right - seen.right), Math.abs(drawn.left - seen.left)];
}"""
CARDS = """() => { const all = (what) => [...document.querySelectorAll('table.cards' + what)];
  const beyond = (t) => [...t.querySelectorAll('caption, td, td *, th')].filter(
    (e) => e.getBoundingClientRect().right > t.parentElement.getBoundingClientRect().right + 1);
  return [all('').filter((t) => t.scrollWidth > t.parentElement.clientWidth).map((t) => [t.scrollWidth,
      t.parentElement.clientWidth, innerWidth, ...beyond(t).map((e) => e.textContent)].join(' | ')),
    Math.max(...all(' tbody tr').map((r) => r.offsetHeight))]; }"""
"""Lists that are wider than their place, with what sticks out, and how tall the tallest line is."""


@pytest.mark.parametrize(("language", "scripts"), [("vi", True), ("en", True), ("vi", False)])
async def test_from_the_sign_in_to_an_operators_action(
    chromium: Browser, scene: Scene, language: str, scripts: bool
) -> None:
    vietnamese = language == "vi"
    async with visiting(chromium, scene, java_script_enabled=scripts) as seen:
        page = seen.page
        await seen.go("/map")
        if not vietnamese:
            await page.get_by_role("link", name="English").click()
        assert await page.locator("html").get_attribute("lang") == language
        await page.get_by_label("Tên đăng nhập" if vietnamese else "Login").fill("operator")
        await page.get_by_label("Mật khẩu" if vietnamese else "Password").fill(PASSWORD)
        await seen.look(f"sign-in-{language}")
        await page.get_by_role("button", name="Đăng nhập" if vietnamese else "Sign in").click()
        await page.wait_for_url("**/map")
        # The map, and a province of it.
        await page.locator(f'svg.map a[href^="/map/{HANOI}"]').first.focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/map/{HANOI}*")
        await seen.look(f"province-{language}")
        assert await page.locator(f'svg.map a[href="/agencies/{WARD}"]').count() == 1
        # A document by its words.
        await seen.go("/")
        await page.get_by_role("searchbox").fill("ung pho bao")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/search?q=*")
        await page.get_by_role("link", name="12/CĐ-BO").click()
        await page.wait_for_url("**" + scene.path(scene.telegram))
        await seen.look(f"document-{language}")
        assert await page.locator(".verdict .good").count() == 3
        await page.get_by_role("link", name="Nơi nào chưa nhận?" if vietnamese else "Who has not received it?").click()
        assert await page.get_by_text(OTHER_WARD).count() >= 1
        # A report with its chart and its table.
        await seen.go("/reports?by=level&always=1")
        assert await page.locator("figure.chart rect").count() > 2
        assert await page.locator("tfoot td").first.inner_text() == "3"
        await seen.look(f"report-{language}")
        # An action with its reason.
        await seen.go(scene.path(scene.telegram, "/act/resend"))
        await page.get_by_label("Lý do" if vietnamese else "Reason").fill(f"thử trong trình duyệt {language} {scripts}")
        await page.get_by_label("Chỉ đến các mã này" if vietnamese else "Only to these codes").fill(WARD)
        await seen.look(f"confirm-{language}")
        await page.get_by_role("button", name="Gửi lại" if vietnamese else "Send again").click()
        await page.wait_for_load_state()
        text = await page.locator("main").inner_text()
        # Another language's test may have a copy on its way already; then that is what the page says.
        waiting = "đang trên đường" in text or "on their way" in text
        assert waiting or "Đã ghi lệnh gửi lại" in text or "It is being sent again" in text, text
        await page.get_by_role("button", name="Đăng xuất" if vietnamese else "Sign out").click()
        await page.wait_for_url("**/sign-in")
        if waiting:
            seen.wrong = [one for one in seen.wrong if "400" not in one]


async def test_every_page_fits_every_screen_and_can_be_read_by_screen_readers_and_tired_eyes(
    chromium: Browser, scene: Scene
) -> None:
    wrong: list[object] = []
    async with visiting(chromium, scene, "operator") as seen:
        for path in _pages(scene):
            await seen.page.emulate_media(color_scheme="light")
            await seen.go(path)
            wrong += [(path, one) for one in await seen.page.evaluate(ACCESSIBLE)]
            wrong += [(path, "light", one) for one in await seen.page.evaluate(CONTRAST)]
            await seen.page.emulate_media(color_scheme="dark")
            wrong += [(path, "dark", one) for one in await seen.page.evaluate(CONTRAST)]
            for width in WIDTHS:
                await seen.page.set_viewport_size({"width": width, "height": 900})
                wrong += [(path, width, one) for one in await seen.page.evaluate(TOO_WIDE)]
    assert wrong == []


@pytest.mark.parametrize("language", ["vi", "en"])
async def test_every_page_speaks_the_language_that_was_chosen(chromium: Browser, scene: Scene, language: str) -> None:
    wrong: list[object] = []
    for login in ("operator", "hanoi"):
        async with visiting(chromium, scene, login) as seen:
            await seen.page.context.add_cookies([{"name": "lt-language", "value": language, "url": scene.url}])
            own = scene.path(scene.telegram)
            faulty = ["/search?sender=KHONGCO", "/search?first=hom+nay", "/nothing", f"/dead-letters/{'0' * 8}"]
            for path in [
                *_pages(scene),
                *faulty,
                f"{own}/act/resend",
                f"/quarantine/{scene.quarantined}",
                f"{own}/proof",
            ]:
                if path.endswith("/proof") and login == "operator":
                    continue  # a file
                await seen.go(path)
                assert await seen.page.locator("html").get_attribute("lang") == language, path
                wrong += [(login, path, one) for one in await seen.page.evaluate(OTHER_LANGUAGE)]
            # What is refused on purpose is also said in the console.
            seen.wrong = [one for one in seen.wrong if not re.search(r"status of 40[034]", one)]
    assert wrong == []


async def test_the_keyboard_reaches_the_content_first_and_every_province(chromium: Browser, scene: Scene) -> None:
    async with visiting(chromium, scene, "auditor") as seen:
        page = seen.page
        await seen.go("/map")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "content"
        reached = set()
        for _ in range(45):
            await page.keyboard.press("Tab")
            where = await page.evaluate("document.activeElement.getAttribute('href')")
            if where and where.startswith("/map/"):
                reached.add(where.partition("?")[0])
            assert await page.evaluate(FOCUS_SHOWN), where
        assert len(reached) == 34


async def test_figures_change_while_one_looks_on(chromium: Browser, scene: Scene) -> None:
    async with visiting(chromium, scene, "auditor") as seen:
        await seen.go("/")
        place = seen.page.locator('[data-live="sent"]')
        # What the page was made with is put aside, so that only a new stream can bring it back.
        await place.evaluate("e => { dispatchEvent(new Event('pagehide')); e.textContent = '?'; }")
        await place.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        await expect(place).to_have_text("3")


async def test_a_document_follows_what_happens_to_it_while_one_looks_on(chromium: Browser, scene: Scene) -> None:
    path = scene.path(scene.telegram)
    async with visiting(chromium, scene, "auditor") as seen:
        streaming = seen.page.wait_for_event("response", lambda answer: "/live/documents/" in answer.url)
        await seen.go(f"{path}?to={OTHER_WARD}")
        await streaming
        copies = seen.page.locator("#deliveries ~ .wide tbody td").last
        before = int(await copies.inner_text())
        one = "document_id = (SELECT document_id FROM document WHERE id = $1)"
        another = f"UPDATE delivery SET sends = sends + $2 WHERE {one}"
        await scene.gateway.exchange.pool.execute(another, scene.telegram.id, 1)
        try:
            await expect(copies).to_have_text(str(before + 1), timeout=PATIENCE * 1_000)
        finally:
            await scene.gateway.exchange.pool.execute(another, scene.telegram.id, -1)


async def test_paper_shows_the_document_without_what_only_screens_need(chromium: Browser, scene: Scene) -> None:
    async with visiting(chromium, scene, "auditor") as seen:
        await seen.go(scene.path(scene.telegram))
        await seen.page.emulate_media(media="print")
        assert not await seen.page.locator("nav.main").is_visible()
        assert not await seen.page.locator("form").first.is_visible()
        assert await seen.page.locator(".timeline").is_visible()
        paper = await seen.page.pdf()
        assert paper.startswith(b"%PDF")


def _pages(scene: Scene) -> list[str]:
    own = scene.path(scene.telegram)
    paths = ["/", "/search?q=bao", "/map", f"/map/{HANOI}", "/reports?by=tier&always=1", "/reports?by=agency&always=1"]
    paths += ["/overdue", "/refused", "/missing?q=bao", "/log", "/dead-letters", "/quarantine", "/accounts"]
    return [*paths, own, f"{own}/missing", f"{own}/deliveries/{WARD}", f"{own}/act/hold", f"/agencies/{HANOI}"]


async def test_after_signing_out_going_back_shows_nothing(chromium: Browser, scene: Scene) -> None:
    async with visiting(chromium, scene, "auditor") as seen:
        page = seen.page
        await seen.go(scene.path(scene.inside))
        await seen.go("/")
        await page.get_by_role("button", name="Đăng xuất").click()
        await page.wait_for_url("**/sign-in")
        for _ in range(2):
            await page.go_back()
            assert "nước sạch" not in await page.content()
            assert await page.locator("#f-password").is_visible(), page.url


async def test_on_a_telephone_a_long_list_is_read_without_scrolling_sideways(chromium: Browser, scene: Scene) -> None:
    async with visiting(chromium, scene, "auditor") as seen:
        await seen.page.set_viewport_size({"width": 360, "height": 800})
        for path in ("/search", "/overdue", "/refused", f"/agencies/{HANOI}", scene.path(scene.telegram)):
            await seen.go(path)
            wide, tallest = await seen.page.evaluate(CARDS)
            assert not wide, path
            assert 0 < tallest < 320, path
        for path, newest in (("/", True), ("/reports?by=day", True), ("/reports", False)):
            await seen.go(path)
            right, left = await seen.page.evaluate(CHART_ENDS)
            assert (right if newest else left) < 2, f"{path}: today is out of sight"
    async with visiting(chromium, scene, "operator") as seen:
        await seen.page.set_viewport_size({"width": 360, "height": 800})
        await seen.go("/accounts")
        assert not (await seen.page.evaluate(CARDS))[0]
        assert await seen.page.evaluate("document.querySelector('caption:not(.hidden)').offsetWidth") > 250

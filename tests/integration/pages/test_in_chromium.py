"""The pages in a real Chromium: from the sign-in to an operator's action, with and without scripts, by keyboard."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import account_named
from tests.kit.scene import HANOI, OTHER_WARD, PASSWORD, WARD, Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")

PROGRAM = next(
    (found for name in (os.environ.get("LIENTHONG_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
     if name and (found := shutil.which(name))), None
)  # fmt: skip
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
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


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.wrong: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("request", lambda asked: None if asked.url.startswith(url) else self.wrong.append(asked.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"{self.page.url}: {message.text}")

    async def go(self, path: str) -> None:
        """Open a page and wait until it has been laid out."""
        await self.page.goto(self.url + path)

    async def look(self, name: str) -> None:
        """Leave a picture, if somebody wants one."""
        if SCREENSHOTS:
            await self.page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


@asynccontextmanager
async def visiting(chromium: Browser, scene: Scene, login: str | None = None, **options: Any) -> AsyncIterator[Watched]:
    """A browser window of its own; nothing may have gone wrong on its pages when it is closed."""
    context: BrowserContext = await chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
    if login is not None:
        async with scene.gateway.exchange.pool.acquire() as connection:
            session = await sessions.begin(connection, await account_named(connection, login))
        await context.add_cookies([{"name": "lt-session", "value": session.token, "url": scene.url}])
    watched = Watched(await context.new_page(), scene.url)
    try:
        yield watched
        assert watched.wrong == []
    finally:
        await context.close()


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
        assert "Đã ghi lệnh gửi lại" in text or "It is being sent again" in text or "on their way" in text, text
        await page.get_by_role("button", name="Đăng xuất" if vietnamese else "Sign out").click()
        await page.wait_for_url("**/sign-in")
        if "on their way" in text:
            seen.wrong = [one for one in seen.wrong if "400" not in one]


ACCESSIBLE = """() => {
  const wrong = [];
  const named = (e) => (e.getAttribute('aria-label') || e.textContent || e.title || '').trim()
      || (e.labels && [...e.labels].map((l) => l.textContent).join(' ').trim());
  if (!document.documentElement.lang) wrong.push('no language');
  if (document.querySelectorAll('main').length !== 1) wrong.push('not one main');
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not one h1');
  let level = 1;
  for (const h of document.querySelectorAll('main h1, main h2, main h3')) {
    const now = Number(h.tagName[1]);
    if (now > level + 1) wrong.push('heading jumps: ' + h.innerText);
    level = now;
  }
  for (const e of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea'))
    if (!named(e)) wrong.push('no name: ' + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    if (!e.labels || !e.labels.length) wrong.push('no label: ' + e.outerHTML.slice(0, 120));
  for (const t of document.querySelectorAll('table')) {
    if (!t.caption) wrong.push('no caption');
    for (const th of t.querySelectorAll('th')) if (!th.scope) wrong.push('no scope: ' + th.innerText);
  }
  for (const s of document.querySelectorAll('svg'))
    if (!s.querySelector(':scope > title') && s.getAttribute('aria-hidden') !== 'true') wrong.push('svg without title');
  for (const i of document.images) if (!i.hasAttribute('alt')) wrong.push('no alt: ' + i.src);
  for (const n of document.querySelectorAll('nav')) if (!n.getAttribute('aria-label')) wrong.push('nav without name');
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((x) => x === id).length > 1) wrong.push('id twice: ' + id);
  for (const e of document.querySelectorAll('[aria-labelledby], [aria-describedby]'))
    for (const id of (e.getAttribute('aria-labelledby') || e.getAttribute('aria-describedby')).split(' '))
      if (!document.getElementById(id)) wrong.push('names nothing: ' + id);
  return wrong;
}"""

FOCUS_SHOWN = """() => { const e = document.activeElement;
  return e === document.body || !!e.closest('svg') || getComputedStyle(e).outlineStyle !== 'none'; }"""

TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll('main *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
    && !e.closest('.wide')).map((e) => e.outerHTML.slice(0, 90))"""

CONTRAST = """() => {
  const numbers = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = numbers(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0.9) return c; } return [255, 255, 255]; };
  const wrong = [];
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || ![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    const style = getComputedStyle(e);
    if (!e.getClientRects().length || style.visibility === 'hidden') continue;
    const a = light(numbers(style.color)), b = light(ground(e));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.6 && style.fontWeight >= 700);
    if (contrast < (large ? 3 : 4.5))
      wrong.push(contrast.toFixed(2) + ' ' + e.className + ' ' + e.innerText.slice(0, 40));
  }
  return [...new Set(wrong)];
}"""


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

"""A real Chromium for tests of the pages: a window that notes whatever goes wrong, and questions to ask of any page.

The questions are scripts; each answers with a list of what is wrong. They are asked through the debugger, so that the
pages' content security policy stands as it is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.async_api import ConsoleMessage, FloatRect, Page

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


class Watched:
    """A page, and everything that went wrong on it."""

    def __init__(self, page: Page, url: str, pictures: str | None = None) -> None:
        self.page, self.url, self.pictures = page, url, pictures
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

    async def look(self, name: str, tallest: int | None = None) -> None:
        """Leave a picture, if somebody wants one: of the whole page, or of so many pixels from its top."""
        if self.pictures:
            size = await self.page.evaluate("() => [innerWidth, document.documentElement.scrollHeight]")
            clip = FloatRect(x=0, y=0, width=size[0], height=min(size[1], tallest or size[1]))
            await self.page.screenshot(path=Path(self.pictures) / f"{name}.png", full_page=True, clip=clip)


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

OTHER_LANGUAGE = """() => {
  const page = document.documentElement.lang, wrong = [];
  const common = 'the|of|and|is|was|are|were|not|by|with|from|for|this|that|has|have|been|found|expected|unknown|agency'
    + '|agencies|document|signature|certificate|key|recipients?|sender|accepted|refused|signed|mailbox|exchange'
    + '|operator';
  const english = new RegExp('\\\\b(' + common + ')\\\\b', 'i');
  const vietnamese = new RegExp('(^|[^\\\\p{L}])(của|được|không|các|lúc|đã|và|trong|với|tại|chưa|hãy|nơi|trục)'
    + '($|[^\\\\p{L}])', 'iu');
  const look = (text, e, where) => {
    text = text.trim();
    if (!text || e.closest('pre, code, script, style, nav.languages, [translate=no]')) return;
    const lang = e.closest('[lang]').lang;
    const bad = page === 'vi' ? lang !== 'vi' || (english.test(text))
                              : lang !== 'vi' && vietnamese.test(text);
    if (bad) wrong.push(where + ': ' + text.slice(0, 90));
  };
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) look(node.data, node.parentElement, 'text');
  for (const e of document.querySelectorAll('[title], [aria-label], [alt], [placeholder]'))
    for (const name of ['title', 'aria-label', 'alt', 'placeholder'])
      if (e.getAttribute(name)) look(e.getAttribute(name), e, name);
  return [...new Set(wrong)];
}"""
"""What is not in the page's language. Subjects and reasons are Vietnamese everywhere and marked so; names are names;
what people typed for the machine (logins, reasons at the command line) is marked as not to be translated. On a
Vietnamese page nothing may be marked as being in another language."""

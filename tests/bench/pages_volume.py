"""The pages as people use them at five million deliveries: `python -m tests.bench.pages_volume --services DIR`.

A real gateway on a copy of the database that `audit_volume` made (see `pages_ground`), and a real Chromium that signs
in as an operator, an auditor, the auditor of a province and the auditor of a commune, in both languages, and walks
through the pages. Prints how long each page took to load (navigation timing: first and second visit), and everything
that is wrong: errors and policy violations in the console, requests to other hosts, text in the wrong language, what a
screen reader could not use, what is wider than a telephone. Then the subtrees' auditors try every address that the
operator saw; and the auditor looks at paper, goes without scripts, and by keyboard alone.

`--pictures FOLDER` leaves screenshots; `--axe FILE` runs axe-core (not part of this project) on every page as well.
Exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import structlog
from playwright.async_api import Browser, ViewportSize, async_playwright

from broker.audit.lookup import subtree
from broker.cli.output import say
from broker.directory.records import AgencyId
from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import account_named
from broker.services import up
from tests.bench.pages_ground import (
    COMMUNE,
    FAR_COMMUNE,
    FAR_PROVINCE,
    PASSWORD,
    PEOPLE,
    PROVINCE,
    Ground,
    ground,
)
from tests.kit.chromium import ACCESSIBLE, CONTRAST, FLAGS, FOCUS_SHOWN, OTHER_LANGUAGE, PROGRAM, TOO_WIDE, Watched

TIMING = """() => { const [n] = performance.getEntriesByType('navigation');
  return { first_byte: n.responseStart - n.requestStart, loaded: n.loadEventEnd, bytes: n.decodedBodySize }; }"""
AXE = """async () => (await axe.run(document, { resultTypes: ['violations'] })).violations
  .map((v) => v.impact + ' ' + v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120)).join(' … '))"""
TELEPHONE, DESK = ViewportSize(width=360, height=760), ViewportSize(width=1280, height=900)
A4 = ViewportSize(width=794, height=1123)
TALLEST = 2_400
"""Pixels of a page that its picture shows."""
CODE = re.compile(r"(?<![\w.])(?:[GH]\d\d(?:\.\d{2,6})*|T[0-9A-F]{6}\.\w+)(?![\w.])")
NOBODY = "/documents/G01/00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One page as one person saw it, in milliseconds."""

    login: str
    language: str
    path: str
    status: int
    first: float
    second: float
    first_byte: float
    bytes: int


class Faults(list[str]):
    """What is wrong, said as soon as it is found."""

    def extend(self, found: Iterable[str]) -> None:
        for one in found:
            self.append(one)

    def append(self, one: str) -> None:
        print("WRONG", one, flush=True)
        super().append(one)


@dataclass(kw_only=True)
class Walk:
    """What was seen and what was wrong."""

    ground: Ground
    pictures: str | None
    axe: str | None
    seen: list[Seen] = field(default_factory=list)
    wrong: Faults = field(default_factory=Faults)
    links: set[str] = field(default_factory=set)
    """Every address of ours that a page of the operator led to."""

    def saw(self, one: Seen) -> None:
        """Write down one page, and say it."""
        self.seen.append(one)
        times = f"{one.first:7.0f} {one.second:7.0f} {one.first_byte:7.0f}"
        print(f"{one.login:10} {one.language:4} {one.status} {times} {one.bytes:9,} {one.path}", flush=True)

    def paths(self, login: str) -> dict[str, str]:
        """What this person looks at, by the name of its picture."""
        at = self.ground
        asked = {
            "overview": "/",
            "map": "/map",
            "map-overdue": "/map?measure=overdue",
            "province": f"/map/{PROVINCE}",
            "province-volume": f"/map/{PROVINCE}?measure=volume&always=1",
            "search": "/search",
            "search-words": "/search?q=ung+pho+bao",
            "search-frequent": "/search?q=bao+cao",
            "search-fields": f"/search?sender=G22&recipient={PROVINCE}&state=received&first=01%2F03%2F2026",
            "search-overdue": f"/search?under={PROVINCE}&overdue=1",
            "search-number": "/search?number=12&notation=C%C4%90-BO",
            "search-fault": "/search?sender=KHONGCO",
            "search-agencies": "/search?q=ba+dinh",
            "which-agency": "/overdue?under=ba+dinh",
            "map-ordered": "/map?measure=volume&order=overdue",
            "document": at.shared,
            "document-inside": at.inside,
            "document-page-2": f"{at.shared}?page=2",
            "delivery": f"{at.shared}/deliveries/{COMMUNE}",
            "missing-of": f"{at.shared}/missing",
            "telegram": at.telegram,
            "telegram-missing": f"{at.telegram}/missing?under={PROVINCE}&level=commune",
            "agency": f"/agencies/{PROVINCE}",
            "commune": f"/agencies/{COMMUNE}",
            "reports": "/reports",
            "reports-agency": "/reports?by=agency",
            "reports-day": "/reports?by=day",
            "reports-month": "/reports?by=month",
            "overdue": "/overdue",
            "overdue-communes": "/overdue?level=commune",
            "refused": "/refused",
            "missing": "/missing?q=12%2FC%C4%90-BO",
            "log": "/log",
            "nothing": "/nothing-is-here",
        }
        if login == "operator5":
            asked |= {
                "dead-letters": "/dead-letters",
                "quarantine": "/quarantine",
                "quarantined": "/quarantine/1",
                "accounts": "/accounts",
                "hold": f"{at.shared}/act/hold",
                "resend": f"{at.shared}/act/resend",
            }
        if login in ("province5", "commune5"):
            del asked["search-fault"]
            asked |= {"outside": at.outside, "foreign": at.foreign}
        if login == "commune5":
            for name in ("search-overdue", "telegram-missing"):
                asked[name] = asked[name].replace(PROVINCE, COMMUNE)
            asked["search-fields"] = f"/search?recipient={COMMUNE}&state=completed"
        return asked


async def walk(tour: Walk, browser: Browser, login: str, language: str) -> None:
    """Sign in, look at every page twice, sign out."""
    url = tour.ground.gateway.url
    context = await browser.new_context(viewport=DESK)
    window = Watched(await context.new_page(), url, tour.pictures)
    page = window.page
    await window.go("/")
    if language == "en":
        await page.get_by_role("link", name="English").click()
    await window.look(f"{login}-{language}-sign-in")
    await page.locator("#f-login").fill(login)
    await page.locator("#f-password").fill(PASSWORD)
    await page.locator("main form button").first.click()
    await page.wait_for_url(f"{url}/")
    for name, path in tour.paths(login).items():
        await page.set_viewport_size(DESK)
        answer = await page.goto(url + path)
        assert answer is not None
        first: dict[str, Any] = await page.evaluate(TIMING)
        await page.goto(url + path)
        second: dict[str, Any] = await page.evaluate(TIMING)
        tour.saw(
            Seen(
                login=login, language=language, path=path, status=answer.status, first=first["loaded"],
                second=second["loaded"], first_byte=first["first_byte"], bytes=first["bytes"],
            )
        )  # fmt: skip
        strange = name in ("nothing", "outside", "foreign") or (login == "commune5" and name == "agency")
        if answer.status >= 500 or (answer.status == 404 and not strange):
            tour.wrong.append(f"{login} {language} {path}: {answer.status}")
        await window.look(f"{login}-{language}-{name}", TALLEST)
        questions = [("language", OTHER_LANGUAGE), ("reader", ACCESSIBLE), ("contrast", CONTRAST)]
        for kind, question in questions:
            tour.wrong.extend([f"{login} {language} {path}: {kind}: {one}" for one in await page.evaluate(question)])
        if tour.axe is not None and language == "vi":  # the pages are built alike in both
            await page.evaluate(tour.axe)
            tour.wrong.extend([f"{login} {language} {path}: axe: {one}" for one in await page.evaluate(AXE)])
        await page.set_viewport_size(TELEPHONE)
        tour.wrong.extend([f"{login} {language} {path}: too wide: {one}" for one in await page.evaluate(TOO_WIDE)])
        if login in ("operator5", "province5") and language == "vi":
            await window.look(f"{login}-telephone-{name}", TALLEST)
    await page.set_viewport_size(DESK)
    await page.get_by_role("button", name="Đăng xuất" if language == "vi" else "Sign out").click()
    await page.wait_for_url("**/sign-in")
    # A page that is refused on purpose is also told in the console.
    tour.wrong.extend([one for one in window.wrong if not re.search(r"status of (400|404)", one)])
    await context.close()


async def files(tour: Walk, login: str) -> None:
    """Downloads: proofs and tables come as files, within reason."""
    async with visitor(tour.ground, login) as client:
        at = tour.ground
        for path in (
            f"{at.inside}/proof",
            f"{at.shared}/proof",
            f"{at.shared}/deliveries/{COMMUNE}/proof",
            f"{at.telegram}/deliveries.csv",
            "/search.csv?q=ung+pho+bao",
            "/reports.xlsx?by=agency",
            "/lists/overdue.csv",
            "/log/checkpoint",
            "/log/keys",
        ):
            answer = await client.get(path)
            milliseconds = answer.elapsed.total_seconds() * 1000
            tour.saw(
                Seen(
                    login=login, language="file", path=path, status=answer.status_code, first=milliseconds,
                    second=milliseconds, first_byte=milliseconds, bytes=len(answer.content),
                )
            )  # fmt: skip


async def otherwise(tour: Walk, browser: Browser, login: str) -> None:
    """On paper, without scripts, and by keyboard alone."""
    url, at = tour.ground.gateway.url, tour.ground
    paper = await browser.new_context(viewport=A4)
    await paper.add_cookies([{"name": "lt-session", "value": _cookies[login]["lt-session"], "url": url}])
    window = Watched(await paper.new_page(), url, tour.pictures)
    await window.page.emulate_media(media="print")
    looked_at = {"overview": "/", "document": at.shared, "telegram": at.telegram, "reports": "/reports?by=month"}
    for name, path in (looked_at | {"province": f"/map/{PROVINCE}", "log": "/log"}).items():
        await window.go(path)
        tour.wrong.extend([f"paper {path}: too wide: {one}" for one in await window.page.evaluate(TOO_WIDE)])
        if await window.page.locator("nav.main").is_visible():
            tour.wrong.append(f"paper {path}: shows the navigation")
        await window.look(f"paper-{name}", TALLEST)
    await paper.close()
    plain = await browser.new_context(viewport=TELEPHONE, java_script_enabled=False)
    await plain.add_cookies([{"name": "lt-session", "value": _cookies[login]["lt-session"], "url": url}])
    window = Watched(await plain.new_page(), url, tour.pictures)
    await window.go("/")
    await window.look("no-scripts-overview", TALLEST)
    await window.page.get_by_role("searchbox").fill("12/CĐ-BO")
    await window.page.get_by_role("button", name="Tìm").click()
    await window.page.get_by_role("link", name="12/CĐ-BO").first.click()
    await window.page.get_by_label("Nơi nhận", exact=True).fill("Ba Đình")
    await window.page.get_by_role("button", name="Xem").click()
    if await window.page.locator("#deliveries ~ .wide tbody tr").count() != 1:
        tour.wrong.append("without scripts: the recipients are not filtered")
    await window.look("no-scripts-filtered", TALLEST)
    await plain.close()
    keys = await browser.new_context(viewport=DESK)
    await keys.add_cookies([{"name": "lt-session", "value": _cookies[login]["lt-session"], "url": url}])
    window = Watched(await keys.new_page(), url, tour.pictures)
    await window.go(at.shared)
    await window.page.keyboard.press("Tab")
    await window.look("keyboard-skip", DESK["height"])
    for step in range(1, 61):
        await window.page.keyboard.press("Tab")
        if not await window.page.evaluate(FOCUS_SHOWN):
            tour.wrong.append(f"keyboard: step {step} of {at.shared} shows no focus")
    await window.look("keyboard-focus", TALLEST)
    await keys.close()


def visitor(at: Ground, login: str) -> httpx.AsyncClient:
    """A browser without scripts, not signed in yet."""
    return httpx.AsyncClient(
        base_url=at.gateway.url, timeout=60, cookies=_cookies[login], headers={"Accept": "text/html"}
    )


_cookies: dict[str, dict[str, str]] = {}


async def operators_links(tour: Walk) -> None:
    """Every address of ours that a page of the operator leads to."""
    login = PEOPLE[0][0]
    async with visitor(tour.ground, login) as client:
        for path in tour.paths(login).values():
            tour.links.add(path)
            found = re.findall(r'(?:href|action)="(/[^"#]*)', (await client.get(path)).text)
            tour.links |= {html.unescape(one) for one in found if not one.startswith("/static/")}


async def trespass(tour: Walk, login: str, root: str) -> None:
    """Every address of the operator, asked for as the auditor of a subtree: foreign codes are in no answer."""
    at, pool = tour.ground, tour.ground.gateway.exchange.pool
    if not tour.links:
        await operators_links(tour)
    async with pool.acquire() as connection:
        root_id = await connection.fetchval("SELECT agency_id FROM agency WHERE code = $1", root)
        inside = await subtree(connection, AgencyId(root_id))
        own = {row[0] for row in await connection.fetch("SELECT code FROM agency WHERE agency_id = ANY ($1)", inside)}
        rows = await connection.fetch(DEALT_WITH, inside, timeout=600)
    known = own | {row[0] for row in rows}
    tried = sorted(one for one in tour.links if not one.startswith(("/sign-out", "/language")))
    rests = ("", "/missing", "/proof", "/deliveries.csv", f"/deliveries/{FAR_COMMUNE}")
    tried += [f"{at.outside}{rest}" for rest in rests]
    tried += [f"{at.shared}/deliveries/{FAR_COMMUNE}{rest}" for rest in ("", "/proof")]
    tried += [f"/live{at.outside}", f"/map/{FAR_PROVINCE}", f"/agencies/{FAR_COMMUNE}"]
    answers: Counter[int] = Counter()
    async with visitor(at, login) as client:
        nothing = _plain((await client.get(NOBODY)).text)
        for path in tried:
            answer = await client.get(path)
            answers[answer.status_code] += 1
            if answer.status_code == 404 and _plain(answer.text) != nothing:
                tour.wrong.append(f"{login} {path}: a 404 that differs from that of nothing")
            if answer.status_code == 200 and answer.headers["content-type"].startswith("text/"):
                links = set(re.findall(r'href="/agencies/([^"?]+)', answer.text)) - own
                tour.wrong.extend(f"{login} {path}: leads to {code}" for code in sorted(links))
                named = set(CODE.findall(re.sub(r"<[^>]*>", " ", answer.text)))
                # Of the document that both provinces received, nothing of the other province.
                strange = {one for one in named if one.startswith(FAR_PROVINCE)} if at.shared in path else named - known
                tour.wrong.extend(f"{login} {path}: names {code}" for code in sorted(strange))
    say(f"{login} tried {len(tried)} addresses: {dict(answers)}")


DEALT_WITH = """
WITH seen AS (SELECT document_id FROM document WHERE sender_id = ANY ($1)
              UNION SELECT document_id FROM delivery WHERE recipient_id = ANY ($1)),
     named AS (SELECT d.sender_id AS agency_id FROM document d JOIN seen USING (document_id)
               UNION SELECT d.submitter_id FROM document d JOIN seen USING (document_id)
               UNION SELECT x.agency_id FROM delivery v JOIN document d USING (document_id),
                            LATERAL (VALUES (v.recipient_id), (v.owner_id)) x (agency_id)
                     WHERE d.sender_id = ANY ($1) OR v.recipient_id = ANY ($1)
               UNION SELECT a.parent_id FROM agency a WHERE a.agency_id = ANY ($1))
SELECT code FROM agency JOIN named USING (agency_id)
"""
"""Whom a subtree ever dealt with: their names may stand on its pages."""


def _plain(page: str) -> str:
    """A page without what differs at each visit and address: times, links of languages, tokens, where one is."""
    return re.sub(r'<time.*?</time>| aria-current="page"|href="/language[^"]*"|value="[0-9a-f]{64}"', "", page)


async def run(arguments: argparse.Namespace) -> int:
    """The whole walk; 1 if something was wrong."""
    folder: Path | None = arguments.pictures
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    axe = arguments.axe.read_text(encoding="utf-8") if arguments.axe else None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    servers = up(arguments.services)
    async with ground(servers, arguments.size, arguments.services / "pages") as at, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS)
        tour = Walk(ground=at, pictures=str(folder) if folder else None, axe=axe)
        for login, _, root, _ in PEOPLE:
            async with at.gateway.exchange.pool.acquire() as connection:
                session = await sessions.begin(connection, await account_named(connection, login))
            _cookies[login] = {"lt-session": session.token}
            if arguments.only and login not in arguments.only:
                continue
            for language in arguments.language or ("vi", "en"):
                await walk(tour, browser, login, language)
            await files(tour, login)
            if root is not None:
                await trespass(tour, login, root)
            if login == "auditor5":
                await otherwise(tour, browser, login)
        await browser.close()
    if arguments.results is not None:
        told = {"pages": [asdict(one) for one in tour.seen], "wrong": tour.wrong}
        arguments.results.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    say(f"{len(tour.seen)} pages, {len(tour.wrong)} faults.")
    return 1 if tour.wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="pages_volume", description=__doc__)
    parser.add_argument("--services", type=Path, default=Path(".local"), help="folder of the private servers")
    parser.add_argument("--size", type=int, default=5_000_000, help="deliveries of the database that is copied")
    parser.add_argument("--pictures", type=Path, help="leave screenshots in this folder")
    parser.add_argument("--axe", type=Path, help="axe.min.js, to run it on every page")
    parser.add_argument("--results", type=Path, help="write what was seen into this JSON file")
    parser.add_argument("--language", action="append", choices=("vi", "en"), help="only this language")
    parser.add_argument("--only", action="append", help="only this login (may be repeated)")
    return asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())

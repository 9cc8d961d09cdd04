"""The small server behind the links. GET and HEAD change nothing, ever; one POST with choice and code answers.

It knows nothing of mail servers. It runs behind a reverse proxy on the same machine, or with a certificate of its own.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from aiohttp import web

from adapters import Agency
from adapters.mail import answers, links, pages
from adapters.mail.answers import Question, letter_in
from adapters.mail.facts import facts_of, one_line
from adapters.mail.links import Link, Nonces
from adapters.mail.pages import SECURITY_HEADERS, problem
from adapters.mail.sending import divide
from adapters.mail.settings import MailSettings, Page
from adapters.mail.visitors import Visitors
from schemas.problem import Problem, said

log = logging.getLogger("lienthong.mail")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
# A form is a reason, a code and a nonce.
MAX_FORM = 32 * 1024
# Addresses whose requests are counted at a time; the oldest is forgotten for a new one.
COUNTED = 10_000
# Connections at a time, altogether and from one address; a reverse proxy of ours may have all of them.
CONNECTIONS, CONNECTIONS_EACH = 500, 20
# Seconds for agreeing on TLS, for a request's line and headers or the next request, for a form, and for what else
# comes of a request that was answered before its end.
HANDSHAKE_SECONDS, IDLE_SECONDS, FORM_SECONDS, LINGER_SECONDS = 10.0, 30.0, 30.0, 10.0
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
# Seconds that answers in progress get to end when the program stops.
STOP_SECONDS = 10.0


class PageServer:
    """The pages of one agency's mail adapter."""

    def __init__(self, agency: Agency, settings: MailSettings) -> None:
        self._agency = agency
        self._settings = settings
        self._nonces = Nonces()
        self._rate = Rate(settings.page.per_minute)
        self._visitors = Visitors(
            together=CONNECTIONS, each=CONNECTIONS_EACH, without_limit=settings.page.trusted_proxies
        )
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._base = urlsplit(settings.page.public_url).path.rstrip("/")

    async def start(self) -> None:
        """Listen. Raises Problem if the place is taken or the certificate cannot be used."""
        page = self._settings.page
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_FORM)
        app.router.add_get(self._base + "/v/{token}", self._look)
        app.router.add_post(self._base + "/v/{token}", self._answer)
        app.router.add_get(self._base + "/p/{token}", self._parts)
        app.router.add_get(self._base + "/p/{token}/{ordinal:[0-9]{1,3}}/{name}", self._part)
        # Addresses are secrets: not logged, neither of good requests nor of broken ones.
        self._runner = web.AppRunner(
            app, access_log=None, logger=_silent(), handle_signals=False, shutdown_timeout=STOP_SECONDS
        )
        await self._runner.setup()
        try:
            context = _context(page)
            self._server = await asyncio.get_running_loop().create_server(
                self._visit,
                page.host,
                page.port,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if context is not None else None,
            )
        except (OSError, ssl.SSLError) as why:
            raise Problem(
                f"{page.host}:{page.port}: {said(why)}",
                "a free place and a certificate that can be used",
                "Correct page_host, page_port, page_certificate_file in [mail]",
            ) from why

    async def stop(self) -> None:
        """Finish what is being answered, then close."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _visit(self) -> asyncio.Protocol:
        assert self._runner is not None and self._runner.server is not None
        return _Visit(self._runner.server, self._visitors)

    # ── Around every request ──

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._rate.allows(self._client(request), time.monotonic()):
            response: web.StreamResponse = _html(problem(pages.TOO_MANY), status=429)
            response.headers["Retry-After"] = "60"
        else:
            try:
                response = await handler(request)
            except web.HTTPException as why:
                said = pages.GONE if why.status == web.HTTPNotFound.status_code else pages.NOT_UNDERSTOOD
                response = _html(problem(said), status=why.status)
            except Exception:
                log.exception("a page failed")
                response = _html(problem(pages.BROKEN), status=500)
        response.headers.update(SECURITY_HEADERS)
        if self._settings.page.public_url.startswith("https:"):
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response

    def _client(self, request: web.Request) -> str:
        peer = request.remote or ""
        if peer not in self._settings.page.trusted_proxies:
            return peer
        # What our own proxy wrote is the last entry; what stands before it is the visitor's invention.
        return request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()[:64] or peer

    # ── Answering ──

    async def _link(self, request: web.Request, purpose: str) -> Link:
        token = request.match_info["token"]
        link = await self._agency.store.run(lambda connection: links.find(connection, token, purpose))
        if link is None:
            raise web.HTTPNotFound
        return link

    async def _look(self, request: web.Request) -> web.StreamResponse:
        link = await self._link(request, "answer")
        question = await answers.question(self._agency, link)
        closed = _closed(link, question)
        if closed is not None:
            return closed
        return _html(pages.asking(link, question.facts, question.choices, nonce=self._nonces.issue(link)))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        link = await self._link(request, "answer")
        question = await answers.question(self._agency, link)
        closed = _closed(link, question)
        if closed is not None:
            return closed
        try:
            async with asyncio.timeout(FORM_SECONDS):
                form = await request.post()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        typed = {name: value if isinstance(value, str) else "" for name, value in form.items()}
        word, reason = typed.get("answer", ""), _reason(typed.get("reason", ""))
        choice = next((one for one in question.choices if one.word == word), None)
        wrong = []
        if not self._nonces.good(link, typed.get("nonce", "")):
            wrong.append(pages.OLD_PAGE)
        if choice is None:
            wrong.append(pages.NO_CHOICE)
        elif choice.reason and not reason:
            wrong.append(pages.NO_REASON)
        if len(reason) > pages.MAX_REASON:
            wrong.append(pages.LONG_REASON)
        if not wrong:
            guesses = await self._agency.store.run(lambda connection: links.guess(connection, link))
            if guesses is None:
                return _html(problem(pages.LOCKED), status=403)
            if not links.code_is_right(link, request.match_info["token"], typed.get("code", "")):
                wrong.append(pages.LOCKED if guesses >= links.WRONG_CODES else pages.WRONG_CODE)
        if wrong or choice is None:
            page = pages.asking(
                link,
                question.facts,
                question.choices,
                nonce=self._nonces.issue(link),
                wrong=wrong,
                chosen=word,
                reason=reason[: pages.MAX_REASON],
            )
            return _html(page, status=422)
        first = await answers.answer(self._agency, link, question, choice, reason if choice.reason else None)
        link = await self._link(request, "answer")
        if first:
            log.info("mail %d for %s: answered: %s", link.mail_no, link.office, choice.word)
        return _html(pages.answered(link, question.facts, now=first), status=200 if first else 409)

    # ── Larger parts ──

    async def _parts(self, request: web.Request) -> web.StreamResponse:
        link = await self._link(request, "parts")
        if link.inbox_no is None or link.expires_at < time.time():
            return _html(problem(pages.EXPIRED), status=410)
        letter = await letter_in(self._agency, link.inbox_no)
        _, linked = divide(letter.parts, self._settings.attach_bytes)
        base = f"{self._base}/p/{request.match_info['token']}"
        files = [
            (f"{base}/{position}/{quote(one_line(part.name, 200), safe='')}", part)
            for position, part in enumerate(letter.parts)
            if part in linked
        ]
        names = await self._agency.names.of(letter.ref.sender, letter.recipient)
        return _html(pages.parts(link, facts_of(letter, names), files))

    async def _part(self, request: web.Request) -> web.StreamResponse:
        link = await self._link(request, "parts")
        if link.inbox_no is None or link.expires_at < time.time():
            return _html(problem(pages.EXPIRED), status=410)
        letter = await letter_in(self._agency, link.inbox_no)
        position = int(request.match_info["ordinal"])
        if position >= len(letter.parts):
            raise web.HTTPNotFound
        part = letter.parts[position]
        file = self._agency.part_file(part.sha256)
        response = web.Response(body=await part.read()) if file is None else web.FileResponse(file, chunk_size=1 << 18)
        # Saved, never shown: what came may not run as a page of ours.
        response.headers["Content-Type"] = "application/octet-stream"
        response.headers["Content-Disposition"] = (
            f"attachment; filename*=UTF-8''{quote(one_line(part.name, 200), safe='')}"
        )
        response.headers["Repr-Digest"] = _repr_digest(part.sha256)
        return response


class _Visit(web.RequestHandler):
    """One connection: counted, and ended when it stays idle, before its first request as between two."""

    _who: str | None = None

    def __init__(self, server: web.Server, visitors: Visitors) -> None:
        self._visitors = visitors
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGER_SECONDS,
            access_log=None,  # type: ignore[arg-type]
            logger=_silent(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come; one too many is told so."""
        self._who = self._visitors.enter(transport)
        if self._who is not None:
            super().connection_made(transport)
        elif isinstance(transport, asyncio.WriteTransport):
            transport.write(BUSY)
            transport.close()

    def data_received(self, data: bytes) -> None:
        """What somebody says who was let in."""
        if self._who is not None:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Make room."""
        who, self._who = self._who, None
        if who is not None:
            self._visitors.leave(who)
            super().connection_lost(exc)


class Rate:
    """How often an address may ask: a bucket that fills evenly, for at most so many addresses at a time."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, client: str, now: float) -> bool:
        """Take one from the address's bucket; False if it is empty."""
        left, at = self._buckets.pop(client, (float(self._per_minute), now))
        left = min(left + (now - at) * self._per_minute / 60, self._per_minute)
        self._buckets[client] = (left - 1 if left >= 1 else left, now)
        if len(self._buckets) > COUNTED:
            self._buckets.popitem(last=False)
        return left >= 1


def _closed(link: Link, question: Question) -> web.Response | None:
    """The page of a link that takes no answer any more."""
    if link.answer is not None:
        return _html(pages.answered(link, question.facts, now=False))
    if link.expires_at < time.time():
        return _html(problem(pages.EXPIRED), status=410)
    if link.wrong >= links.WRONG_CODES:
        return _html(problem(pages.LOCKED), status=403)
    return None


def _reason(text: str) -> str:
    """A reason as it may stand in a status: lines are kept, other control characters are not."""
    lines = (one_line(line, pages.MAX_REASON + 1) for line in text.splitlines())
    return "\n".join(line for line in lines if line).strip()


def _html(body: str, *, status: int = 200) -> web.Response:
    return web.Response(text=body, status=status, content_type="text/html", charset="utf-8")


def _repr_digest(sha256: str) -> str:
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def _silent() -> logging.Logger:
    """For what the HTTP parser says of requests that it cannot read: it quotes them. Our own faults are logged here."""
    silent = logging.getLogger("lienthong.mail.requests")
    silent.disabled = True
    return silent


def _context(page: Page) -> ssl.SSLContext | None:
    if page.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(page.certificate_file, page.key_file)
    return context

"""The one door to every page: who is asking, may he, is the request his own, and what the answer must carry.

Pages are rows of tables (`Page`), each with the access it demands; a handler is only reached through `guarded`, which
checks session, role, origin and CSRF token before it, and puts the security headers on whatever leaves. May not know
what a page shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote, urlsplit

import structlog
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from broker.audit.scope import EVERYTHING, Scope
from broker.directory.changing import Author
from broker.directory.records import Agency
from broker.gateway.addresses import Network
from broker.gateway.app import Gateway
from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import Account
from broker.gateway.pages.figures import Remembered
from broker.gateway.pages.render import Renderer
from broker.gateway.pages.stories import Stories
from broker.gateway.pages.texts import Language, text
from broker.store.pool import Connection
from schemas.errors import Refusal
from schemas.problem import BAD_INPUT, UNREACHABLE, Problem

if TYPE_CHECKING:
    from broker.gateway.pages.live import Streams
    from broker.gateway.pages.oidc import OpenId

log = structlog.get_logger(__name__)

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""The content security policy of every answer. There are no exceptions to it."""

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}
LARGEST_FORM: Final = 64 * 1024
"""Bytes of a posted form."""
STATEMENT_PATIENCE_MS: Final = 15_000
"""A page's question that takes longer is given up by the database."""

SESSION: Final = "lt-session"
DEVICE: Final = "lt-device"
FORM: Final = "lt-form"
LANGUAGE: Final = "lt-language"


class Access(StrEnum):
    """What a page demands of who asks for it."""

    anyone = "anyone"
    signed_in = "signed in"
    operator = "operator"


class Denied(Exception):
    """The page is not for this visitor; `status` is 403, or 404 where even its existence is not his to know."""

    def __init__(self, *, status: Literal[403, 404], why: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Unclear(Exception):
    """A field of a form names several agencies; the visitor chooses one."""

    def __init__(self, *, field: str, written: str, agencies: tuple[Agency, ...]) -> None:
        super().__init__(written)
        self.field = field
        self.written = written
        self.agencies = agencies


@dataclass(frozen=True, kw_only=True)
class Site:
    """What all pages share."""

    gateway: Gateway
    renderer: Renderer
    figures: Remembered
    stories: Stories
    streams: Streams
    openid: OpenId | None
    proxies: tuple[Network, ...]

    @property
    def https(self) -> bool:
        """Whether people reach the pages by TLS, here or in front of us."""
        return self.gateway.settings.gateway_url.startswith("https:")

    def cookie(self, name: str) -> str:
        """A cookie's full name: with TLS it is bound to this host and path (`__Host-`)."""
        return f"__Host-{name}" if self.https else name


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request for a page, by a visitor who may make it."""

    request: Request
    site: Site
    session: sessions.Session | None
    form: FormData
    form_token: str
    """What a form shown to somebody who is not signed in is bound to."""
    codes: frozenset[str] | None = None
    """Codes of the visitor's subtree; None for who sees everything."""

    @property
    def account(self) -> Account:
        """Who is asking; only for pages that demand a session."""
        assert self.session is not None
        return self.session.account

    @property
    def scope(self) -> Scope:
        """What this person may see."""
        return EVERYTHING if self.account.root_id is None else Scope(root=self.account.root_id)

    def may_open(self, code: str) -> bool:
        """Whether the agency of this code has a page for this visitor; elsewhere its name stands without a link."""
        return self.codes is None or code in self.codes

    @cached_property
    def language(self) -> Language:
        """Vietnamese unless the visitor chose English."""
        return "en" if self.request.cookies.get(LANGUAGE) == "en" else "vi"

    @property
    def csrf(self) -> str:
        """The token that every form of this visitor carries."""
        return self.session.csrf if self.session is not None else sessions.csrf_token(self.form_token)

    @property
    def author(self) -> Author:
        """Who acts, by pseudonym, with the reason that the form gave."""
        return Author(actor=self.account.id, reason=self.field("reason").strip())

    def query(self, name: str) -> str | None:
        """A parameter of the address, without surrounding space; None if it is empty or not there."""
        value = _text(self.request.query_params.get(name, "")).strip()[:500]
        return value or None

    def path(self, name: str) -> str:
        """A part of the path."""
        return _text(str(self.request.path_params[name]))

    def field(self, name: str) -> str:
        """A field of the form; empty if it is not there."""
        return _text(str(self.form.get(name) or ""))

    def say(self, key: str, **values: object) -> str:
        """A text of the catalogue in the visitor's language."""
        return text(key, self.language, **values)

    def show(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """The page made of a template."""
        return self.site.renderer.page(template, status=status, visit=self, **values)

    def redirect(self, path: str) -> Response:
        """Send the browser to another page of ours, by GET."""
        return RedirectResponse(path, status_code=303)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection that cannot write and sees one state of the record throughout."""
        async with (
            self.site.gateway.pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(f"SET LOCAL statement_timeout = {STATEMENT_PATIENCE_MS}")
            yield connection


Handler = Callable[[Visit], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One address and what it demands."""

    path: str
    handler: Handler
    access: Access = Access.signed_in
    method: Literal["GET", "POST"] = "GET"


def page(path: str, handler: Handler, access: Access = Access.signed_in) -> Page:
    """A page that is read."""
    return Page(path=path, handler=handler, access=access)


def action(path: str, handler: Handler, access: Access = Access.operator) -> Page:
    """A form that is sent; it must carry the visitor's CSRF token."""
    return Page(path=path, handler=handler, access=access, method="POST")


def guarded(site: Site, what: Page) -> Callable[[Request], Awaitable[Response]]:
    """The only way to `what.handler`."""

    async def answer(request: Request) -> Response:
        form_token = request.cookies.get(site.cookie(FORM)) or sessions.new_token()
        visit = Visit(request=request, site=site, session=None, form=FormData(), form_token=form_token)
        try:
            visit = await _visit(site, what, request, form_token)
            response = await _answer(what, visit)
        except Denied as denied:
            await _note_denial(visit, denied)
            response = visit.show("error.html", status=denied.status, kind=denied.status, problem=None)
        except Unclear as unclear:
            response = visit.show("which.html", status=400, unclear=unclear)
        except (Problem, Refusal) as problem:
            response = _problem_page(visit, problem)
        except Exception:
            log.exception("a page failed", path=request.url.path)
            response = visit.show("error.html", status=500, kind=500, problem=None)
        if visit.session is None and what.access is Access.anyone and request.method == "GET":
            set_cookie(site, response, FORM, form_token)
        return with_headers(site, response)

    return answer


async def _visit(site: Site, what: Page, request: Request, form_token: str) -> Visit:
    token = request.cookies.get(site.cookie(SESSION))
    session, codes = None, None
    if token:
        async with site.gateway.pool.acquire() as connection:
            session = await sessions.resume(connection, token, in_use=what.path not in BACKGROUND_PATHS)
            if session is not None and session.account.root_id is not None:
                codes = await site.figures.codes(connection, Scope(root=session.account.root_id))
    form = FormData()
    if what.method == "POST":
        _own_origin(request)
        form = await _form(request)
        if not sessions.csrf_fits(session.token if session else form_token, str(form.get("csrf") or "")):
            # A session that ended while its form was open leads to the sign-in, not to an accusation.
            if session is None and what.access is not Access.anyone:
                return Visit(request=request, site=site, session=None, form=form, form_token=form_token)
            raise Denied(status=403, why="csrf")
    return Visit(request=request, site=site, session=session, form=form, form_token=form_token, codes=codes)


BACKGROUND_PATHS: Final = frozenset({"/live/home", "/live/documents/{sender}/{id}"})
"""What pages ask for by themselves does not keep an idle session open."""


async def _answer(what: Page, visit: Visit) -> Response:
    if what.access is not Access.anyone and visit.session is None:
        target = visit.request.url.path
        if visit.request.url.query:
            target += f"?{visit.request.url.query}"
        wanted = f"?next={quote(target, safe='')}" if what.method == "GET" and what.path not in BACKGROUND_PATHS else ""
        return visit.redirect(f"/sign-in{wanted}")
    if what.access is Access.operator and not visit.account.operates:
        raise Denied(status=403, why="role")
    return await what.handler(visit)


async def _note_denial(visit: Visit, denied: Denied) -> None:
    target = _text(f"{denied.status} {visit.request.method} {visit.request.url.path}")
    token = visit.request.cookies.get(visit.site.cookie(SESSION))
    if not token:
        return  # strangers could fill the table at will
    async with visit.site.gateway.pool.acquire() as connection:
        session = await sessions.resume(connection, token, in_use=False)
        if session is not None:
            await sessions.record(connection, session.account.id, "denied", target)


def _problem_page(visit: Visit, problem: Problem | Refusal) -> Response:
    status = 400
    if isinstance(problem, Problem):
        status = {BAD_INPUT: 400, UNREACHABLE: 503}.get(problem.exit_code, 400)
    return visit.show("error.html", status=status, kind=status, problem=problem)


def _own_origin(request: Request) -> None:
    """A posted form comes from a page of ours. Raises `Denied` if the browser says otherwise."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin is not None:
        if origin == "null" or urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            raise Denied(status=403, why="origin")
    elif site is not None and site not in ("same-origin", "none"):
        raise Denied(status=403, why="origin")


async def _form(request: Request) -> FormData:
    """The form's fields; files are not taken. Raises `Denied` for anything that no page of ours sends."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    length = request.headers.get("content-length", "")
    if kind != "application/x-www-form-urlencoded" or not length.isdigit() or int(length) > LARGEST_FORM:
        raise Denied(status=403, why="form")
    return await request.form(max_files=0, max_fields=200)


def with_headers(site: Site, response: Response) -> Response:
    """`response` with what every answer carries."""
    for name, value in HEADERS.items():
        response.headers[name] = value
    if "cache-control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    if site.https:
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def set_cookie(site: Site, response: Response, name: str, value: str, *, seconds: int | None = None) -> None:
    """Give the browser a cookie that scripts cannot read and other sites cannot send along with a form."""
    response.set_cookie(
        site.cookie(name),
        value,
        max_age=seconds,
        path="/",
        secure=site.https or not _loopback(site.gateway.settings.gateway_host),
        httponly=True,
        samesite="lax",
    )


def drop_cookie(site: Site, response: Response, name: str) -> None:
    """Take a cookie away from the browser."""
    response.delete_cookie(site.cookie(name), path="/", secure=site.https, httponly=True, samesite="lax")


def local_path(target: str | None) -> str:
    """`target` if it is a path of ours, else the home page: no sign-in leads to another site."""
    if target is None or not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return "/"
    return target if target.isprintable() else "/"


def _text(given: str) -> str:
    """What was asked or written without the one character that the database has no place for."""
    return given.replace("\x00", "")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""Coming and going: the sign-in form, its answer, signing out, choosing a language."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from starlette.responses import Response

from broker.gateway.addresses import address_of
from broker.gateway.pages import sessions
from broker.gateway.pages.guard import (
    DEVICE,
    FORM,
    LANGUAGE,
    SESSION,
    Access,
    Page,
    Visit,
    action,
    drop_cookie,
    local_path,
    page,
    set_cookie,
)

DEVICE_SECONDS = int(timedelta(days=180).total_seconds())
LANGUAGE_SECONDS = int(timedelta(days=365).total_seconds())


async def show(visit: Visit) -> Response:
    """The sign-in form; who has signed in already goes on."""
    if visit.session is not None:
        return visit.redirect(local_path(visit.query("next")))
    return _form(visit, next=local_path(visit.query("next")))


async def submit(visit: Visit) -> Response:
    """Check login and password; a new session, whatever the browser held before."""
    site = visit.site
    login = visit.field("login")
    target = local_path(visit.field("next") or "/")
    device = visit.request.cookies.get(site.cookie(DEVICE))
    address = str(address_of(visit.request, site.proxies) or "?")
    async with site.gateway.pool.acquire() as connection:
        result = await sessions.sign_in(
            connection,
            login=login,
            password=str(visit.form.get("password") or ""),
            address=address,
            device=device,
        )
        if isinstance(result, sessions.Failed):
            wait = math.ceil(result.wait.total_seconds())
            response = _form(visit, next=target, login=login[:100], failed=True, wait=wait)
            response.status_code = 429 if wait else 401
            if wait:
                response.headers["Retry-After"] = str(wait)
            return response
    return await welcome(visit, result, target)


async def welcome(visit: Visit, session: sessions.Session, target: str) -> Response:
    """Hand a new session to the browser, end the one it had, and go on to `target`."""
    site = visit.site
    earlier = visit.request.cookies.get(site.cookie(SESSION))
    async with site.gateway.pool.acquire() as connection:
        if earlier is not None:
            await sessions.sign_out(connection, earlier)
        known = visit.request.cookies.get(site.cookie(DEVICE))
        device = await sessions.remember_device(connection, session.account, known)
    response = visit.redirect(target)
    set_cookie(site, response, SESSION, session.token)
    set_cookie(site, response, DEVICE, device, seconds=DEVICE_SECONDS)
    drop_cookie(site, response, FORM)
    return response


async def sign_out(visit: Visit) -> Response:
    """End this session, on the server too."""
    assert visit.session is not None
    async with visit.site.gateway.pool.acquire() as connection:
        await sessions.sign_out(connection, visit.session.token)
    response = visit.redirect("/sign-in")
    drop_cookie(visit.site, response, SESSION)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


async def choose_language(visit: Visit) -> Response:
    """Remember the language and go back."""
    response = visit.redirect(local_path(visit.query("back")))
    response.set_cookie(
        LANGUAGE, "en" if visit.query("to") == "en" else "vi", max_age=LANGUAGE_SECONDS, path="/", samesite="lax"
    )
    return response


def _form(visit: Visit, **values: object) -> Response:
    openid = visit.site.openid.title if visit.site.openid is not None else None
    shown: dict[str, Any] = {"login": "", "failed": False, "wait": 0, "openid": openid, "next": "/", **values}
    return visit.show("sign_in.html", **shown)


PAGES: tuple[Page, ...] = (
    page("/sign-in", show, Access.anyone),
    action("/sign-in", submit, Access.anyone),
    action("/sign-out", sign_out, Access.signed_in),
    page("/language", choose_language, Access.anyone),
)

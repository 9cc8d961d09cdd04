"""Signing in through an identity provider: OpenID Connect, authorization code with PKCE and a nonce. Optional.

The provider only says who it is; who may sign in, and as what, is an account here that names the provider's subject.
What must be remembered between the two steps is in a cookie of the browser that began, so an answer that somebody else
began is of no use. Nothing the provider says is believed before its signature, issuer, audience and nonce are checked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import Response

from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import SQL, account_of
from broker.gateway.pages.guard import Access, Denied, Page, Visit, drop_cookie, local_path, page, set_cookie
from broker.gateway.pages.signin import welcome
from broker.settings import Settings
from schemas.problem import UNREACHABLE, Problem

PENDING: Final = "lt-openid"
PENDING_SECONDS: Final = 600
ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
LEEWAY: Final = timedelta(seconds=60)
TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
LARGEST_ANSWER: Final = 512 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenId:
    """The provider that this exchange trusts."""

    issuer: str
    client_id: str
    client_secret: str
    title: str
    """What the provider is called on the sign-in page."""


def configured(settings: Settings) -> OpenId | None:
    """The provider that is configured, if any. Raises `Problem` if its secret cannot be read or it is not secure."""
    if not settings.oidc_issuer:
        return None
    parts = urlsplit(settings.oidc_issuer)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise Problem(f"oidc_issuer {settings.oidc_issuer}", "an https address", "Correct the setting.")
    secret = ""
    if settings.oidc_client_secret_file is not None:
        secret = settings.oidc_client_secret_file.read_text(encoding="utf-8").strip()
    return OpenId(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret,
        title=settings.oidc_title,
    )


def subject_of(issuer: str, sub: str) -> str:
    """How an account names a person of a provider."""
    return f"{issuer} {sub}"


def _provider(visit: Visit) -> OpenId:
    if visit.site.openid is None:
        raise Denied(status=404)
    return visit.site.openid


def _callback(visit: Visit) -> str:
    return f"{visit.site.gateway.settings.gateway_url.rstrip('/')}/sign-in/openid/answer"


async def begin(visit: Visit) -> Response:
    """Send the browser to the provider, with what only this browser will be able to answer to."""
    openid = _provider(visit)
    async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
        endpoints = await _discover(http, openid)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    pending = {"state": state, "nonce": nonce, "verifier": verifier, "next": local_path(visit.query("next"))}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": openid.client_id,
        "redirect_uri": _callback(visit),
        "scope": "openid",
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    address = endpoints["authorization_endpoint"]
    response = visit.redirect(f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}")
    packed = base64.urlsafe_b64encode(json.dumps(pending).encode()).decode()
    set_cookie(visit.site, response, PENDING, packed, seconds=PENDING_SECONDS)
    return response


async def answer(visit: Visit) -> Response:
    """The provider's answer: who it is, if everything about it is right."""
    openid = _provider(visit)
    pending = _pending(visit)
    given = visit.request.query_params.get("state", "")
    code = visit.request.query_params.get("code", "")
    if not code or not hmac.compare_digest(given.encode(), pending["state"].encode()):
        raise Denied(status=403, why="openid state")
    issuer = visit.request.query_params.get("iss")
    if issuer is not None and issuer != openid.issuer:
        raise Denied(status=403, why="openid issuer")
    async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
        endpoints = await _discover(http, openid)
        token = await _exchange(http, openid, endpoints, code, pending["verifier"], _callback(visit))
        published: Any = await _json(http, "GET", endpoints["jwks_uri"])
        keys = KeySet.import_key_set(published)
    sub = subject_from(token, keys, openid=openid, nonce=pending["nonce"], now=datetime.now(UTC))
    async with visit.site.gateway.pool.acquire() as connection:
        row = await connection.fetchrow(SQL["account_by_subject"], subject_of(openid.issuer, sub))
        if row is None or row["disabled_at"] is not None:
            await sessions.record(connection, row["account_id"] if row else None, "sign-in-failed", "openid")
            raise Denied(status=403, why="openid account")
        session = await sessions.begin(connection, account_of(row))
    response = await welcome(visit, session, local_path(pending["next"]))
    drop_cookie(visit.site, response, PENDING)
    return response


def subject_from(token: str, keys: KeySet, *, openid: OpenId, nonce: str, now: datetime) -> str:
    """The subject of an ID token. Raises `Denied` unless signature, issuer, audience, times and nonce are right."""
    try:
        claims = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
    except (JoseError, ValueError) as error:
        raise Denied(status=403, why="openid signature") from error
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires, issued = claims.get("exp"), claims.get("iat")
    good = (
        claims.get("iss") == openid.issuer
        and openid.client_id in audiences
        and (len(audiences) == 1 or claims.get("azp") == openid.client_id)
        and isinstance(expires, int | float)
        and now.timestamp() < expires + LEEWAY.total_seconds()
        and isinstance(issued, int | float)
        and issued < now.timestamp() + LEEWAY.total_seconds()
        and hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
        and isinstance(claims.get("sub"), str)
        and bool(claims["sub"])
    )
    if not good:
        raise Denied(status=403, why="openid claims")
    return str(claims["sub"])


def _pending(visit: Visit) -> dict[str, str]:
    packed = visit.request.cookies.get(visit.site.cookie(PENDING), "")
    try:
        found = json.loads(base64.urlsafe_b64decode(packed.encode()))
        return {name: str(found[name]) for name in ("state", "nonce", "verifier", "next")}
    except (ValueError, KeyError, TypeError) as error:
        raise Denied(status=403, why="openid cookie") from error


async def _discover(http: aiohttp.ClientSession, openid: OpenId) -> dict[str, str]:
    found = await _json(http, "GET", f"{openid.issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != openid.issuer:
        raise Problem(
            f"an identity provider that calls itself {found.get('issuer')}", openid.issuer, "Correct oidc_issuer."
        )
    return {name: str(found[name]) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}


async def _exchange(
    http: aiohttp.ClientSession, openid: OpenId, endpoints: dict[str, str], code: str, verifier: str, callback: str
) -> str:
    asked = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback,
        "client_id": openid.client_id,
        "code_verifier": verifier,
    }
    if openid.client_secret:
        asked["client_secret"] = openid.client_secret
    token = (await _json(http, "POST", endpoints["token_endpoint"], data=asked)).get("id_token")
    if not isinstance(token, str):
        raise Denied(status=403, why="openid token")
    return token


async def _json(http: aiohttp.ClientSession, method: str, url: str, **options: Any) -> dict[str, Any]:
    try:
        async with http.request(method, url, allow_redirects=False, **options) as response:
            body = await response.content.read(LARGEST_ANSWER)
            if response.status in (400, 401, 403):
                raise Denied(status=403, why="openid provider")
            found = json.loads(body) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise _unreachable(url) from error
    if not isinstance(found, dict):
        raise _unreachable(url)
    return found


def _unreachable(url: str) -> Problem:
    host = urlsplit(url).netloc
    return Problem(
        f"the identity provider at {host} does not answer as it should",
        "an OpenID Connect provider",
        "Sign in with a password, or try again later.",
        exit_code=UNREACHABLE,
    )


PAGES: tuple[Page, ...] = (
    page("/sign-in/openid", begin, Access.anyone),
    page("/sign-in/openid/answer", answer, Access.anyone),
)

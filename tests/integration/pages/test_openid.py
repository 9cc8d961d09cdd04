"""Signing in through an identity provider: a small one of our own, which can also lie."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from broker.gateway.listening import bind
from broker.gateway.pages.accounts import Role, add_account
from tests.kit.gateway import running_gateway
from tests.kit.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass(kw_only=True)
class Provider:
    """An OpenID provider for one test."""

    issuer: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))
    claims: dict[str, Any] = field(default_factory=dict)
    """What it says otherwise than it should."""
    sign_with: ECKey | None = None
    challenges: dict[str, tuple[str, str]] = field(default_factory=dict)

    async def configuration(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response(KeySet([self.key]).as_dict(private=False))

    def authorize(self, address: str) -> tuple[str, str]:
        """What a person's consent leads to: a code, and the state that goes back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.challenges)}"
        self.challenges[code] = asked["code_challenge"], asked["nonce"]
        return code, asked["state"]

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        challenge, nonce = self.challenges.pop(str(form["code"]), ("", ""))
        digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(datetime.now(UTC).timestamp())
        claims = {"iss": self.issuer, "aud": "lienthong", "sub": "42", "iat": now, "exp": now + 60, "nonce": nonce}
        token = jwt.encode({"alg": "ES256", "kid": "one"}, claims | self.claims, self.sign_with or self.key)
        return web.json_response({"id_token": token, "token_type": "Bearer"})


@asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider on a free port."""
    bound = bind("127.0.0.1", 0)
    one = Provider(issuer=f"http://127.0.0.1:{bound.getsockname()[1]}")
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", one.configuration)
    app.router.add_get("/keys", one.keys)
    app.router.add_post("/token", one.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, bound).start()
    try:
        yield one
    finally:
        await runner.cleanup()


async def begun(client: httpx.AsyncClient, one: Provider, target: str = "/map") -> tuple[str, str]:
    """Go to the provider; the code and the state that it would send back."""
    answer = await client.get("/sign-in/openid", params={"next": target})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"{one.issuer}/authorize?")
    return one.authorize(answer.headers["location"])


async def test_a_person_whom_the_provider_names_signs_in_and_nothing_that_is_wrong_does(scene: Scene) -> None:
    async with provider() as one:
        async with scene.gateway.exchange.pool.acquire() as connection:
            await add_account(
                connection,
                login="by-openid",
                full_name="",
                role=Role.auditor,
                root=None,
                password=None,
                oidc_subject=f"{one.issuer} 42",
                actor="test",
                reason="test",
            )
        settings = {"oidc_issuer": one.issuer, "oidc_client_id": "lienthong"}
        async with (
            running_gateway(scene.gateway.exchange, **settings) as gateway,
            httpx.AsyncClient(base_url=gateway.url, timeout=30) as client,
        ):
            assert "OpenID Connect" in (await client.get("/sign-in")).text

            async def answered(code: str, state: str, browser: httpx.AsyncClient = client) -> httpx.Response:
                return await browser.get("/sign-in/openid/answer", params={"code": code, "state": state})

            good = await answered(*await begun(client, one))
            assert (good.status_code, good.headers["location"]) == (303, "/map")
            assert (await client.get("/map")).status_code == 200

            async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as other:
                code, state = await begun(client, one)
                assert (await answered(code, state, other)).status_code == 403, "begun in another browser"
                assert (await answered(code, "another state")).status_code == 403
                now = int(datetime.now(UTC).timestamp())
                for lie in (
                    {"iss": "https://evil.example"},
                    {"aud": "somebody else"},
                    {"aud": ["lienthong", "somebody else"]},
                    {"nonce": "of another sign-in"},
                    {"exp": now - 3600},
                    {"iat": now + 3600},
                    {"sub": "nobody of ours"},
                    {"sub": ""},
                ):
                    one.claims = lie
                    assert (await answered(*await begun(other, one), other)).status_code == 403, lie
                one.claims = {}
                one.sign_with = ECKey.generate_key("P-256", {"kid": "one"})
                assert (await answered(*await begun(other, one), other)).status_code == 403, "another key"
                one.sign_with = None
                assert (await other.get("/map")).status_code == 303
                code, state = await begun(other, one)
                assert (await answered(code, state, other)).status_code == 303
                assert (await answered(code, state, other)).status_code == 403, "a code is good once"


async def test_without_a_provider_there_is_no_such_door(scene: Scene) -> None:
    async with scene.signed_in(None) as client, asyncio.timeout(30):
        assert (await client.get("/sign-in/openid")).status_code == 404
        assert (await client.get("/sign-in/openid/answer?code=1&state=2")).status_code == 404
        assert "OpenID" not in (await client.get("/sign-in")).text

"""Coming and going: what a password opens, what a guess costs, and when a session is over."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import httpx
import pytest

from broker.gateway.pages import sessions
from broker.gateway.pages.accounts import (
    Role,
    account_named,
    add_account,
    describe_accounts,
    password_fits,
    set_enabled,
    set_password,
)
from tests.kit.gateway import running_gateway
from tests.kit.scene import HANOI, PASSWORD, Scene, csrf_of, sign_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHY = {"actor": "test", "reason": "tried in a test"}


async def person(scene: Scene, login: str, role: Role = Role.auditor) -> None:
    """Somebody of this test alone."""
    async with scene.gateway.exchange.pool.acquire() as connection:
        await add_account(
            connection, login=login, full_name="", role=role, root=None, password=PASSWORD, actor="test", reason="test"
        )


async def forget_failures(scene: Scene) -> None:
    """All tests come from one address."""
    await scene.gateway.exchange.pool.execute("DELETE FROM sign_in_delay")


async def test_a_sign_in_leads_to_the_page_that_was_asked_for_and_never_to_another_site(scene: Scene) -> None:
    for wanted, led_to in (
        ("/reports?by=day", "/reports?by=day"),
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/\\evil.example", "/"),
    ):
        async with scene.signed_in(None) as client:
            answer = await sign_in(client, "auditor", next=wanted)
            assert (answer.status_code, answer.headers["location"]) == (303, led_to)


async def test_cookies_cannot_be_read_by_scripts_nor_sent_by_other_sites(scene: Scene) -> None:
    async with scene.signed_in(None) as client:
        answer = await sign_in(client, "auditor")
        cookies = answer.headers.get_list("set-cookie")
        session = next(cookie for cookie in cookies if cookie.startswith("lt-session="))
        assert "HttpOnly" in session
        assert "samesite=lax" in session.lower()
        assert "Path=/" in session
        assert "Max-Age" not in session, "it ends with the browser"
    token = session.split("=", 1)[1].split(";")[0]
    stored = await scene.gateway.exchange.pool.fetch("SELECT token_hash FROM account_session")
    assert token not in str([row["token_hash"] for row in stored])
    assert sessions.token_hash(token) in [row["token_hash"] for row in stored]


async def test_a_wrong_password_and_an_unknown_login_look_the_same(scene: Scene) -> None:
    await forget_failures(scene)
    async with scene.signed_in(None) as client:
        wrong = await sign_in(client, "auditor", "not the password")
        unknown = await sign_in(client, "nobody-of-ours", "not the password")
        assert (wrong.status_code, unknown.status_code) == (401, 401)
        assert wrong.text.replace("auditor", "")[-2000:-1200] == unknown.text.replace("nobody-of-ours", "")[-2000:-1200]
        assert "lt-session" not in client.cookies
    recorded = await scene.gateway.exchange.value("SELECT count(*) FROM account_record WHERE what = 'sign-in-failed'")
    assert recorded >= 2
    await forget_failures(scene)


async def test_behind_a_proxy_who_guesses_slows_down_himself_and_nobody_else(scene: Scene) -> None:
    await forget_failures(scene)
    exchange = scene.gateway.exchange
    async with (
        running_gateway(exchange, vxp_trusted_proxies=("127.0.0.0/8",)) as behind,
        httpx.AsyncClient(base_url=behind.url, timeout=30) as client,
    ):

        async def attempt(number: int, address: str) -> int:
            client.headers["X-Forwarded-For"] = address
            return (await sign_in(client, f"nobody-{number}", "a guess")).status_code

        said = [await attempt(number, "203.0.113.1") for number in range(24)]
        assert (said[0], said[-1]) == (401, 429)
        assert await attempt(100, "203.0.113.2") == 401
        # What a visitor writes into the header himself stands left of what the proxy adds.
        assert await attempt(101, "203.0.113.3, 203.0.113.1") == 429
    await forget_failures(scene)


async def test_guessing_grows_slow_and_the_right_password_has_to_wait_as_well(scene: Scene) -> None:
    await forget_failures(scene)
    await person(scene, "guessed")
    async with scene.signed_in(None) as client:
        answers = [(await sign_in(client, "guessed", f"guess number {n}")).status_code for n in range(5)]
        assert answers == [401, 401, 401, 401, 429]
        waiting = await sign_in(client, "guessed")
        assert waiting.status_code == 429
        assert 0 < int(waiting.headers["retry-after"]) <= 5
        await scene.gateway.exchange.pool.execute("UPDATE sign_in_delay SET not_before = now()")
        assert (await sign_in(client, "guessed")).status_code == 303
    await forget_failures(scene)


async def test_a_stranger_who_fails_on_purpose_cannot_keep_the_owner_out(scene: Scene) -> None:
    """The account's own delay does not bind a browser from which it has signed in before."""
    await forget_failures(scene)
    await person(scene, "owner")
    pool = scene.gateway.exchange.pool
    async with pool.acquire() as connection:
        first = await sessions.sign_in(connection, login="owner", password=PASSWORD, address="10.0.0.1", device=None)
        assert isinstance(first, sessions.Session)
        device = await sessions.remember_device(connection, first.account, None)
        await forget_failures(scene)
        for n in range(25):
            await sessions._attempt(
                connection, {sessions.Subject.account: sessions.subject_key(sessions.Subject.account, "owner")}, at(n)
            )
        stranger = await sessions.sign_in(connection, login="owner", password=PASSWORD, address="10.9.9.9", device=None)
        assert isinstance(stranger, sessions.Failed)
        assert stranger.wait <= timedelta(seconds=30)
        owner = await sessions.sign_in(connection, login="owner", password=PASSWORD, address="10.0.0.1", device=device)
        assert isinstance(owner, sessions.Session)
    await forget_failures(scene)


def at(n: int) -> datetime:
    """Moments in which no attempt has to wait for the one before; the last of them is now."""
    return datetime.now(UTC) - timedelta(minutes=24 - n)


async def test_many_guesses_at_once_gain_nothing(scene: Scene) -> None:
    await forget_failures(scene)
    await person(scene, "swarmed")
    pool = scene.gateway.exchange.pool

    async def guess(n: int) -> bool:
        async with pool.acquire() as connection:
            result = await sessions.sign_in(
                connection, login="swarmed", password=f"guess {n}", address="10.1.1.1", device=None
            )
            return isinstance(result, sessions.Failed)

    assert all(await asyncio.gather(*(guess(n) for n in range(12))))
    counted = await pool.fetchval("SELECT max(failures) FROM sign_in_delay")
    assert counted == 5, "the fifth failure has to wait, and whoever waits is not looked at"
    await forget_failures(scene)


async def test_a_session_set_by_somebody_else_is_not_taken_over(scene: Scene) -> None:
    async with scene.signed_in(None) as client:
        client.cookies.set("lt-session", "chosen-by-an-attacker", domain="127.0.0.1")
        answer = await sign_in(client, "auditor")
        assert "lt-session=chosen-by-an-attacker" not in str(answer.headers)
        assert (await client.get("/log")).status_code == 200
    async with httpx.AsyncClient(base_url=scene.url, cookies={"lt-session": "chosen-by-an-attacker"}) as attacker:
        assert (await attacker.get("/log")).status_code == 303


async def test_signing_in_again_ends_the_session_before(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        earlier = client.cookies["lt-session"]
        form = await client.get("/log")
        async with scene.signed_in(None) as other:
            token = csrf_of(await other.get("/sign-in"))
            other.cookies.set("lt-session", earlier, domain="127.0.0.1")
            assert csrf_of(form) != token
            answer = await other.post(
                "/sign-in", data={"csrf": csrf_of(form), "login": "auditor", "password": PASSWORD}
            )
            assert answer.status_code == 303
            assert other.cookies["lt-session"] != earlier
        assert (await client.get("/log")).status_code == 303


async def test_a_session_ends_at_sign_out_on_the_server_too(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        token = client.cookies["lt-session"]
        page = await client.get("/log")
        left = await client.post("/sign-out", data={"csrf": csrf_of(page)})
        assert left.status_code == 303
        client.cookies.set("lt-session", token, domain="127.0.0.1")
        assert (await client.get("/log")).status_code == 303


@pytest.mark.parametrize("column", ["idle_until", "ends_at"])
async def test_a_session_ends_when_it_is_idle_and_when_it_is_old(scene: Scene, column: str) -> None:
    async with scene.signed_in("auditor") as client:
        key = sessions.token_hash(client.cookies["lt-session"])
        await scene.gateway.exchange.pool.execute(
            f"UPDATE account_session SET {column} = now() - interval '1 second' WHERE token_hash = $1", key
        )
        answer = await client.get("/log")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Flog")


async def test_a_session_in_use_stays_open_but_never_beyond_its_end(scene: Scene) -> None:
    async with scene.signed_in("auditor") as client:
        key = sessions.token_hash(client.cookies["lt-session"])
        pool = scene.gateway.exchange.pool
        await pool.execute(
            "UPDATE account_session SET seen_at = now() - interval '20 minutes', "
            "idle_until = now() + interval '10 minutes', ends_at = now() + interval '12 minutes' WHERE token_hash = $1",
            key,
        )
        assert (await client.get("/log")).status_code == 200
        row = await pool.fetchrow("SELECT idle_until, ends_at FROM account_session WHERE token_hash = $1", key)
        assert row["idle_until"] == row["ends_at"]


@pytest.mark.parametrize("change", ["disable", "password"])
async def test_disabling_an_account_or_changing_its_password_ends_its_sessions_at_once(
    scene: Scene, change: str
) -> None:
    login = f"leaves-{change}"
    await person(scene, login)
    async with scene.signed_in(login) as client:
        assert (await client.get("/log")).status_code == 200
        async with scene.gateway.exchange.pool.acquire() as connection:
            if change == "disable":
                await set_enabled(connection, login, False, **WHY)
            else:
                await set_password(connection, login, "another long password", **WHY)
        assert (await client.get("/log")).status_code == 303
        assert (await sign_in(client, login)).status_code == 401
    await forget_failures(scene)


async def test_a_form_without_its_token_or_from_another_site_is_refused_and_recorded(scene: Scene) -> None:
    path = scene.path(scene.telegram, "/act/resend")
    async with scene.signed_in("operator") as client, scene.signed_in("auditor") as stranger:
        token, foreign = csrf_of(await client.get("/log")), csrf_of(await stranger.get("/log"))
        before = await scene.gateway.exchange.value("SELECT count(*) FROM outgoing")
        for data, headers in (
            ({"reason": "why"}, {}),
            ({"reason": "why", "csrf": foreign}, {}),
            ({"reason": "why", "csrf": token}, {"Origin": "https://evil.example"}),
            ({"reason": "why", "csrf": token}, {"Origin": "null"}),
            ({"reason": "why", "csrf": token}, {"Sec-Fetch-Site": "cross-site"}),
        ):
            answer = await client.post(path, data=data, headers=headers)
            assert answer.status_code == 403, (data, headers)
        odd = await client.post(path, content=json.dumps({"csrf": token}), headers={"Content-Type": "application/json"})
        assert odd.status_code == 403
        large = await client.post(path, data={"csrf": token, "reason": "x" * 100_000})
        assert large.status_code == 403
        assert await scene.gateway.exchange.value("SELECT count(*) FROM outgoing") == before
    denied = await scene.gateway.exchange.value("SELECT count(*) FROM account_record WHERE what = 'denied'")
    assert denied >= 5


async def test_a_form_of_a_session_that_is_over_leads_to_the_sign_in(scene: Scene) -> None:
    async with scene.signed_in("operator") as client:
        token = csrf_of(await client.get("/log"))
        client.cookies.clear()
        answer = await client.post(scene.path(scene.telegram, "/act/hold"), data={"csrf": token, "reason": "why"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


async def test_the_record_tells_accounts_by_pseudonym_and_the_log_never_a_name(scene: Scene) -> None:
    await person(scene, "named-nowhere")
    bodies = await scene.gateway.exchange.pool.fetch("SELECT body FROM event WHERE kind = 'operator_action'")
    assert bodies
    assert all(b"named-nowhere" not in bytes(row["body"]) for row in bodies)
    told = [json.loads(row["body"]) for row in bodies]
    made = [one["facts"] for one in told if one["action"] == "account.add"]
    assert {("auditor", HANOI), ("operator", None)} <= {(facts["role"], facts["subtree"]) for facts in made}
    assert sha256(b"named-nowhere").hexdigest() not in str(told), "nor what anybody could guess it from"


async def test_who_signs_in_by_openid_alone_has_no_password_that_fits(scene: Scene) -> None:
    """What stands in its place in the row is random, and is no password either."""
    pool = scene.gateway.exchange.pool
    async with pool.acquire() as connection:
        made = await add_account(
            connection, login="openid-alone", full_name="", role=Role.auditor, root=None, password=None,
            oidc_subject="issuer openid-alone", actor="test", reason="test",
        )  # fmt: skip
        assert not made.has_password
        stored = await connection.fetchval("SELECT password_hash FROM account WHERE login = 'openid-alone'")
        for guess in (stored, "", "!"):
            assert not await password_fits(stored, guess)
        await connection.execute("UPDATE account SET password_hash = NULL WHERE login = 'openid-alone'")
        assert await describe_accounts(connection, **WHY) >= 1, "one of a version before gets it when it is told"
        assert await connection.fetchval("SELECT password_hash FROM account WHERE login = 'openid-alone'") != stored
        assert not (await account_named(connection, "openid-alone")).has_password

"""DKIM keys from DNS, asked of a real name server: what it may do, and what becomes of the mail then."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.mail import dkim_check
from adapters.mail.dkim_check import LOOKUP_SECONDS, DnsKeys, KeyUnavailable
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn
from tests.integration.mail.conftest import mail_table, open_mail
from tests.integration.mail.name_server import (
    ANOTHER_ID,
    EMPTY,
    GARBAGE,
    REFUSED,
    SERVFAIL,
    SILENT,
    NameServer,
)
from tests.integration.mail.post_office import PostOffice, free_port
from tests.integration.mail.senders import Domain, deliver, mail_with
from tests.integration.mail.test_mail_comes_in import OFFICE, edxml, outgoing

NAME = "s1._domainkey.xa.test"


def strings(record: str, size: int = 200) -> list[str]:
    """A record as it lies in DNS, where a string has 255 bytes at most."""
    return [record[start : start + size] for start in range(0, len(record), size)]


async def asked(server: NameServer, name: str = NAME) -> bytes | None:
    """What a fresh asker is told of a name."""
    return await asyncio.to_thread(DnsKeys([("127.0.0.1", server.port)]).txt, name)


async def test_a_mail_is_judged_by_the_key_that_dns_has(
    exchange: StandIn, post_office: PostOffice, tmp_path: Path
) -> None:
    ministry = await exchange.agency(MINISTRY)
    other = Domain(name="other.test")
    async with NameServer({NAME: [strings(OFFICE.record)]}) as server:
        heard = {"port": free_port(), "addresses": ["gui@tinh.test"], "dns_servers": [server.address]}
        mail = OFFICE.sign(mail_with(("a.edxml", edxml(MINISTRY, PROVINCE))))
        async with open_mail(ministry, mail_table(post_office, MINISTRY, incoming=heard)):
            for told, expected in (
                (SERVFAIL, "451"),
                (REFUSED, "451"),
                ([strings(OFFICE.record)], "250"),
            ):
                server.names[NAME] = told
                reply = await deliver(heard["port"], mail)
                assert reply.startswith(expected), (told, reply)
            assert server.asked[NAME, "tcp"] == 0  # a usual key comes in one datagram
            before = server.asked.total()
            assert (await deliver(heard["port"], mail)).startswith("250")
            assert server.asked.total() == before  # remembered
            wrong = Domain(name="xa.test", selector="s2")
            server.names["s2._domainkey.xa.test"] = [strings(other.record)]
            reply = await deliver(heard["port"], wrong.sign(mail_with(("b.edxml", edxml(MINISTRY, PROVINCE)))))
            assert reply.startswith("550-5.7.20"), reply
            gone = Domain(name="xa.test", selector="gone")
            reply = await deliver(heard["port"], gone.sign(mail_with(("c.edxml", edxml(MINISTRY, PROVINCE)))))
            assert reply.startswith("550-5.7.20"), reply
        assert len(outgoing(ministry)) == 1


async def test_a_name_without_a_usable_record_has_no_key() -> None:
    record = OFFICE.record
    async with NameServer() as server:
        server.names = {
            "empty.test": EMPTY,
            "other.test": [["v=spf1 -all"]],
            "two.test": [strings(record), strings(Domain(name="xa.test", bits=1024).record)],
            "vast.test": [strings("v=DKIM1; p=" + "A" * 20_000, 250)],
        }
        for name in ("missing.test", *server.names, f"{'x' * 64}.test", "a..test", "x" * 300, "\ufffd.test"):
            assert await asked(server, name) is None, name
        assert server.asked["vast.test", "tcp"] == 1


async def test_strings_are_joined_what_is_cut_comes_by_tcp_and_aliases_are_followed() -> None:
    long = "v=DKIM1; k=rsa; n=" + "x" * 4000 + "; p=AAAA"
    async with NameServer({NAME: [["v=DKIM1; k=rsa;", " p=AA", "BB"], ["google-site-verification=1"]]}) as server:
        assert await asked(server) == b"v=DKIM1; k=rsa; p=AABB"
        server.names["cut.test"] = [strings(long, 255)]
        assert await asked(server, "cut.test") == long.encode()
        assert server.asked["cut.test", "udp"] == server.asked["cut.test", "tcp"] == 1
        server.names["alias.test"] = f"@{NAME}"
        assert await asked(server, "alias.test") == b"v=DKIM1; k=rsa; p=AABB"


@pytest.mark.parametrize("told", [SERVFAIL, REFUSED, SILENT, GARBAGE, ANOTHER_ID])
async def test_no_true_answer_is_no_verdict_and_takes_no_longer_than_promised(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dkim_check, "LOOKUP_SECONDS", 1.0)
    monkeypatch.setattr(dkim_check, "SERVER_SECONDS", 0.4)
    assert LOOKUP_SECONDS <= 10  # the mail server at the other end waits meanwhile
    async with NameServer({NAME: told}) as server:
        began = time.monotonic()
        with pytest.raises(KeyUnavailable, match=NAME):
            await asked(server)
        assert time.monotonic() - began < 5
        # What could not be answered is asked again as soon as somebody needs it.
        server.names[NAME] = [["v=DKIM1; p=AA"]]
        assert await asked(server) == b"v=DKIM1; p=AA"


async def test_a_server_that_is_silent_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dkim_check, "SERVER_SECONDS", 0.3)
    async with NameServer({NAME: SILENT}) as silent, NameServer({NAME: [["v=DKIM1; p=AA"]]}) as good:
        keys = DnsKeys([("127.0.0.1", silent.port), ("127.0.0.1", good.port)])
        assert await asyncio.to_thread(keys.txt, NAME) == b"v=DKIM1; p=AA"


async def test_keys_are_remembered_as_long_as_dns_says_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(dkim_check, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    async with NameServer({NAME: [["v=DKIM1; p=AA"]]}, ttl=120) as server:
        keys = DnsKeys([("127.0.0.1", server.port)])

        async def at(seconds: float, name: str = NAME) -> int:
            clock[0] = 1000.0 + seconds
            await asyncio.to_thread(keys.txt, name)
            return server.asked[name, "udp"]

        assert [await at(0), await at(119), await at(121)] == [1, 1, 2]
        server.ttl = 0  # whoever says so is asked once a minute all the same
        assert [await at(300), await at(359), await at(361)] == [3, 3, 4]
        server.ttl = 86_400
        assert [await at(500), await at(500 + 3599), await at(500 + 3601)] == [5, 5, 6]
        assert [await at(5000, "gone.test"), await at(5059, "gone.test"), await at(5061, "gone.test")] == [1, 1, 2]

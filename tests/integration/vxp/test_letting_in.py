"""Who is let in, and what a system may say for whom; and the other ways in which requests come."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from broker.gateway.vxp import systems
from broker.gateway.vxp.systems import rotate, set_state
from tests.integration.vxp.conftest import Connected, connect_hub, connected
from tests.kit.exchange import AUTHOR, Exchange
from tests.kit.gateway import running_gateway
from tests.kit.vxp import Heard, OfficialClient, edoc, exchanged


async def test_whoever_is_not_let_in_hears_the_same(office: Connected) -> None:
    client = office.client
    wrong = OfficialClient(client.url, client.system, "wrong")
    nobody = OfficialClient(client.url, "00.99.W99", client.secret)
    now = datetime.now(UTC)
    said = [
        await office.does(wrong.call, "/getReceivedEdocList"),
        await office.does(nobody.call, "/getReceivedEdocList"),
        await office.does(client.call, "/getReceivedEdocList", at=now - timedelta(hours=2)),
        await office.does(client.call, "/getReceivedEdocList", at=now + timedelta(hours=2)),
        await office.does(client.call, "/getEdoc", headers={"XroadVnpt-hash-header": None}),
        await office.does(client.call, "/getEdoc", {"docId": "1"}, headers={"XroadVnpt-docId": "2"}),
        await office.does(client.call, "/getEdoc", headers={"XroadVnpt-timestamp": "01012020T000000+0000"}),
    ]
    assert {one.body for one in said} == {said[0].body}
    assert said[0].json()["ErrorCode"] == "15" and {one.status for one in said} == {200}
    # Nothing was read of a body that nobody was told to send.
    refused = await office.does(wrong.call, "/sendEdoc", body=b"x" * 1000)
    assert refused.json()["ErrorCode"] == "15" and not refused.continued
    # A client that sends at once gets its answer all the same.
    assert (await office.does(wrong.send, edoc(office.commune, ["H53"], attachment=bytes(3_000_000)), "X"))[
        "ErrorCode"
    ] == "15"
    # An address that was configured with a slash at its end, and one below a name.
    for behind in ("/", "/vxp", "/vxp/"):
        there = OfficialClient(client.url + behind, office.made.system, office.made.secret)
        assert (await office.does(there.list))["ErrorCode"] == "0"
    # Clocks run in local time: that of Viet Nam, or UTC on many servers.
    client.zone = UTC
    assert (await office.does(client.list))["ErrorCode"] == "0"
    client.signs_all = False
    assert (await office.does(client.list))["ErrorCode"] == "0"
    heard = await office.does(client.call, "/registerAgency", body=b"{}")
    assert heard.continued and heard.json()["ErrorCode"] == "21"
    # Files that are wrong are told with their place.
    cut = edoc(office.commune, [office.ministry.code])[:400]
    answer = await office.does(client.send, cut, office.commune)
    assert answer["ErrorCode"] == "22" and "LT-EDXML" in answer["ErrorDesc"]
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><edXML/>'
    assert (await office.does(client.send, bomb, office.commune))["ErrorCode"] == "22"
    missing = await office.does(client.send, cut, office.commune, **{"hash-file": None})
    assert missing["ErrorCode"] == "10" and "hash-file" in missing["ErrorDesc"]


async def test_secrets_are_rotated_with_an_overlap_and_systems_disabled(
    office: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systems, "CURRENT_FOR", 0.1)
    exchange = office.exchange
    async with exchange.pool.acquire() as connection:
        made = await rotate(
            connection, office.made.system, overlap=timedelta(hours=1), settings=exchange.settings, author=AUTHOR
        )
    new = OfficialClient(office.client.url, office.made.system, made.secret)
    await asyncio.sleep(0.2)  # gateways know systems to the second
    for client in (new, office.client):
        assert (await office.does(client.list))["ErrorCode"] == "0"
    await exchange.pool.execute("UPDATE vxp_secret SET ends_at = now() WHERE ends_at IS NOT NULL")
    await asyncio.sleep(0.2)
    assert (await office.does(office.client.list))["ErrorCode"] == "15"
    assert (await office.does(new.list))["ErrorCode"] == "0"
    async with exchange.pool.acquire() as connection:
        await set_state(connection, made.system, "disabled", author=AUTHOR)
    await asyncio.sleep(0.2)
    assert (await office.does(new.list))["ErrorCode"] == "15"
    rows = await exchange.pool.fetch("SELECT sealed FROM vxp_secret UNION ALL SELECT sealed FROM custody_key")
    assert len(rows) == 3 and not any(made.secret.encode() in row["sealed"] for row in rows)
    assert not any(b"PRIVATE KEY" in row["sealed"] for row in rows)


async def test_a_system_speaks_for_its_own_agencies_only_and_from_its_own_addresses(exchange: Exchange) -> None:
    async with running_gateway(exchange, vxp_trusted_proxies=("127.0.0.0/8",)) as gateway:
        office = await connected(exchange, gateway, addresses=("203.0.113.0/24",), sign_all=True)
        other, served = await connect_hub(exchange, "W01")
        await gateway.refresh()
        client = office.client
        assert (await office.does(client.list))["ErrorCode"] == "15"  # from 127.0.0.1
        there = {"X-Forwarded-For": "203.0.113.7"}

        def ask(path: str, parameters: dict[str, str], body: bytes = b"", **headers: str) -> Heard:
            kind = "application/octet-stream" if path == "/sendEdoc" else "application/json"
            return client.call(path, parameters, body=body, content_type=kind, headers=there | headers)

        assert (await office.does(ask, "/getReceivedEdocList", {"messagetype": "edoc"})).json()["ErrorCode"] == "0"
        spoofed = {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}
        assert (await office.does(client.call, "/getAgenciesList", headers=spoofed)).json()["ErrorCode"] == "15"
        # This system has to sign all that it says.
        client.signs_all = False
        unsigned = await office.does(ask, "/getReceivedEdocList", {"messagetype": "edoc"})
        assert unsigned.json()["ErrorCode"] == "15"
        client.signs_all = True

        def send(sender: str, inside: str, **replaced: str) -> Heard:
            file = edoc(inside, [office.ministry.code])
            digest = hashlib.sha256(file).hexdigest()
            parameters = {"messagetype": "edoc", "from": sender, "hash-file": digest} | replaced
            return ask("/sendEdoc", parameters, file + b"\r\n")

        for sender, inside, code in (
            (served[0], served[0], "19"),
            (office.commune, served[0], "19"),
            (served[0], office.commune, "19"),
            ("NOBODY", "NOBODY", "19"),
            (office.commune, office.commune, "0"),
            (office.hub, office.hub, "0"),
        ):
            assert (await office.does(send, sender, inside)).json()["ErrorCode"] == code, (sender, inside)
        changed = await office.does(send, office.commune, office.commune, **{"hash-file": "0" * 64})
        assert changed.json()["ErrorCode"] == "10"
        mixed = await office.does(send, office.commune, office.commune, messagetype="status")
        assert mixed.json()["ErrorCode"] == "22"
        # The other hub sees nothing of this one's packets.
        letter = exchange.letter(office.ministry, [office.commune])
        await exchange.send(letter, office.ministry)
        await exchange.until_value("SELECT count(*) FROM vxp_packet", 1)
        stranger = OfficialClient(client.url, other.system, other.secret)
        doc_id = str(await exchange.value("SELECT doc_id FROM vxp_packet"))
        assert (await office.does(stranger.list))["data"] == []
        assert (await office.does(stranger.get, doc_id))["ErrorCode"] == "21"
        assert (await office.does(stranger.update, doc_id, "done"))["ErrorCode"] == "21"


async def test_the_directory_is_told_and_registrations_follow_the_policy(exchange: Exchange) -> None:
    async with running_gateway(exchange) as gateway:
        office = await connected(exchange, gateway, registration="open")
        careful, _ = await connect_hub(exchange, "W01")
        await gateway.refresh()
        client = office.client
        told = (await office.does(client.call, "/getAgenciesList")).json()
        assert told["count"] == len(told["data"]) == 7
        assert {tuple(sorted(one)) for one in told["data"]} == {("code", "id", "mail", "name", "oldCode", "pid")}
        tier = (await office.does(client.call, "/getAgenciesListQD20", {"level": "1"})).json()
        assert [one["code"] for one in tier["data"]] == [office.ministry.code]
        units = (await office.does(client.call, "/getSynchronizeUnit")).json()
        assert units["data"][0]["deleted"] is False and units["data"][0]["centerCode"] == office.hub

        def register(one: OfficialClient, code: str, pcode: str) -> dict[str, object]:
            said = {
                "id": code,
                "pcode": pcode,
                "code": code,
                "name": "Xã mới",
                "mail": "a@b.vn",
                "mobile": "",
                "fax": "",
            }
            return one.call("/registerAgency", body=json.dumps(said).encode()).json()

        code = f"{exchange.prefix}.NEW"
        assert (await office.does(register, client, code, office.hub))["ErrorCode"] == "0"
        assert (await office.does(register, client, code, office.hub))["ErrorCode"] == "0"
        sent = await office.does(client.send, edoc(code, [office.ministry.code]), code)
        assert sent["ErrorCode"] == "0"
        # Another system cannot take it, nor anybody else's: that waits for an operator.
        slow = OfficialClient(client.url, careful.system, careful.secret)
        for one, wanted in ((slow, code), (client, office.ministry.code), (slow, f"{exchange.prefix}.NEW2")):
            answer = await office.does(register, one, wanted, "")
            assert answer["ErrorCode"] == "0" and "approve" in str(answer["ErrorDesc"])
        waiting = await exchange.pool.fetch("SELECT code FROM vxp_registration WHERE state = 'pending' ORDER BY code")
        assert [row["code"] for row in waiting] == sorted([code, office.ministry.code, f"{exchange.prefix}.NEW2"])
        assert (await office.does(slow.send, edoc(code, [office.hub]), code))["ErrorCode"] == "19"
        assert (await office.does(register, client, "not a code", office.hub))["ErrorCode"] == "21"
        removed = await office.does(client.call, "/deleteAgency", {"AgencyCode": code}, body=b"{}")
        assert removed.json()["ErrorCode"] == "0"
        assert (await office.does(client.send, edoc(code, [office.hub]), code))["ErrorCode"] == "19"
        for unserved in (office.ministry.code, office.hub, "H99"):
            answer = await office.does(client.call, "/deleteAgency", {"AgencyCode": unserved}, body=b"{}")
            assert answer.json()["ErrorCode"] == "19"


async def test_the_provincial_flavour(office: Connected) -> None:
    exchange = office.exchange
    host, port = office.client.url.removeprefix("http://").split(":")
    login = {"X-SystemId": office.made.system, "X-SecretKey": office.made.secret}

    def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Heard:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{port}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in (login | headers).items()]
        return exchanged(host, int(port), "\r\n".join(lines).encode() + b"\r\n\r\n", body)

    def form(file: bytes) -> bytes:
        return (
            b'--xx\r\nContent-Disposition: form-data; name="messageType"\r\n\r\nedoc\r\n'
            b'--xx\r\nContent-Disposition: form-data; name="edocFile"; filename="a.edxml"\r\n\r\n'
            + file
            + b"\r\n--xx--\r\n"
        )

    file = edoc(office.commune, [office.other])
    kind = "multipart/form-data; boundary=xx"
    sent = (await office.does(ask, "POST", "/v1/sendEdoc", form(file), Content_Type=kind)).json()
    assert sent["ErrorCode"] == "0" and sent["DocId"]
    await exchange.until_value("SELECT count(*) FROM vxp_packet", 1)
    path = "/v1/syncReceivedEdocList?messageType=edoc&fromDate=2026/01/01&toDate=2026/12/31"
    (packet,) = (await office.does(ask, "GET", path)).json()["data"]
    got = (await office.does(ask, "GET", f"/v1/getEdoc?docId={packet['docId']}")).json()
    assert base64.b64decode(got["data"]) == file
    body = json.dumps({"docId": packet["docId"], "status": "done"}).encode()
    assert (await office.does(ask, "POST", "/v1/updateStatus", body)).json()["ErrorCode"] == "0"
    await exchange.until_value("SELECT count(*) FROM status_entry WHERE code = '01'", 1)
    for wrong in ({"X-SecretKey": "x"}, {"X-SystemId": "x"}, {"X-SecretKey": ""}):
        login_before = dict(login)
        login.update(wrong)
        assert (await office.does(ask, "GET", path)).json()["ErrorCode"] == "15"
        login.update(login_before)
    broken = await office.does(ask, "POST", "/v1/sendEdoc", b"--yy", Content_Type=kind)
    assert broken.json()["ErrorCode"] == "10"

"""Packets are handed out to one poller at a time, never lost and never doubled, whatever dies in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from broker.gateway.vxp import background, packets, submission
from tests.integration.vxp.conftest import Connected, connected
from tests.kit.exchange import Exchange
from tests.kit.gateway import running_gateway
from tests.kit.vxp import OfficialClient, edoc


async def test_two_gateways_and_many_pollers_never_hand_out_the_same_packet(exchange: Exchange) -> None:
    async with (
        running_gateway(exchange, vxp_list_limit=3) as first,
        running_gateway(exchange, vxp_list_limit=3) as second,
    ):
        office = await connected(exchange, first)
        await second.refresh()
        for number in range(20):
            letter = exchange.letter(office.ministry, [office.commune], document={"number": str(number)})
            await exchange.send(letter, office.ministry)
        await exchange.until_value("SELECT count(*) FROM vxp_packet", 20)
        clients = [
            OfficialClient(url, office.made.system, office.made.secret)
            for url in (first.url, second.url)
            for _ in "12345"
        ]
        counted = await asyncio.to_thread(clients[0].call, "/countReceiveEdoc", {"messagetype": "edoc"}, body=b"{}")
        assert counted.json()["count"] == 20

        async def handed_out(expected: int) -> Counter[str]:
            """Everybody polls until all was handed out to somebody, and twice more."""
            handed: Counter[str] = Counter()

            async def poll(client: OfficialClient) -> None:
                more = 2
                while more:
                    answer = await asyncio.to_thread(client.list)
                    assert answer["ErrorCode"] == "0" and len(answer["data"]) <= 3
                    handed.update(one["docId"] for one in answer["data"])
                    more -= len(handed) >= expected

            async with asyncio.timeout(60):
                await asyncio.gather(*map(poll, clients))
            return handed

        handed = await handed_out(20)
        assert len(handed) == 20 and set(handed.values()) == {1}
        # The lease of all of them ends: they are handed out again, and those that are done are not.
        done = next(iter(handed))
        assert (await asyncio.to_thread(clients[0].update, done, "done"))["ErrorCode"] == "0"
        await exchange.pool.execute("UPDATE vxp_packet SET available_at = now() - interval '1 minute'")
        again = await handed_out(19)
        assert len(again) == 19 and set(again.values()) == {1} and done not in again
        assert (await asyncio.to_thread(clients[0].call, "/countReceiveEdoc", {}, method="GET")).json()["count"] == 19


async def test_what_a_system_cannot_take_is_kept_with_its_reason_and_shown_to_operators(office: Connected) -> None:
    exchange, client = office.exchange, office.client
    letter = exchange.letter(office.ministry, [office.commune])
    await exchange.send(letter, office.ministry)
    (packet,) = await office.listed()
    doc_id = packet["docId"]
    before = await exchange.value("SELECT available_at FROM vxp_packet")
    assert (await office.does(client.update, doc_id, "processing"))["ErrorCode"] == "0"
    assert await exchange.value("SELECT available_at FROM vxp_packet") > before
    for times in range(1, 6):
        answer = await office.does(client.update, doc_id, "fail", reason="Hết dung lượng")
        assert answer["ErrorCode"] == "0" and str(times) in answer["ErrorDesc"]
        assert (await office.does(client.list))["data"] == []  # its lease has not ended
        await exchange.pool.execute("UPDATE vxp_packet SET available_at = now() - interval '1 minute'")
        (row,) = await exchange.pool.fetch("SELECT state, fails, fail_reason FROM vxp_packet")
        assert (row["fails"], row["fail_reason"]) == (times, "Hết dung lượng")
    assert row["state"] == "failed"
    assert (await office.does(client.list))["data"] == []  # until an operator lets it
    released = await exchange.pool.fetch(packets.SQL["release"], office.made.system, None)
    assert [str(one["doc_id"]) for one in released] == [doc_id]
    (packet,) = await office.listed()
    assert packet["docId"] == doc_id and packet["status_desc"] == "Hết dung lượng"
    # An unknown status, packet or docId is told and changes nothing.
    for arguments in ((doc_id, "03"), ("1", "done"), ("00000000-0000-0000-0000-000000000000", "done")):
        assert (await office.does(client.update, *arguments))["ErrorCode"] == "21"
    for path in ("/getEdoc", "/updateStatus"):
        without = await office.does(client.call, path, {"status": "done"}, body=b"{}")
        assert "Thiếu docId / The docId is missing" in without.json()["ErrorDesc"]
    stranger = await office.does(client.get, "00000000-0000-0000-0000-000000000000")
    assert stranger["status"] == "FAIL"
    nothing = await office.does(
        client.call, "/downloadEdoc", {"docId": "00000000-0000-0000-0000-000000000000"}, method="GET"
    )
    assert nothing.body == b"" and nothing.headers["xroadvnpt-errorcode"] == "21"
    assert (await office.does(client.update, doc_id, "done"))["ErrorCode"] == "0"
    assert (await office.does(client.update, doc_id, "fail"))["ErrorCode"] == "0"  # too late to matter
    assert await exchange.value("SELECT state FROM vxp_packet") == "done"


async def test_the_same_failure_said_again_by_a_retry_counts_once(office: Connected) -> None:
    exchange, client = office.exchange, office.client
    await exchange.send(exchange.letter(office.ministry, [office.commune]), office.ministry)
    (packet,) = await office.listed()

    async def failures(reason: str, *, times: int = 1) -> int:
        """What is counted after the system has said it so often at once."""
        await asyncio.gather(
            *(office.does(client.update, packet["docId"], "fail", reason=reason) for _ in range(times))
        )
        return int(await exchange.value("SELECT fails FROM vxp_packet"))

    async def handed_out_again() -> None:
        await exchange.pool.execute("UPDATE vxp_packet SET available_at = now() - interval '1 minute'")
        assert (await office.listed())[0]["status"] == "initial"

    assert await failures("Hết dung lượng", times=3) == 1
    before = await exchange.value("SELECT available_at FROM vxp_packet")
    assert await failures("Hết dung lượng") == 1
    assert await exchange.value("SELECT available_at FROM vxp_packet") == before  # nor is its lease longer
    assert await failures("Sai định dạng") == 2  # another reason is another failure
    await handed_out_again()
    assert await failures("Sai định dạng", times=2) == 3  # and so is the next attempt
    await office.does(client.update, packet["docId"], "processing")
    assert await failures("Sai định dạng") == 4  # … which a system may begin by itself
    await handed_out_again()
    assert await failures("Sai định dạng", times=3) == 5  # set aside now
    assert await exchange.value("SELECT state FROM vxp_packet") == "failed"


async def test_whatever_dies_between_two_steps_nothing_is_lost_or_doubled(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step after a commit fails once, as if the gateway had died there; another round finishes it."""
    monkeypatch.setattr(background, "GRACE", timedelta(0))
    monkeypatch.setattr(background, "ROUND", 0.05)
    async with running_gateway(exchange, vxp_wait_seconds=0.3) as gateway:
        office = await connected(exchange, gateway)
        really = submission.publish
        lost: list[str] = []

        async def before_publishing(*arguments: Any) -> bool:
            lost.append("before")
            return False

        async def after_publishing(*arguments: Any) -> bool:
            await really(*arguments)
            lost.append("after")
            return False

        files = []
        for place in (before_publishing, after_publishing):
            monkeypatch.setattr(submission, "publish", place)
            monkeypatch.setattr(packets, "publish", place)
            file = edoc(office.commune, [office.ministry.code, office.other])
            files.append(file)
            answer = await office.does(office.client.send, file, office.commune)
            assert answer["ErrorCode"] == "0"
            again = await office.does(office.client.send, file, office.commune)
            assert again["DocId"] == answer["DocId"]
        assert lost[0] == "before" and "after" in lost
        await exchange.until_value("SELECT count(*) FROM document", 2)
        await exchange.until_value("SELECT count(*) FROM vxp_submission WHERE state = 'accepted'", 2)
        await exchange.until_value("SELECT count(*) FROM vxp_packet", 2)
        for place in (before_publishing, after_publishing):
            monkeypatch.setattr(packets, "publish", place)
            packet = (await exchange.pool.fetch("SELECT doc_id FROM vxp_packet WHERE state <> 'done' LIMIT 1"))[0]
            assert (await office.does(office.client.update, str(packet["doc_id"]), "done"))["ErrorCode"] == "0"
        await exchange.until_value("SELECT count(*) FROM status_entry WHERE code = '01'", 2)
        await exchange.until_value("SELECT count(*) FROM vxp_submission WHERE state = 'accepted'", 4)
        assert await exchange.value("SELECT count(*) FROM status_message") == 2
        box = await exchange.all_at(office.ministry)
        assert len({one.manifest.id for one in box.documents()}) == len(files)


async def test_what_is_rejected_after_the_answer_comes_as_a_status_file(exchange: Exchange) -> None:
    async with running_gateway(exchange, vxp_wait_seconds=0.0) as gateway:
        office = await connected(exchange, gateway)
        answer = await office.does(office.client.send, edoc(office.commune, ["ZZZ.99"]), office.commune)
        assert answer["ErrorCode"] == "0"
        (packet,) = await office.listed("status")
        assert packet["to"] == office.commune and packet["from"] == exchange.identity.code
        text = (await office.does(office.client.file, packet["docId"])).decode()
        assert "LT-RECIPIENT-UNKNOWN" in text and answer["DocId"] in text

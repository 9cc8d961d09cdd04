"""The SDK against the broker itself: the same example, a hub, a recall, and the offices of a simulation."""

from __future__ import annotations

import io
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from adapters import Agency, Letter, Part, Rejected
from adapters.settings import AgencySettings, from_table
from adapters.simulate.plan import load_plan
from adapters.simulate.run import run
from schemas.certificates import private_key_pem
from schemas.times import new_id
from tests.conftest import Vhost
from tests.kit.exchange import End, Exchange, running_exchange


@pytest.fixture
async def broker(vhost: Vhost, migrated_database: str, tmp_path: Path) -> AsyncIterator[Exchange]:
    async with running_exchange(vhost, migrated_database, tmp_path) as running:
        yield running


def office(broker: Exchange, end: End, *, serves: tuple[End, ...] = ()) -> dict[str, Any]:
    """The `agency.toml` of an end, with its files."""
    folder = broker.settings.home.parent / end.code
    for one in (end, *serves):
        place = folder / one.code
        place.mkdir(parents=True)
        (place / "key.pem").write_bytes(private_key_pem(one.key))
        (place / "certificate.pem").write_bytes(one.certificate.public_bytes(Encoding.PEM))
    (folder / "password").write_text(end.password)
    parts = urlsplit(broker.vhost.amqp_url)
    return {
        "code": end.code,
        "amqp_url": urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])),
        "amqp_password_file": str(folder / "password"),
        "key_file": str(folder / end.code / "key.pem"),
        "certificate_file": str(folder / end.code / "certificate.pem"),
        "roots_dir": str(broker.settings.roots_dir),
        "broker_code": broker.settings.broker_code,
        "broker_certificate_file": str(broker.settings.certificate_file),
        "content_dir": str(broker.settings.content_dir),
        "data_dir": str(folder / "data"),
        "served": [
            {
                "code": one.code,
                "key_file": str(folder / one.code / "key.pem"),
                "certificate_file": str(folder / one.code / "certificate.pem"),
            }
            for one in serves
        ],
    }


def settings(table: dict[str, Any]) -> AgencySettings:
    return from_table(table, folder=Path("/"), what="the test's settings")


def letter(*to: str, **more: Any) -> Letter:
    fields: dict[str, Any] = {
        "number": str(secrets.randbelow(10**6)),
        "notation": "VPCP-TH",
        "subject": "Công văn",
        "to": to,
        "parts": [Part.data("12.pdf", b"%PDF-1.7 nothing much"), Part.data("phụ lục.bin", bytes(200_000))],
    }
    return Letter(**{**fields, **more})


async def test_the_example_of_the_design_runs(broker: Exchange) -> None:
    ministry, province = await broker.add("G22"), await broker.add("H53", "province")
    async with (
        Agency.open(settings(office(broker, ministry))) as me,
        Agency.open(settings(office(broker, province))) as them,
    ):
        sent = await me.send(letter(province.code, priority=3))
        accepted = await sent.accepted(timeout=15)
        assert accepted.count == 1 and accepted.recipients[0]["code"] == province.code and accepted.leaf
        async for delivery in them.receive(idle=15):
            async with delivery as came:
                assert await came.parts[1].read() == bytes(200_000)
                assert {one["answer"] for one in came.verdict.values()} == {"good"}
            await them.report(came, "03")
            break
        seen = set()
        async for status in me.statuses(idle=15):
            seen.add((status.agency, status.code))
            if len(seen) == 2:
                break
        assert seen == {(province.code, "01"), (province.code, "03")}
        with pytest.raises(Rejected) as refused:
            await (await me.send(letter("H99.NOBODY"))).accepted(timeout=15)
        assert refused.value.code == "LT-RECIPIENT-UNKNOWN" and refused.value.found


async def test_a_hub_receives_answers_and_sends_for_its_communes(broker: Exchange) -> None:
    ministry = await broker.add("G22")
    hub = await broker.add("H53.W00", "hub")
    communes = tuple([await broker.add(f"H53.{n}", "commune", has_mailbox=False, hub=hub) for n in range(3)])
    async with (
        Agency.open(settings(office(broker, ministry))) as me,
        Agency.open(settings(office(broker, hub, serves=communes))) as them,
    ):
        sent = await me.send(letter(*(one.code for one in communes)))
        assert (await sent.accepted(timeout=15)).count == 3
        answered = set()
        async for delivery in them.receive(idle=15):
            async with delivery as came:
                answered.add(came.recipient)
            await them.report(came, "03")
            if len(answered) == 3:
                break
        assert answered == {one.code for one in communes}
        heard: Counter[str] = Counter()
        async for status in me.statuses(idle=15):
            heard[status.code] += 1
            if heard == {"01": 3, "03": 3}:
                break
        reply = await them.send(letter(ministry.code), sender=communes[0].code)
        await reply.accepted(timeout=15)
        assert reply.document.sender == communes[0].code


async def test_a_recall_is_asked_agreed_and_told(broker: Exchange) -> None:
    ministry, province = await broker.add("G22"), await broker.add("H53", "province")
    async with (
        Agency.open(settings(office(broker, ministry))) as me,
        Agency.open(settings(office(broker, province))) as them,
    ):
        sent = await me.send(letter(province.code))
        await sent.accepted(timeout=15)
        recall = await me.recall([sent.document], "có sai sót")
        assert (await recall.accepted(timeout=15)).count == 1
        async for delivery in them.receive(idle=15):
            async with delivery as came:
                if came.action == "recall":
                    assert came.concerns == (sent.document,)
                    await them.agree(came)
                    break
        async for status in me.statuses(idle=15):
            if status.code == "15":
                assert status.document == sent.document and status.answers == recall.document.as_dict()
                break


async def test_a_simulation_reports_everything_that_its_databases_hold(broker: Exchange, tmp_path: Path) -> None:
    ministry, province = await broker.add("G22"), await broker.add("H53", "province")
    hub = await broker.add("H53.W00", "hub")
    communes = tuple([await broker.add(f"H53.{n}", "commune", has_mailbox=False, hub=hub) for n in range(20)])
    everyone = [province.code, *(one.code for one in communes)]

    def submission(variant: str, sender: End, to: list[str], **more: Any) -> dict[str, Any]:
        id = str(new_id(datetime.now(UTC)))
        return {"at": 0.1, "from": sender.code, "to": to, "id": id, "variant": variant, "number": id[-6:], **more}

    submissions = [
        submission("good", ministry, everyone, priority=3),
        submission("twice", ministry, [province.code]),
        submission("good", communes[0], [ministry.code], via=hub.code, size=300_000),
        submission("altered", ministry, [province.code]),
        submission("wrong-signer", ministry, [province.code], signer=province.code),
        submission("unknown-recipient", ministry, ["H99.NOBODY"]),
    ]
    plan = {
        "seed": 1,
        "quiet_seconds": 1.5,
        "answers": {"refuse": 0.1, "clerk_seconds": [0.01, 0.1]},
        "offices": [office(broker, ministry), office(broker, province), office(broker, hub, serves=communes)],
        "submissions": submissions,
    }
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    output = io.BytesIO()
    await run(load_plan(file), output)
    lines = [json.loads(line) for line in output.getvalue().splitlines()]

    def of(event: str) -> list[dict[str, Any]]:
        return [line for line in lines if line["event"] == event]

    assert lines[0]["event"] == "ready" and lines[-1]["event"] == "finished" and lines[-1]["why"] == "quiet"
    assert Counter(line["id"] for line in of("accepted")).keys() == {one["id"] for one in submissions[:3]}
    assert {line["id"]: line["code"] for line in of("rejected")} == {
        submissions[3]["id"]: "LT-SIGNATURE",
        submissions[4]["id"]: "LT-SIGNER-NOT-ALLOWED",
        submissions[5]["id"]: "LT-RECIPIENT-UNKNOWN",
    }
    stored = Counter((line["office"], line["from"], line["id"], line["recipient"]) for line in of("stored"))
    held = Counter(
        (line["office"], row["from"], row["id"], row["recipient"]) for line in of("inventory") for row in line["inbox"]
    )
    assert stored == held and set(stored.values()) == {1} and len(stored) == 21 + 1 + 1
    arrived = {(line["id"], line["agency"]) for line in of("status") if line["code"] == "01"}
    assert arrived == {(id, recipient) for _, _, id, recipient in stored}
    answers = {(line["id"], line["recipient"], line["code"]) for line in of("answered")}
    heard = {(line["id"], line["agency"], line["code"]) for line in of("status")}
    assert answers == {one for one in heard if one[2] != "01"}
    assert all(line["unsent"] == 0 for line in of("inventory"))
    assert not of("error")

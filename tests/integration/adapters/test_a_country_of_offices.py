"""The size of the demonstration: one telegram to 3,355 recipients among 160 offices, and 300 documents beside it."""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.settings import AgencySettings
from schemas.times import new_id
from tests.integration.adapters.standin import RUN, StandIn

DIRECT, HUBS, COMMUNES = 126, 34, 3321
DOCUMENTS, RECIPIENTS_EACH = 300, 3


def as_table(settings: AgencySettings) -> dict[str, Any]:
    return {
        "code": settings.code,
        "amqp_url": settings.amqp_url,
        "amqp_password_file": str(settings.amqp_password_file),
        "key_file": str(settings.key_file),
        "certificate_file": str(settings.certificate_file),
        "roots_dir": str(settings.roots),
        "broker_certificate_file": str(settings.broker_certificate_file),
        "content_dir": str(settings.content_dir),
        "data_dir": str(settings.data_dir),
    }


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_telegram_to_a_whole_country_is_stored_and_answered_on_less_than_one_core(
    exchange: StandIn, tmp_path: Path
) -> None:
    direct = [await exchange.agency(f"G{number}.{RUN}") for number in range(DIRECT)]
    hubs = [await exchange.agency(f"H{number}.{RUN}") for number in range(HUBS)]
    communes = [f"H{number % HUBS}.{RUN}.{number}" for number in range(COMMUNES)]
    for code in communes:
        exchange.owners[code] = code.rpartition(".")[0]
    everyone = [*(one.code for one in hubs), *communes]
    chance = random.Random(1)
    submissions = [
        {
            "at": 20.0 * number / DOCUMENTS,
            "from": chance.choice(direct).code,
            "to": chance.sample([one.code for one in direct[:100]], RECIPIENTS_EACH),
            "id": str(new_id(datetime.now(UTC))),
            "size": 60_000,
        }
        for number in range(DOCUMENTS)
    ]
    telegram = {"at": 7.0, "from": direct[0].code, "to": everyone, "priority": 3, "id": str(new_id(datetime.now(UTC)))}
    plan = {
        "seed": 1,
        "quiet_seconds": 3,
        "offices": [as_table(one) for one in (*direct, *hubs)],
        "submissions": [*submissions, telegram],
    }
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(plan))
    program = Path(sys.executable).parent / "lienthong-agency"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = await asyncio.create_subprocess_exec(
        str(program), "simulate", str(file), stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    assert process.stdout is not None
    lines = [json.loads(line) async for line in process.stdout]
    assert await process.wait() == 0
    stored = Counter((one["id"], one["recipient"]) for one in lines if one["event"] == "stored")
    expected = {(telegram["id"], code) for code in everyone}
    expected |= {(one["id"], code) for one in submissions for code in one["to"] if code != one["from"]}
    own = {(one["id"], one["from"]) for one in submissions if one["from"] in one["to"]}  # the stand-in drops nobody
    assert set(stored) - own == expected and set(stored.values()) == {1}
    arrived = {(one["id"], one["agency"]) for one in lines if one["event"] == "status" and one["code"] == "01"}
    assert arrived - own == expected

    def at(line: dict[str, Any]) -> datetime:
        return datetime.fromisoformat(line["at"])

    ready = next(at(one) for one in lines if one["event"] == "ready")
    sent = next(at(one) for one in lines if one["event"] == "submitted" and one["id"] == telegram["id"])
    last = max(at(one) for one in lines if one["event"] == "stored" and one["id"] == telegram["id"])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    seconds = lines[-1]["seconds"]
    print(f"telegram stored everywhere after {(last - sent).total_seconds():.2f} s; {seconds} s in all,")
    print(
        f"{seconds - (at(lines[-1]) - ready).total_seconds():.1f} s of them to connect; {cpu:.1f} s of processor time"
    )
    assert cpu < 40, "all offices together must leave room for the exchange on a machine of two cores"

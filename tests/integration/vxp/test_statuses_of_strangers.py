"""What an agency may sign into a status, however odd, makes packets that say so: nobody is accused of their files.

At the end of each test `audit verify` accuses nobody (conftest).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.vxp.conftest import Connected
from tests.kit.statuses import status
from tests.kit.vxp import edoc

PACKETS = "SELECT count(*) FROM vxp_packet WHERE kind = 'status'"
FILE = "SELECT convert_from(file, 'UTF8') FROM vxp_packet WHERE kind = 'status'"
OF_THE_COMMUNE = """
    SELECT a.code AS "from", d.id::text, encode(d.digest, 'hex') AS digest
    FROM document d JOIN agency a ON a.agency_id = d.sender_id WHERE a.code = $1"""


async def refuse(office: Connected, reason: str, at: str = "2026-03-12T08:00:00Z", **fields: Any) -> str:
    """The ministry refuses a document of the commune; the file that this makes."""
    exchange = office.exchange
    posted = edoc(office.commune, [office.ministry.code])
    assert (await office.does(office.client.send, posted, office.commune))["ErrorCode"] == "0"
    concerns = dict(await exchange.pool.fetchrow(OF_THE_COMMUNE, office.commune))  # type: ignore[arg-type]
    said = status(exchange, office.ministry, {"concerns": concerns, "code": "02", "at": at, "reason": reason}, **fields)
    await exchange.submit(said.body, office.ministry, kind="status")
    await exchange.until_value(PACKETS, 1)
    return str(await exchange.value(FILE))


async def test_an_extension_that_says_something_else_than_the_status_stands_in_the_file(office: Connected) -> None:
    header = {"StatusCode": "05", "Description": "Đang xử lý", "Timestamp": "2020/01/01 00:00:00"}
    file = await refuse(office, "Sai thể thức", edxml={"MessageHeader": header})
    assert "Đang xử lý" in file and "Sai thể thức" not in file


async def test_an_extension_that_takes_the_time_away_leaves_a_file_without_one(office: Connected) -> None:
    file = await refuse(office, "Sai thể thức", edxml={"MessageHeader": {"Timestamp": None, "From": None}})
    assert "Sai thể thức" in file


@pytest.mark.parametrize(
    "reason", ["a\u2028b", "a\u00a0 b\r\nc", "e\u0302\u0301", "\ufeff<![CDATA[x]]>&amp;", "  x  ", "a\x0bb\x1f"]
)
async def test_a_reason_is_told_as_it_survives_xml(office: Connected, reason: str) -> None:
    assert await refuse(office, reason, at="2026-03-12T23:59:59.999999999-11:30")


async def test_who_is_asked_to_give_back_may_be_written_in_small_letters(office: Connected) -> None:
    exchange = office.exchange
    letter = exchange.letter(office.ministry, [office.commune])
    await exchange.send(letter, office.ministry)
    await exchange.until_value("SELECT count(*) FROM vxp_packet", 1)
    asked = {"code": "13", "at": "2026-03-12T12:00:00Z", "to": [f" {office.commune.lower()} "], "reason": "Nhầm"}
    said = status(exchange, office.ministry, {"concerns": letter.reference()} | asked)
    await exchange.submit(said.body, office.ministry, kind="status")
    await exchange.until_value(PACKETS, 1)

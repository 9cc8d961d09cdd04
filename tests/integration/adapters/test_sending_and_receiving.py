"""The thin path of design §12: send, receive, 01, statuses, as a developer writes it."""

from __future__ import annotations

import pytest

from adapters import Agency, Letter, Part, Refuse, Rejected
from tests.integration.adapters.standin import MINISTRY, PROVINCE, StandIn


def letter(*to: str, **more: object) -> Letter:
    fields: dict[str, object] = {
        "number": "12",
        "notation": "VPCP-TH",
        "subject": "Công văn hỏa tốc",
        "to": to,
        "parts": [Part.data("12-VPCP.pdf", b"%PDF-1.7 nothing much")],
    }
    return Letter(**{**fields, **more})  # type: ignore[arg-type]


async def test_a_letter_is_accepted_received_and_answered(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        sent = await me.send(letter(PROVINCE, priority=3))
        accepted = await sent.accepted(timeout=10)
        assert accepted.count == 1
        async for delivery in them.receive(idle=10):
            async with delivery as came:
                assert (came.number, came.subject, came.ref) == ("12", "Công văn hỏa tốc", sent.document)
                assert await came.parts[0].read() == b"%PDF-1.7 nothing much"
                assert not delivery.again
            assert await them.report(came, "03")
            break
        seen = []
        async for status in me.statuses(idle=10):
            assert status.document == sent.document and status.agency == PROVINCE
            seen.append(status.code)
            if len(seen) == 2:
                break
        assert sorted(seen) == ["01", "03"]


async def test_a_rejection_tells_what_was_found_and_expected(exchange: StandIn) -> None:
    exchange.rejections.append("LT-RECIPIENT-UNKNOWN")
    async with Agency.open(await exchange.agency(MINISTRY)) as me:
        sent = await me.send(letter("H99"))
        with pytest.raises(Rejected) as refused:
            await sent.accepted(timeout=10)
    assert (refused.value.code, refused.value.field, refused.value.found) == ("LT-RECIPIENT-UNKNOWN", "to.0", "H99")
    assert not refused.value.retryable


async def test_a_refused_letter_is_answered_with_02_and_never_reported(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        sent = await me.send(letter(PROVINCE))
        async for delivery in them.receive(idle=10):
            async with delivery as came:
                raise Refuse("gửi nhầm nơi nhận")
            assert not await them.report(came, "03")
            break
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01", "02"])
        await them.flushed(timeout=10)


async def test_a_letter_whose_block_raised_is_handed_over_again_and_flagged(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE, again_after_seconds=0.1)
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        sent = await me.send(letter(PROVINCE))
        flags = []
        async for delivery in them.receive(idle=10):
            flags.append((delivery.again, delivery.earlier_attempts))
            async with delivery as came:
                if len(flags) < 3:
                    raise RuntimeError("the register is closed")
            if len(flags) == 3:
                assert await them.report(came, "03")
                break
        assert flags == [(False, 0), (True, 1), (True, 2)]
        await exchange.until(lambda: exchange.codes(sent.id, PROVINCE) == ["01", "03"])


async def test_a_large_part_goes_through_the_content_store(exchange: StandIn) -> None:
    ministry, province = await exchange.agency(MINISTRY), await exchange.agency(PROVINCE)
    large, small = bytes(range(256)) * 2048, b"small"
    async with Agency.open(ministry) as me, Agency.open(province) as them:
        await me.send(letter(PROVINCE, parts=[Part.data("large.bin", large), Part.data("small.txt", small)]))
        async for delivery in them.receive(idle=10):
            async with delivery as came:
                assert [(p.name, p.role, p.size) for p in came.parts] == [
                    ("large.bin", "document", len(large)),
                    ("small.txt", "attachment", 5),
                ]
                assert await came.parts[0].read() == large
                assert await came.parts[1].read() == small
            break

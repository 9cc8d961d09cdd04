"""The doctor says when search and reports fall behind the log, and that they have caught up."""

from __future__ import annotations

import pytest

from broker.doctor import log
from broker.doctor.finding import Finding, Verdict
from broker.evidence.sequencer import Sequencer
from broker.upkeep.lease import Lease
from tests.kit.exchange import Exchange
from tests.kit.following import follow
from tests.kit.statuses import sent


async def figures(exchange: Exchange) -> Finding:
    (found,) = [one async for one in log.check_log(exchange.settings) if one.check == "figures"]
    return found


async def test_search_that_falls_behind_the_log_is_said(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FIGURES_BEHIND", 0)
    await sent(exchange, await exchange.add("A"), await exchange.add("B"))
    await exchange.all_published()
    lease = Lease(exchange.pool, seconds=60)
    assert await lease.take()
    sequencer = Sequencer("test")
    while not (await sequencer.add(lease)).count:
        pass  # an older transaction of another test may still be open
    await lease.release()
    behind = await figures(exchange)
    assert behind.verdict is Verdict.WARNING and "behind" in behind.found and "keeper" in (behind.remedy or "")

    await follow(exchange.settings.database_url)
    caught_up = await figures(exchange)
    assert caught_up.verdict is Verdict.GOOD and " 0 log entries" in caught_up.found

"""What the AMQP library raises for a connection that is gone counts as that, and nothing else does."""

from __future__ import annotations

import asyncio

import pytest
from aiormq.exceptions import AMQPConnectionError

from adapters.amqp import Lost, lost


@pytest.mark.parametrize(
    "raised", [Exception(), AMQPConnectionError("gone"), OSError("gone"), asyncio.CancelledError()], ids=repr
)
async def test_an_end_of_the_connection_is_a_lost_connection_also_without_a_reason(raised: BaseException) -> None:
    with pytest.raises(Lost, match="no confirm"), lost("no confirm"):
        raise raised


async def test_a_defect_is_no_lost_connection() -> None:
    with pytest.raises(ZeroDivisionError), lost("no confirm"):
        raise ZeroDivisionError


async def test_who_is_cancelled_is_not_told_of_a_lost_connection() -> None:
    async def call() -> None:
        with lost("no confirm"):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("gone at the same moment") from None

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

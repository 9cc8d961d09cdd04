"""Offices that kill themselves while one stores a document: `dying_offices.py POINT PLAN.json` (design §4, last rows).

It is `lienthong-agency simulate`, with one function wrapped so that the process gets SIGKILL. Nothing of this is in the
product.
"""

from __future__ import annotations

import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import adapters.inbox
from adapters.amqp import Session
from adapters.simulate.plan import load_plan
from adapters.simulate.run import run
from tests.kit import stacks


class Point(StrEnum):
    BEFORE_COMMIT = "before-commit"
    BEFORE_ACKNOWLEDGEMENT = "before-acknowledgement"


def arrange(point: Point) -> None:
    """Die when documents have been written and not committed, or committed and not acknowledged."""
    take_in = adapters.inbox.take_in
    ack = Session.ack
    stored = False

    def take_in_or_die(*arguments: Any) -> Any:
        nonlocal stored
        done = take_in(*arguments)
        stored = stored or bool(done.stored)
        if stored and point is Point.BEFORE_COMMIT:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    async def ack_or_die(self: Session, tag: int, *, multiple: bool) -> None:
        if stored:
            os.kill(os.getpid(), signal.SIGKILL)
        await ack(self, tag, multiple=multiple)

    adapters.inbox.take_in = take_in_or_die  # type: ignore[assignment]
    Session.ack = ack_or_die  # type: ignore[method-assign]


if __name__ == "__main__":
    arrange(Point(sys.argv[1]))
    stacks.run(run(load_plan(Path(sys.argv[2]))))

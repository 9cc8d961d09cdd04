"""A worker that kills itself at one point of its work: `dying_worker.py POINT KIND`, for the table of design §4.

It is the worker of `lienthong worker`, with one function wrapped so that the process gets SIGKILL right before or right
after it. KIND (document or status) says in whose batch: others pass unharmed. Nothing of this is in the product.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from broker.amqp.publishing import Outcome, OutgoingMessage, Publisher
from broker.amqp.reading import Batch
from broker.dispatch import dispatcher
from broker.dispatch.dispatcher import Dispatcher
from broker.intake import reception
from broker.settings import load_settings
from broker.statuses import processor
from broker.worker import serve
from tests.kit.stacks import run


class Point(StrEnum):
    """Where the worker dies, in the order of its work."""

    BEFORE_COMMIT = "before-commit"
    BEFORE_CONFIRMS = "before-confirms"
    BETWEEN_CONFIRMS = "between-confirms"
    BEFORE_RECORDING = "before-recording"
    BEFORE_ACKNOWLEDGEMENT = "before-acknowledgement"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arrange(point: Point, kind: str) -> None:
    """Wrap what has to be wrapped, so that the process dies at `point` of a batch of this kind."""
    match point:
        case Point.BEFORE_COMMIT:
            if kind == "document":
                reception.write = _then_die(reception.write)  # type: ignore[attr-defined]
            else:
                processor.write = _then_die(processor.write)  # type: ignore[attr-defined]
        case Point.BEFORE_CONFIRMS:
            send = Dispatcher.send

            async def send_or_die(self: Dispatcher, jobs: Any) -> Any:
                jobs = list(jobs)
                if any(job.kind == kind for job in jobs):
                    die()
                return await send(self, jobs)

            Dispatcher.send = send_or_die  # type: ignore[method-assign]
        case Point.BETWEEN_CONFIRMS:
            publish_all = Publisher.publish_all

            async def publish_one_and_die(self: Publisher, messages: Sequence[OutgoingMessage]) -> list[Outcome]:
                if messages[0].type != kind:
                    return await publish_all(self, messages)
                assert len(messages) > 1, "there is nothing between the confirms of one publish"
                assert (await publish_all(self, messages[:1]))[0].confirmed
                die()
                raise AssertionError("alive after SIGKILL")

            Publisher.publish_all = publish_one_and_die  # type: ignore[method-assign]
        case Point.BEFORE_RECORDING:
            record_sent = dispatcher.record_sent  # type: ignore[attr-defined]

            async def record_or_die(pool: Any, jobs: Any, **more: Any) -> Any:
                if any(job.kind == kind for job in jobs):
                    die()
                return await record_sent(pool, jobs, **more)

            dispatcher.record_sent = record_or_die  # type: ignore[attr-defined]
        case Point.BEFORE_ACKNOWLEDGEMENT:
            ack = Batch.ack

            async def ack_or_die(self: Batch) -> bool:
                if any(message.type == kind for message in self.messages):
                    die()
                return await ack(self)

            Batch.ack = ack_or_die  # type: ignore[method-assign]


def _then_die(function: Callable[..., Any]) -> Callable[..., Any]:
    async def last(*arguments: Any, **more: Any) -> Any:
        await function(*arguments, **more)
        die()

    return last


if __name__ == "__main__":
    arrange(Point(sys.argv[1]), sys.argv[2])
    run(serve(load_settings()))

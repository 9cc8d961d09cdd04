"""A program of its own that sends and receives, and can be made to die at a boundary: `two_offices.py ORDERS.json`.

Boundaries are the places where something becomes true for somebody else: a commit, a publish, an acknowledgement, a
file under its digest; each is crossed twice, just before and just after. With `die_at` N the program kills itself with
SIGKILL at the N-th crossing. It prints the number of crossings when it comes to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import adapters.content
import adapters.store
from adapters import Agency, Letter, Part
from adapters.amqp import Session
from adapters.settings import load
from tests.kit.stacks import run

crossings = 0
die_at = 0


def cross() -> None:
    global crossings
    crossings += 1
    if crossings == die_at:
        os.kill(os.getpid(), signal.SIGKILL)


def around(function: Callable[..., Any]) -> Callable[..., Any]:
    def crossed(*arguments: Any) -> Any:
        cross()
        result = function(*arguments)
        cross()
        return result

    return crossed


def around_awaited(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def crossed(*arguments: Any, **more: Any) -> Any:
        cross()
        result = await function(*arguments, **more)
        cross()
        return result

    return crossed


def watch_boundaries() -> None:
    adapters.store.commit = around(adapters.store.commit)
    adapters.content.rename = around(adapters.content.rename)
    Session.publish = around_awaited(Session.publish)  # type: ignore[method-assign]
    Session.ack = around_awaited(Session.ack)  # type: ignore[method-assign]


async def main(orders: dict[str, Any]) -> None:
    register = Path(orders["register"])
    async with Agency.open(load(Path(orders["sender"]))) as me, Agency.open(load(Path(orders["recipient"]))) as them:
        receiving = asyncio.create_task(receive(them, register, set(orders["ids"])))
        for id in orders["ids"]:
            sent = await me.sent(id) or await me.send(
                Letter(
                    number="1",
                    notation="TB",
                    subject="Thông báo",
                    to=[them.settings.code],
                    parts=[Part.data("a.pdf", id.encode() * (6000 if id == orders["large"] else 1))],
                    id=id,
                )
            )
            await sent.accepted(timeout=30)
        await receiving
        heard: set[tuple[str, str]] = set()
        while not all((id, code) in heard for id in orders["ids"] for code in ("01", "03")):
            for id, code in await me.store.run(
                lambda connection: connection.execute("SELECT id, code FROM status").fetchall()
            ):
                heard.add((id, code))
            await asyncio.sleep(0.02)


async def receive(them: Agency, register: Path, wanted: set[str]) -> None:
    """The clerk: writes each document into a register, flags what may be there already."""
    known = {json.loads(line)["id"] for line in register.read_text().splitlines()} if register.exists() else set()
    done = await them.store.run(
        lambda connection: {id for (id,) in connection.execute("SELECT id FROM inbox WHERE state = 'done'").fetchall()}
    )
    while wanted - done:
        async for delivery in them.receive(idle=0.2):
            async with delivery as letter:
                content = await letter.parts[0].read()
                line = {"id": letter.ref.id, "again": delivery.again, "known": letter.ref.id in known}
                with register.open("a") as file:
                    file.write(json.dumps({**line, "bytes": len(content)}) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                cross()
                await them.report(letter, "03")  # in the block: a death from here on hands it over again
            done.add(letter.ref.id)
            if not wanted - done:
                break


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    die_at = int(given.get("die_at", 0))
    watch_boundaries()
    run(main(given))
    print(json.dumps({"crossings": crossings}))

"""Messages a second through the exchange's publisher and reader, beside a bare aiormq loop on the same server.

    python -m tests.bench.amqp_micro [--messages 20000] [--size 3000] [--rounds 3]

The bare loop is what one would write by hand: `gather` over `basic_publish`, and a consumer that acknowledges every
200th delivery with `multiple`. Both use one quorum queue in a virtual host of their own. Rounds alternate, so that
whatever else the machine does meets both; the best round of each counts.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import aiormq
import structlog
import uvloop
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from broker.amqp.connection import Link
from broker.amqp.management import Management
from broker.amqp.messages import OutgoingMessage
from broker.amqp.publishing import Publisher
from broker.amqp.reading import BatchReader
from broker.settings import load_settings

QUEUE = "measured"
IN_FLIGHT = 500
HEADERS = {
    "lt-id": "0190c7a0-0000-7000-8000-000000000000",
    "lt-kind": "document",
    "lt-from": "H53",
    "lt-digest": "0" * 64,
}


@dataclass(frozen=True)
class Load:
    url: str
    user: str
    messages: int
    body: bytes


@dataclass(frozen=True)
class Measured:
    rate: float
    """Messages a second."""
    cpu: float
    """Microseconds of this process's processor time for each message."""


async def measure(messages: int, work: Awaitable[None]) -> Measured:
    wall, cpu = time.perf_counter(), time.process_time()
    await work
    return Measured(messages / (time.perf_counter() - wall), (time.process_time() - cpu) / messages * 1e6)


async def bare(load: Load) -> dict[str, Measured]:
    connection = await aiormq.connect(load.url)
    channel = await connection.channel()
    properties = [
        Basic.Properties(
            delivery_mode=2,
            content_type="application/x",
            message_type="document",
            user_id=load.user,
            priority=0,
            headers=dict(HEADERS),
            message_id=str(number),
        )
        for number in range(IN_FLIGHT)
    ]

    async def publish() -> None:
        for _ in range(load.messages // IN_FLIGHT):
            await asyncio.gather(
                *(
                    channel.basic_publish(load.body, routing_key=QUEUE, mandatory=True, properties=one)
                    for one in properties
                )
            )

    async def consume() -> None:
        done = asyncio.Event()
        seen = 0

        async def take(message: DeliveredMessage) -> None:
            nonlocal seen
            seen += 1
            assert isinstance(message.delivery, Basic.Deliver)
            if seen % 200 == 0:
                await channel.basic_ack(message.delivery.delivery_tag or 0, multiple=True, wait=False)
            if seen == load.messages:
                done.set()

        await channel.basic_qos(prefetch_count=400)
        await channel.basic_consume(QUEUE, take)
        await done.wait()

    found = {"publish": await measure(load.messages, publish()), "read": await measure(load.messages, consume())}
    await connection.close(ConnectionError("done"))
    return found


async def ours(load: Load) -> dict[str, Measured]:
    async with Link(load.url, name="out") as out, Link(load.url, name="in") as incoming, Publisher(out) as publisher:
        message = OutgoingMessage(exchange="", routing_key=QUEUE, body=load.body, type="document", headers=HEADERS)

        async def publish() -> None:
            for _ in range(load.messages // IN_FLIGHT):
                outcomes = await publisher.publish_all([message] * IN_FLIGHT)
                assert all(outcome.confirmed for outcome in outcomes)

        async def consume() -> None:
            reader = BatchReader(incoming, QUEUE)
            seen = 0
            async for batch in reader:
                seen += len(batch)
                await batch.ack()
                if seen == load.messages:
                    break
            await reader.stop()

        return {"publish": await measure(load.messages, publish()), "read": await measure(load.messages, consume())}


async def main(messages: int, size: int, rounds: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    settings = load_settings()
    vhost = f"bench-{secrets.token_hex(4)}"
    url = urlunsplit(urlsplit(settings.amqp_url)._replace(path=f"/{vhost}"))
    load = Load(url, urlsplit(url).username or "guest", messages - messages % IN_FLIGHT, secrets.token_bytes(size))
    async with Management(settings.management_url, vhost=vhost) as management:
        await management.create_virtual_host()
        try:
            arguments = {"x-queue-type": "quorum"}
            await management.import_definitions(
                {"queues": [{"name": QUEUE, "durable": True, "auto_delete": False, "arguments": arguments}]}
            )
            await compare(load, rounds)
        finally:
            await management.delete_virtual_host()


async def compare(load: Load, rounds: int) -> None:
    contenders: dict[str, Callable[[Load], Awaitable[dict[str, Measured]]]] = {"bare": bare, "ours": ours}
    best: dict[tuple[str, str], Measured] = {}
    for _ in range(rounds):
        for name, contender in contenders.items():
            for what, measured in (await contender(load)).items():
                before = best.get((name, what))
                best[name, what] = measured if before is None or measured.rate > before.rate else before
    print(f"{load.messages} messages of {len(load.body)} bytes, quorum queue, best of {rounds}")
    for what in ("publish", "read"):
        theirs, here = best["bare", what], best["ours", what]
        print(
            f"{what:8} bare {theirs.rate:7.0f}/s ({theirs.cpu:4.0f} µs)   "
            f"ours {here.rate:7.0f}/s ({here.cpu:4.0f} µs)   {here.rate / theirs.rate:5.0%}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    uvloop.run(main(chosen.messages, chosen.size, chosen.rounds))

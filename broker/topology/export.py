"""The topology for others: as a definitions file that RabbitMQ imports, and as a graph in Mermaid's language. Pure."""

from __future__ import annotations

from collections import Counter

from broker.topology.model import Queue, Topology
from schemas import wire


def mermaid(topology: Topology) -> str:
    """The graph of exchanges and queues; mailboxes are drawn once for each type, with their number."""
    lines = ["flowchart LR"]
    lines += [f'    {_id("x", one.name)}{{{{"{one.name} ({one.type})"}}}}' for one in topology.exchanges.values()]
    pipeline = [one for one in topology.queues.values() if not one.is_mailbox]
    lines += [f'    {_id("q", one.name)}[("{one.name}")]' for one in pipeline]
    lines += [
        f'    {_id("x", one.exchange)} -- "{one.key or "everything"}" --> {_id("q", one.queue)}'
        for one in sorted(topology.bindings)
        if not one.queue.startswith(wire.MAILBOX_PREFIX)
    ]
    lines += [_dead_letter_arrow(one) for one in pipeline if one.arguments["x-dead-letter-exchange"] != one.name]
    kinds = Counter(one.type for one in topology.queues.values() if one.is_mailbox)
    for kind, number in sorted(kinds.items()):
        lines.append(f'    mailboxes_{kind}[("{number} {kind} mailboxes {wire.MAILBOX_PREFIX}…")]')
        lines.append(f'    {_id("x", wire.DELIVER)} -- "owner\'s code" --> mailboxes_{kind}')
        lines.append(f"    mailboxes_{kind} -. rejected .-> {_id('x', wire.DEAD)}")
    return "\n".join(lines) + "\n"


def _dead_letter_arrow(queue: Queue) -> str:
    word = "after its time" if "x-message-ttl" in queue.arguments else "given up"
    return f"    {_id('q', queue.name)} -. {word} .-> {_id('x', str(queue.arguments['x-dead-letter-exchange']))}"


def _id(kind: str, name: str) -> str:
    return kind + "_" + "".join(letter if letter.isalnum() else "_" for letter in name)

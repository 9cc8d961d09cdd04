"""The topology says what contract §3 says, and in words that RabbitMQ 3.10 and 4.x both take."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from broker.amqp.retry import LADDER
from broker.topology.export import mermaid
from broker.topology.model import Binding, Topology, definitions, desired
from schemas import wire


@dataclass(frozen=True)
class Owner:
    code: str
    level: str


@dataclass(frozen=True)
class Types:
    mailbox_type_by_level: dict[str, str] = field(
        default_factory=lambda: {"ministry": "quorum", "province": "quorum", "hub": "quorum", "commune": "classic"}
    )


OWNERS = [Owner("G01", "ministry"), Owner("H53", "province"), Owner("H53.1", "commune"), Owner("HUB.1", "hub")]
ARGUMENTS_OF_BOTH = {
    "x-queue-type",
    "x-delivery-limit",
    "x-dead-letter-exchange",
    "x-dead-letter-strategy",
    "x-overflow",
    "x-message-ttl",
}


@pytest.fixture
def topology() -> Topology:
    return desired(OWNERS, Types())


def test_every_queue_has_a_dead_letter_exchange_that_exists(topology: Topology) -> None:
    for queue in topology.queues.values():
        assert queue.arguments["x-dead-letter-exchange"] in topology.exchanges, queue.name


def test_every_replicated_queue_has_an_explicit_delivery_limit(topology: Topology) -> None:
    for queue in topology.queues.values():
        assert (queue.type == "quorum") == ("x-delivery-limit" in queue.arguments), queue.name


def test_pipeline_queues_are_replicated_and_dead_letter_without_loss(topology: Topology) -> None:
    pipeline = (wire.INTAKE_URGENT, wire.INTAKE_NORMAL, wire.STATUS, wire.DEAD, *(step.entity for step in LADDER))
    for name in pipeline:
        arguments = topology.queues[name].arguments
        assert arguments["x-queue-type"] == "quorum"
        # At-least-once dead-lettering is silently at-most-once unless all three are given.
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"
        assert arguments["x-dead-letter-exchange"]


def test_only_arguments_known_to_old_and_new_servers_are_used(topology: Topology) -> None:
    for queue in topology.queues.values():
        assert set(queue.arguments) <= ARGUMENTS_OF_BOTH


def test_mailboxes_have_the_type_of_their_level(topology: Topology) -> None:
    kinds = {code: topology.queues[wire.mailbox(code)].type for code in topology.mailbox_codes}
    assert kinds == {"G01": "quorum", "H53": "quorum", "H53.1": "classic", "HUB.1": "quorum"}


def test_a_mailbox_hangs_on_its_owners_code_and_nothing_else(topology: Topology) -> None:
    for code in topology.mailbox_codes:
        bound = [one for one in topology.bindings if one.queue == wire.mailbox(code)]
        assert bound == [Binding(exchange=wire.DELIVER, queue=wire.mailbox(code), key=code)]


def test_retries_go_back_to_where_agencies_publish(topology: Topology) -> None:
    for step in LADDER:
        queue = topology.queues[step.entity]
        assert queue.arguments["x-dead-letter-exchange"] == wire.SUBMIT
        assert "x-dead-letter-routing-key" not in queue.arguments, "the key that it came with leads it back"
        assert queue.arguments["x-message-ttl"] == step.seconds * 1000


def test_definitions_are_json_and_hold_everything(topology: Topology) -> None:
    made = json.loads(json.dumps(definitions(topology)))
    assert {one["name"] for one in made["queues"]} == set(topology.queues)
    assert {one["name"] for one in made["exchanges"]} == set(topology.exchanges)
    assert len(made["bindings"]) == len(topology.bindings)
    assert all(one["durable"] for one in made["queues"] + made["exchanges"])


def test_the_graph_names_every_pipeline_entity_and_counts_mailboxes(topology: Topology) -> None:
    graph = mermaid(topology)
    assert graph.startswith("flowchart LR\n")
    for name in (*topology.exchanges, wire.INTAKE_URGENT, wire.STATUS):
        assert name in graph
    assert "3 quorum mailboxes" in graph
    assert "1 classic mailboxes" in graph
    assert "H53.1" not in graph

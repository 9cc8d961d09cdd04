"""A plan creates what is missing, never destroys what holds messages, and removes only when it is asked to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.topology.actual import Actual, User, parse_definitions, parse_users
from broker.topology.model import Binding, Exchange, Queue, Topology, definitions, desired
from broker.topology.permissions import rights_of, user_definitions
from broker.topology.plan import Action, Difference, Finding, Kind, Plan, plan
from schemas import wire
from tests.unit.topology.test_model import OWNERS, Owner, Types

WANTED = desired(OWNERS, Types())
EMPTY = Topology(exchanges={}, queues={}, bindings=frozenset())


def users(*codes: str) -> dict[str, User]:
    return {code: User(name=code, tags=(), rights=rights_of(code)) for code in codes}


def actual(topology: Topology = WANTED, odd: tuple[str, ...] = (), **found: User) -> Actual:
    return Actual(topology=topology, odd_bindings=odd, users=users(*WANTED.mailbox_codes) | found)


def only(planned: Plan) -> Finding:
    (finding,) = planned.findings
    return finding


def with_queue(queue: Queue) -> Topology:
    return replace(WANTED, queues={**WANTED.queues, queue.name: queue})


def test_what_is_as_it_should_be_needs_nothing() -> None:
    planned = plan(WANTED, actual())
    assert planned.good
    assert planned.findings == ()
    assert planned.mailboxes == 4


def test_on_an_empty_server_everything_is_created() -> None:
    planned = plan(WANTED, Actual(topology=EMPTY, odd_bindings=(), users={}))
    assert {one.action for one in planned.findings} == {Action.CREATE}
    assert len(planned.to_do) == len(WANTED.exchanges) + len(WANTED.queues) + len(WANTED.bindings)
    assert planned.without_user == ("G01", "H53", "H53.1", "HUB.1")
    assert not planned.good


@pytest.mark.parametrize("prune", [False, True])
def test_a_queue_with_other_arguments_is_left_to_an_operator_and_named_exactly(prune: bool) -> None:
    old = Queue(
        name=wire.INTAKE_NORMAL,
        arguments={**WANTED.queues[wire.INTAKE_NORMAL].arguments, "x-delivery-limit": 20},
    )
    planned = plan(WANTED, actual(with_queue(old)), prune=prune)
    finding = only(planned)
    assert (finding.difference, finding.action) == (Difference.DIFFERENT, Action.OPERATOR)
    assert finding.detail == "x-delivery-limit is 20, should be 100"
    assert planned.to_do == ()
    assert not planned.good


@pytest.mark.parametrize("prune", [False, True])
def test_an_exchange_of_another_type_is_left_to_an_operator(prune: bool) -> None:
    exchanges = {**WANTED.exchanges, wire.DELIVER: Exchange(name=wire.DELIVER, type="fanout")}
    finding = only(plan(WANTED, actual(replace(WANTED, exchanges=exchanges)), prune=prune))
    assert finding.action is Action.OPERATOR
    assert finding.detail == "type is fanout, should be direct"


def test_a_mailbox_that_is_gone_is_made_again_with_its_binding() -> None:
    queues = {name: one for name, one in WANTED.queues.items() if name != "agency.H53"}
    bindings = frozenset(one for one in WANTED.bindings if one.queue != "agency.H53")
    planned = plan(WANTED, actual(replace(WANTED, queues=queues, bindings=bindings)))
    assert [(one.kind, one.name, one.action) for one in planned.findings] == [
        (Kind.QUEUE, "agency.H53", Action.CREATE),
        (Kind.BINDING, "agency.H53", Action.CREATE),
    ]
    assert planned.missing(Kind.QUEUE) == ["agency.H53"]


@pytest.mark.parametrize(("prune", "action", "good"), [(False, Action.LEAVE, True), (True, Action.REMOVE, False)])
def test_a_mailbox_without_an_owner_stays_unless_pruning_is_asked_for(prune: bool, action: Action, good: bool) -> None:
    more = desired([*OWNERS, Owner("H99", "commune")], Types())
    planned = plan(WANTED, actual(more), prune=prune)
    finding = only(planned)
    assert (finding.name, finding.difference, finding.action) == ("agency.H99", Difference.SUPERFLUOUS, action)
    assert planned.good is good


def test_a_binding_that_leaks_documents_is_found() -> None:
    leak = Binding(exchange=wire.DELIVER, queue="agency.H53", key="G01")
    finding = only(plan(WANTED, actual(replace(WANTED, bindings=WANTED.bindings | {leak}))))
    assert (finding.exchange, finding.name, finding.key) == (wire.DELIVER, "agency.H53", "G01")
    assert finding.difference is Difference.SUPERFLUOUS


def test_a_binding_we_never_make_needs_an_operator() -> None:
    finding = only(plan(WANTED, actual(odd=("lt.deliver → exchange spy",))))
    assert finding.action is Action.OPERATOR


@pytest.mark.parametrize(
    "wrong",
    [
        {"configure": ".*"},
        {"write": ".*"},
        {"read": r"^agency\..*\z"},
        {"topic_write": ".*"},
        {"topic_read": ".*"},
    ],
)
def test_rights_beyond_the_contract_are_corrected(wrong: dict[str, str]) -> None:
    finding = only(plan(WANTED, actual(H53=User(name="H53", tags=(), rights=replace(rights_of("H53"), **wrong)))))
    assert (finding.kind, finding.name, finding.action) == (Kind.RIGHTS, "H53", Action.CORRECT)
    assert next(iter(wrong)) in finding.detail


def test_an_agency_that_is_an_administrator_is_corrected() -> None:
    finding = only(plan(WANTED, actual(H53=User(name="H53", tags=("administrator",), rights=rights_of("H53")))))
    assert finding.action is Action.CORRECT
    assert "administrator" in finding.detail


def test_rights_of_an_agency_without_a_mailbox_are_superfluous_and_other_users_are_nobodys_business() -> None:
    everything = replace(rights_of("x"), configure=".*", write=".*", read=".*")
    found = actual(
        H99=User(name="H99", tags=(), rights=rights_of("H99")), ops=User(name="ops", tags=(), rights=everything)
    )
    finding = only(plan(WANTED, found, prune=True))
    assert (finding.kind, finding.name, finding.action) == (Kind.RIGHTS, "H99", Action.REMOVE)


def test_an_agency_without_a_user_is_told_and_is_no_fault() -> None:
    found = Actual(topology=WANTED, odd_bindings=(), users=users("G01", "H53", "H53.1"))
    planned = plan(WANTED, found)
    assert planned.without_user == ("HUB.1",)
    assert planned.good


def test_what_we_would_import_reads_back_as_what_we_wanted() -> None:
    exported: dict[str, Any] = definitions(WANTED)
    exported["exchanges"].append({"name": "theirs", "type": "topic", "arguments": {}})
    exported["queues"].append({"name": "theirs", "durable": True, "arguments": {}})
    exported["bindings"].append(
        {"source": "theirs", "destination": "theirs", "destination_type": "queue", "routing_key": "", "arguments": {}}
    )
    assert parse_definitions(exported) == (WANTED, ())


def test_bindings_that_do_not_fit_are_not_overlooked() -> None:
    exported: dict[str, Any] = {
        "bindings": [
            {
                "source": wire.DELIVER,
                "destination": "spy",
                "destination_type": "exchange",
                "routing_key": "",
                "arguments": {},
            },
            {
                "source": "spy",
                "destination": "agency.H53",
                "destination_type": "queue",
                "routing_key": "k",
                "arguments": {"x": 1},
            },
            {
                "source": wire.DELIVER,
                "destination": "spy",
                "destination_type": "queue",
                "routing_key": "k",
                "arguments": {},
            },
        ]
    }
    topology, odd = parse_definitions(exported)
    assert len(odd) == 2
    assert topology.bindings == {Binding(exchange=wire.DELIVER, queue="spy", key="k")}


@pytest.mark.parametrize(("exported", "tags"), [([], ()), ("", ()), ("a,b", ("a", "b")), (["a"], ("a",)), (None, ())])
def test_tags_are_read_in_the_form_of_every_server_version(exported: object, tags: tuple[str, ...]) -> None:
    made = user_definitions("v", {"H53": "secret"})
    found = parse_users([{"name": "H53", "tags": exported}], made["permissions"], made["topic_permissions"])
    assert found == {"H53": User(name="H53", tags=tags, rights=rights_of("H53"))}


def test_without_a_topic_permission_a_user_may_write_every_key() -> None:
    made = user_definitions("v", {"H53": "secret"})
    found = parse_users([], made["permissions"], [])
    assert found["H53"].rights.topic_write == ".*"

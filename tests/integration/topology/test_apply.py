"""Applying makes a real server as it should be, again and again, and destroys nothing that matters."""

from __future__ import annotations

import asyncio
import secrets

import aiormq
import asyncpg
import pytest
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from broker.amqp.connection import Link
from broker.amqp.management import Management, ManagementError
from broker.topology import apply as applying
from broker.topology.actual import read_actual
from broker.topology.mailboxes import load_mailbox_owners
from broker.topology.model import Binding, Topology, definitions, desired, mailbox_binding, mailbox_queue
from broker.topology.permissions import ensure_agency_users, rights_of
from broker.topology.plan import Action, Kind, plan
from schemas import wire
from schemas.problem import Problem
from tests.integration.topology.conftest import OWNERS, WANTED, HasVhost, Owner, Types, make_it_so

LOST_OWNER = Owner("H99", "commune")


async def test_an_empty_server_is_set_up_at_once_and_a_second_time_changes_nothing(management: Management) -> None:
    first = await make_it_so(management)
    assert first.remaining.good
    assert first.mailboxes_made == ("G01", "H53", "H53.1")
    second = await make_it_so(management)
    assert (second.created, second.corrected, second.removed) == (0, 0, 0)
    assert second.remaining.findings == ()


async def test_what_was_set_up_delivers(management: Management, channel: AbstractChannel) -> None:
    await make_it_so(management)
    for code in ("G01", "H53", "H53.1"):
        await channel.basic_publish(code.encode(), exchange=wire.DELIVER, routing_key=code, mandatory=True)
        assert (await channel.basic_get(wire.mailbox(code), no_ack=True)).body == code.encode()


async def test_a_lost_mailbox_is_made_again_and_noted_with_a_new_generation(
    management: Management, channel: AbstractChannel, directory: asyncpg.Connection[asyncpg.Record]
) -> None:
    await make_it_so(management, connection=directory)
    assert await generations(directory) == {"G01": (1, False), "H53": (1, False), "H53.1": (1, False)}
    await channel.queue_delete("agency.H53.1")
    done = await make_it_so(management, connection=directory)
    assert done.mailboxes_made == ("H53.1",)
    assert done.remaining.good
    assert await generations(directory) == {"G01": (1, False), "H53": (1, False), "H53.1": (2, True)}
    await make_it_so(management, connection=directory)
    assert (await generations(directory))["H53.1"] == (2, True)


async def test_mailboxes_found_on_the_server_are_noted_without_calling_them_reset(
    management: Management, directory: asyncpg.Connection[asyncpg.Record]
) -> None:
    await make_it_so(management)
    await make_it_so(management, connection=directory)
    assert await generations(directory) == {"G01": (1, False), "H53": (1, False), "H53.1": (1, False)}


async def test_the_directory_tells_who_has_a_mailbox(directory: asyncpg.Connection[asyncpg.Record]) -> None:
    await directory.execute("UPDATE agency SET state = 'suspended' WHERE code = 'H53'")
    await directory.execute("UPDATE agency SET state = 'closed' WHERE code = 'G01'")
    owners = await load_mailbox_owners(directory)
    assert [(one.code, one.level) for one in owners] == [("H53", "province"), ("H53.1", "commune")]


async def test_a_database_without_tables_is_explained(database: str) -> None:
    connection = await asyncpg.connect(database)
    with pytest.raises(Problem, match="db migrate"):
        await load_mailbox_owners(connection)
    await connection.close()


async def test_a_queue_with_other_arguments_keeps_its_messages_and_is_left_to_an_operator(
    management: Management, pruning: Link, channel: AbstractChannel
) -> None:
    await channel.queue_declare("agency.H53", durable=True, arguments={"x-queue-type": "classic"})
    await channel.basic_publish(b"precious", routing_key="agency.H53")
    done = await make_it_so(management, prune=pruning)
    (left,) = done.remaining.for_operator
    assert left.name == "agency.H53"
    assert "x-queue-type is classic, should be quorum" in left.detail
    assert (await channel.basic_get("agency.H53")).body == b"precious"


async def test_superfluous_mailboxes_stay_unless_pruned(management: Management, channel: AbstractChannel) -> None:
    await make_it_so(management, desired([*OWNERS, LOST_OWNER], Types()))
    done = await make_it_so(management)
    assert done.removed == 0
    assert done.remaining.good
    await channel.basic_publish(b"", exchange=wire.DELIVER, routing_key="H99", mandatory=True)


async def test_pruning_removes_an_empty_mailbox(management: Management, pruning: Link) -> None:
    await make_it_so(management, desired([*OWNERS, LOST_OWNER], Types()))
    done = await make_it_so(management, prune=pruning)
    assert done.removed == 1
    assert done.remaining.findings == ()
    assert await management.queue("agency.H99") is None


@pytest.mark.parametrize("level", ["commune", "province"])
async def test_pruning_never_removes_a_message(
    management: Management, pruning: Link, channel: AbstractChannel, level: str
) -> None:
    """The message comes when the server's statistics still say that the queue is empty."""
    await make_it_so(management, desired([*OWNERS, Owner("H99", level)], Types()))
    await channel.basic_publish(b"late", exchange=wire.DELIVER, routing_key="H99", mandatory=True)
    done = await make_it_so(management, prune=pruning)
    (kept,) = done.kept
    assert kept.queue == "agency.H99"
    assert kept.why.startswith("holds ")
    assert done.removed == 0
    await channel.basic_publish(b"later", exchange=wire.DELIVER, routing_key="H99", mandatory=True)
    assert (await channel.basic_get("agency.H99")).body == b"late"


@pytest.mark.parametrize("level", ["commune", "province"])
async def test_a_message_that_comes_while_pruning_is_kept(
    management: Management, pruning: Link, channel: AbstractChannel, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_it_so(management, desired([*OWNERS, Owner("H99", level)], Types()))

    async def meanwhile(_: float) -> None:
        await channel.basic_publish(b"late", routing_key="agency.H99")

    monkeypatch.setattr("broker.topology.apply.asyncio.sleep", meanwhile)
    done = await make_it_so(management, prune=pruning)
    monkeypatch.undo()
    assert [one.queue for one in done.kept] == ["agency.H99"]
    assert mailbox_binding("H99") in (await read_actual(management)).topology.bindings
    assert (await channel.basic_get("agency.H99")).body == b"late"


@pytest.mark.parametrize("level", ["commune", "province"])
async def test_pruning_leaves_a_mailbox_alone_while_somebody_reads_it(
    management: Management, pruning: Link, channel: AbstractChannel, level: str
) -> None:
    await make_it_so(management, desired([*OWNERS, Owner("H99", level)], Types()))
    got = asyncio.Event()

    async def take(_: object) -> None:
        got.set()

    await channel.basic_consume("agency.H99", take)
    await channel.basic_publish(b"held", exchange=wire.DELIVER, routing_key="H99", mandatory=True)
    await got.wait()
    done = await make_it_so(management, prune=pruning)
    assert [one.queue for one in done.kept] == ["agency.H99"]


async def test_pruning_removes_a_binding_that_leaks(management: Management, pruning: Link) -> None:
    await make_it_so(management)
    leak = Binding(exchange=wire.DELIVER, queue="agency.H53.1", key="G01")
    await management.import_definitions(definitions(Topology(exchanges={}, queues={}, bindings=frozenset({leak}))))
    assert (await make_it_so(management)).remaining.findings[0].action is Action.LEAVE
    done = await make_it_so(management, prune=pruning)
    assert done.removed == 1
    assert done.remaining.findings == ()


async def test_other_peoples_queues_are_not_looked_at(
    management: Management, pruning: Link, channel: AbstractChannel
) -> None:
    await channel.queue_declare("monitoring", durable=True)
    done = await make_it_so(management, prune=pruning)
    assert done.remaining.findings == ()
    await channel.queue_declare("monitoring", passive=True)


async def test_rights_beyond_the_contract_are_taken_back_and_the_password_stays(
    management: Management, vhost: HasVhost
) -> None:
    code = f"H53.{secrets.token_hex(3).upper()}"
    wanted = desired([Owner(code, "commune")], Types())
    await make_it_so(management, wanted)
    await ensure_agency_users(management, {code: "a-password"})
    excess = {"user": code, "vhost": vhost.name, "configure": ".*", "write": ".*", "read": ".*"}
    await management.import_users({"permissions": [excess]})
    try:
        planned = plan(wanted, await read_actual(management))
        assert [(one.kind, one.name) for one in planned.to_do] == [(Kind.RIGHTS, code)]
        done = await make_it_so(management, wanted)
        assert done.corrected == 1
        assert done.remaining.good
        assert (await read_actual(management)).users[code].rights == rights_of(code)
        place = vhost.amqp_url.rpartition("@")[2]
        connection = await aiormq.connect(f"amqp://{code}:a-password@{place}")
        await connection.close(ConnectionError("it works"))
    finally:
        await management.delete_user(code)


async def test_pruning_takes_rights_from_an_agency_without_a_mailbox(management: Management, pruning: Link) -> None:
    code = f"H53.{secrets.token_hex(3).upper()}"
    await make_it_so(management, desired([*OWNERS, Owner(code, "commune")], Types()))
    await ensure_agency_users(management, {code: "a-password"})
    try:
        done = await make_it_so(management, prune=pruning)
        assert done.remaining.findings == ()
        assert code not in (await read_actual(management)).users
    finally:
        await management.delete_user(code)


async def test_users_for_160_agencies_take_about_a_second(management: Management) -> None:
    suffix = secrets.token_hex(3).upper()
    passwords = {f"X{number}.{suffix}": secrets.token_urlsafe() for number in range(160)}
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        await ensure_agency_users(management, passwords)
        took = clock() - began
        assert set(passwords) <= set((await read_actual(management)).users)
    finally:
        await asyncio.gather(*(management.delete_user(code) for code in passwords))
    assert took < 5, "each user on its own would take as long as this or longer"


async def test_hundreds_of_mailboxes_are_made_by_import(management: Management) -> None:
    owners = [*OWNERS, *(Owner(f"H53.{number}", "commune") for number in range(100, 700))]
    told: list[int] = []
    wanted = desired(owners, Types())
    planned = plan(wanted, await read_actual(management))
    done = await applying.apply(wanted, planned, management, tell=told.append)
    assert done.remaining.good
    assert len(done.mailboxes_made) == 603
    assert sum(told) == len(planned.to_do)


async def test_a_refusal_names_the_call_and_the_reason(vhost: HasVhost) -> None:
    async with Management(vhost.management_url, vhost="no such/host") as management:
        with pytest.raises(ManagementError) as told:
            await read_actual(management)
    assert told.value.status in (400, 404)
    assert "GET /api/definitions/no%20such%2Fhost" in told.value.found
    assert told.value.exit_code == 3


async def test_a_management_api_that_is_not_there_is_explained() -> None:
    async with Management("http://u:hidden@127.0.0.1:1", vhost="v") as management:
        with pytest.raises(Problem) as told:
            await management.version()
    assert told.value.exit_code == 4
    assert "hidden" not in str(told.value)


async def test_a_retried_message_comes_back_to_the_queue_it_came_from(
    management: Management, channel: AbstractChannel
) -> None:
    await make_it_so(management)
    keys = {
        "document.urgent.H53": wire.INTAKE_URGENT,
        "document.normal.H53": wire.INTAKE_NORMAL,
        "status.G01": wire.STATUS,
    }
    for key in keys:
        properties = Basic.Properties(delivery_mode=2, headers={wire.LT_SUBMITTER: "H53", wire.LT_ATTEMPT: 1})
        await channel.basic_publish(
            key.encode(), exchange="lt.retry.5s", routing_key=key, mandatory=True, properties=properties
        )
    for queue in keys.values():
        assert (await channel.queue_declare(queue, passive=True)).message_count == 0, "it waits first"
    for key, queue in keys.items():
        while not isinstance((back := await channel.basic_get(queue)).delivery, Basic.GetOk):
            await asyncio.sleep(0.1)
        assert back.body == key.encode()
        assert back.delivery.routing_key == key
        assert (back.header.properties.headers or {})[wire.LT_SUBMITTER] == "H53"


async def test_a_message_that_is_never_acknowledged_ends_among_the_dead_letters(
    management: Management, channel: AbstractChannel
) -> None:
    await make_it_so(management)
    await channel.basic_publish(b"poison", exchange=wire.SUBMIT, routing_key="status.H53", mandatory=True)
    deliveries = 0
    while not isinstance((dead := await channel.basic_get(wire.DEAD)).delivery, Basic.GetOk):
        got = await channel.basic_get(wire.STATUS)
        if isinstance(got.delivery, Basic.GetOk):
            deliveries += 1
            await channel.basic_reject(got.delivery.delivery_tag or 0, requeue=True)
    assert dead.body == b"poison"
    assert dead.delivery.routing_key == "status.H53"
    assert deliveries >= 100


async def test_mailboxes_are_of_the_types_asked_for(management: Management) -> None:
    await make_it_so(management)
    there = (await read_actual(management)).topology.queues
    assert there["agency.G01"] == mailbox_queue("G01", "quorum")
    assert there["agency.H53.1"] == mailbox_queue("H53.1", "classic")
    assert set(there) == set(WANTED.queues)


async def generations(connection: asyncpg.Connection[asyncpg.Record]) -> dict[str, tuple[int, bool]]:
    """Code → (generation, whether a reset is noted)."""
    rows = await connection.fetch(
        "SELECT code, generation, reset_at IS NOT NULL AS reset FROM mailbox JOIN agency ON agency_id = owner_id"
    )
    return {row["code"]: (row["generation"], row["reset"]) for row in rows}

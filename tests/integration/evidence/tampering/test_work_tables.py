"""What systems of the REST façade have submitted, are to fetch, and wish: no event tells these rows, and yet whoever
changes them contradicts a document, a signed status, a refusal or a delivery."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from broker.evidence.findings import Finding
from broker.evidence.verify import BEGINNING, Scope
from broker.evidence.verify_work import SET_ASIDE, UNKNOWN, UNPACKED, check_work_tables
from broker.services import Endpoints
from schemas.exchange_events import operator_action
from tests.conftest import fresh_database, fresh_vhost, migrate
from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.facade_day import play
from tests.integration.evidence.tampering.kit import Tampering, each, opened, verified


@pytest.fixture(scope="module")
def day(servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The day, played once for all tests here; nobody may keep a change to it."""
    with fresh_vhost(servers) as vhost, fresh_database(servers) as database:
        asyncio.run(migrate(database))
        yield asyncio.run(play(vhost, database, tmp_path_factory.mktemp("day")))


async def test_a_day_as_it_was_verifies(day: Story) -> None:
    async with opened(day) as connection, connection.transaction():
        found = await verified(connection, day, day.home / "log", Scope(full=True))
    assert [finding.sentence() for finding in found] == []


def packet(which: str) -> str:
    """One packet of a kind and state."""
    return f"packet_id = (SELECT min(packet_id) FROM vxp_packet WHERE {which})"


def sent(which: str) -> str:
    """One submission of a kind and state."""
    return f"submission_id = (SELECT min(submission_id) FROM vxp_submission WHERE {which})"


DONE = packet("kind = 'edoc' AND state = 'done'")
WAITING = packet("kind = 'edoc' AND state = 'waiting' AND fails = 0")
FAILED = packet("fails > 0")
STATUS = packet("kind = 'status'")
REFUSAL = packet("kind = 'status' AND source NOT IN (SELECT digest FROM status_message)")
DOCUMENT = sent("kind = 'document' AND state = 'accepted'")
REJECTED = sent("state = 'rejected' AND answered")
LATE = sent("state = 'rejected' AND NOT answered")
TOLD_STATUS = sent("kind = 'status'")
ARRIVAL = sent("kind = 'arrival'")
OTHER_SYSTEM = "(SELECT max(system_id) FROM vxp_system)"
STRANGER = "(SELECT agency_id FROM agency WHERE code LIKE '%.G22')"
OTHER_DOCUMENT = "(SELECT min(document_id) FROM document)"
REFUSED_FILE = f"(SELECT file FROM vxp_packet WHERE {REFUSAL})"


def changed(table: str, which: str, values: str, *what: str, name: str = "") -> Tampering:
    """One row with other values."""
    sql = f"UPDATE {table} SET {values} WHERE {which}"
    return Tampering(name=name or f"{table}: {values[:60]}", sql=sql, where=table, what=what)


TAMPERINGS = [
    # ── what an office is to fetch ──
    changed("vxp_packet", WAITING, "state = 'done'", "state", name="a document that waits is set to done"),
    changed("vxp_packet", FAILED, "state = 'done'", "state", name="a document that failed is set to done"),
    Tampering(
        name="a document that waits is set to done with the 01 of another",
        sql="UPDATE vxp_packet SET state = 'done', arrival_id = (SELECT min(submission_id) FROM vxp_submission WHERE"
        f" kind = 'arrival') WHERE {WAITING}",
        where="vxp_submission",
        what=("doc_id", "message", "from_id"),
    ),
    Tampering(
        name="a document that waits is set to done with a 01 that nobody signed",
        sql="INSERT INTO vxp_submission (system_id, kind, doc_id, from_id, digest, message, routing_key, published_at)"
        " SELECT system_id, kind, gen_random_uuid(), from_id, digest, convert_to(replace(convert_from(message, 'UTF8'),"
        " '\"signature\":\"', '\"signature\":\"AAAA'), 'UTF8'), routing_key, now() FROM vxp_submission"
        f" WHERE {ARRIVAL}; UPDATE vxp_packet SET state = 'done', arrival_id = (SELECT max(submission_id)"
        f" FROM vxp_submission) WHERE {WAITING}",
        where="vxp_submission",
        what=("doc_id", "message"),
    ),
    Tampering(
        name="a document that was fetched waits again",
        sql=f"UPDATE vxp_packet SET state = 'waiting', arrival_id = NULL WHERE {DONE}",
        where="vxp_submission",
        what=("row",),
    ),
    changed("vxp_packet", DONE, "state = 'waiting'", "state", name="a document that was fetched waits, with its 01"),
    changed("vxp_packet", FAILED, "state = 'failed', fails = 0", "fails"),
    changed("vxp_packet", WAITING, "state = 'failed'", "fails", name="a document that waits is set aside"),
    changed("vxp_packet", FAILED, "fail_reason = NULL", "fail_reason"),
    changed("vxp_packet", WAITING, "available_at = now() + interval '1 year'", "available_at"),
    changed(
        "vxp_packet",
        WAITING,
        "available_at = now() + interval '1 year', updated_at = now() + interval '1 year'",
        "updated_at",
        name="a document is kept back for a year, given out in a year",
    ),
    changed("vxp_packet", WAITING, f"system_id = {OTHER_SYSTEM}", "doc_id", "system_id"),
    changed(
        "vxp_packet", STATUS, f"system_id = {OTHER_SYSTEM}", "doc_id", "system_id", name="a status to another system"
    ),
    changed("vxp_packet", REFUSAL, f"system_id = {OTHER_SYSTEM}", "system_id", name="a refusal to another system"),
    changed("vxp_packet", WAITING, f"agency_id = {STRANGER}", "doc_id", "agency_id"),
    changed("vxp_packet", STATUS, f"agency_id = {STRANGER}", "doc_id", "agency_id", name="a status to another agency"),
    changed("vxp_packet", REFUSAL, f"agency_id = {STRANGER}", "agency_id", name="a refusal to another agency"),
    changed("vxp_packet", WAITING, "doc_id = gen_random_uuid()", "doc_id"),
    changed("vxp_packet", STATUS, "doc_id = gen_random_uuid()", "doc_id", name="another id of a status"),
    changed("vxp_packet", REFUSAL, "doc_id = gen_random_uuid()", "doc_id", name="another id of a refusal"),
    changed("vxp_packet", WAITING, "source = sha256('1')", "doc_id", "source"),
    changed("vxp_packet", STATUS, "source = sha256('1')", "doc_id", "source", name="a status out of no message"),
    changed("vxp_packet", WAITING, "item = 1", "doc_id"),
    changed("vxp_packet", STATUS, "item = 1", "doc_id", "item", name="another file of a status message"),
    changed("vxp_packet", WAITING, f"from_id = {STRANGER}, document_id = {OTHER_DOCUMENT}", "source"),
    changed("vxp_packet", packet("kind = 'edoc' AND edxml_id LIKE 'number%'"), f"from_id = {STRANGER}", "from_id"),
    changed("vxp_packet", STATUS, f"from_id = {STRANGER}", "from_id", name="a status from another agency"),
    changed("vxp_packet", WAITING, "edxml_id = 'another'", "edxml_id"),
    changed("vxp_packet", STATUS, "edxml_id = 'another'", "edxml_id", name="an id of a status"),
    changed("vxp_packet", STATUS, f"file = {REFUSED_FILE}", "file", name="a status that says something else"),
    changed(
        "vxp_packet",
        REFUSAL,
        "file = convert_to(replace(convert_from(file, 'UTF8'), 'LT-RECIPIENT-UNKNOWN', 'LT-SIZE'), 'UTF8')",
        "file",
    ),
    Tampering(
        name="the packet of a 01 is removed",
        sql=f"DELETE FROM vxp_packet WHERE {DONE}",
        where="vxp_submission",
        what=("row",),
    ),
    Tampering(
        name="what told an office of a refusal is removed",
        sql=f"DELETE FROM vxp_packet WHERE {REFUSAL}",
        where="vxp_submission",
        what=("answered",),
    ),
    # ── what an office has submitted ──
    changed("vxp_submission", DOCUMENT, "state = 'rejected', error = 'LT-SIZE'", "state"),
    changed("vxp_submission", REJECTED, "state = 'accepted', error = NULL, detail = NULL", "state"),
    changed("vxp_submission", DOCUMENT, "state = 'taken'", "message", name="what was accepted is to be settled"),
    changed("vxp_submission", REJECTED, "error = 'LT-SIZE'", "state", name="refused for another reason"),
    changed("vxp_submission", REJECTED, "detail = '{}'", "state", name="refused with another detail"),
    changed("vxp_submission", DOCUMENT, "error = 'LT-SIZE'", "error"),
    changed("vxp_submission", DOCUMENT, "detail = '{}'", "detail"),
    changed("vxp_submission", LATE, "attempt_after = 1000000", "attempt_after", "state"),
    changed("vxp_submission", DOCUMENT, "attempted_at = now() + interval '1 year'", "attempted_at"),
    changed("vxp_submission", REJECTED, "answered = false", "answered"),
    changed("vxp_submission", DOCUMENT, f"system_id = {OTHER_SYSTEM}", "doc_id", "system_id"),
    changed(
        "vxp_submission",
        TOLD_STATUS,
        f"system_id = {OTHER_SYSTEM}",
        "doc_id",
        "state",
        name="a status of another system",
    ),
    changed("vxp_submission", ARRIVAL, f"system_id = {OTHER_SYSTEM}", "system_id", name="a 01 of another system"),
    changed("vxp_submission", TOLD_STATUS, "kind = 'document'", "doc_id"),
    changed("vxp_submission", DOCUMENT, "doc_id = gen_random_uuid()", "doc_id", "state"),
    changed("vxp_submission", ARRIVAL, "doc_id = gen_random_uuid()", "doc_id", name="another id of a 01"),
    changed("vxp_submission", DOCUMENT, "file_digest = sha256('1')", "doc_id", "file_digest"),
    changed(
        "vxp_submission", TOLD_STATUS, "file_digest = sha256('1')", "doc_id", "file_digest", name="the file of a status"
    ),
    changed("vxp_submission", DOCUMENT, f"from_id = {STRANGER}", "state"),
    changed("vxp_submission", TOLD_STATUS, f"from_id = {STRANGER}", "from_id", name="who speaks in a status"),
    changed("vxp_submission", ARRIVAL, f"from_id = {STRANGER}", "from_id", name="for whom a 01 is"),
    changed("vxp_submission", DOCUMENT, "edxml_id = 'another'", "edxml_id"),
    changed("vxp_submission", DOCUMENT, "digest = sha256('1')", "state"),
    changed("vxp_submission", ARRIVAL, "digest = sha256('1')", "digest"),
    changed("vxp_submission", REJECTED, "digest = sha256('1')", "state", name="another digest of what was refused"),
    changed("vxp_submission", ARRIVAL, "message = NULL", "message"),
    changed("vxp_submission", ARRIVAL, "message = 'x'", "message"),
    changed(
        "vxp_submission", DOCUMENT, "routing_key = 'document.urgent.' || split_part(routing_key, '.', 3)", "routing_key"
    ),
    changed("vxp_submission", REJECTED, "routing_key = 'x'", "routing_key", name="where it was to go"),
    Tampering(
        name="the submission of a document is removed",
        sql=f"DELETE FROM vxp_submission WHERE {DOCUMENT}",
        where="vxp_submission",
        what=("row",),
    ),
    Tampering(
        name="the submission of a status is removed",
        sql=f"DELETE FROM vxp_submission WHERE {TOLD_STATUS}",
        where="vxp_submission",
        what=("row",),
    ),
    Tampering(
        name="a 01 and its packet are removed",
        sql=f"DELETE FROM vxp_packet WHERE {DONE}; DELETE FROM vxp_submission WHERE {ARRIVAL}",
        where="vxp_submission",
        what=("row",),
    ),
    # ── what was wished ──
    changed("vxp_registration", "state = 'pending'", "state = 'done', decided_at = now()", "state"),
    changed("vxp_registration", "state = 'pending'", "state = 'refused', decided_at = now()", "state"),
    changed("vxp_registration", "state = 'pending'", "decided_at = now()", "decided_at"),
    changed("vxp_registration", "state = 'done'", "decided_at = NULL", "decided_at"),
    changed("vxp_registration", "state = 'done'", "code = code || '9'", "state", name="another agency that was wished"),
    changed("vxp_registration", "state = 'done'", "wish = 'delete'", "state"),
    changed(
        "vxp_registration", "state = 'done'", f"system_id = {OTHER_SYSTEM}", "state", name="another system that wished"
    ),
]


def unseen(what: str, steps: int) -> None:
    """For who does not look at what is counted."""


async def found_in(
    day: Story, sql: str, *, whole: bool = False, progress: Callable[[str, int], None] = unseen
) -> list[Finding]:
    """What is found after somebody has done this, which is then taken back; `whole` is all that `audit verify` does."""
    async with opened(day) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(f"SET LOCAL session_replication_role = replica; {sql}")
        if whole:
            found = await verified(connection, day, day.home / "log")
        else:
            found = [one async for one in check_work_tables(connection, BEGINNING, progress=progress)]
        await transaction.rollback()
    return found


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(day: Story, tampering: Tampering) -> None:
    found = await found_in(day, tampering.sql)
    named = {finding.what for finding in found if finding.where == tampering.where}
    assert set(tampering.what) <= named, [finding.sentence() for finding in found]
    assert all(finding.found != finding.expected for finding in found)


async def test_what_contradicts_nothing_is_counted(day: Story) -> None:
    """A packet that waits, set aside or removed: its 01 will not come, and it is overdue one day."""
    counted: Counter[str] = Counter()
    removed = (
        f"UPDATE delivery v SET dispatched_at = now() - interval '2 days' FROM vxp_packet p WHERE p.{WAITING}"
        f" AND (v.document_id, v.recipient_id) = (p.document_id, p.agency_id); DELETE FROM vxp_packet WHERE {WAITING}"
    )
    for sql in (removed, f"UPDATE vxp_packet SET state = 'failed', fails = 5, fail_reason = 'x' WHERE {WAITING}"):
        assert await found_in(day, sql, progress=lambda what, steps: counted.update({what: steps})) == []
    assert (counted[UNPACKED], counted[SET_ASIDE], counted[UNKNOWN]) == (1, 1, 0)


async def test_audit_verify_looks_at_them(day: Story) -> None:
    found = await found_in(day, TAMPERINGS[0].sql, whole=True)
    assert [(finding.where, finding.what) for finding in found] == [("vxp_packet", "state")]


async def test_what_a_restore_has_taken_is_no_finding(day: Story) -> None:
    """Messages that were under way when the database was put back come to an exchange that has forgotten their rows."""
    forgotten = (
        "DELETE FROM vxp_submission WHERE kind <> 'arrival';"
        "DELETE FROM vxp_packet WHERE kind = 'status' AND source NOT IN (SELECT digest FROM status_message);"
        "DELETE FROM status_message WHERE id NOT IN (SELECT doc_id FROM vxp_submission)"
    )
    (restored,) = operator_action(at=datetime.now(UTC), actor="somebody", action="database.restored", target="1")
    told = f"INSERT INTO event (at, kind, body, leaf) VALUES (now(), '{restored.kind}', '\\x{restored.body.hex()}', '')"
    assert {finding.what for finding in await found_in(day, forgotten)} == {"row", "source"}
    assert [finding.sentence() for finding in await found_in(day, f"{forgotten}; {told}")] == []


async def test_the_auditors_role_may_look_at_all_of_it(day: Story) -> None:
    assert await found_in(day, "SET LOCAL ROLE lienthong_auditor") == []

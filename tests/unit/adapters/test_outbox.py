"""The outbox: the same bytes until the exchange has answered, in growing pauses, never after the answer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import outbox
from adapters.compose import Outgoing
from adapters.outbox import Result
from adapters.store import open_database

MESSAGE = Outgoing(kind="document", speaker="G22", id="id", digest="d" * 64, urgent=False, body=b"signed bytes")
CONCERNS = {"from": "G22", "id": "id", "digest": "d" * 64}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = open_database(tmp_path / "agency.sqlite3")
    yield made
    made.close()


def publish(connection: sqlite3.Connection, *, now: float, trouble: str | None = None) -> bytes | None:
    found = outbox.due(connection, now=now, limit=1)
    if not found:
        return None
    (due,) = found
    result = Result(no=due.no, kind=due.kind, attempts=due.attempts, trouble=trouble)
    outbox.record(connection, [result], now=now, resend_after=60.0)
    return due.body


def test_what_was_not_confirmed_goes_again_with_growing_pauses(connection: sqlite3.Connection) -> None:
    outbox.put(connection, MESSAGE, now=0.0)
    now, pauses = 1.0, []
    for _ in range(12):
        assert publish(connection, now=now, trouble="no confirm") == MESSAGE.body
        following = outbox.next_due_at(connection)
        assert following is not None
        pauses.append(following - now)
        now = following
    assert pauses == sorted(pauses) and pauses[0] == 0.5 and pauses[-1] == outbox.LAST_RETRY_SECONDS


def test_what_was_confirmed_but_not_answered_goes_again_up_to_an_hour_later(connection: sqlite3.Connection) -> None:
    outbox.put(connection, MESSAGE, now=0.0)
    assert publish(connection, now=1.0) == MESSAGE.body
    assert publish(connection, now=60.0) is None
    assert publish(connection, now=61.0) == MESSAGE.body
    for now in (1e5, 2e5, 3e5, 4e5, 5e5, 6e5):
        publish(connection, now=now)
    assert outbox.next_due_at(connection) == 6e5 + outbox.LAST_RESEND_SECONDS


@pytest.mark.parametrize("event", ["accepted", "rejected"])
def test_what_was_answered_is_not_sent_again_even_if_its_confirm_comes_later(
    connection: sqlite3.Connection, event: str
) -> None:
    no = outbox.put(connection, MESSAGE, now=0.0)
    (due,) = outbox.due(connection, now=1.0, limit=1)
    assert outbox.answered(connection, CONCERNS, event, {"event": event}, now=2.0) == no
    outbox.record(connection, [Result(no=no, kind="document", attempts=0, trouble=None)], now=3.0, resend_after=1.0)
    assert outbox.due(connection, now=1e9, limit=1) == []
    assert outbox.entry(connection, no).state == event and due.no == no


def test_an_acceptance_is_never_taken_back_but_a_rejection_may_be(connection: sqlite3.Connection) -> None:
    no = outbox.put(connection, MESSAGE, now=0.0)
    for event, state in [("rejected", "rejected"), ("accepted", "accepted"), ("rejected", "accepted")]:
        outbox.answered(connection, CONCERNS, event, {"event": event}, now=1.0)
        assert outbox.entry(connection, no).state == state


@pytest.mark.parametrize("changed", [{"digest": "e" * 64}, {"from": "G23"}, {"id": "other"}])
def test_a_notice_about_bytes_that_were_not_sent_changes_nothing(
    connection: sqlite3.Connection, changed: dict[str, str]
) -> None:
    no = outbox.put(connection, MESSAGE, now=0.0)
    assert outbox.answered(connection, CONCERNS | changed, "rejected", {}, now=1.0) is None
    assert outbox.entry(connection, no).state == "due"


def test_a_notice_about_something_unreadable_finds_its_publish(connection: sqlite3.Connection) -> None:
    no = outbox.put(connection, MESSAGE, now=0.0)
    (due,) = outbox.due(connection, now=1.0, limit=1)
    assert outbox.answered(connection, {"message_id": due.message_id}, "rejected", {}, now=1.0) == no


def test_the_same_bytes_put_twice_are_one_row(connection: sqlite3.Connection) -> None:
    assert outbox.put(connection, MESSAGE, now=0.0) == outbox.put(connection, MESSAGE, now=1.0)

"""Whatever the mailbox brings, in whatever batches and however often: one row each, one signed 01 each."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import handing, outbox, replay
from adapters.identity import Signer
from adapters.inbox import take_in
from adapters.incoming import Incoming, Office
from adapters.judge import Trust, judge
from adapters.store import open_database
from schemas.jws import parse_message, sign
from schemas.times import new_id, rfc3339
from tests.conftest import Vhost
from tests.integration.adapters.standin import StandIn

HUB = "H53.W00"
NOW = datetime.now(UTC)


FOLDER: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    FOLDER.append(tmp_path_factory.mktemp("world"))


@cache
def world() -> tuple[StandIn, Trust, Signer]:
    """Keys and certificates, made once; no server is asked."""
    standin = StandIn(vhost=Vhost(name="", amqp_url="", management_url=""), folder=FOLDER[0])
    for code in ("G22", "G23", HUB):
        standin.enrol(code)
    trust = Trust(
        broker_code="LT.EXCHANGE",
        broker_certificates=[standin.broker.certificate],
        authorities=[standin.authority.root],
    )
    hub = standin.identities[HUB]
    return standin, trust, Signer(code=HUB, key=hub.key, thumbprint=hub.mark)


def office(now: datetime = NOW) -> Office:
    return Office(code=HUB, codes=frozenset({HUB}), signer=world()[2], now=now)


@cache
def document(number: int, sender: str = "G22", subject: str = "Công văn", **more: Any) -> Any:
    manifest = {
        "spec": "lienthong/1",
        "kind": "document",
        "id": str(new_id(NOW, number.to_bytes(10, "big"))),
        "from": sender,
        "sent_at": rfc3339(NOW),
        "action": "new",
        "to": [HUB],
        "document": {"number": str(number), "notation": "TB", "issued_on": "2026-03-12", "subject": subject},
        "parts": [{"name": "a.pdf", "media_type": "application/pdf", "size": 0, "sha256": EMPTY, "role": "document"}],
        **more,
    }
    identity = world()[0].identities[sender]
    return sign(json.dumps(manifest).encode(), key=identity.key, thumbprint=identity.mark)


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def arrived(signed: Any, recipients: list[str] | None = None) -> Incoming:
    standin, trust, _ = world()
    body = standin.wrapped(signed, recipients, content={EMPTY: b""})
    judged = judge(body, trust)
    return Incoming(body=body, message_id="m", judged=judged)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = open_database(tmp_path / "agency.sqlite3")
    yield made
    made.close()


def status_messages(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    rows = connection.execute("SELECT body FROM outbox WHERE kind = 'status' ORDER BY no")
    return [json.loads(parse_message(body, slip_allowed=False).signed.payload) for (body,) in rows]


def test_a_hubs_copy_for_many_is_answered_in_messages_of_at_most_500(connection: sqlite3.Connection) -> None:
    codes = [f"H53.{number}" for number in range(1203)]
    done = take_in(connection, [arrived(document(1), codes)], office())
    assert Counter(code for _, code in done.stored) == Counter(codes) and done.to_send
    messages = status_messages(connection)
    assert [len(one["items"]) for one in messages] == [500, 500, 203]
    assert [item["for"] for one in messages for item in one["items"]] == codes
    assert {item["code"] for one in messages for item in one["items"]} == {"01"}


def test_the_mailboxs_owner_is_meant_where_the_slip_names_nobody(connection: sqlite3.Connection) -> None:
    take_in(connection, [arrived(document(1))], office())
    (message,) = status_messages(connection)
    assert message["from"] == HUB and "for" not in message["items"][0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["G22", "G23"])), min_size=1, max_size=8), max_size=6
    )
)
def test_any_order_and_any_repetition_has_one_effect(batches: list[list[tuple[int, str]]]) -> None:
    with TemporaryDirectory() as folder:
        connection = open_database(Path(folder) / "agency.sqlite3")
        came: Counter[tuple[int, str]] = Counter()
        for batch in batches:
            take_in(connection, [arrived(document(number, sender)) for number, sender in batch], office())
            came.update(batch)
        rows = connection.execute("SELECT sender, copies, arrival_no FROM inbox").fetchall()
        assert len(rows) == len(came) and sum(copies for _, copies, _ in rows) == came.total()
        answered = [item["concerns"]["id"] for one in status_messages(connection) for item in one["items"]]
        assert len(answered) == len(came)  # each 01 was signed once
        for message in status_messages(connection):
            assert len({item["concerns"]["from"] for item in message["items"]}) == 1
        connection.close()


def test_a_document_that_comes_again_makes_its_01_due_again(connection: sqlite3.Connection) -> None:
    take_in(connection, [arrived(document(1))], office())
    (due,) = outbox.due(connection, now=NOW.timestamp() + 1, limit=9)
    outbox.record(
        connection,
        [outbox.Result(no=due.no, kind=due.kind, attempts=0, trouble=None)],
        now=NOW.timestamp(),
        resend_after=60,
    )
    assert outbox.due(connection, now=NOW.timestamp() + 99999, limit=9) == []
    done = take_in(connection, [arrived(document(1))], office())
    (again,) = outbox.due(connection, now=NOW.timestamp() + 1, limit=9)
    assert (again.no, again.body) == (due.no, due.body) and done.to_send and len(done.again) == 1


@pytest.mark.parametrize("why", ["old", "refused"])
def test_a_01_that_would_be_refused_is_signed_anew(connection: sqlite3.Connection, why: str) -> None:
    take_in(connection, [arrived(document(1))], office())
    later = NOW + timedelta(days=20) if why == "old" else NOW
    if why == "refused":
        connection.execute("UPDATE outbox SET state = 'rejected'")
    take_in(connection, [arrived(document(1))], office(later))
    first, second = status_messages(connection)
    assert first["id"] != second["id"] and first["items"][0]["concerns"] == second["items"][0]["concerns"]


def test_the_same_id_with_another_content_is_kept_aside(connection: sqlite3.Connection) -> None:
    done = take_in(connection, [arrived(document(1)), arrived(document(1, subject="Khác"))], office())
    assert (len(done.stored), done.aside) == (1, 1)
    assert connection.execute("SELECT code FROM aside").fetchall() == [("LT-DUP-CONFLICT",)]


def test_a_replay_asks_for_a_little_more_than_what_is_missing() -> None:
    assert replay.replay_from(None) == datetime(1970, 1, 1, tzinfo=UTC)
    assert replay.replay_from(NOW) == NOW - replay.REPLAY_MARGIN


def test_what_is_taken_and_not_finished_waits_again_after_a_crash(connection: sqlite3.Connection) -> None:
    take_in(connection, [arrived(document(1))], office())
    now = NOW.timestamp() + 1
    (taken,) = handing.take(connection, now=now, limit=5)
    assert taken.earlier_attempts == 0 and handing.take(connection, now=now, limit=5) == []
    assert handing.recover(connection, lambda attempts: 10.0 * attempts, now=now) == 1
    assert handing.take(connection, now=now + 9, limit=5) == []
    (again,) = handing.take(connection, now=now + 11, limit=5)
    assert again.earlier_attempts == 1


def test_urgent_documents_are_handed_over_first(connection: sqlite3.Connection) -> None:
    urgent = _urgent(2)
    take_in(connection, [arrived(document(1)), arrived(urgent)], office())
    taken = handing.take(connection, now=NOW.timestamp() + 1, limit=5)
    assert [one.ref.digest for one in taken] == [urgent.digest, document(1).digest]


def _urgent(number: int) -> Any:
    plain = json.loads(document(number).payload)
    plain["document"]["priority"] = 3
    identity = world()[0].identities["G22"]
    return sign(json.dumps(plain).encode(), key=identity.key, thumbprint=identity.mark)

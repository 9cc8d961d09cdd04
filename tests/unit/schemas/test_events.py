"""Events: canonical, small enough for a log entry, and without a word about what a document says."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from schemas.delivery_events import RecordedStatus, Rerouted, dispatched, overdue, rerouted, status_recorded
from schemas.events import BODY_LIMIT, KINDS, RECIPIENTS_PER_EVENT, Event, fingerprint, written_as
from schemas.exchange_events import directory_changed, directory_described, log_opened, mailbox_reset, operator_action
from schemas.intake_events import Addressed, accepted, rejected
from schemas.manifest import Reference

NOW = datetime(2026, 3, 12, 8, 30, 0, 250, tzinfo=timezone(timedelta(hours=7)))
DOCUMENT = Reference(from_="G22", id=UUID("0198f2a4-7c11-7d2e-9b1a-3f5e8c7d6a21"), digest="0f" * 32)
LONGEST_CODE = "H53" + ".ABC1234" * 4
LONGEST = Reference(from_=LONGEST_CODE, id=uuid4(), digest="0f" * 32)
THUMBPRINT = bytes(range(32))


def an_acceptance(**fields: Any) -> list[Event]:
    known: dict[str, Any] = {
        "at": NOW,
        "document": DOCUMENT,
        "action": "new",
        "priority": 1,
        "test": False,
        "sent_at": NOW,
        "submitter": "G22",
        "thumbprint": THUMBPRINT,
        "recipients": [("H53.31", "H53"), ("H17", "H17")],
    }
    return accepted(**(known | fields))


def a_status(**fields: Any) -> RecordedStatus:
    known: dict[str, Any] = {"item": 0, "document": DOCUMENT, "recipient": "H53", "code": "01", "at": NOW}
    return RecordedStatus(**(known | fields))


EVERY_KIND: dict[str, Callable[[], Sequence[Event]]] = {
    "accepted": an_acceptance,
    "rejected": lambda: [rejected(at=NOW, error="LT-SHAPE", amqp_user="H53")],
    "dispatched": lambda: [dispatched(at=NOW, message=DOCUMENT, kind="document", attempt=1, owners=["H53"])],
    "status_recorded": lambda: status_recorded(
        at=NOW, message=DOCUMENT, submitter="H53", thumbprint=THUMBPRINT, items=[a_status()]
    ),
    "overdue": lambda: overdue(at=NOW, document=DOCUMENT, what="arrival", due=NOW, recipients=["H53"]),
    "rerouted": lambda: rerouted(
        at=NOW,
        document=DOCUMENT,
        deliveries=[Rerouted(closed="H34", successors=["H53"], owner="H53", moved=True)],
    ),
    "mailbox_reset": lambda: [mailbox_reset(at=NOW, owner="H53", generation=2)],
    "operator_action": lambda: operator_action(at=NOW, actor="op-7", action="document.hold", target="H53"),
    "directory_changed": lambda: directory_changed(at=NOW, revision=7, change="agency.added", codes=["H53"]),
    "directory_described": lambda: directory_described(
        at=NOW, revision=7, table="agency", columns=["agency_id", "derived"], rows=[[1, False]]
    ),
    "log_opened": lambda: [log_opened(at=NOW, origin="lt.exchange/2027", previous=("lt.exchange/2026", 7, bytes(32)))],
}


def body(event: Event) -> Any:
    return json.loads(event.body)


def test_there_is_a_builder_for_every_kind() -> None:
    assert tuple(EVERY_KIND) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_is_canonical_versioned_and_tells_its_kind_and_time(kind: str) -> None:
    (event,) = EVERY_KIND[kind]()
    told = body(event)
    assert event.kind == told["event"] == kind
    assert told["v"] == 1
    assert told["at"] == "2026-03-12T01:30:00.000250Z"
    assert event.at == NOW
    assert event.body == rfc8785.dumps(told)
    assert event.leaf == sha256(b"\x00" + event.body).digest()
    assert "part" not in told


def test_an_acceptance_tells_what_a_verifier_needs_to_recompute_the_rows() -> None:
    (event,) = an_acceptance(parts=["0f" * 32], natural_key=THUMBPRINT, warnings=["LT-DUP-NATURAL"], concerns=[LONGEST])
    assert body(event) == {
        "v": 1,
        "event": "accepted",
        "at": "2026-03-12T01:30:00.000250Z",
        "document": {"from": "G22", "id": str(DOCUMENT.id), "digest": DOCUMENT.digest},
        "action": "new",
        "priority": 1,
        "test": False,
        "sent_at": "2026-03-12T01:30:00.000250Z",
        "submitter": "G22",
        "thumbprint": THUMBPRINT.hex(),
        "natural_key": THUMBPRINT.hex(),
        "count": 2,
        "recipients": [["H53.31", "H53"], ["H17", "H17"]],
        "parts_digests": ["0f" * 32],
        "warnings": ["LT-DUP-NATURAL"],
        "concerns": [{"from": LONGEST_CODE, "id": str(LONGEST.id), "digest": LONGEST.digest}],
    }


@given(st.integers(0, 1700), st.integers(0, 170))
def test_long_lists_are_split_and_nothing_of_them_is_lost(how_many: int, changed: int) -> None:
    recipients = [(f"H{n}", "H0") for n in range(how_many)]
    concerned = [Reference(from_="G22", id=UUID(int=n), digest="0f" * 32) for n in range(changed)]
    events = an_acceptance(recipients=recipients, concerns=concerned)
    told = [body(event) for event in events]
    assert [tuple(pair) for one in told for pair in one["recipients"]] == recipients
    assert [one["id"] for some in told for one in some.get("concerns", ())] == [str(one.id) for one in concerned]
    assert all(len(one["recipients"]) <= RECIPIENTS_PER_EVENT for one in told)
    assert all(one["count"] == how_many for one in told)
    if len(told) > 1:
        assert [(one["part"], one["parts"]) for one in told] == [(n + 1, len(told)) for n in range(len(told))]
    assert len({event.leaf for event in events}) == len(events)


def test_an_acceptance_tells_until_when_and_how_each_recipient_was_written() -> None:
    recipients = [("H53.1", "H53"), ("H53.2", "H53"), ("H17", "H17")]
    more = [
        Addressed(code="G05", owner="G05", addressed_as="BO"),
        Addressed(code="G06", owner="G06", addressed_as="G06"),
    ]
    (event,) = an_acceptance(
        recipients=recipients,
        addressed=["group:communes/H53", "group:communes/H53", "H17"],
        added=more,
        due_arrival=NOW + timedelta(hours=4),
        log_by=NOW + timedelta(minutes=1),
        unresolved_digest=bytes(32),
        warnings_digest=THUMBPRINT,
        notice="G22",
    )
    told = body(event)
    written = sha256(b"group:communes/H53").hexdigest()[:32]
    assert (told["due_arrival"], told["log_by"]) == ("2026-03-12T05:30:00.000250Z", "2026-03-12T01:31:00.000250Z")
    assert told["addressed"] == [[written, 2], [None, 1]]
    assert told["added"] == {
        "recipients": [["G05", "G05"], ["G06", "G06"]],
        "addressed": [[sha256(b"BO").hexdigest()[:32], 1], [None, 1]],
    }
    assert (told["unresolved_sha256"], told["warnings_sha256"]) == ("00" * 32, THUMBPRINT.hex())
    assert told["notice"] == "G22"
    (plain,) = an_acceptance(recipients=recipients, addressed=[code for code, _ in recipients])
    assert not {"addressed", "added", "unresolved_sha256", "warnings_sha256", "notice"} & set(body(plain))


@given(st.lists(st.sampled_from(["", "group:provinces", "bí danh"]), max_size=1200))
def test_how_recipients_were_written_is_told_beside_them_in_every_part(texts: list[str]) -> None:
    recipients = [(f"H{n}", "H0") for n in range(len(texts))]
    addressed = [text or code for (code, _), text in zip(recipients, texts, strict=True)]
    told: list[str | None] = []
    for event in an_acceptance(recipients=recipients, addressed=addressed):
        some = body(event)
        runs = [one for one, many in some.get("addressed", ()) for _ in range(many)]
        told += runs or [None] * len(some["recipients"])
    assert told == [written_as(text) if text else None for text in texts]


def test_the_largest_events_fit_into_a_log_entry() -> None:
    aliases = [f"bí danh {number}" for number in range(5000)]
    largest = [
        *an_acceptance(
            document=LONGEST,
            submitter=LONGEST_CODE,
            recipients=[(LONGEST_CODE, LONGEST_CODE)] * 5000,
            parts=["0f" * 32] * 100,
            concerns=[LONGEST] * 500,
            natural_key=THUMBPRINT,
            due_arrival=NOW,
            log_by=NOW,
            addressed=aliases,
            added=[Addressed(code=LONGEST_CODE, owner=LONGEST_CODE, addressed_as=alias) for alias in aliases],
            unresolved_digest=THUMBPRINT,
            warnings_digest=THUMBPRINT,
            warnings=["LT-RECIPIENT-SUSPENDED"] * 21,
            notice=LONGEST_CODE,
        ),
        rejected(
            at=NOW,
            error="LT-STATUS-NOT-ALLOWED",
            amqp_user=LONGEST_CODE,
            kind="status",
            claimed_from=LONGEST_CODE,
            id=LONGEST.id,
            digest=LONGEST.digest,
            row={"message_id": "0f" * 16, "verdict": "0f" * 16},
            items=[(number, "LT-STATUS-NOT-ALLOWED", "0f" * 16) for number in range(500)],
            notice=LONGEST_CODE,
        ),
        dispatched(
            at=NOW,
            message=LONGEST,
            kind="document",
            attempt=99,
            owners=[LONGEST_CODE] * 500,
            recipients=[LONGEST_CODE] * 500,
        ),
        *status_recorded(
            at=NOW,
            message=LONGEST,
            submitter=LONGEST_CODE,
            thumbprint=THUMBPRINT,
            items=[
                a_status(
                    item=499,
                    document=LONGEST,
                    recipient=LONGEST_CODE,
                    anomalous=True,
                    error="LT-STATUS-NOT-ALLOWED",
                    record="0f" * 16,
                )
            ]
            * 500,
            log_by=NOW,
            forwards=[[LONGEST_CODE] * 500] * 10,
            row={"message_id": "0f" * 16, "verdict": "0f" * 16},
            notice=LONGEST_CODE,
        ),
        *overdue(at=NOW, document=LONGEST, what="arrival", due=NOW, recipients=[LONGEST_CODE] * 5000),
        *directory_changed(at=NOW, revision=2**40, change="agency.imported", codes=[LONGEST_CODE] * 5000),
    ]
    assert len(LONGEST_CODE) == 35
    assert max(len(event.body) for event in largest) <= BODY_LIMIT
    assert sum(len(body(event)["recipients"]) for event in largest if event.kind == "accepted") == 5000


def test_an_event_that_would_not_fit_is_never_written() -> None:
    with pytest.raises(ValueError, match="fit into a log entry"):
        an_acceptance(parts=["0f" * 32] * 2000)
    with pytest.raises(ValueError, match="at most 500"):
        dispatched(at=NOW, message=DOCUMENT, kind="document", attempt=1, owners=["H53"] * 501)


@pytest.mark.parametrize("claimed", ["Nguyễn Văn A", "0912 345 678", "h53", "H53; DROP", ""])
def test_what_a_refused_message_claims_is_written_down_only_if_it_is_a_code_or_an_id(claimed: str) -> None:
    event = rejected(at=NOW, error="LT-SCHEMA", amqp_user=claimed, kind=claimed, claimed_from=claimed, id=claimed)
    assert set(body(event)) == {"v", "event", "at", "error", "quarantined"}


def test_what_may_be_personal_is_told_with_a_salt_alone() -> None:
    """A telephone number has few values: without the row, whose detail keeps the salt, nobody can try them."""
    event = rejected(at=NOW, error="LT-SCHEMA", amqp_user=None, row={"detail": fingerprint("salt", "0912 345 678")})
    assert body(event)["row"] == {"detail": fingerprint("salt", b"0912 345 678")}
    assert fingerprint("salt", "0912 345 678") != fingerprint("pepper", "0912 345 678")
    assert b"0912" not in event.body and b"salt" not in event.body


def test_a_refusal_tells_who_sent_what_and_the_three_answers() -> None:
    verdict = {"cryptography": "good", "trust": "bad", "policy": "unknown"}
    event = rejected(
        at=NOW,
        error="LT-SIGNER-EXPIRED",
        amqp_user="H53",
        kind="document",
        claimed_from="H53.31",
        id=str(DOCUMENT.id),
        digest=bytes(32),
        verdict=verdict,
        quarantined=True,
    )
    told = body(event)
    assert (told["amqp_user"], told["claimed_from"], told["kind"]) == ("H53", "H53.31", "document")
    assert (told["id"], told["digest"], told["verdict"]) == (str(DOCUMENT.id), "00" * 32, verdict)
    assert told["quarantined"] is True
    assert body(rejected(at=NOW, error="LT-SIZE", amqp_user=None, id=DOCUMENT.id, digest="0f" * 32))["id"] == told["id"]


def test_a_recorded_status_tells_its_error_or_that_it_contradicts_only_if_so() -> None:
    items = [a_status(), a_status(item=1, anomalous=True), a_status(item=2, error="LT-CONCERNS-UNKNOWN")]
    (event,) = status_recorded(at=NOW, message=DOCUMENT, submitter="H53", thumbprint=THUMBPRINT, items=items)
    plain, contradicting, refused = body(event)["items"]
    assert set(plain) == {"item", "document", "recipient", "code", "at"}
    assert contradicting["anomalous"] is True
    assert refused["error"] == "LT-CONCERNS-UNKNOWN"


@pytest.mark.parametrize("text", ["Gửi nhầm", "wrong recipient", "", "a\nb", "Nguyen Van A", "x" * 129])
def test_no_text_gets_into_an_event_by_way_of_an_operator_or_the_directory(text: str) -> None:
    with pytest.raises(ValueError, match="one word"):
        operator_action(at=NOW, actor=text, action="document.hold", target="H53")
    with pytest.raises(ValueError, match="one word"):
        operator_action(at=NOW, actor="op-7", action="document.hold", target=text)
    with pytest.raises(ValueError, match="one word"):
        operator_action(at=NOW, actor="op-7", action="account.add", target="p-1", facts={"role": text})
    with pytest.raises(ValueError, match="one word"):
        directory_changed(at=NOW, revision=1, change="agency.added", codes=["H53"], facts={"name": text})


def test_an_operators_reason_is_there_as_a_digest_only() -> None:
    reason = sha256("Gửi nhầm".encode()).digest()
    events = operator_action(
        at=NOW, actor="op-7", action="document.hold", target="H53", reason_digest=reason, recipients=["H1"] * 501
    )
    assert [body(event)["reason_sha256"] for event in events] == [reason.hex()] * 2


def test_what_an_account_may_do_is_told_and_events_without_facts_are_as_they_were() -> None:
    facts = {"role": "auditor", "subtree": None}
    (event,) = operator_action(at=NOW, actor="op-7", action="account.add", target="p-1", facts=facts)
    assert body(event)["facts"] == facts
    (plain,) = operator_action(at=NOW, actor="op-7", action="account.disable", target="p-1")
    assert set(body(plain)) == {"v", "event", "at", "actor", "action", "target"}


def test_facts_of_the_directory_may_be_words_numbers_flags_and_nothing() -> None:
    facts: dict[str, str | int | bool | None] = {
        "valid_until": "2025-07-01",
        "tier": 3,
        "derived": True,
        "parent": None,
    }
    (event,) = directory_changed(at=NOW, revision=1, change="agency.closed", codes=["H53"], facts=facts)
    assert body(event)["facts"] == facts


def test_times_of_any_offset_are_written_in_utc() -> None:
    (here,) = an_acceptance()
    (there,) = an_acceptance(at=NOW.astimezone(UTC), sent_at=NOW.astimezone(UTC))
    assert here.body == there.body

"""What the exchange itself, with its own keys and its own log, cannot make an auditor believe with either checker."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from time import process_time
from typing import Any
from uuid import UUID

import pytest
from rich.console import Console

from broker.evidence.bundle.assemble import assemble, scope_of
from broker.evidence.bundle.check import check
from broker.evidence.bundle.show import render
from broker.evidence.standalone import check_bundle as standalone
from schemas.canonical import canonical_json, leaf_hash
from schemas.delivery_events import RecordedStatus, overdue, status_recorded
from schemas.events import Event
from schemas.exchange_events import operator_action
from schemas.manifest import StatusCode
from schemas.times import new_id, rfc3339
from tests.kit.evidence_story import NOON, Named, Paper, Told, short_story, story
from tests.unit.bundle.checkers import Answer, ours, theirs


def agreed(data: bytes, told: Told, **more: bytes) -> Answer:
    """What both checkers say."""
    mine = ours(data, told.paper.keys(), (), **more)
    assert mine == theirs(data, told.paper.keys(), (), **more)
    return mine


def shown(data: bytes, told: Told, tmp_path: Path) -> tuple[str, str]:
    """What each checker tells people."""
    mine, other = io.StringIO(), io.StringIO()
    Console(file=mine, width=400).print(render(check(data, keys=told.paper.keys()), "en"))
    (tmp_path / "x.bundle").write_bytes(data)
    with redirect_stdout(other):
        standalone.main([str(tmp_path / "x.bundle"), "--key", told.paper.vkey()])
    return mine.getvalue(), other.getvalue()


def another_body(event: Event, change: Callable[[dict[str, Any]], None]) -> Event:
    body = json.loads(event.body)
    change(body)
    written = canonical_json(body)
    return Event(kind=body["event"], body=written, leaf=leaf_hash(written), at=event.at)


def test_a_signed_refusal_cannot_be_passed_over_by_logging_its_neighbour_alone() -> None:
    told = short_story()
    paper, office = told.paper, told.paper.offices["TINH"]
    at = paper.now()
    items = [
        {"concerns": _reference(told.letter), "code": code, "at": rfc3339(at)} | more
        for code, more in (("03", {}), ("02", {"reason": "không thuộc thẩm quyền"}))
    ]
    message = {"spec": "lienthong/1", "kind": "status", "id": str(new_id(at)), "from": "TINH", "sent_at": rfc3339(at)}
    signed = paper.sign(message | {"items": items}, office)
    paper.statuses[signed.digest] = signed.stored()
    named = Named("TINH", UUID(message["id"]), signed.digest)
    first = RecordedStatus(item=0, document=told.letter, recipient="TINH", code=StatusCode("03"), at=at)
    paper.log(
        status_recorded(at=paper.now(), message=named, submitter="TINH", thumbprint=office.thumbprint, items=[first])
    )
    answer = agreed(paper.bundle(told.letter), told)
    assert answer is not None and answer[0] == "missing"


def test_a_story_of_somebody_who_is_no_recipient_is_no_story() -> None:
    told = short_story()
    material = told.paper.material()
    scope = scope_of(_reference(told.letter), "NOBODY")
    data = assemble(material, scope=scope, identity=told.paper.identity(), made_at=told.paper.now())
    assert agreed(data, told) == ("missing", 1)


@pytest.mark.parametrize("minutes", [-2, 59], ids=["before the acceptance", "later than the notice said"])
@pytest.mark.parametrize("before", [False, True], ids=["now", "a log of before"])
def test_a_slip_promises_what_the_notice_promised(minutes: int, before: bool) -> None:
    told = short_story(before=before)
    material = told.paper.material()
    material.log_by = {digest: at + timedelta(minutes=minutes) for digest, at in material.log_by.items()}
    for notices in (material.notices, {}):
        material.notices = dict(notices)
        scope = scope_of(_reference(told.letter), None)
        data = assemble(material, scope=scope, identity=told.paper.identity(), made_at=told.paper.now())
        answer = agreed(data, told)
        if notices or minutes < 0 or not before:
            assert answer is not None and answer[0] == "mismatch"
        else:
            assert answer is None, "without the notice the slip's word stands alone: that acceptance does not tell"


@pytest.mark.parametrize("before", [False, True], ids=["now", "a log of before"])
@pytest.mark.parametrize(
    ("signed", "said"), [("TINH", "group:provinces"), ("group:provinces", "TINH"), ("group:provinces", "group:all")]
)
def test_recipients_are_written_as_the_log_tells(signed: str, said: str, before: bool) -> None:
    """In slips and in notices; of what its acceptance tells nothing, nothing can be held against them."""
    fields = {"named": {"TINH": ["TINH"]}, "addressed": {"TINH": signed}, "before": before}
    told = short_story(**fields)
    paper = told.paper
    assert agreed(paper.bundle(told.letter), told) is None
    paper.addressed = {(told.letter.digest, "TINH"): said}
    slip = agreed(paper.bundle(told.letter), told)
    paper.addressed = {(told.letter.digest, "TINH"): signed}
    for text, fits in ((signed, True), (said, before)):
        listed = [{"code": "TINH", "addressed_as": text, "owner": "TINH"}]
        paper.notice(told.letter, recipients={"count": 1, "list": listed})
        answer = agreed(paper.bundle(told.letter), told)
        assert answer is None if fits else answer is not None and answer[0] == "mismatch"
    assert slip is None if before else slip is not None and slip[0] == "mismatch"


@pytest.mark.parametrize(
    "runs", [[["0" * 32, 10**15]], [["0" * 32, -1], [None, 7]], [[None, 0]], [["0" * 32, 1], ["1" * 32, 1]]]
)
def test_what_an_event_tells_of_addresses_is_bounded_by_its_recipients(runs: list[list[Any]]) -> None:
    """However many it says there are; and both checkers read it alike."""
    told = short_story(named={"TINH": ["TINH"]})
    paper = told.paper
    paper.logged = [
        (origin, another_body(event, lambda body: body.update(addressed=runs)) if event.kind == "accepted" else event)
        for origin, event in paper.logged
    ]
    agreed(paper.bundle(told.letter), told)


def test_the_logs_key_vouches_for_no_log_of_another_name() -> None:
    told = short_story()
    paper = told.paper
    paper.logged = [("somebody.else/2026", event) for _, event in paper.logged]
    answer = agreed(paper.bundle(told.letter), told)
    assert answer is not None and answer[0] == "checkpoint"


def test_a_second_log_beside_the_one_that_the_auditor_holds_is_pointed_out(tmp_path: Path) -> None:
    told = short_story()
    paper = told.paper
    held = paper.note(size=told.first_size)
    paper.logged += [("lt.exchange/2026-2", event) for _, event in paper.logged]
    material = paper.material(since=held, since_size=told.first_size)
    for place in [place for place in material.entries if place[0] == 0]:
        del material.entries[place], material.paths[place]
    scope = scope_of(_reference(told.letter), None)
    data = assemble(material, scope=scope, identity=paper.identity(), made_at=paper.now())
    assert agreed(data, told, since=held) is None
    for text in shown(data, told, tmp_path):
        assert "older checkpoint says nothing about log lt.exchange/2026-2" in text


def test_custody_is_the_agencys_or_the_exchanges_and_nothing_between() -> None:
    told = short_story()
    paper = told.paper

    def blurred(body: dict[str, Any]) -> None:
        if body.get("change") == "certificate.enrolled" and body["codes"] == ["TINH"]:
            body["facts"]["custody"] = "Agency"

    paper.logged = [(origin, another_body(event, blurred)) for origin, event in paper.logged]
    answer = agreed(paper.bundle(told.letter), told)
    assert answer is not None and answer[0] == "shape"


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z"])
def test_no_time_breaks_a_checker(at: str, tmp_path: Path) -> None:
    told = short_story()
    missed = overdue(
        at=told.paper.now(), document=told.letter, what="arrival", due=NOON + timedelta(1), recipients=["TINH"]
    )
    told.paper.log([another_body(event, lambda body: body.update(at=at)) for event in missed])
    data = told.paper.bundle(told.letter)
    good = agreed(data, told) is None
    assert all(("NOT GOOD" not in text) == good for text in shown(data, told, tmp_path))


def test_nobodys_words_can_pass_for_the_verdict(tmp_path: Path) -> None:
    """Neither by moving the cursor, nor by turning the writing round, nor as markup."""
    told = short_story()
    words = "[/x][bold]\x1b[2K\r\u202eGOOD / ĐẠT: 9 log entries"
    held = operator_action(at=told.paper.now(), actor="x", action="hold", target=told.letter.digest)
    told.paper.log([another_body(event, lambda body: body.update(action=words)) for event in held])
    for data in (told.paper.bundle(told.letter), canonical_json({"type": "bundle", words: 1}) + b"\n"):
        for text in shown(data, told, tmp_path):
            assert "GOOD / ĐẠT: 9" in text or "GOOD / \\u0110" in text
            assert not set(text) & set("\x1b\r\u202e")


def test_an_operators_action_may_tell_facts() -> None:
    """As that which makes an account does: neither checker minds what it does not look at."""
    told = short_story()
    facts = {"role": "auditor", "subtree": "TINH"}
    at, target = told.paper.now(), told.letter.digest
    told.paper.log(operator_action(at=at, actor="x", action="account.add", target=target, facts=facts))
    assert agreed(told.paper.bundle(told.letter), told) is None


def test_withheld_signatures_are_counted_where_the_answer_is_given(tmp_path: Path) -> None:
    told = story()
    material = told.paper.material()
    material.withheld |= dict.fromkeys(material.statuses, ("status", "retention"))
    material.statuses.clear()
    scope = scope_of(_reference(told.letter), None)
    data = assemble(material, scope=scope, identity=told.paper.identity(), made_at=told.paper.now())
    assert agreed(data, told) is None
    mine, other = shown(data, told, tmp_path)
    many = len(material.withheld)
    assert f"{many} withheld" in mine.splitlines()[-1]
    assert f"{many} messages withheld" in other.splitlines()[-1]
    assert other.count("signature withheld") >= many


def test_a_rehearsal_is_marked(tmp_path: Path) -> None:
    paper = _rehearsed(short_story().paper)
    del paper.offices["TINH"]
    letter = paper.letter(paper.offices["BO"], [("TINH", "TINH")], test=True)
    paper.logged = [
        (origin, another_body(event, lambda body: body.update(test=True)) if _accepts(event, letter) else event)
        for origin, event in paper.logged
    ]
    told = Told(paper, letter, b"", 0)
    data = paper.bundle(letter)
    assert agreed(data, told) is None
    mine, other = shown(data, told, tmp_path)
    assert "REHEARSAL" in mine
    assert "rehearsal" in other


def test_a_change_of_a_change_may_stand_in_the_next_years_log() -> None:
    told = short_story()
    paper, ministry = told.paper, told.paper.offices["BO"]
    recall = paper.letter(ministry, [("TINH", "TINH")], about=[told.letter], action="recall")
    paper.origin = "lt.exchange/2027"
    paper.letter(ministry, [("TINH", "TINH")], about=[recall], action="recall")
    assert agreed(paper.bundle(told.letter), told) is None


def test_hostile_files_are_refused_quickly_and_by_both() -> None:
    told = short_story()
    lines = told.paper.bundle(told.letter).splitlines(keepends=True)
    checkpoint = json.loads(lines[1])
    checkpoint["note"] += (checkpoint["note"].splitlines()[-1] + "\n") * 2000
    many_signatures = b"".join([lines[0], canonical_json(checkpoint) + b"\n", *lines[2:]])
    for data in (
        b"",
        b"[" * 200_000 + b"]" * 200_000 + b"\n",
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"\n",
        b'{"a":' + b"9" * 1_000_000 + b"}\n",
        b"\n" * 5_000_001,
        b"\0" * 1_000_000 + b"\n",
        many_signatures,
    ):
        begun = process_time()
        assert agreed(data, told) is not None
        assert process_time() - begun < 5


def _rehearsed(paper: Paper) -> Paper:
    """Only the directory is left of the story."""
    paper.logged = [
        (origin, event)
        for origin, event in paper.logged
        if b'"TINH"' not in event.body and event.kind == "directory_changed"
    ]
    paper.documents.clear()
    paper.statuses.clear()
    paper.notices.clear()
    return paper


def _accepts(event: Event, letter: Named) -> bool:
    return event.kind == "accepted" and letter.digest in event.body.decode()


def _reference(named: Named) -> dict[str, str]:
    return {"from": named.from_, "id": str(named.id), "digest": named.digest}

"""Links that nobody can guess, that one answer uses up, and of which the database keeps nothing usable."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mail import links, queue
from adapters.mail.links import CODE_DIGITS, WRONG_CODES, Link, Nonces, code_is_right, new_link
from adapters.mail.queue import After
from adapters.store import open_database
from schemas.problem import Problem


def a_link(**fields: Any) -> Link:
    link = new_link("answer", expires_at=2e9)
    made = Link(
        hash=link.hash, purpose="answer", expires_at=2e9, code_hash=link.code_hash, wrong=0, mail_no=1,
        kind="document", office="H53", inbox_no=1, about=None, state="taken", answer=None, reason=None,
        answered_at=None,
    )  # fmt: skip
    return replace(made, **fields)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    opened = open_database(tmp_path / "agency.sqlite3")
    queue.migrate(opened)
    queue.migrate(opened)  # again does nothing
    queue.put(opened, "told", "H53", '{"a": 1}', domain="tinh.test", now=1.0)
    return opened


def test_a_token_has_the_randomness_of_192_bits_and_is_kept_as_a_hash(connection: sqlite3.Connection) -> None:
    made = [new_link("answer", expires_at=2e9) for _ in range(200)]
    assert len({one.token for one in made}) == 200 and all(len(one.token) == 48 for one in made)
    assert all(one.code and len(one.code) == CODE_DIGITS and one.code.isdigit() for one in made)
    due = queue.take(connection, now=2.0, busy=())
    assert due is not None
    queue.keep_links(connection, due, made[:1])
    dumped = "\n".join(connection.iterdump())
    assert made[0].token not in dumped and f"'{made[0].code}'" not in dumped
    found = links.find(connection, made[0].token, "answer")
    assert found is not None and found.mail_no == due.no
    assert links.find(connection, made[0].token, "parts") is None
    assert links.find(connection, made[1].token, "answer") is None


@given(token=st.text(max_size=64))
def test_whatever_stands_in_an_address_is_no_link(token: str) -> None:
    opened = sqlite3.connect(":memory:")
    opened.executescript("CREATE TABLE mail_link (hash BLOB, purpose TEXT); CREATE TABLE mail (no INTEGER)")
    if not links.TOKEN.fullmatch(token):
        assert links.find(opened, token, "answer") is None
    opened.close()


def test_guesses_are_counted_before_they_are_looked_at(connection: sqlite3.Connection) -> None:
    due = queue.take(connection, now=2.0, busy=())
    assert due is not None
    link = new_link("answer", expires_at=2e9)
    queue.keep_links(connection, due, [link])
    found = links.find(connection, link.token, "answer")
    assert found is not None and link.code is not None
    counted = [links.guess(connection, found) for _ in range(WRONG_CODES + 2)]
    assert counted == [*range(1, WRONG_CODES + 1), None, None]
    assert code_is_right(found, link.token, f" {link.code[:3]}-{link.code[3:]}".replace("-", " "))
    assert not code_is_right(found, link.token, link.code[::-1] + "0")
    assert not code_is_right(found, new_link("answer", expires_at=1).token, link.code)


def test_one_answer_counts_whichever_link_it_came_by(connection: sqlite3.Connection) -> None:
    link = a_link()
    assert links.answer(connection, link, "receive", None, now=3.0)
    assert not links.answer(connection, link, "refuse", "no", now=4.0)
    with pytest.raises(Problem):
        queue.again(connection, 1)  # what was answered is not sent again


def test_a_nonce_is_bound_to_its_link_and_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    nonces, one, other = Nonces(), a_link(), a_link()
    nonce = nonces.issue(one)
    assert nonces.good(one, nonce)
    assert not nonces.good(other, nonce) and not Nonces().good(one, nonce)
    for forged in ("", ".", "1.", f"9{nonce}", nonce[:-1], "x" + nonce, "9999999999.é"):
        assert not nonces.good(one, forged)
    monkeypatch.setattr("adapters.mail.links.time.time", lambda: 4e9)
    assert not nonces.good(one, nonce)


def test_links_of_an_attempt_that_cannot_have_arrived_are_forgotten(connection: sqlite3.Connection) -> None:
    kept = {}
    for after, alive in ((After.LATER, False), (After.DOUBTFUL, True)):
        due = queue.take(connection, now=9.0, busy=())
        assert due is not None
        link = new_link("answer", expires_at=2e9)
        queue.keep_links(connection, due, [link])
        queue.not_taken(connection, due, after, "why", next_try_at=1.0)
        kept[after] = links.find(connection, link.token, "answer") is not None
        assert kept[after] is alive
    due = queue.take(connection, now=9.0, busy=())
    assert due is not None and due.doubtful and due.attempts == 2


def test_after_a_crash_what_was_being_sent_goes_again_in_doubt(connection: sqlite3.Connection) -> None:
    first = queue.take(connection, now=2.0, busy=())
    assert first is not None and not first.doubtful
    assert queue.take(connection, now=2.0, busy=()) is None
    assert queue.recover(connection) == 1
    second = queue.take(connection, now=2.0, busy=())
    assert second is not None and second.doubtful and second.message_id == first.message_id


def test_a_bounce_is_believed_for_mails_of_ours_without_an_answer_only(connection: sqlite3.Connection) -> None:
    due = queue.take(connection, now=2.0, busy=())
    assert due is not None
    assert queue.bounced(connection, "<lienthong.0@tinh.test>", "x") is None
    assert queue.bounced(connection, due.message_id, "x") == (1, "H53")
    assert links.answer(connection, a_link(), "receive", None, now=3.0)
    assert queue.bounced(connection, due.message_id, "x") is None

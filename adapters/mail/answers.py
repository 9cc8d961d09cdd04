"""What a clerk's answer does: statuses to be sent, the inbox row's end, and the answer itself, in one transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters import Agency, compose, handing, heard, reports
from adapters.agency_names import NO_NAMES
from adapters.delivery import letter_of
from adapters.letter import IncomingLetter, TakeBack
from adapters.mail import links, queue
from adapters.mail.facts import AGREE, DECLINE, RECEIVE, REFUSE, Choice, Fact, choices_of, facts_of, with_names
from adapters.mail.links import Link
from schemas.problem import Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a link asks: the facts, the ways to answer, and what each of them reports."""

    facts: Sequence[Fact]
    choices: Sequence[Choice]
    # Word of the choice → status items; the reason and the time are passed in.
    items: Callable[[str, str | None, datetime], list[dict[str, Any]]]
    # The sender of the documents spoken of: one message speaks of one sender's.
    test: bool


async def letter_in(agency: Agency, inbox_no: int) -> IncomingLetter:
    """The document of a row of the inbox."""
    (row,) = await agency.store.run(lambda connection: handing.read_rows(connection, [inbox_no]))
    return letter_of(row, agency.read_part)


async def question(agency: Agency, link: Link) -> Question:
    """The question behind an answering link."""
    if link.inbox_no is not None:
        letter = await letter_in(agency, link.inbox_no)
        return about_letter(agency, letter, await agency.names.of(letter.ref.sender, letter.recipient))
    return await _about_take_back(agency, link)


def about_letter(agency: Agency, letter: IncomingLetter, names: Mapping[str, str] = NO_NAMES) -> Question:
    """Receive or refuse a document; agree to or decline a change of one that is here. `names` are for the facts."""
    for_ = None if letter.recipient == agency.settings.code else letter.recipient

    def items(word: str, reason: str | None, at: datetime) -> list[dict[str, Any]]:
        if word in (RECEIVE.word, REFUSE.word):
            code = "03" if word == RECEIVE.word else "02"
            return [compose.status_item(letter.ref, code, at=at, for_=for_, reason=reason)]
        code = "15" if word == AGREE.word else "16"
        answers = letter.ref.as_dict()
        told = [
            compose.status_item(document, code, at=at, for_=for_, answers=answers, reason=reason)
            for document in letter.concerns
        ]
        # The message that asks has been received, whatever the answer is.
        return [compose.status_item(letter.ref, "03", at=at, for_=for_), *told]

    return Question(facts=facts_of(letter, names), choices=choices_of(letter), items=items, test=letter.manifest.test)


async def _about_take_back(agency: Agency, link: Link) -> Question:
    told = json.loads(link.about or "{}")
    row = await agency.store.run(lambda connection: heard.status_row(connection, int(told["row"])))
    asked: TakeBack = heard.take_back(row, frozenset({link.office}))
    for_ = None if link.office == agency.settings.code else link.office

    def items(word: str, reason: str | None, at: datetime) -> list[dict[str, Any]]:
        code = "15" if word == AGREE.word else "16"
        answers = {"from": asked.asked_by.sender, "id": asked.asked_by.id}
        return [compose.status_item(asked.document, code, at=at, for_=for_, answers=answers, reason=reason)]

    agencies = told.get("agencies", ())
    facts = with_names([Fact(*one) for one in told["facts"]], agencies, await agency.names.of(*agencies))
    return Question(facts=facts, choices=(AGREE, DECLINE), items=items, test=False)


async def answer(agency: Agency, link: Link, asked: Question, choice: Choice, reason: str | None) -> bool:
    """Record a clerk's answer and put what it reports into the gathering; False if there was an answer already.

    Who answers has the mail: if the server's word was still missing, this is the word, and the 01 goes out as well.
    """
    office, now = agency.office(), datetime.now(UTC)
    items = asked.items(choice.word, reason, now)

    def record(connection: sqlite3.Connection) -> bool:
        if not links.answer(connection, link, choice.word, reason, now=now.timestamp()):
            return False
        queue.taken(connection, link.mail_no, office)
        _report(connection, items, speaker=agency.settings.code, test=asked.test)
        if choice is REFUSE and link.inbox_no is not None:
            handing.finish(connection, link.inbox_no, "refused", now=now.timestamp())
        return True

    return await agency.write(record)


async def refuse_for_operator(agency: Agency, mail_no: int, reason: str) -> None:
    """An operator (or the operator's policy) returns a document that its office cannot get: 02 with the reason.

    No 01 goes out for it: nobody has it. Raises Problem if there is no such document, or it was answered.
    """
    row = await agency.store.run(
        lambda connection: connection.execute("SELECT inbox_no FROM mail WHERE no = ?", (mail_no,)).fetchone()
    )
    if row is None or row[0] is None:
        raise Problem(f"no mail {mail_no} with a document", "one of `mail list`", "Look with `mail list`")
    inbox_no = int(row[0])
    asked = about_letter(agency, await letter_in(agency, inbox_no))
    items = asked.items(REFUSE.word, reason, datetime.now(UTC))

    def record(connection: sqlite3.Connection) -> bool:
        changed = connection.execute(
            "UPDATE mail SET answer = 'refuse', reason = ?, answered_at = ?,"
            " state = CASE state WHEN 'due' THEN 'failed' ELSE state END"
            " WHERE no = ? AND answer IS NULL AND state <> 'sending'",
            (reason, time.time(), mail_no),
        ).rowcount
        if changed:
            _report(connection, items, speaker=agency.settings.code, test=asked.test)
            handing.finish(connection, inbox_no, "refused", now=time.time())
        return bool(changed)

    if not await agency.write(record):
        raise Problem(f"mail {mail_no} was answered", "a mail without an answer", "Look with `mail list`")


def _report(connection: sqlite3.Connection, items: Sequence[Mapping[str, Any]], *, speaker: str, test: bool) -> None:
    for item in items:
        reports.report(connection, item, speaker=speaker, test=test)

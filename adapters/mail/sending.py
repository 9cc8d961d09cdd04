"""Out of the queue, to the mail server, and the outcome recorded: 01 in the same transaction as "taken".

Order: the attempt and its links are durable before the first word to the server; what the server said is durable
before anything follows from it. Between the two a crash leaves a mail in doubt, which goes again under its Message-ID.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from adapters import Agency
from adapters.agency_names import named
from adapters.ending import together
from adapters.letter import IncomingPart
from adapters.mail import queue, telling
from adapters.mail.answers import letter_in, refuse_for_operator
from adapters.mail.compose import Content, Envelope, document_content, mail
from adapters.mail.facts import Fact, with_names
from adapters.mail.links import NewLink, new_link
from adapters.mail.queue import After, Due
from adapters.mail.settings import MailSettings
from adapters.mail.smtp import Attempt, Carrier, Unreachable
from adapters.pace import Signal
from schemas.problem import Problem

log = logging.getLogger("lienthong.mail")

# Mails in flight at a time, each over a connection of its own.
CONNECTIONS = 4
# Another process may put a mail into the queue; it cannot wake this one.
POLL_SECONDS = 1.0


class Sender:
    """Everything that goes out, for as long as the program runs."""

    def __init__(self, agency: Agency, settings: MailSettings, changed: Signal) -> None:
        self._agency = agency
        self._settings = settings
        # The queue has something new.
        self._changed = changed
        # Nobody tries before this time, because the server itself was not to be reached.
        self._server_back_at = 0.0
        self._unreachable = 0
        # Mails with a worker just now: a doubtful one is due again at once and must not overtake itself.
        self._busy: set[int] = set()

    async def run(self) -> None:
        """Send until cancelled."""
        recovered = await self._agency.store.run(queue.recover)
        if recovered:
            log.warning("%d mails were being sent when the program ended; they go again and say so", recovered)
        await together(self._gather(), *(self._work() for _ in range(CONNECTIONS)))

    async def _gather(self) -> None:
        """Inbox, statuses and notices → queue. Looks twice a second: another process may be the one that pumps."""
        codes, domain = tuple(self._settings.offices), self._settings.sender.partition("@")[2]
        while True:

            def gather(connection: sqlite3.Connection) -> int:
                documents = queue.gather(connection, codes, domain=domain, now=time.time())
                return documents + telling.gather(
                    connection, self._settings, codes=self._agency.settings.codes, domain=domain, now=time.time()
                )

            self._agency.raise_if_ended()
            try:
                if await self._agency.store.run(gather):
                    self._changed.set()
            except sqlite3.OperationalError:
                log.exception("the database cannot be written; what has come waits in the inbox")
            await asyncio.sleep(POLL_SECONDS / 2)

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            carrier = Carrier(self._settings.outgoing)
            stack.push_async_callback(carrier.close)
            while True:
                seen = self._changed.version
                try:
                    due, next_at = await self._take()
                except sqlite3.OperationalError:
                    log.exception("the database cannot be used; nothing is sent until it can")
                    due, next_at = None, None
                if due is None:
                    await carrier.close()  # an idle connection only costs the server
                    await self._changed.wait(seen, _until(next_at))
                    continue
                try:
                    await self._send(due, carrier)
                finally:
                    self._busy.discard(due.no)

    async def _take(self) -> tuple[Due | None, float | None]:
        if self._server_back_at > time.time():
            return None, self._server_back_at

        def take(connection: sqlite3.Connection) -> tuple[Due | None, float | None]:
            due = queue.take(connection, now=time.time(), busy=self._busy)
            return due, None if due else queue.next_due_at(connection)

        due, next_at = await self._agency.store.run(take)
        if due is not None:
            self._busy.add(due.no)
        return due, next_at

    async def _send(self, due: Due, carrier: Carrier) -> None:
        office = self._settings.offices.get(due.office)
        if office is None:
            why = f"{due.office} has no [[mail.office]] any more"
            await self._record(due, Attempt(after=After.REFUSED, why=why))
            return
        try:
            content, links, data = await self._content(due)
        except Exception as why:  # whatever is wrong with one document must not stop the others
            log.exception("mail %d for %s cannot be written", due.no, due.office)
            await self._record(due, Attempt(after=After.LATER, why=f"cannot be written: {why}"))
            return
        await self._durably(lambda connection: queue.keep_links(connection, due, links))
        envelope = Envelope(
            sender=self._settings.sender,
            sender_name=self._settings.sender_name,
            to=office.address,
            message_id=due.message_id,
            at=datetime.fromtimestamp(due.created_at, UTC),
            repeated=due.doubtful,
        )
        message = await asyncio.to_thread(mail, envelope, content, data)
        try:
            attempt = await carrier.carry(sender=self._settings.sender, to=office.address, message=message)
        except Unreachable as why:
            self._unreachable += 1
            wait = self._wait(self._unreachable)
            self._server_back_at = time.time() + wait
            log.warning("the mail server cannot be used, again in %.0f s: %s", wait, why)
            await self._record(due, Attempt(after=After.LATER, why=str(why)), wait=wait)
            return
        self._unreachable = 0
        await self._record(due, attempt)

    async def _content(self, due: Due) -> tuple[Content, list[NewLink], Mapping[str, bytes]]:
        expires_at = time.time() + self._settings.page.link_seconds
        answer = new_link("answer", expires_at=expires_at)
        public_url = self._settings.page.public_url
        if due.inbox_no is None:
            told = json.loads(due.about or "{}")
            asked = due.kind == "asked"
            agencies = told.get("agencies", ())
            names = await self._agency.names.of(*agencies)
            content = Content(
                subject=told["subject"],
                vi=named(told["vi"], agencies, names),
                en=named(told["en"], agencies, names),
                facts=with_names([Fact(*fact) for fact in told["facts"]], agencies, names),
                answer_url=f"{public_url}/v/{answer.token}" if asked else None,
                code=answer.code if asked else None,
                expires_at=expires_at if asked else None,
            )
            return content, [answer] if asked else [], {}
        letter = await letter_in(self._agency, due.inbox_no)
        attached, linked = divide(letter.parts, self._settings.attach_bytes)
        parts = new_link("parts", expires_at=expires_at) if linked else None
        content = document_content(
            letter,
            attached=attached,
            linked=linked,
            answer=answer,
            parts=parts,
            public_url=public_url,
            names=await self._agency.names.of(letter.ref.sender, letter.recipient),
        )
        data = {part.sha256: await part.read() for part in attached}
        return content, [answer, *([parts] if parts else [])], data

    async def _record(self, due: Due, attempt: Attempt, *, wait: float | None = None) -> None:
        if attempt.after is After.TAKEN:
            office = self._agency.office()
            await self._durably(lambda connection: queue.taken(connection, due.no, office))
            log.info("mail %d for %s: taken: %s", due.no, due.office, attempt.why)
            return
        outgoing = self._settings.outgoing
        permanent = attempt.after is After.REFUSED
        if permanent and outgoing.on_permanent == "retry":
            wait = outgoing.last_retry_seconds
        elif not permanent:
            wait = wait if wait is not None else self._wait(due.attempts + 1)
        next_try_at = None if wait is None else time.time() + wait
        if next_try_at is None:
            told = "waits for a person: `lienthong-agency mail list`, then `mail retry` or `mail refuse`"
            log.error("mail %d for %s was refused for good (%s) and %s", due.no, due.office, attempt.why, told)
        else:
            log.warning("mail %d for %s: %s: again in %.0f s", due.no, due.office, attempt.why, wait or 0)
        await self._durably(
            lambda connection: queue.not_taken(connection, due, attempt.after, attempt.why, next_try_at=next_try_at)
        )
        if permanent and outgoing.on_permanent == "refuse" and due.inbox_no is not None:
            await self._return(due, attempt.why)

    async def _durably(self, job: Callable[[sqlite3.Connection], None]) -> None:
        """What the mail server said is written down, however long the disk is full: else it would be said again."""
        while True:
            try:
                await self._agency.write(job)
            except sqlite3.OperationalError:
                log.exception("the database cannot be written; the outcome of a mail waits in memory")
                await asyncio.sleep(POLL_SECONDS)
            else:
                return

    async def _return(self, due: Due, why: str) -> None:
        """By the operator's policy, what the office's mail server will not have goes back to its sender with 02."""
        reason = f"Máy chủ thư của cơ quan nhận từ chối: {why} / The recipient's mail server refused it: {why}"
        try:
            await refuse_for_operator(self._agency, due.no, reason)
        except Problem as why:  # a clerk has answered an earlier copy in the meantime: that answer stands
            log.warning("mail %d is not returned: %s", due.no, why)

    def _wait(self, attempts: int) -> float:
        outgoing = self._settings.outgoing
        wait = min(outgoing.first_retry_seconds * 2.0 ** min(attempts - 1, 16), outgoing.last_retry_seconds)
        return wait * random.uniform(0.8, 1.2)  # noqa: S311 - spreads attempts, hides nothing


def divide(parts: tuple[IncomingPart, ...], limit: int) -> tuple[tuple[IncomingPart, ...], tuple[IncomingPart, ...]]:
    """Parts that travel in the mail, in order while there is room, and those that go behind a link."""
    attached: list[IncomingPart] = []
    linked: list[IncomingPart] = []
    room = limit
    for part in parts:
        if part.size <= room:
            room -= part.size
            attached.append(part)
        else:
            linked.append(part)
    return tuple(attached), tuple(linked)


def _until(next_at: float | None) -> float:
    return POLL_SECONDS if next_at is None else min(max(next_at - time.time(), 0.02), POLL_SECONDS)

"""`Agency`: what a developer at an agency opens. Sends letters, hands over what came, reports statuses.

Everything that is promised is in the agency's own database before a call returns; the pump behind it talks to the
exchange. One process at a time pumps for a data folder; others (a CLI beside a running service) share the database.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from adapters import compose, handing, heard, inbox, outbox, reports
from adapters.amqp import CONNECT_SECONDS
from adapters.compose import ChangeOf, Outgoing
from adapters.content import ContentStore, LocalFolder, PartFiles, copy_durably
from adapters.delivery import LAST_AGAIN_SECONDS, Delivery, letter_of
from adapters.ending import end
from adapters.identity import Keyring, Signer, load_keyring
from adapters.inbox import Office, TakenIn
from adapters.judge import Trust, load_trust
from adapters.letter import (
    IncomingLetter,
    Letter,
    NaturalRef,
    Notice,
    Ref,
    Status,
    TakeBack,
)
from adapters.mailbox import Mailbox
from adapters.pace import Pace, Signals
from adapters.packing import pack, pack_contents
from adapters.pump import Pump
from adapters.sent import CONFIRM_WITHIN_SECONDS, Sent
from adapters.settings import AgencySettings, load
from adapters.store import Store
from adapters.waiting import Deadline, Waiter
from schemas.manifest import parse_manifest
from schemas.problem import UNREACHABLE, Problem
from schemas.states import StatusCode
from schemas.times import new_id

log = logging.getLogger("lienthong.adapters")

T = TypeVar("T")

# The file in the data folder that holds inbox and outbox.
DATABASE = "agency.sqlite3"
# What recipients report; 01 goes out by itself, 13 is `take_back`, 15 and 16 are `agree` and `decline`.
REPORTED = ("02", "03", "04", "05", "06")


class Agency:
    """An agency's program, open between `async with` and its end."""

    def __init__(
        self,
        settings: AgencySettings,
        *,
        executor: Executor | None = None,
        pace: Pace | None = None,
        content: ContentStore | None = None,
        trust: Trust | None = None,
        on_taken_in: Callable[[TakenIn], None] | None = None,
    ) -> None:
        self.settings = settings
        self._given_executor = executor
        self._pace = pace or Pace()
        self._given_content = content
        self._given_trust = trust
        # Called after every transaction that stored something from the mailbox; must not block.
        self.on_taken_in = on_taken_in
        self._resources = AsyncExitStack()
        self._outcomes: dict[tuple[Ref, str], bool] = {}
        self.store: Store
        self._pump: Pump
        self._mailbox: Mailbox
        self._waiter: Waiter
        self._signals: Signals
        self._keyring: Keyring
        self._content: ContentStore | None
        self._files: PartFiles
        self._executor: Executor
        self._pumping: asyncio.Task[None]
        self._pumped_elsewhere = False

    @classmethod
    def open(cls, settings: AgencySettings | Path | str) -> Agency:
        """An agency from `agency.toml` (or its settings), to be used with `async with`. Raises Problem."""
        return cls(settings if isinstance(settings, AgencySettings) else load(Path(settings)))

    async def __aenter__(self) -> Self:
        settings = self.settings
        async with AsyncExitStack() as stack:
            if self._given_executor is not None:
                self._executor = self._given_executor
            else:
                threads = ThreadPoolExecutor(max_workers=3, thread_name_prefix=settings.code)
                stack.callback(threads.shutdown)
                self._executor = threads
            self._keyring = load_keyring(settings)
            trust = self._given_trust or load_trust(settings)
            self._content = self._given_content
            if self._content is None and settings.content_url is not None:
                from adapters.http_content import HttpContent  # only who needs it pays for loading an HTTP client

                over_http = HttpContent(settings.content_url, self._keyring.own, ca_file=settings.content_ca_file)
                stack.push_async_callback(asyncio.to_thread, over_http.close)
                self._content = over_http
            if self._content is None and settings.content_dir is not None:
                self._content = LocalFolder(settings.content_dir, settings.submitter)
            self._files = PartFiles(settings.data_dir / "parts")
            self.store = await Store.open(settings.data_dir / DATABASE, self._executor)
            stack.push_async_callback(self.store.close)
            self._signals = Signals()
            self._mailbox = Mailbox(
                settings=settings,
                store=self.store,
                keyring=self._keyring,
                trust=trust,
                content=self._content,
                files=self._files,
                executor=self._executor,
                pace=self._pace,
                signals=self._signals,
                on_taken_in=self.on_taken_in,
            )
            self._pump = Pump(
                settings=settings,
                store=self.store,
                keyring=self._keyring,
                mailbox=self._mailbox,
                pace=self._pace,
                signals=self._signals,
            )
            self._pumping = asyncio.create_task(self._pump_when_free())
            self._waiter = Waiter(self.store, self._signals, poll_seconds=self._pace.poll_seconds)
            self._waiter.watch(self._pumping)
            stack.push_async_callback(self._stop)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def _stop(self) -> None:
        await end([self._pumping], again_after=CONNECT_SECONDS + 2)  # it closes its connection first

    async def _pump_when_free(self) -> None:
        """Pump once no other process does so for this data folder."""
        lock = os.open(self.settings.data_dir / "pump.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._pumped_elsewhere = True
                    await asyncio.sleep(self._pace.poll_seconds)
            self._pumped_elsewhere = False
            await self._begin()
            await self._pump.run()
        finally:
            os.close(lock)

    async def _begin(self) -> None:
        """What the one pumping process does first: recover what a crash left, ask again if the memory is empty."""
        office = self._mailbox.office()

        def begin(connection: sqlite3.Connection) -> int:
            if self.settings.has_mailbox:
                inbox.request_first_replay(connection, office)
            return handing.recover(connection, self.again_after, now=time.time())

        recovered = await self.store.run(begin)
        if recovered:
            log.warning("%s: %d documents were in a block when the program ended", self.settings.code, recovered)

    @property
    def connected(self) -> bool:
        """Whether this process has a connection to the exchange just now."""
        return self._pump.connected

    async def wait_connected(self, timeout: float = 10.0) -> None:
        """Wait for the connection. Raises Problem that says why there is none.

        Returns at once while another process carries this data folder's messages: the connection is that one's then.
        """
        deadline = time.monotonic() + timeout
        while not self._pump.connected and not self._pumped_elsewhere:
            self._waiter.raise_if_ended()
            seen = self._signals.connection.version
            if isinstance(self._pump.trouble, Problem):
                raise self._pump.trouble
            left = deadline - time.monotonic()
            if left <= 0:
                raise Problem(
                    found=f"no connection to the exchange: {self._pump.trouble}",
                    expected=f"RabbitMQ at {self.settings.amqp_url}",
                    remedy="Check amqp_url and the network; what was sent stays in the outbox and goes out later.",
                    exit_code=UNREACHABLE,
                )
            await self._signals.connection.wait(seen, left)

    # ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def send(
        self, letter: Letter, *, sender: str | None = None, confirm_within: float = CONFIRM_WITHIN_SECONDS
    ) -> Sent:
        """Sign a letter and send it; returns when the exchange has confirmed it.

        If there is no confirm within `confirm_within` seconds the letter stays in the outbox, the pump goes on trying,
        and `Sent` is returned all the same. `sender`: a served agency in whose name a hub sends.
        Raises Refusal if the letter breaks the contract, Problem if a file or the content store is missing.
        """
        return await self._send(letter, sender=sender, confirm_within=confirm_within, change=None)

    async def recall(
        self,
        documents: Sequence[Ref | NaturalRef],
        reason: str,
        *,
        letter: Letter | None = None,
        sender: str | None = None,
    ) -> Sent:
        """Recall documents of one's own; without `letter` from all their recipients, with a letter made here."""
        change = ChangeOf(action="recall", concerns=documents, reason=reason)
        return await self._send(letter or _about(f"Thu hồi: {reason}"), sender=sender, change=change)

    async def replace(
        self, documents: Sequence[Ref | NaturalRef], letter: Letter, reason: str, *, sender: str | None = None
    ) -> Sent:
        """Replace documents of one's own by `letter`; its `to` may be empty: the recipients of the originals."""
        return await self._send(
            letter, sender=sender, change=ChangeOf(action="replace", concerns=documents, reason=reason)
        )

    async def update(
        self,
        documents: Sequence[Ref | NaturalRef],
        *,
        letter: Letter | None = None,
        metadata: bool = False,
        added: Sequence[str] = (),
        removed: Sequence[str] = (),
        reason: str | None = None,
        sender: str | None = None,
    ) -> Sent:
        """Change recipients or metadata of documents of one's own; added recipients also receive the original."""
        change = ChangeOf(
            action="update", concerns=documents, reason=reason, metadata=metadata, added=added, removed=removed
        )
        return await self._send(letter or _about("Cập nhật văn bản"), sender=sender, change=change)

    async def take_back(self, document: Ref, recipients: Sequence[str], reason: str) -> None:
        """Ask recipients to give a document of one's own back (status 13)."""
        for_ = None if document.sender == self.settings.code else document.sender
        item = compose.status_item(
            document, StatusCode("13"), at=datetime.now(UTC), to=recipients, reason=reason, for_=for_
        )
        await self._report([item], test=False)

    async def _send(
        self,
        letter: Letter,
        *,
        sender: str | None,
        change: ChangeOf | None,
        confirm_within: float = CONFIRM_WITHIN_SECONDS,
    ) -> Sent:
        sent = await self.put(await self.sign(letter, sender=sender, change=change))
        await sent.confirmed(confirm_within)
        return sent

    async def sign(
        self,
        letter: Letter,
        *,
        sender: str | None = None,
        change: ChangeOf | None = None,
        signer: Signer | None = None,
    ) -> Outgoing:
        """Store the parts and sign, without sending yet; by default with the key that speaks for `sender`."""
        speaker = sender or self.settings.code
        self._may_speak(speaker)
        parts = await asyncio.to_thread(
            pack, letter.parts, self._content
        )  # may take long: not a thread of the database's
        now = datetime.now(UTC)
        return await self._in_thread(
            lambda: compose.document(
                letter,
                parts,
                speaker=speaker,
                signer=signer or self._keyring.speaking_for(speaker),
                id=letter.id or str(new_id(now)),
                now=now,
                change=change,
            )
        )

    def _may_speak(self, speaker: str) -> None:
        if speaker not in self.settings.codes:
            raise Problem(
                found=f"a letter in the name of {speaker}",
                expected=f"{self.settings.code} or one of its [[served]] agencies",
                remedy="Add [[served]] with this code to agency.toml; the operator gives the mandate.",
            )

    async def sign_manifest(self, payload: bytes, contents: Mapping[str, Path | bytes]) -> Outgoing:
        """Store the parts of a finished manifest and sign its bytes as they stand, without sending yet.

        For manifests made out of something else, such as edXML; `contents` are its parts by SHA-256.
        Raises Refusal if it breaks the contract, Problem for a stranger's `from` or a part that cannot be stored.
        """
        speaker = parse_manifest(payload).from_
        self._may_speak(speaker)
        inline = await asyncio.to_thread(pack_contents, contents, self._content)
        return await self._in_thread(
            lambda: compose.manifest(payload, speaking_for=self._keyring.speaking_for, content=inline)
        )

    async def put(self, message: Outgoing, *, beside: Callable[[sqlite3.Connection, int], None] | None = None) -> Sent:
        """Put signed bytes into the outbox; durable when this returns.

        `beside` is called in the same transaction with the number of the row, to remember where it came from; what it
        raises undoes both.
        """

        def put(connection: sqlite3.Connection) -> int:
            no = outbox.put(connection, message, now=time.time())
            if beside is not None:
                beside(connection, no)
            return no

        no = await self.store.run(put)
        self._pump.wake(documents=True)
        return self._sent(no, message.ref)

    def _sent(self, no: int, document: Ref) -> Sent:
        return Sent(
            store=self.store,
            waiter=self._waiter,
            wake=lambda: self._pump.wake(documents=True),
            no=no,
            document=document,
        )

    async def sent(self, id: str) -> Sent | None:
        """A document that this agency has put into its outbox earlier, by its id."""
        found = await self.store.run(lambda connection: outbox.sent_document(connection, id))
        return None if found is None else self._sent(*found)

    # ── Receiving ────────────────────────────────────────────────────────────────────────────────────────────────

    async def receive(self, *, idle: float | None = None, ahead: int = 1) -> AsyncIterator[Delivery]:
        """Documents that are stored and wait, urgent ones first; endless, or until nothing came for `idle` seconds.

        A delivery that was handed over is the code's: open its block, here or in a task, or put it back with `later`;
        else it comes again after the next start. `ahead` are marked as handed over in one transaction; with more than
        one, a crash may flag some as `again` that the code has not seen.
        """
        deadline = Deadline(idle)
        while True:
            seen = self._signals.inbox.version
            taken, next_at = await self.store.run(
                lambda connection: (
                    handing.take(connection, now=time.time(), limit=ahead, but=self.settings.arrive_later),
                    handing.next_take_at(connection, but=self.settings.arrive_later),
                )
            )
            if taken:
                async for delivery in self._hand_over(taken):
                    yield delivery
                deadline.renew()
            elif not await self._waiter.for_inbox(seen, deadline, next_at):
                return

    async def _hand_over(self, taken: Sequence[handing.Taken]) -> AsyncIterator[Delivery]:
        unseen = [one.no for one in taken]
        try:
            for one in taken:
                letter = letter_of(one, self.read_part)
                self._outcomes.pop((letter.ref, letter.recipient), None)
                unseen.remove(one.no)
                yield Delivery(one, letter, self)
        finally:
            if unseen:
                await self.store.run(lambda connection: handing.untouched(connection, unseen))

    async def letters(self, id: str) -> list[IncomingLetter]:
        """Everything in the inbox with this document id, one letter for each recipient, whatever its state."""
        rows = await self.store.run(lambda connection: handing.rows_with_id(connection, id))
        return [letter_of(row, self.read_part) for row in rows]

    async def letters_of_rows(self, numbers: Sequence[int]) -> list[IncomingLetter]:
        """The same by the numbers of their rows in the inbox."""
        rows = await self.store.run(lambda connection: handing.read_rows(connection, numbers))
        return [letter_of(row, self.read_part) for row in rows]

    async def copy_part(self, sha256: str, target: Path) -> None:
        """Write the bytes of a part into a new file, durably, without holding a large one in memory. Raises Problem."""
        if self._files.has(sha256):
            await self._in_thread(lambda: self._files.copy(sha256, target))
        else:
            data = await self.read_part(sha256)
            await self._in_thread(lambda: copy_durably(data, target))

    async def read_part(self, sha256: str) -> bytes:
        """The bytes of a part of something that came, by digest. Raises Problem if they are not here."""
        inline = await self.store.run(
            lambda connection: connection.execute("SELECT bytes FROM content WHERE sha256 = ?", (sha256,)).fetchone()
        )
        if inline is not None:
            return bytes(inline[0])
        if not self._files.has(sha256):
            raise Problem(
                found=f"no part {sha256}",
                expected=f"a file below {self.settings.data_dir / 'parts'}",
                remedy="Restore the folder together with the database.",
            )
        return await self._in_thread(self._files.path(sha256).read_bytes)

    def part_file(self, sha256: str) -> Path | None:
        """The file that holds a part, to be streamed; None for a small one that is in the database."""
        return self._files.path(sha256) if self._files.has(sha256) else None

    async def statuses(self, *, idle: float | None = None) -> AsyncIterator[Status]:
        """What recipients said about our documents, each once; handed over again if the loop's body did not finish."""
        async for row in self._waiter.rows(heard.next_status, heard.status_handed, idle):
            yield heard.status(row)

    async def take_backs(self, *, idle: float | None = None) -> AsyncIterator[TakeBack]:
        """Requests of senders to give documents back (13); answer with `agree` or `decline`."""
        async for row in self._waiter.rows(heard.next_take_back, heard.status_handed, idle):
            yield heard.take_back(row, self.settings.codes)

    async def notices(self, *, idle: float | None = None) -> AsyncIterator[Notice]:
        """What the exchange said about messages of ours; about strangers' messages nothing is handed over."""
        async for row in self._waiter.rows(heard.next_notice, heard.notice_handed, idle):
            yield heard.notice(row)

    # ── Reporting ────────────────────────────────────────────────────────────────────────────────────────────────

    async def report(
        self,
        letter: IncomingLetter,
        code: str,
        *,
        reason: str | None = None,
        staff: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> bool:
        """Report 02 to 06 about a letter; durable when this returns, signed together with others a moment later.

        Does nothing and returns False if the letter's block raised: what was refused or has to be handed over again is
        not received.
        """
        if self._outcomes.get((letter.ref, letter.recipient)) is False:
            return False
        if code not in REPORTED:
            raise Problem(
                found=f"the status {code}",
                expected=", ".join(REPORTED),
                remedy="01 goes out by itself; use take_back for 13, agree and decline for 15 and 16.",
            )
        job = self.status_of(letter, code, reason=reason, staff=dict(staff) if staff else None, at=at)
        await self.store.run(job)
        self.reported()
        return True

    async def agree(self, asking: IncomingLetter | TakeBack, *, staff: Mapping[str, str] | None = None) -> None:
        """Agree (15) to a recall, an update, a replacement or a take-back."""
        await self._answer(asking, "15", reason=None, staff=staff)

    async def decline(
        self, asking: IncomingLetter | TakeBack, reason: str, *, staff: Mapping[str, str] | None = None
    ) -> None:
        """Decline it (16), with the reason."""
        await self._answer(asking, "16", reason=reason, staff=staff)

    async def _answer(
        self, asking: IncomingLetter | TakeBack, code: str, *, reason: str | None, staff: Mapping[str, str] | None
    ) -> None:
        if isinstance(asking, TakeBack):
            about = [(asking.document, recipient) for recipient in asking.recipients]
            answers = {"from": asking.asked_by.sender, "id": asking.asked_by.id}
        else:
            about = [(document, asking.recipient) for document in asking.concerns]
            answers = asking.ref.as_dict()
        if not about:
            raise Problem(
                found="a change of a document that is not here",
                expected="the document that it concerns",
                remedy="Wait until the document has come; the change is remembered.",
            )
        now = datetime.now(UTC)
        await self._report(
            [
                compose.status_item(
                    document, code, at=now, for_=self._for(recipient), answers=answers, reason=reason, staff=staff
                )
                for document, recipient in about
            ],
            test=isinstance(asking, IncomingLetter) and asking.manifest.test,
        )

    async def _report(self, items: Sequence[Mapping[str, object]], *, test: bool) -> None:
        speaker = self.settings.code

        def report(connection: sqlite3.Connection) -> None:
            for item in items:
                reports.report(connection, item, speaker=speaker, test=test)

        await self.store.run(report)
        self.reported()

    async def replay(self, since: datetime | None = None) -> None:
        """Ask the exchange for everything again since then; by default since what was last seen, less a margin."""
        office = self._mailbox.office()

        def ask(connection: sqlite3.Connection) -> None:
            start = since or inbox.replay_from(inbox.last_seen(connection))
            inbox.request_replay(connection, start, office)

        await self.store.run(ask)
        self._pump.wake(documents=True)

    async def flushed(self, timeout: float | None = None) -> None:
        """Wait until the exchange has confirmed everything that was sent and reported. Raises TimeoutError."""
        await self._waiter.for_outbox(lambda connection: heard.nothing_to_send(connection) or None, timeout)

    # ── What adapters need that keep rows of their own in this database ──────────────────────────────────────────

    def office(self) -> Office:
        """Who takes in and answers, at this moment."""
        return self._mailbox.office()

    def signer_for(self, code: str) -> Signer:
        """The key that speaks for a code: its own if it is kept here, else the hub's."""
        return self._keyring.speaking_for(code)

    @property
    def content(self) -> ContentStore | None:
        """Where larger parts of outgoing documents are put."""
        return self._content

    def raise_if_ended(self) -> None:
        """Raises what the pump behind this agency has died of, if it has: nothing would come or go any more."""
        self._waiter.raise_if_ended()

    async def write(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run `job` in one transaction, then let the pump send what it put into the outbox or the gathering."""
        result = await self.store.run(job)
        self._pump.wake(documents=True)
        return result

    async def answered(self, timeout: float | None = None) -> None:
        """Wait until the exchange has accepted or rejected every document that was sent. Raises TimeoutError."""
        await self._waiter.for_outbox(lambda connection: outbox.nothing_open(connection) or None, timeout)

    # ── What deliveries need ─────────────────────────────────────────────────────────────────────────────────────

    def again_after(self, attempts: int) -> float:
        """Seconds until a document whose block failed so often is handed over again."""
        return min(self.settings.again_after_seconds * 2.0 ** min(max(attempts - 1, 0), 16), LAST_AGAIN_SECONDS)

    def set_outcome(self, letter: IncomingLetter, good: bool) -> None:
        """Remember a block that did not end well until its letter is handed over again."""
        if not good:
            self._outcomes[letter.ref, letter.recipient] = False

    def status_of(
        self,
        letter: IncomingLetter,
        code: str,
        *,
        reason: str | None,
        staff: dict[str, str] | None,
        at: datetime | None = None,
    ) -> Callable[[sqlite3.Connection], None]:
        """The database job that puts a status into the gathering."""
        item = compose.status_item(
            letter.ref,
            StatusCode(code),
            at=at or datetime.now(UTC),
            for_=self._for(letter.recipient),
            reason=reason,
            staff=staff,
        )
        speaker, test = self.settings.code, letter.manifest.test
        return lambda connection: reports.report(connection, item, speaker=speaker, test=test)

    def reported(self) -> None:
        """A status waits to be signed and sent."""
        self._pump.wake(documents=False)

    def _for(self, recipient: str) -> str | None:
        return None if recipient == self.settings.code else recipient

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _about(subject: str) -> Letter:
    """A letter without parts of its own, for a recall or an update."""
    return Letter(subject=subject[:500], number="", notation="", to=(), parts=())

"""What has come to an agency, and is stored already: documents with their parts, statuses, take-backs, notices."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path

from adapters import handing, heard
from adapters.content import copy_durably
from adapters.delivery import Delivery, letter_of
from adapters.letter import IncomingLetter, Notice, Status, TakeBack
from adapters.replay import last_seen, replay_from, request_replay
from adapters.reporting import Reporting
from adapters.waiting import Deadline
from schemas.problem import Problem


class Receiving(Reporting):
    """The part of an agency that hands over what came."""

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

    async def replay(self, since: datetime | None = None) -> None:
        """Ask the exchange for everything again since then; by default since what was last seen, less a margin."""
        office = self._mailbox.office()

        def ask(connection: sqlite3.Connection) -> None:
            start = since or replay_from(last_seen(connection))
            request_replay(connection, start, office)

        await self.store.run(ask)
        self._pump.wake(documents=True)
